"""Judging stored readings anew where a late or corrected one changes what was concluded from them.

A walk begins with what was open just before the first such reading, goes over the stored readings from there on, and
stops as soon as its watches are again in the state in which they were told to be: from there on everything is as told.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..twin.state import NEVER
from .anomalies import Anomaly
from .anomaly_book import FOREVER, AnomalyBook
from .pages import Page, ReadHistory, pages, rate_series
from .rule_spans import RuleSpans, Span
from .rules import RATE_OF_CHANGE, Watch

CHANGED = "the rule or the sensor was changed"
# Late readings further apart than this are walked to one by one.
APART_NS = 3_600 * 1_000_000_000


class Change(NamedTuple):
    """Between `start` and `end` [ns] something of a component is open that was not, or the other way round."""

    component: int
    start: int
    end: int


class Recomputation:
    """Walks over the readings of one signal after another; what it finds goes into the book."""

    def __init__(self, read: ReadHistory, spans: RuleSpans, book: AnomalyBook) -> None:
        self._read = read
        self._spans = spans
        self._book = book

    def touched(self, signal: int, times: Sequence[int], newest: int) -> list[Change]:
        """Judges anew what readings at `times` (rising) of a signal touch; `newest` is the time of its last reading."""
        changes: list[Change] = []
        done = NEVER
        for number, time in enumerate(times):
            if time >= done:
                done = self._walk(signal, times[number:], newest, changes)
        return changes

    def everything(self, signal: int, start: int, newest: int) -> list[Change]:
        """Judges all readings from `start` on anew, where other limits apply to them."""
        changes: list[Change] = []
        self._walk(signal, (start,), newest, changes, stop_early=False)
        return changes

    def _walk(
        self, signal: int, times: Sequence[int], newest: int, changes: list[Change], stop_early: bool = True
    ) -> int:
        """From the first of `times` on until all is as told; until when it came."""
        start = times[0]
        walks = [
            _Walk(watch, span, self._book.before(watch.component, watch.key, start, span.start))
            for span in self._spans.of(signal, start)
            for watch in span.watches
        ]
        keys = {walk.rate for walk in walks if walk.rate}
        rates = {key: rate_series(self._read, signal, start, *key) for key in keys}
        reach = _Reach(times, max((width for width, _ in keys), default=0))
        for page in pages(self._read, signal, start, newest + 1):
            compared = {key: series.changes(page.time, page.value) for key, series in rates.items()}
            for walk in walks:
                walk.take(page, compared[walk.rate] if walk.rate else page.value)
            reach.take(page)
            if stop_early and reach.passed(page.end) and all(self._agrees(walk, page.end) for walk in walks):
                self._splice(walks, start, page.end, changes)
                return page.end
        self._splice(walks, start, FOREVER, changes)
        return FOREVER

    def _agrees(self, walk: "_Walk", end: int) -> bool:
        told = self._book.before(walk.watch.component, walk.watch.key, end, walk.span.start)
        return (walk.open_before(end) is None) is (told is None)

    def _splice(self, walks: Sequence["_Walk"], start: int, end: int, changes: list[Change]) -> None:
        for walk in walks:
            watch = walk.watch
            walk.finish(end)
            last = walk.open_before(end)
            if last is not None and last.until is None and end != FOREVER:
                told = self._book.before(watch.component, watch.key, end, walk.span.start)
                assert told is not None
                walk.found[-1] = last.ended_like(told)
            onsets = (walk.span.start, min(end, _next_start(walks, walk)))
            found = self._book.splice(watch.component, watch.key, start, onsets, walk.found)
            if found is not None:
                changes.append(Change(watch.component, *found))


def _next_start(walks: Sequence["_Walk"], walk: "_Walk") -> int:
    """Where the next span of the same watch begins, if it has one: its anomalies are not this one's."""
    same = ((w.watch.component, w.watch.key) == (walk.watch.component, walk.watch.key) for w in walks)
    starts = [w.span.start for w, is_same in zip(walks, same, strict=True) if is_same]
    return min((start for start in starts if start > walk.span.start), default=FOREVER)


class _Reach:
    """How far a walk must at least go: rates look back, so a reading touches all until a window after the next one."""

    def __init__(self, times: Sequence[int], width: int) -> None:
        self._times = times
        self._width = width
        self._number = 0
        self._until: int | None = None

    def take(self, page: Page) -> None:
        """Goes on over a page."""
        while self._number < len(self._times) and self._times[self._number] < page.end:
            self._number += 1
            self._until = None
        last = self._times[self._number - 1]
        if self._until is None and self._width:
            behind = int(np.searchsorted(page.time, last, side="right"))
            if behind < len(page.time):
                self._until = int(page.time[behind]) + self._width
        elif self._until is None:
            self._until = last

    def passed(self, end: int) -> bool:
        """Whether nothing from `end` on is touched by the readings that it has come across, nor by others nearby."""
        near = self._number < len(self._times) and self._times[self._number] < end + APART_NS
        return not near and self._until is not None and end > self._until


class _Walk:
    """One watch on its way over the readings of its span."""

    def __init__(self, watch: Watch, span: Span, carried: Anomaly | None) -> None:
        self.watch = watch
        self.span = span
        self.found = [] if carried is None else [carried.reopened()]
        window = watch.condition.window if watch.condition.metric == RATE_OF_CHANGE else None
        self.rate = (window, watch.signal.stepped) if window else None
        self._limits = watch.limits()

    def take(self, page: Page, compared: NDArray[np.float64]) -> None:
        """Goes on over a page; `compared` are its values, or their rates of change."""
        first, last = np.searchsorted(page.time, (self.span.start, self.span.end)).tolist()
        time, compared = page.time[first:last], compared[first:last]
        opens = np.flatnonzero(self._limits.breached(compared)).tolist()
        clears = np.flatnonzero(self._limits.cleared(compared)).tolist()
        at = 0
        while True:
            moves = clears if self._is_open() else opens
            number = bisect_left(moves, at)
            if number == len(moves):
                break
            at = moves[number]
            self._move(int(time[at]), float(compared[at]))
        self.finish(page.end)

    def _is_open(self) -> bool:
        return bool(self.found) and self.found[-1].until is None

    def _move(self, time: int, value: float) -> None:
        if self._is_open():
            self.found[-1] = self.found[-1].ended(time, cleared_value=value)
        else:
            self.found.append(Anomaly.begun(self.watch, time, value))

    def finish(self, end: int) -> None:
        """There are no more readings before `end`: with its span ends what is open."""
        if end >= self.span.end != FOREVER and self._is_open():
            self.found[-1] = self.found[-1].ended(self.span.end, reason=CHANGED)

    def open_before(self, end: int) -> Anomaly | None:
        """The anomaly that is open just before `end`."""
        last = self.found[-1] if self.found else None
        return last if last is not None and last.is_open_before(end) else None
