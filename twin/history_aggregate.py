"""What the readings of a signal amount to over a span of time: the figures that are kept when the readings go."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from .history_blocks import usable_rows
from .history_rows import SignalRows
from .model import Quality


@dataclass(frozen=True, slots=True)
class Pieces:
    """Columns with a row for each span of a signal in which it has readings; `usable` ones are not bad and a number.

    time: begin of the span [ns]. rows: how many readings, `usable` and `good` of them. low, high, first, last, mean: of
    the usable ones (NaN without one), `last_time` [ns] the last one's. weighted: the mean over time, of `duration`
    [ns]: from the begin, or from the first reading if none came before, to the end of the span. worst: lowest quality.
    """

    signal: NDArray[np.int32]
    time: NDArray[np.int64]
    rows: NDArray[np.int64]
    usable: NDArray[np.int64]
    good: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    first: NDArray[np.float64]
    last: NDArray[np.float64]
    last_time: NDArray[np.int64]
    mean: NDArray[np.float64]
    weighted: NDArray[np.float64]
    duration: NDArray[np.int64]
    worst: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.signal)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "Pieces":
        """The rows that an index array, a mask or a slice chooses."""
        return Pieces(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Before:
    """Per signal (by index) the last usable reading before the rows: `time` [ns] and `value` where `known`."""

    known: NDArray[np.bool_]
    time: NDArray[np.int64]
    value: NDArray[np.float64]


def pieces_of(
    rows: SignalRows, edges: NDArray[np.int64], begin: int, end: int, stepped: NDArray[np.bool_], before: Before
) -> Pieces:
    """The figures of rows in order, none of them superseded, whose times are in [begin, end) [ns].

    edges: where spans begin [ns], from at or before `begin` to at or after `end`; a span is cut at `begin` and `end`.
    stepped: per signal (by index) whether a value holds until the next one; else the line between two is followed.
    At the end, where no next reading is at hand, the last value holds.
    """
    at = np.searchsorted(edges, rows.time, side="right") - 1
    new = np.append(True, (rows.signal[1:] != rows.signal[:-1]) | (at[1:] != at[:-1]))
    start = np.flatnonzero(new)
    span_begin = np.maximum(edges[at[start]], begin)
    span_end = np.minimum(edges[at[start] + 1], end)
    usable = usable_rows(rows.value, rows.quality)
    count = np.add.reduceat(usable, start, dtype=np.int64)
    some = count > 0
    number = np.arange(len(rows))
    first = np.where(some, np.minimum.reduceat(np.where(usable, number, len(rows)), start), 0)
    last = np.where(some, np.maximum.reduceat(np.where(usable, number, -1), start), 0)
    with np.errstate(invalid="ignore", over="ignore"):
        total = np.add.reduceat(np.where(usable, rows.value, 0.0), start)
        weighted, duration = _over_time(rows, usable, start, span_begin, span_end, stepped, before)
        return Pieces(
            signal=rows.signal[start],
            time=span_begin,
            rows=np.diff(np.append(start, len(rows))),
            usable=count,
            good=np.add.reduceat(usable & (rows.quality >= Quality.GOOD), start, dtype=np.int64),
            low=np.where(some, np.minimum.reduceat(np.where(usable, rows.value, np.inf), start), np.nan),
            high=np.where(some, np.maximum.reduceat(np.where(usable, rows.value, -np.inf), start), np.nan),
            first=np.where(some, rows.value[first], np.nan),
            last=np.where(some, rows.value[last], np.nan),
            last_time=np.where(some, rows.time[last], span_begin),
            mean=np.where(some, total / np.maximum(count, 1), np.nan),
            weighted=weighted,
            duration=duration,
            worst=np.minimum.reduceat(rows.quality, start),
        )


def _over_time(
    rows: SignalRows,
    usable: NDArray[np.bool_],
    start: NDArray[np.int64],
    span_begin: NDArray[np.int64],
    span_end: NDArray[np.int64],
    stepped: NDArray[np.bool_],
    before: Before,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The mean over time of each span (NaN without a usable reading), and the time [ns] that it is of."""
    spans = len(start)
    chosen = np.flatnonzero(usable)
    weighted, duration = np.full(spans, np.nan), np.zeros(spans, dtype=np.int64)
    if not len(chosen):
        return weighted, duration
    of = (np.searchsorted(start, chosen, side="right") - 1).astype(np.int64)
    signal, time, value = rows.signal[chosen], rows.time[chosen], rows.value[chosen]
    holds = stepped[signal]
    first = np.flatnonzero(np.append(True, of[1:] != of[:-1]))
    last = np.append(first[1:], len(chosen)) - 1
    span = of[first]
    area = np.zeros(spans)
    np.add.at(area, of[:-1], np.where(of[1:] == of[:-1], _between(time, value, holds), 0.0))
    head, begun = _head(signal, time, value, holds, first, span_begin[span], before)
    area[span] += head + _tail(signal, time, value, holds, last, span_end[span])
    duration[span] = span_end[span] - begun
    weighted[span] = np.where(duration[span] > 0, area[span] / np.maximum(duration[span], 1), value[last])
    return weighted, duration


def _between(time: NDArray[np.int64], value: NDArray[np.float64], holds: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The area below the curve from each reading to the next."""
    until = np.where(holds[:-1], value[:-1], value[1:])
    area: NDArray[np.float64] = (value[:-1] + until) / 2 * np.diff(time)
    return area


def _head(
    signal: NDArray[np.int32],
    time: NDArray[np.int64],
    value: NDArray[np.float64],
    holds: NDArray[np.bool_],
    first: NDArray[np.int64],
    begin: NDArray[np.int64],
    before: Before,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The area from the begin of a span to its first reading, and from when on it counts."""
    earlier = np.maximum(first - 1, 0)
    here = (first > 0) & (signal[earlier] == signal[first])
    known = here | before.known[signal[first]]
    from_time = np.where(here, time[earlier], before.time[signal[first]])
    from_value = np.where(here, value[earlier], before.value[signal[first]])
    reach = time[first] - begin
    share = (begin - from_time) / np.maximum(time[first] - from_time, 1)
    at_begin = np.where(holds[first], from_value, from_value + (value[first] - from_value) * share)
    at_first = np.where(holds[first], from_value, value[first])
    return np.where(known, (at_begin + at_first) / 2 * reach, 0.0), np.where(known, begin, time[first])


def _tail(
    signal: NDArray[np.int32],
    time: NDArray[np.int64],
    value: NDArray[np.float64],
    holds: NDArray[np.bool_],
    last: NDArray[np.int64],
    end: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The area from the last reading of a span to its end."""
    later = np.minimum(last + 1, len(signal) - 1)
    follows = (later > last) & (signal[later] == signal[last]) & ~holds[last]
    share = (end - time[last]) / np.maximum(time[later] - time[last], 1)
    at_end = np.where(follows, value[last] + (value[later] - value[last]) * share, value[last])
    area: NDArray[np.float64] = (value[last] + at_end) / 2 * (end - time[last])
    return area
