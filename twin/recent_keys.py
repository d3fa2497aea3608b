"""Which (signal, time) were written lately: a Bloom filter, so that a late reading need not be looked up in a server.

B. H. Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 13 (1970). Two generations, of which the
older is given up when the younger is full. 16 MB each, 13 million readings; less than 2 % are taken for known wrongly,
which costs a look-up. What was written before is unknown, so whatever is older than it counts as possibly there.
"""

import numpy as np
from numpy.typing import NDArray

from .state import NEVER

_BITS = 27
_CAPACITY = (1 << _BITS) // 10
_HASHES = 3
_ODD = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)


class RecentKeys:
    """`newest` [ns] by signal is what the store held when the filter began."""

    def __init__(self, newest: NDArray[np.int64]) -> None:
        self._floor = newest.copy()
        self._floor_of_young = newest.copy()
        self._young, self._old = _blank(), _blank()
        self._count = 0

    def may_have(self, signal: NDArray[np.int32], time: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the store may hold a reading of that signal and time; False is certain."""
        known = time <= _at(self._floor, signal)
        for bits in (self._young, self._old):
            here = np.ones(len(signal), dtype=bool)
            for place in _places(signal, time):
                here &= (bits[place >> 3] >> (place & 7).astype(np.uint8)) & 1 == 1
            known |= here
        return known

    def add(self, signal: NDArray[np.int32], time: NDArray[np.int64], newest: NDArray[np.int64]) -> None:
        """They were written; `newest` by signal is what the store held before."""
        if self._count + len(signal) > _CAPACITY:
            # What only the old generation knew is older than all that came since the young one began.
            self._floor, self._floor_of_young = self._floor_of_young, newest.copy()
            self._young, self._old, self._count = _blank(), self._young, 0
        self._count += len(signal)
        for place in _places(signal, time):
            np.bitwise_or.at(self._young, place >> 3, np.uint8(1) << (place & 7).astype(np.uint8))


def _blank() -> NDArray[np.uint8]:
    return np.zeros(1 << (_BITS - 3), dtype=np.uint8)


def _at(floor: NDArray[np.int64], signal: NDArray[np.int32]) -> NDArray[np.int64]:
    """The floor of each signal; those that came later have none."""
    inside = signal < len(floor)
    found = np.full(len(signal), NEVER, dtype=np.int64)
    found[inside] = floor[signal[inside]]
    return found


def _places(signal: NDArray[np.int32], time: NDArray[np.int64]) -> "list[NDArray[np.int64]]":
    """Double hashing: Kirsch and Mitzenmacher, "Less hashing, same performance", ESA 2006."""
    key = time.astype(np.uint64) ^ (signal.astype(np.uint64) * np.uint64(_ODD[0]))
    first = _mixed(key, 29)
    second = _mixed(first ^ np.uint64(_ODD[1]), 32) | np.uint64(1)
    mask = np.uint64((1 << _BITS) - 1)
    return [((first + np.uint64(i) * second) & mask).astype(np.int64) for i in range(_HASHES)]


def _mixed(key: NDArray[np.uint64], shift: int) -> NDArray[np.uint64]:
    key = (key ^ (key >> np.uint64(shift))) * np.uint64(_ODD[1])
    return key ^ (key >> np.uint64(31))
