"""A twin's state in the specification's shape, from the columns of the live state.

Which signal stands where is worked out once per revision of the graph; an answer is then one snapshot and one pass.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analytics.health import health_status
from ..twin.graph import HEALTH, Graph
from ..twin.model import DataType, Node, Signal, quality_word
from ..twin.state import NEVER, StateColumns
from ..twin.times import format_time
from ..twin.twin import Twin

EXACT = 2.0**53


@dataclass(frozen=True, slots=True)
class Slot:
    """A key of a component's state: rows of the snapshot, one or (a list value) several."""

    name: str
    rows: tuple[int, ...]
    signals: tuple[Signal, ...]
    listed: bool


@dataclass(frozen=True, slots=True)
class ComponentLayout:
    """A component's id within the twin, its state's keys, and the row of its health."""

    id: str
    slots: tuple[Slot, ...]
    health: int | None


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything that a twin shows stands in the snapshot of `signals`; `shown` rows count for its time."""

    revision: int
    node: Node
    signals: NDArray[np.int32]
    shown: NDArray[np.bool_]
    components: tuple[ComponentLayout, ...]
    own: ComponentLayout


class Layouts:
    """The layouts of the graph's newest revision, made when first asked for."""

    def __init__(self) -> None:
        self._revision = -1
        self._layouts: dict[int, Layout] = {}

    def of(self, graph: Graph, node: Node) -> Layout:
        """The layout of a twin."""
        if graph.revision != self._revision:
            self._revision, self._layouts = graph.revision, {}
        layout = self._layouts.get(node.key)
        if layout is None:
            layout = self._layouts[node.key] = _layout(graph, node)
        return layout


def _layout(graph: Graph, twin: Node) -> Layout:
    rows: dict[int, int] = {}
    healths: set[int] = set()

    def component(node: Node, id: str) -> ComponentLayout:
        slots = tuple(
            Slot(
                name,
                tuple(rows.setdefault(signal.index, len(rows)) for signal in signals),
                tuple(signals),
                len(signals) > 1 or signals[0].name == "value[0]",
            )
            for name, signals in graph.state_signals(node.key)
        )
        health = graph.signal_of(node.key, HEALTH)
        if health is not None:
            healths.add(health.index)
        return ComponentLayout(id, slots, None if health is None else rows.setdefault(health.index, len(rows)))

    inside = twin.id + "."
    components = tuple(component(node, node.id.removeprefix(inside)) for node in _components(graph, twin))
    own = component(twin, twin.id)
    signals = np.fromiter(rows, dtype=np.int32, count=len(rows))
    shown = np.fromiter((index not in healths for index in rows), dtype=np.bool_, count=len(rows))
    return Layout(graph.revision, twin, signals, shown, components, own)


def _components(graph: Graph, twin: Node) -> Iterator[Node]:
    """The components of a twin, and theirs; not those of a line that stands in an area."""
    for child in graph.components(twin.key):
        yield child
        yield from _components(graph, child)


def state_document(layout: Layout, columns: StateColumns, twin: Twin) -> dict[str, Any]:
    """The specification's document. Keys without a reading are absent; `quality` appears where it is not good."""
    values = columns.value.tolist()
    known = (columns.time != NEVER).tolist()
    quality = columns.quality.tolist()

    def component(part: ComponentLayout) -> dict[str, Any]:
        document: dict[str, Any] = {"id": part.id, "state": (state := {})}
        doubtful = {}
        for slot in part.slots:
            if slot.listed:
                if any(known[row] for row in slot.rows):
                    pairs = zip(slot.rows, slot.signals, strict=True)
                    state[slot.name] = [shown(values[r], s, twin) if known[r] else None for r, s in pairs]
            elif known[slot.rows[0]]:
                state[slot.name] = shown(values[slot.rows[0]], slot.signals[0], twin)
            worst = min((quality[row] for row in slot.rows if known[row]), default=192)
            if worst < 192:
                doubtful[slot.name] = quality_word(worst)
        document["health"] = None if part.health is None or not known[part.health] else _health(values[part.health])
        if doubtful:
            document["quality"] = doubtful
        return document

    document: dict[str, Any] = {"twin_id": layout.node.id, "timestamp": _timestamp(layout, columns)}
    document["components"] = [component(part) for part in layout.components]
    own = component(layout.own)
    if layout.own.slots:
        document["state"] = own["state"]
        if "quality" in own:
            document["quality"] = own["quality"]
    # No engine computes KPIs yet; a member that nobody computes is absent, never an invented number.
    document["kpis"] = {}
    return document


def shown(value: float, signal: Signal, twin: Twin) -> Any:
    """A value as a client reads it: text by its labels, true or false, whole numbers without a fraction, null for NaN.

    The definition's labels count before the data type, so that a number may have names, too.
    """
    if value != value:
        return None
    if not signal.labels and signal.data_type is DataType.NUMBER:
        return number(value)
    if not signal.labels and signal.data_type is DataType.BOOLEAN:
        return value != 0
    text = twin.label(signal.index, value)
    return number(value) if text is None else text


def number(value: float) -> float | int | None:
    """A number for JSON."""
    if value != value or value in (float("inf"), float("-inf")):
        return None
    return int(value) if value.is_integer() and -EXACT < value < EXACT else value


def _health(score: float) -> dict[str, Any]:
    return {"score": number(score), "status": health_status(score)}


def _timestamp(layout: Layout, columns: StateColumns) -> str | None:
    times = columns.time[layout.shown]
    if not len(times) or times.max() == NEVER:
        times = columns.time
    newest = int(times.max()) if len(times) else NEVER
    return None if newest == NEVER else format_time(newest)
