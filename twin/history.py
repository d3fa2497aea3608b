"""What one signal did over a span of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from .model import Quality

if TYPE_CHECKING:
    from .history_figures import Figures


@dataclass(frozen=True, slots=True)
class Rows:
    """Recorded readings of one signal: columns of equal length; `recorded` [ns] tells the later of two."""

    time: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]
    recorded: NDArray[np.int64]

    @classmethod
    def concat(cls, rows: "Sequence[Rows]") -> Self:
        """All rows, in order."""
        return cls(
            np.concatenate([np.zeros(0, dtype=np.int64), *(r.time for r in rows)]),
            np.concatenate([np.zeros(0), *(r.value for r in rows)]),
            np.concatenate([np.zeros(0, dtype=np.uint8), *(r.quality for r in rows)]),
            np.concatenate([np.zeros(0, dtype=np.int64), *(r.recorded for r in rows)]),
        )


@dataclass(frozen=True, slots=True)
class History:
    """Readings of one signal in the order of time: columns of equal length `(n,)`.

    `time` [ns] and `value` [unit]; with `bucket` [ns] set, each row stands for a bucket that begins at `time`:
    `value` is then the mean of its readings that are not bad, `low`/`high` their extremes, `quality` the worst,
    `count` how many there are. `tier`: from what it was made, the coarsest of it: `raw`, `thinned`, `1m` ...;
    `precision` [s]: how exact times are if not all readings are there any more. `figures`: what a tier knows beside.
    """

    time: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    count: NDArray[np.int64]
    bucket: int | None = None
    tier: str = "raw"
    precision: float | None = None
    figures: "Figures | None" = None

    def __len__(self) -> int:
        return len(self.time)


def history_of(rows: Rows, start: int, end: int, points: int | None) -> History:
    """Readings in [start, end) without superseded ones; more than `points` of them become as many buckets."""
    latest = standing(rows)
    if points is None or len(latest.time) <= points:
        value = latest.value
        return History(latest.time, value, latest.quality, value, value, np.ones(len(value), dtype=np.int64))
    return _buckets(latest, start, end, points)


def standing(rows: Rows) -> Rows:
    """Without superseded ones: in the order of time; of several rows with one time the last recorded."""
    order = np.lexsort((rows.recorded, rows.time))
    time = rows.time[order]
    keep = np.append(time[1:] != time[:-1], True) if len(time) else np.zeros(0, dtype=bool)
    order = order[keep]
    return Rows(rows.time[order], rows.value[order], rows.quality[order], rows.recorded[order])


class Buckets:
    """Sums over spans, to which rows and sums of rows are added. `begins` (n,): where the spans begin [ns], rising.

    width [ns]: their length; `even` ones follow each other without gaps.
    """

    def __init__(self, begins: NDArray[np.int64], width: int, even: bool) -> None:
        self.begins, self.width, self.even = begins, width, even
        n = len(begins)
        self.rows = np.zeros(n, dtype=np.int64)
        self.count = np.zeros(n, dtype=np.int64)
        self.total = np.zeros(n)
        self.low = np.full(n, np.inf)
        self.high = np.full(n, -np.inf)
        self.worst = np.full(n, 255, dtype=np.uint8)

    @classmethod
    def of(cls, start: int, end: int, points: int) -> Self:
        """At most `points` even spans that cover [start, end) [ns]."""
        width = -(-(end - start) // points)
        return cls(start + np.arange(-(-(end - start) // width), dtype=np.int64) * width, width, even=True)

    def number(self, time: NDArray[np.int64]) -> NDArray[np.int64]:
        """The span of a time [ns] that lies in one."""
        if self.even:
            even: NDArray[np.int64] = (time - self.begins[0]) // self.width
            return even
        found: NDArray[np.int64] = np.searchsorted(self.begins, time, side="right") - 1
        return found

    def add_rows(self, rows: Rows) -> None:
        """Rows none of which supersedes another."""
        usable = (rows.quality >= Quality.UNCERTAIN) & ~np.isnan(rows.value)
        value, one = rows.value[usable], np.ones(len(rows.time), dtype=np.int64)
        self._add(self.number(rows.time), one, rows.quality)
        self._add_usable(self.number(rows.time)[usable], one[usable], value, value, value)

    def add_sums(
        self,
        number: NDArray[np.int64],
        rows: NDArray[np.integer],
        worst: NDArray[np.uint8],
        usable: NDArray[np.integer],
        total: NDArray[np.float64],
        low: NDArray[np.float64],
        high: NDArray[np.float64],
    ) -> None:
        """Sums that lie within the buckets `number`; `low` and `high` matter where `usable` is not 0."""
        self._add(number, rows, worst)
        some = usable > 0
        self._add_usable(number[some], usable[some], total[some], low[some], high[some])

    def _add(self, number: NDArray[np.int64], rows: NDArray[np.integer], worst: NDArray[np.uint8]) -> None:
        np.add.at(self.rows, number, rows)
        np.minimum.at(self.worst, number, worst)

    def _add_usable(
        self,
        number: NDArray[np.int64],
        count: NDArray[np.integer],
        total: NDArray[np.float64],
        low: NDArray[np.float64],
        high: NDArray[np.float64],
    ) -> None:
        np.add.at(self.count, number, count)
        np.add.at(self.total, number, total)
        np.minimum.at(self.low, number, low)
        np.maximum.at(self.high, number, high)

    def history(self) -> History:
        """The buckets that have rows."""
        some = np.flatnonzero(self.rows)
        count = self.count[some]
        empty = count == 0
        return History(
            time=self.begins[some],
            value=np.where(empty, np.nan, self.total[some] / np.maximum(count, 1)),
            quality=self.worst[some],
            low=np.where(empty, np.nan, self.low[some]),
            high=np.where(empty, np.nan, self.high[some]),
            count=count,
            bucket=self.width,
        )


def _buckets(rows: Rows, start: int, end: int, points: int) -> History:
    buckets = Buckets.of(start, end, points)
    buckets.add_rows(rows)
    return buckets.history()
