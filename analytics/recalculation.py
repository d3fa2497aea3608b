"""Computing stored instants anew, page by page: where late data, or another formula, made them wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..twin.batch import ReadingBatch
from ..twin.computed import Evaluation, Formula
from ..twin.computed_inputs import Held
from ..twin.state import NEVER
from ..twin.times import NS
from ..twin.twin import Twin
from .formulas import Formulas
from .tracks import LATEST

FIRST_NS = 60 * NS
FEW_ROWS, MANY_ROWS = 4_000, 40_000

# Further back than any reading, and yet with room for arithmetic.
EARLIEST = -(1 << 61)

ToHeld = Callable[[int, float, int], Held]


@dataclass(slots=True)
class Span:
    """The instants of a computed signal from `start` on that are to be computed anew.

    `touched` are the inputs whose readings made them wrong, each with the last such time [ns]: from that input's next
    reading on all is right again. Without any, everything up to `until` is meant. `entry` is the journal entry that is
    not done with before this is.
    """

    signal: int
    start: int
    touched: dict[int, int]
    until: int
    entry: int
    width: int = FIRST_NS
    evaluation: Evaluation | None = None

    @property
    def done(self) -> bool:
        """Whether there is nothing left of it."""
        return self.start > self.until


class Column(NamedTuple):
    """Readings of one input over a page."""

    time: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]


class Recalculation:
    """Works off spans; each page gives the readings that differ from what is stored."""

    def __init__(self, twin: Twin, formulas: Formulas, to_held: ToHeld) -> None:
        self._twin = twin
        self._formulas = formulas
        self._to_held = to_held

    def page(self, span: Span) -> tuple[ReadingBatch, ReadingBatch]:
        """Computes the next page of a span and moves it on: all its readings, and those that are not stored like this.

        Raises StorageError.
        """
        # Of what is older not all readings of the inputs are kept: it stays as it was computed.
        span.start = max(span.start, self._twin.whole_from)
        newest = self._newest(span.signal)
        formula, applies_until = self._formulas.at(span.signal, span.start)
        end = min(span.start + span.width, newest + 1, applies_until, span.until + 1)
        if formula is None or span.start > newest:
            span.start = LATEST
            return _readings(span.signal, []), _readings(span.signal, [])
        columns = {one: self._column(one, span.start, end) for one in formula.signals}
        if span.evaluation is None or span.evaluation.formula != formula:
            span.evaluation = self._evaluation(formula, span.start)
        found = self._compute(span.evaluation, columns)
        news = self._differing(span, end, found)
        self._move_on(span, end, columns)
        return _readings(span.signal, found), _readings(span.signal, news)

    def _newest(self, signal: int) -> int:
        inputs = {one for formula in self._all(signal) for one in formula.signals}
        times = [reading.time for one in inputs if (reading := self._twin.state.read(one)) is not None]
        return max(times, default=NEVER)

    def _all(self, signal: int) -> list[Formula]:
        formulas: list[Formula] = []
        time = EARLIEST
        while time < LATEST:
            formula, time = self._formulas.at(signal, time)
            formulas += [formula] if formula else []
        return formulas

    def _column(self, signal: int, start: int, end: int) -> Column:
        rows = self._twin.history(signal, start, end)
        return Column(rows.time, rows.value, rows.quality)

    def _evaluation(self, formula: Formula, start: int) -> Evaluation:
        """The formula with what its inputs hold just before `start`."""
        evaluation = Evaluation(formula)
        signals = np.array(formula.signals, dtype=np.int32)
        if start > EARLIEST and len(signals):
            then = self._twin.as_of(time=start - 1).snapshot(signals)
            for row, signal in enumerate(formula.signals):
                if (held := then.reading(row)) is not None:
                    evaluation.take(signal, self._to_held(signal, held.value, held.quality))
        return evaluation

    def _compute(self, evaluation: Evaluation, columns: dict[int, Column]) -> list[tuple[int, Held]]:
        """Time and result of each instant of the page."""
        news: dict[int, list[tuple[int, float, int]]] = {}
        for signal, column in columns.items():
            for time, value, quality in zip(*(each.tolist() for each in column), strict=True):
                news.setdefault(time, []).append((signal, value, quality))
        found: list[tuple[int, Held]] = []
        for time in sorted(news):
            for signal, value, quality in news[time]:
                evaluation.take(signal, self._to_held(signal, value, quality))
            if (result := evaluation.result()) is not None:
                found.append((time, result))
        return found

    def _differing(self, span: Span, end: int, found: list[tuple[int, Held]]) -> list[tuple[int, Held]]:
        stored = self._twin.history(span.signal, span.start, end)
        known = {
            time: (repr(value), quality)
            for time, value, quality in zip(
                stored.time.tolist(), stored.value.tolist(), stored.quality.tolist(), strict=True
            )
        }
        return [(time, one) for time, one in found if known.get(time) != (repr(one.value), one.quality)]

    def _move_on(self, span: Span, end: int, columns: dict[int, Column]) -> None:
        rows = sum(len(column.time) for column in columns.values())
        span.width = span.width * 8 if rows < FEW_ROWS else span.width // 4 if rows > MANY_ROWS else span.width
        if span.touched:
            passed = [one for one, last in span.touched.items() if _passes(columns.get(one), last, end)]
            for signal in passed:
                del span.touched[signal]
            if not span.touched:
                span.until = end - 1
        span.start = end


def _readings(signal: int, found: list[tuple[int, Held]]) -> ReadingBatch:
    times, values = [time for time, _ in found], [one.value for _, one in found]
    return ReadingBatch.of([signal] * len(found), times, values, [one.quality for _, one in found])


def _passes(column: Column | None, time: int, end: int) -> bool:
    """Whether there is a reading behind `time`; what a formula does not look at touches nothing."""
    return end > time if column is None else len(column.time) > 0 and int(column.time[-1]) > time


def joined(spans: list[Span], apart: int) -> list[Span]:
    """Spans of the same signal that begin no further than `apart` [ns] from each other as one."""
    found: list[Span] = []
    last: dict[int, Span] = {}
    for span in sorted(spans, key=lambda span: span.start):
        known = last.get(span.signal)
        if known is None or span.start - known.start > apart:
            found.append(span)
            last[span.signal] = span
            continue
        known.entry = min(known.entry, span.entry)
        known.until = max(known.until, span.until)
        known.evaluation = None
        known.touched = _later(known.touched, span.touched) if known.touched and span.touched else {}
    return found


def _later(one: dict[int, int], other: dict[int, int]) -> dict[int, int]:
    return {signal: max(one.get(signal, NEVER), other.get(signal, NEVER)) for signal in one | other}
