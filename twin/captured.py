"""Readings that an event keeps: what chosen signals of its node showed when it began and when it ended."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .as_of import AsOf
from .errors import InvalidValueError, NotFoundError
from .graph import HEALTH, Graph
from .model import DataType, Node, Signal, quality_word
from .state import NEVER, StateColumns
from .times import format_time, now_ns

if TYPE_CHECKING:
    from .twin import Twin

MOST = 200


def captured(twin: "Twin", node: Node, at: int, names: Sequence[str] | None, *, strict: bool = True) -> dict[str, Any]:
    """What the signals showed at an instant [ns], by name: value, unit, time and quality of the reading; blocks.

    The node's state unless `names` are given. Raises NotFoundError for a name that is none, unless told otherwise.
    """
    chosen = _chosen(twin.graph, node, names, strict)
    signals = [signal for group in chosen.values() for signal in group]
    if len(signals) > MOST:
        raise InvalidValueError(f"an event keeps the readings of at most {MOST} signals, not {len(signals)}", "capture")
    plant = twin.as_of() if at >= now_ns() else twin.as_of(time=at)
    columns = plant.snapshot(np.array([signal.index for signal in signals], dtype=np.int32))
    found, row = {}, 0
    for name, group in chosen.items():
        shown = _shown(plant, group, columns, row)
        row += len(group)
        if shown is not None:
            found[name] = shown
    return found


def _chosen(graph: Graph, node: Node, names: Sequence[str] | None, strict: bool) -> dict[str, list[Signal]]:
    if names is None:
        health = graph.signal_of(node.key, HEALTH)
        return dict(graph.state_signals(node.key)) | ({} if health is None else {HEALTH: [health]})
    chosen = {}
    for name in names:
        try:
            chosen[name] = [_find(graph, node, name)]
        except NotFoundError:
            if strict:
                raise
    return chosen


def _find(graph: Graph, node: Node, name: str) -> Signal:
    """A signal of the node by its name, or any by its id."""
    try:
        return graph.find_signal(f"{node.id}.{name}")
    except NotFoundError as error:
        try:
            return graph.find_signal(name)
        except NotFoundError:
            raise error from None


def _shown(plant: AsOf, group: list[Signal], columns: StateColumns, row: int) -> dict[str, Any] | None:
    """Several signals under one name make a list; None if none of them had a reading."""
    rows = range(row, row + len(group))
    times = [int(columns.time[i]) for i in rows]
    if max(times) == NEVER:
        return None
    values = [
        None if time == NEVER else _value(plant, signal, float(columns.value[i]))
        for i, signal, time in zip(rows, group, times, strict=True)
    ]
    quality = min(int(columns.quality[i]) for i, time in zip(rows, times, strict=True) if time != NEVER)
    return {
        "value": values if len(values) > 1 else values[0],
        "unit": group[0].unit,
        "time": format_time(max(times)),
        "quality": quality_word(quality),
    }


def _value(plant: AsOf, signal: Signal, value: float) -> float | str | bool | None:
    if not np.isfinite(value):
        return None
    if signal.data_type is DataType.BOOLEAN and not signal.labels:
        return value != 0
    text = plant.label(signal.index, value)
    return value if text is None else text
