"""A checksum of readings that does not depend on their order: so two stores are compared that sort differently."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .store import Recorded

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Digest:
    """How many readings, and the sum of a 64-bit hash of each, modulo 2^64."""

    count: int = 0
    checksum: int = 0

    def __add__(self, other: "Digest") -> "Digest":
        return Digest(self.count + other.count, (self.checksum + other.checksum) & _MASK)

    def __str__(self) -> str:
        return f"{self.count:,} readings, checksum {self.checksum:016x}"


def digest(rows: Recorded) -> Digest:
    """Of the rows; the hash is splitmix64 (Steele, Lea and Flood, OOPSLA 2014) over all five columns."""
    if not len(rows):
        return Digest()
    # Every NaN counts alike, and so do the two zeros: not every database keeps them apart.
    value = np.where(np.isnan(rows.value), np.nan, rows.value) + 0.0
    hashed = np.zeros(len(rows), dtype=np.uint64)
    for column in (rows.signal, rows.time, value.view(np.int64), rows.quality, rows.recorded):
        hashed = _mixed(hashed ^ column.astype(np.int64).view(np.uint64))
    return Digest(len(rows), int(hashed.sum(dtype=np.uint64)) & _MASK)


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * _MIX[0]
    x = (x ^ (x >> np.uint64(27))) * _MIX[1]
    return x ^ (x >> np.uint64(31))
