"""The stored readings of a signal, page by page, so that no span of time is too long for the memory."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..twin.history import History, Rows, history_of
from ..twin.model import Quality
from ..twin.times import NS
from .rate import HORIZON, RateSeries

FIRST_NS = 300 * NS
ENOUGH_ROWS = 20_000
_GROWTH = 8
# How far back, in windows, the readings are looked at that the start of a window may need.
_LOOKS = (2, 8, 32, HORIZON)

NO_HISTORY = history_of(Rows.concat([]), 0, 1, None)
ReadHistory = Callable[[int, int, int], History]


class Page(NamedTuple):
    """The usable readings (not bad, not NaN) of a signal in [start, end) [ns], in the order of time."""

    start: int
    end: int
    time: NDArray[np.int64]
    value: NDArray[np.float64]


def pages(read: ReadHistory, signal: int, start: int, end: int) -> Iterator[Page]:
    """Pages from `start` to before `end`; each next one spans more time, until it has enough rows."""
    span = FIRST_NS
    while start < end:
        until = min(end, start + span)
        page = _page(read, signal, start, until)
        yield page
        span = span * _GROWTH if len(page.time) < ENOUGH_ROWS // _GROWTH else span
        start = until


def _page(read: ReadHistory, signal: int, start: int, end: int) -> Page:
    rows = read(signal, start, end)
    usable = (rows.quality >= Quality.UNCERTAIN) & ~np.isnan(rows.value)
    return Page(start, end, rows.time[usable], rows.value[usable])


def rate_series(read: ReadHistory, signal: int, time: int, width: int, stepped: bool) -> RateSeries:
    """The readings that a window of `width` [ns] needs for what comes at `time` or later."""
    found: list[RateSeries] = []
    end = time
    for look in _LOOKS:
        start = time - look * width
        series = RateSeries(width, stepped)
        for page in pages(read, signal, start, end):
            series.remember(page.time, page.value)
        found.insert(0, series)
        if len(series.times) and series.times[0] <= time - width:
            break
        end = start
    joined = RateSeries(width, stepped)
    for series in found:
        joined.remember(series.times, series.values)
    return joined
