"""What one signal did over a span of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .model import Quality


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
    `count` how many there are.
    """

    time: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    count: NDArray[np.int64]
    bucket: int | None = None

    def __len__(self) -> int:
        return len(self.time)


def history_of(rows: Rows, start: int, end: int, points: int | None) -> History:
    """Readings in [start, end) without superseded ones; more than `points` of them become as many buckets."""
    latest = _latest(rows)
    if points is None or len(latest.time) <= points:
        value = latest.value
        return History(latest.time, value, latest.quality, value, value, np.ones(len(value), dtype=np.int64))
    return _buckets(latest, start, end, points)


def _latest(rows: Rows) -> Rows:
    """In the order of time; of several rows with one time the last recorded."""
    order = np.lexsort((rows.recorded, rows.time))
    time = rows.time[order]
    keep = np.append(time[1:] != time[:-1], True) if len(time) else np.zeros(0, dtype=bool)
    order = order[keep]
    return Rows(rows.time[order], rows.value[order], rows.quality[order], rows.recorded[order])


def _buckets(rows: Rows, start: int, end: int, points: int) -> History:
    width = -(-(end - start) // points)
    number = (rows.time - start) // width
    first = np.flatnonzero(np.append(True, number[1:] != number[:-1]))
    usable = (rows.quality >= Quality.UNCERTAIN) & ~np.isnan(rows.value)
    count = np.add.reduceat(usable.astype(np.int64), first)
    total = np.add.reduceat(np.where(usable, rows.value, 0.0), first)
    empty = count == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(empty, np.nan, total / count)
    return History(
        time=start + number[first] * width,
        value=mean,
        quality=np.minimum.reduceat(rows.quality, first),
        low=np.where(empty, np.nan, np.minimum.reduceat(np.where(usable, rows.value, np.inf), first)),
        high=np.where(empty, np.nan, np.maximum.reduceat(np.where(usable, rows.value, -np.inf), first)),
        count=count,
        bucket=width,
    )
