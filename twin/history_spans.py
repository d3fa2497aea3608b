"""Long spans of one signal as buckets: blocks by their summaries, single rows only where that would not be exact."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .history import Buckets, Rows, standing
from .history_blocks import BLOCK_ROWS
from .history_part import Part
from .history_raw import LAST, rows_of_run

WORTHWHILE_ROWS = 20_000
"""Fewer rows are read one by one."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The blocks `first` to before `last` of a run that may have rows in the span; their first and last time [ns]."""

    part: Part
    run: int
    first: int
    last: int
    since: int
    until: int

    @classmethod
    def of(cls, part: Part, signal: int, start: int, end: int) -> "Stretch | None":
        """The blocks of a signal that touch [start, end) [ns]; None if there are none."""
        run = part.run_of(signal)
        if run is None:
            return None
        low, high = part.table("block")[run : run + 2].tolist()
        begins, ends = part.table("begin"), part.table("end")
        first = low + int(np.searchsorted(ends[low:high], start))
        last = low + int(np.searchsorted(begins[low:high], end))
        return cls(part, run, first, last, int(begins[first]), int(ends[last - 1])) if first < last else None

    @property
    def rows(self) -> int:
        """At most so many rows."""
        return (self.last - self.first) * BLOCK_ROWS

    def overlaps(self, other: "Stretch") -> bool:
        """Whether both have rows at the same time."""
        return self.until >= other.since and other.until >= self.since

    def table(self, name: str) -> NDArray[Any]:
        """A column of the summaries."""
        return self.part.table(name)[self.first : self.last]

    def row_ranges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of the blocks."""
        run_start, run_end = self.part.row[self.run : self.run + 2].tolist()
        before = int(self.part.table("block")[self.run])
        starts = run_start + (np.arange(self.first, self.last) - before) * BLOCK_ROWS
        return starts, np.minimum(starts + BLOCK_ROWS, run_end)


def add_stretches(
    buckets: Buckets, stretches: Sequence[Stretch], loose: Rows, start: int, end: int, known_at: int | None
) -> None:
    """Adds the readings in [start, end) [ns] of blocks, and rows that are in no part (of that span, known then)."""
    known = LAST if known_at is None else known_at
    single = [loose]
    for stretch in stretches:
        others = [other for other in stretches if other is not stretch and other.overlaps(stretch)]
        clean = _clean(stretch, buckets, start, end, known)
        clean &= ~_crossed(stretch, others, loose, clean)
        clean &= ~_tied(stretch, clean)
        _add(buckets, stretch, clean)
        needed = ~clean & (stretch.table("known_from") <= known)
        single.append(_rows_of(stretch, needed, start, end, known))
    buckets.add_rows(standing(Rows.concat(single)))


def _clean(stretch: Stretch, buckets: Buckets, start: int, end: int, known: int) -> NDArray[np.bool_]:
    """Blocks that lie within the span, one bucket, and what was known."""
    first, last = stretch.table("begin"), stretch.table("end")
    clean = (first >= start) & (last < end) & (stretch.table("known_until") <= known)
    clean &= buckets.number(first) == buckets.number(last)
    return np.asarray(clean)


def _crossed(stretch: Stretch, others: Sequence[Stretch], loose: Rows, clean: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Blocks within whose time somebody else has rows, which may supersede."""
    first, last = stretch.table("begin"), stretch.table("end")
    crossed = np.zeros(len(first), dtype=bool)
    if len(loose.time):
        times = np.sort(loose.time)
        crossed = np.searchsorted(times, first) < np.searchsorted(times, last, side="right")
    for other in others:
        # By blocks: one that is crossed too much costs time, nothing else.
        begins, ends = other.table("begin"), other.table("end")
        crossed |= np.searchsorted(ends, first) < np.searchsorted(begins, last, side="right")
    return crossed & clean


def _tied(stretch: Stretch, clean: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Clean blocks that share a time with a neighbour that is not: the one has been counted out for the other."""
    same = stretch.table("end")[:-1] == stretch.table("begin")[1:]
    left = clean.copy()
    while True:
        torn = same & (left[:-1] != left[1:])
        if not torn.any():
            return clean & ~left
        left[:-1] &= ~torn
        left[1:] &= ~torn


def _add(buckets: Buckets, stretch: Stretch, clean: NDArray[np.bool_]) -> None:
    begin, *columns = (
        stretch.table(name)[clean] for name in ("begin", "count", "worst", "usable", "total", "low", "high")
    )
    buckets.add_sums(buckets.number(begin), *columns)


def _rows_of(stretch: Stretch, chosen: NDArray[np.bool_], start: int, end: int, known: int) -> Rows:
    if not chosen.any():
        return Rows.concat([])
    starts, ends = (rows[chosen] for rows in stretch.row_ranges())
    counts = ends - starts
    stretch.part.check_rows(stretch.run, starts, ends)
    total = int(counts.sum())
    rows = np.arange(total) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
    found = rows_of_run(stretch.part, stretch.run, rows)
    inside = (found.time >= start) & (found.time < end) & (found.recorded <= known)
    return Rows(found.time[inside], found.value[inside], found.quality[inside], found.recorded[inside])
