"""The values of signals as of the beginning or end of a reported event."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .as_of import AsOf
from .graph import Graph
from .model import DataType, Signal, quality_word
from .state import NEVER
from .times import format_time

MOST_SIGNALS = 200


def captured(graph: Graph, plant: AsOf, node: int, signals: Sequence[str] | None) -> dict[str, Any]:
    """Per signal id its `value`, `unit`, `time` and `quality` as of then; without a reading it is left out.

    The signals are those of the graph now: it may have been made known later than what is reported. Raises
    NotFoundError for a signal that there is not.
    """
    chosen = _state(graph, node) if signals is None else [graph.find_signal(id) for id in signals]
    chosen = chosen[:MOST_SIGNALS]
    columns = plant.snapshot(np.array([signal.index for signal in chosen], dtype=np.int32))
    found = {}
    for row, signal in enumerate(chosen):
        if columns.time[row] != NEVER:
            value, time, quality = columns.value[row], int(columns.time[row]), int(columns.quality[row])
            shown = {"value": _shown(plant, signal, float(value)), "time": format_time(time)}
            unit = {"unit": signal.unit} if signal.unit else {}
            found[graph.signal_id(signal)] = shown | {"quality": quality_word(quality)} | unit
    return found


def _state(graph: Graph, node: int) -> list[Signal]:
    """What a node shows, its health included."""
    shown = [signal for _, signals in graph.state_signals(node) for signal in signals]
    own = [signal for signal in graph.signals_of(node) if signal not in shown]
    return own + shown


def _shown(plant: AsOf, signal: Signal, value: float) -> Any:
    if value != value:
        return None
    if signal.data_type is DataType.BOOLEAN and not signal.labels:
        return value != 0
    text = plant.label(signal.index, value)
    return value if text is None else text
