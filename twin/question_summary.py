"""Summaries: how many, the least, greatest and mean of a signal over some nodes, at a glance and in one unit."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .errors import InvalidValueError
from .model import DataType, Node, Quality, Signal
from .question_rollup import TEMPERATURE, shown_under
from .question_subject import Instant
from .state import NEVER
from .units import conversion, parse_unit


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures [unit] of the `count` signals whose latest reading is good and finite; None where there is none.

    low_at, high_at: the signals (dotted ids) of the least and greatest. oldest, newest: the times of the readings [ns].
    left_out: how many signals of the name do not count. total: their sum; None of temperatures, which have none.
    """

    count: int
    left_out: int
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    total: float | None = None
    low_at: str | None = None
    high_at: str | None = None
    oldest: int | None = None
    newest: int | None = None


def summarize(instant: Instant, nodes: Iterable[Node], name: str, unit: str | None = None) -> Summary:
    """What the nodes show under a name, each signal once; in the asked unit, or in that of the first that counts.

    Signals with text, without a good and finite reading, or without a unit where others have one do not count.
    Raises InvalidValueError where units measure different things.
    """
    named = {signal.index: signal for node in nodes for signal in shown_under(instant.graph, node, name)}
    state = instant.snapshot(np.array(list(named), dtype=np.int32))
    good = (state.quality >= Quality.GOOD) & (state.time != NEVER) & np.isfinite(state.value)
    rows = [row for row, signal in enumerate(named.values()) if good[row] and _is_number(signal)]
    signals = list(named.values())
    unit = unit or next((signals[row].unit for row in rows if signals[row].unit is not None), None)
    if unit is not None:
        rows = [row for row in rows if signals[row].unit is not None]
    if not rows:
        return Summary(0, len(named), unit)
    values = [_converted(instant, signals[row], float(state.value[row]), unit) for row in rows]
    low, high = rows[int(np.argmin(values))], rows[int(np.argmax(values))]
    return Summary(
        len(rows),
        len(named) - len(rows),
        unit,
        min(values),
        max(values),
        float(np.mean(values)),
        _total(values, unit),
        instant.graph.signal_id(signals[low]),
        instant.graph.signal_id(signals[high]),
        int(state.time[rows].min()),
        int(state.time[rows].max()),
    )


def _total(values: list[float], unit: str | None) -> float | None:
    if unit is not None and parse_unit(unit).dimension == TEMPERATURE:
        return None
    return math.fsum(values)


def _is_number(signal: Signal) -> bool:
    return signal.data_type not in (DataType.TEXT, DataType.BOOLEAN) and not signal.labels


def _converted(instant: Instant, signal: Signal, value: float, unit: str | None) -> float:
    if unit is None or signal.unit is None or signal.unit == unit:
        return value
    try:
        return float(conversion(signal.unit, unit)(value))
    except InvalidValueError as error:
        id = instant.graph.signal_id(signal)
        raise InvalidValueError(f"{id} does not fit the others: {error}", "unit") from None
