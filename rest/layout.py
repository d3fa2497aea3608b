"""A twin's state in the specification's shape, from the columns of the live state.

Which signal stands where is worked out once per revision of the graph; an answer is then one snapshot and one pass.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analytics.health import health_status
from ..twin.as_of import AsOf
from ..twin.graph import HEALTH, Graph
from ..twin.model import DataType, Node, Quality, Signal, quality_word
from ..twin.state import NEVER, StateColumns
from ..twin.times import format_time

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

    @property
    def single(self) -> bool:
        """Whether no key is a list."""
        return not any(slot.listed for slot in self.slots)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything that a twin shows stands in the snapshot of `signals`.

    `shown` rows count for its time; `named` rows may hold texts or truths.
    """

    revision: int
    node: Node
    signals: NDArray[np.int32]
    shown: NDArray[np.bool_]
    components: tuple[ComponentLayout, ...]
    own: ComponentLayout
    named: tuple[tuple[int, Signal], ...]


class Layouts:
    """The layouts of twins, made when first asked for: all of the newest revision, and some of older ones."""

    def __init__(self, kept: int = 1000) -> None:
        self._kept = kept
        self._newest = 0
        self._layouts: OrderedDict[tuple[int, int], Layout] = OrderedDict()

    def of(self, graph: Graph, node: Node) -> Layout:
        """The layout of a twin."""
        if graph.revision > self._newest:
            self._newest = graph.revision
            self._layouts.clear()
        key = (graph.revision, node.key)
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = _layout(graph, node)
            if len(self._layouts) > self._kept:
                self._layouts.popitem(last=False)
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
    of_row = [(row, graph.signal(index)) for index, row in rows.items()]
    named = tuple((row, signal) for row, signal in of_row if signal.labels or signal.data_type is not DataType.NUMBER)
    return Layout(graph.revision, twin, signals, shown, components, own, named)


def _components(graph: Graph, twin: Node) -> Iterator[Node]:
    """The components of a twin, and theirs; not those of a line that stands in an area."""
    for child in graph.components(twin.key):
        yield child
        yield from _components(graph, child)


def state_document(layout: Layout, columns: StateColumns, plant: AsOf) -> dict[str, Any]:
    """The specification's document. Keys without a reading are absent; `quality` appears where it is not good."""
    readings = _Readings(layout, columns, plant)
    document: dict[str, Any] = {"twin_id": layout.node.id, "timestamp": _timestamp(layout, columns)}
    document["components"] = [readings.component(part) for part in layout.components]
    own = readings.component(layout.own)
    if layout.own.slots:
        document["state"] = own["state"]
        if "quality" in own:
            document["quality"] = own["quality"]
    # No engine computes KPIs yet; a member that nobody computes is absent, never an invented number.
    document["kpis"] = {}
    return document


class _Readings:
    """The snapshot as Python values by row: numbers are made in one go, only texts and truths one by one."""

    def __init__(self, layout: Layout, columns: StateColumns, plant: AsOf) -> None:
        self._values = numbers(columns.value)
        known = columns.time != NEVER
        for row, signal in layout.named:
            if known[row]:
                self._values[row] = shown(float(columns.value[row]), signal, plant)
        self._known: list[bool] = known.tolist()
        self._quality: list[int] = columns.quality.tolist()
        self._all_good = bool((columns.quality >= Quality.GOOD)[known].all())
        self._all_known = bool(known.all())

    def component(self, part: ComponentLayout) -> dict[str, Any]:
        values, known = self._values, self._known
        state: dict[str, Any]
        if self._all_known and part.single:
            state = {slot.name: values[slot.rows[0]] for slot in part.slots}
        else:
            state = {slot.name: self._shown(slot) for slot in part.slots if any(known[row] for row in slot.rows)}
        document: dict[str, Any] = {"id": part.id, "state": state, "health": None}
        if part.health is not None and known[part.health]:
            document["health"] = {"score": values[part.health], "status": health_status(values[part.health])}
        if not self._all_good and (doubtful := self._doubtful(part)):
            document["quality"] = doubtful
        return document

    def _shown(self, slot: Slot) -> Any:
        if slot.listed:
            return [self._values[row] if self._known[row] else None for row in slot.rows]
        return self._values[slot.rows[0]]

    def _doubtful(self, part: ComponentLayout) -> dict[str, str]:
        found = {}
        for slot in part.slots:
            worst = min((self._quality[row] for row in slot.rows if self._known[row]), default=Quality.GOOD)
            if worst < Quality.GOOD:
                found[slot.name] = quality_word(worst)
        return found


def numbers(values: NDArray[np.float64]) -> list[Any]:
    """Numbers for JSON, as `number` makes them, of a whole column."""
    whole = (values == np.rint(values)) & (np.abs(values) < EXACT)
    plain: list[Any] = values.tolist()
    for row in np.flatnonzero(whole).tolist():
        plain[row] = int(plain[row])
    for row in np.flatnonzero(~np.isfinite(values)).tolist():
        plain[row] = None
    return plain


def shown(value: float, signal: Signal, plant: AsOf) -> Any:
    """A value as a client reads it: text by its labels, true or false, whole numbers without a fraction, null for NaN.

    The definition's labels count before the data type, so that a number may have names, too.
    """
    if value != value:
        return None
    if not signal.labels and signal.data_type is DataType.NUMBER:
        return number(value)
    if not signal.labels and signal.data_type is DataType.BOOLEAN:
        return value != 0
    text = plant.label(signal.index, value)
    return number(value) if text is None else text


def number(value: float) -> float | int | None:
    """A number for JSON."""
    if value != value or value in (float("inf"), float("-inf")):
        return None
    return int(value) if value.is_integer() and -EXACT < value < EXACT else value


def _timestamp(layout: Layout, columns: StateColumns) -> str | None:
    times = columns.time[layout.shown]
    if not len(times) or times.max() == NEVER:
        times = columns.time
    newest = int(times.max()) if len(times) else NEVER
    return None if newest == NEVER else format_time(newest)
