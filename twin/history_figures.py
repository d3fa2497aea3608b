"""What tiers know of a bucket beside its mean and its extremes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .history_aggregate import Pieces


@dataclass(frozen=True, slots=True)
class Figures:
    """Columns with a row per bucket, NaN where it has no usable reading: its first and last value, the mean over time.

    good: percent of its readings that are good; bad ones count here.
    """

    first: NDArray[np.float64]
    last: NDArray[np.float64]
    weighted: NDArray[np.float64]
    good: NDArray[np.float64]


def figures_of(pieces: Pieces, number: NDArray[np.int64]) -> Figures:
    """The figures of the buckets that have pieces; pieces in the order of time, each with the number of its bucket."""
    start = np.flatnonzero(np.append(True, np.diff(number) != 0))
    usable = np.flatnonzero(pieces.usable > 0)
    first, last = np.full(len(start), np.nan), np.full(len(start), np.nan)
    of = np.searchsorted(start, usable, side="right") - 1
    first[of[::-1]] = pieces.first[usable[::-1]]  # of repeated indexes the last assignment stays: the earliest piece
    last[of] = pieces.last[usable]
    duration = np.add.reduceat(pieces.duration, start).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        area = np.add.reduceat(np.where(pieces.duration > 0, pieces.weighted * pieces.duration, 0.0), start)
        weighted = np.where(duration > 0, area / duration, last)
        good = 100.0 * np.add.reduceat(pieces.good, start) / np.add.reduceat(pieces.rows, start)
    return Figures(first, last, weighted, good)
