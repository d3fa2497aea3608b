"""HistoryRead from a twin's history: raw readings page by page, and aggregates over even intervals."""

import asyncio
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from asyncua import ua

from .opcua_space import Space
from .opcua_values import data_value, datetime_of, ns_of, variant
from .twin.history import History
from .twin.model import Quality, Signal
from .twin.times import now_ns
from .twin.twin import Twin

MOST_VALUES = 10_000
_LOOKS = 512
_NEVER = datetime(1602, 1, 1, tzinfo=UTC)
_BEFORE_ALL = 0
_POINT = struct.Struct("<q")
Fold = Callable[["_Interval"], float]
AGGREGATES: dict[int, Fold] = {
    ua.ObjectIds.AggregateFunction_Average: lambda interval: interval.total / interval.count,
    ua.ObjectIds.AggregateFunction_Minimum: lambda interval: interval.low,
    ua.ObjectIds.AggregateFunction_Maximum: lambda interval: interval.high,
    ua.ObjectIds.AggregateFunction_Range: lambda interval: interval.high - interval.low,
    ua.ObjectIds.AggregateFunction_Count: lambda interval: float(interval.count),
}
"""What is answered, over the readings of an interval that are not bad (Part 13)."""


class HistoryReads:
    """Stands in for the server's own keeper of history; reading only."""

    def __init__(self, twin: Twin, space: Space) -> None:
        self._twin = twin
        self._space = space

    async def init(self) -> None:
        """There is nothing to prepare."""

    async def stop(self) -> None:
        """There is nothing to end."""

    async def read_history(self, params: ua.HistoryReadParameters) -> list[ua.HistoryReadResult]:
        """The answer for each node."""
        return [
            await self._read(params.HistoryReadDetails, node, number) for number, node in enumerate(params.NodesToRead)
        ]

    def update_history(self, params: ua.HistoryUpdateParameters) -> list[ua.HistoryUpdateResult]:
        """History is made by readings alone."""
        refused = ua.StatusCode(ua.StatusCodes.BadNotWritable)
        return [ua.HistoryUpdateResult(StatusCode=refused) for _ in params.HistoryUpdateDetails]

    async def _read(self, details: Any, node: ua.HistoryReadValueId, number: int) -> ua.HistoryReadResult:
        signal = self._space.signal_at(node.NodeId)
        if signal is None:
            return _refused(ua.StatusCodes.BadHistoryOperationUnsupported)
        if isinstance(details, ua.ReadRawModifiedDetails) and not details.IsReadModified:
            return await asyncio.to_thread(self._raw, signal, details, node.ContinuationPoint)
        if isinstance(details, ua.ReadProcessedDetails):
            if number >= len(details.AggregateType):
                return _refused(ua.StatusCodes.BadAggregateListMismatch)
            return await asyncio.to_thread(self._processed, signal, details, details.AggregateType[number])
        return _refused(ua.StatusCodes.BadHistoryOperationUnsupported)

    # Raw readings

    def _raw(self, signal: Signal, details: ua.ReadRawModifiedDetails, point: bytes | None) -> ua.HistoryReadResult:
        """Blocks. Backwards if the end lies before the start, or if there is only an end."""
        asked = details.NumValuesPerNode
        span = _span(_time(details.StartTime), _time(details.EndTime), bool(asked))
        if span is None:
            return _refused(ua.StatusCodes.BadInvalidArgument)
        first, last, backwards = span
        if point:
            (mark,) = _POINT.unpack(point)
            first, last = (first, mark) if backwards else (mark, last)
        # Without a number the server says how much it sends at once; with one it is all that is wanted.
        most = min(asked or MOST_VALUES, MOST_VALUES)
        return self._page(signal, first, last, most, backwards, continues=not asked or asked > MOST_VALUES)

    def _page(
        self, signal: Signal, first: int, last: int, most: int, backwards: bool, continues: bool
    ) -> ua.HistoryReadResult:
        history = self._some(signal.index, first, last, most + 1, backwards)
        rows = range(len(history.time))[::-1] if backwards else range(len(history.time))
        shown = rows[:most]
        result = ua.HistoryReadResult()
        result.HistoryData = ua.HistoryData([self._value(signal, history, row) for row in shown])
        if continues and len(rows) > most:
            mark = int(history.time[shown[-1]])
            result.ContinuationPoint = _POINT.pack(mark if backwards else mark + 1)
        if not len(shown):
            result.StatusCode = ua.StatusCode(ua.StatusCodes.GoodNoData)
        return result

    def _value(self, signal: Signal, history: History, row: int) -> ua.DataValue:
        shown = variant(signal, float(history.value[row]), self._twin.label)
        return data_value(shown, int(history.time[row]), int(history.quality[row]))

    def _some(self, index: int, first: int, last: int, most: int, backwards: bool) -> History:
        """The readings in [first, last), or at least `most` of them from one end; never all of a long span."""
        while True:
            looked = self._twin.history(index, first, last, _LOOKS)
            if looked.bucket is None:
                return looked
            narrower, rows = _enough(looked, looked.bucket, (first, last), most, backwards)
            if rows <= 4 * most or narrower == (first, last):
                return self._twin.history(index, *narrower)
            first, last = narrower

    # Aggregates

    def _processed(
        self, signal: Signal, details: ua.ReadProcessedDetails, aggregate: ua.NodeId
    ) -> ua.HistoryReadResult:
        """Blocks."""
        fold = AGGREGATES.get(int(aggregate.Identifier)) if isinstance(aggregate.Identifier, int) else None
        if fold is None or aggregate.NamespaceIndex:
            return _refused(ua.StatusCodes.BadAggregateNotSupported)
        start, end = _time(details.StartTime), _time(details.EndTime)
        if start is None or end is None or start == end:
            return _refused(ua.StatusCodes.BadInvalidArgument)
        first, last = min(start, end), max(start, end)
        width = round(details.ProcessingInterval * 1e6) or last - first
        if width < 0 or (last - first) / width > MOST_VALUES:
            return _refused(ua.StatusCodes.BadTooManyOperations)
        whole = (last - first) // width
        rows = self._intervals(signal.index, first, width, whole)
        if first + whole * width < last:
            rows += self._intervals(signal.index, first + whole * width, last - first - whole * width, 1)
        counting = fold is AGGREGATES[ua.ObjectIds.AggregateFunction_Count]
        values = [_aggregate(fold, row, counting) for row in rows]
        result = ua.HistoryReadResult()
        result.HistoryData = ua.HistoryData(values if start < end else values[::-1])
        return result

    def _intervals(self, index: int, first: int, width: int, number: int) -> list["_Interval"]:
        """What the readings of even intervals amount to; from the tiers where a span holds many readings."""
        intervals = [_Interval(first + each * width) for each in range(number)]
        if not intervals:
            return intervals
        history = self._twin.history(index, first, first + number * width, number)
        usable = (history.quality >= Quality.UNCERTAIN) | (history.bucket is not None)
        usable &= ~np.isnan(history.value) & (history.count > 0)
        at = (history.time - first) // width
        for row in np.flatnonzero(usable & (at >= 0) & (at < number)):
            value, low, high = (float(column[row]) for column in (history.value, history.low, history.high))
            intervals[at[row]].add(value, low, high, int(history.count[row]))
        return intervals


