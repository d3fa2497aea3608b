"""Summaries of every 256 rows of a run: so that a question about many rows reads few of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .history_rows import SignalRows
from .model import Quality

BLOCK_ROWS = 256


@dataclass(frozen=True, slots=True)
class Blocks:
    """Columns with a row for each block; a run's last block may be shorter, none reaches over the end of a run.

    begin, end: the first and the last time [ns]. known_from, known_until: the least and the largest `recorded` [ns]. Of
    the rows that no later one of the same time
    supersedes: `count`; of those of them that are usable (not bad, not NaN): `usable`, and their `low`, `high` and
    `total` (NaN, NaN and 0 without one). `worst`: the lowest quality.
    """

    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    known_from: NDArray[np.int64]
    known_until: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    total: NDArray[np.float64]
    usable: NDArray[np.uint16]
    count: NDArray[np.uint16]
    worst: NDArray[np.uint8]


COLUMNS = {
    "begin": "<i8",
    "end": "<i8",
    "known_from": "<i8",
    "known_until": "<i8",
    "low": "<f8",
    "high": "<f8",
    "total": "<f8",
    "usable": "<u2",
    "count": "<u2",
    "worst": "<u1",
}


def block_starts(first: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows at which the blocks of some runs begin, and how many blocks each run has."""
    number = -(-counts // BLOCK_ROWS)
    before = np.cumsum(number) - number
    within = np.arange(number.sum()) - np.repeat(before, number)
    return np.repeat(first, number) + within * BLOCK_ROWS, number


def summarise(
    rows: SignalRows, first: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[Blocks, NDArray[np.int64]]:
    """The blocks of rows in order, and how many each run has."""
    starts, number = block_starts(first, counts)
    standing = superseded_by_next(rows.signal, rows.time)
    np.logical_not(standing, out=standing)
    usable = usable_rows(rows.value, rows.quality) & standing
    some = np.logical_or.reduceat(usable, starts)
    with np.errstate(invalid="ignore"):  # infinities of both signs have no sum
        total = np.add.reduceat(np.where(usable, rows.value, 0.0), starts)
    blocks = Blocks(
        begin=rows.time[starts],
        end=rows.time[np.append(starts[1:], len(rows)) - 1],
        known_from=np.minimum.reduceat(rows.recorded, starts),
        known_until=np.maximum.reduceat(rows.recorded, starts),
        low=np.where(some, np.minimum.reduceat(np.where(usable, rows.value, np.inf), starts), np.nan),
        high=np.where(some, np.maximum.reduceat(np.where(usable, rows.value, -np.inf), starts), np.nan),
        total=total,
        usable=np.add.reduceat(usable, starts, dtype=np.int64).astype(np.uint16),
        count=np.add.reduceat(standing, starts, dtype=np.int64).astype(np.uint16),
        worst=np.minimum.reduceat(np.where(standing, rows.quality, 255), starts).astype(np.uint8),
    )
    return blocks, number


def superseded_by_next(signal: NDArray[np.int32], time: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of rows in order: those whose next row is of the same signal and time, and was recorded no earlier."""
    return np.append((signal[1:] == signal[:-1]) & (time[1:] == time[:-1]), False)


def usable_rows(value: NDArray[np.float64], quality: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Rows that count: not bad, and a number."""
    return (quality >= Quality.UNCERTAIN) & ~np.isnan(value)