@dataclass(slots=True)
class _Interval:
    """An interval that begins at `begin` [ns], and what its readings amount to."""

    begin: int
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    count: int = 0

    def add(self, mean: float, low: float, high: float, count: int) -> None:
        """Further readings."""
        self.total += mean * count
        self.low, self.high, self.count = min(self.low, low), max(self.high, high), self.count + count


def _aggregate(fold: Fold, interval: _Interval, counting: bool) -> ua.DataValue:
    time = datetime_of(interval.begin)
    if interval.count or counting:
        return ua.DataValue(ua.Variant(fold(interval), ua.VariantType.Double), SourceTimestamp=time)
    return ua.DataValue(None, ua.StatusCode(ua.StatusCodes.BadNoData), SourceTimestamp=time)


def _enough(
    looked: History, bucket: int, span: tuple[int, int], most: int, backwards: bool
) -> tuple[tuple[int, int], int]:
    """The part of a span [ns], from one end, that holds `most` readings or all, and how many it holds."""
    counts = np.cumsum(looked.count[::-1] if backwards else looked.count)
    reached = int(np.searchsorted(counts, most))
    if reached >= len(counts):
        return span, int(counts[-1])
    edge = int(looked.time[len(counts) - 1 - reached if backwards else reached])
    part = (max(span[0], edge), span[1]) if backwards else (span[0], min(span[1], edge + bucket))
    return part, int(counts[reached])


def _span(start: int | None, end: int | None, counted: bool) -> tuple[int, int, bool] | None:
    """First and last (exclusive) instant [ns], and whether newest first; None for a question that is none."""
    if start is not None and end is not None:
        return (start, end, False) if start <= end else (end + 1, start + 1, True)
    if not counted:
        return None
    if start is not None:
        return start, now_ns() + 1, False
    return None if end is None else (_BEFORE_ALL, end + 1, True)


def _time(moment: datetime | None) -> int | None:
    """A time of a request [ns]; None where none is given, which OPC UA writes as the year 1601."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return None if aware < _NEVER else ns_of(aware)


def _refused(code: int) -> ua.HistoryReadResult:
    result = ua.HistoryReadResult()
    result.StatusCode = ua.StatusCode(code)
    return result
