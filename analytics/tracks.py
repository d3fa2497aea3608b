"""The newest readings of a signal in memory, late ones in their place, for what is computed from them."""

from array import array
from bisect import bisect_left, bisect_right
from typing import NamedTuple

from ..twin.state import NEVER, Reading

KEPT = 256
LATEST = (1 << 63) - 1


class Told(NamedTuple):
    """A reading's value and quality."""

    value: float
    quality: int


class Track:
    """Times [ns, rising], values and qualities; complete from `complete_from` on."""

    __slots__ = ("_qualities", "_times", "_values", "complete_from")

    def __init__(self, last: Reading | None) -> None:
        """`last` is the newest reading so far; None if there was none."""
        self._times = array("q", [last.time] if last else [])
        self._values = array("d", [last.value] if last else [])
        self._qualities = array("B", [last.quality] if last else [])
        self.complete_from = last.time if last else NEVER

    def put(self, time: int, value: float, quality: int) -> bool:
        """One more reading, or a correction of one; False if it is not news, or too old to be remembered."""
        times = self._times
        at = len(times) if not times or time > times[-1] else bisect_left(times, time)
        if at < len(times) and times[at] == time:
            if _same(self._values[at], value) and self._qualities[at] == quality:
                return False
            self._values[at], self._qualities[at] = value, quality
            return True
        if time < self.complete_from:
            return False
        times.insert(at, time)
        self._values.insert(at, value)
        self._qualities.insert(at, quality)
        return True

    def before(self, time: int) -> Told | None:
        """What it holds just before `time`; None if nothing yet."""
        at = bisect_left(self._times, time) - 1
        return Told(self._values[at], self._qualities[at]) if at >= 0 else None

    def after(self, time: int) -> int:
        """The time of the next reading behind `time`; the end of all times if there is none."""
        at = bisect_right(self._times, time)
        return self._times[at] if at < len(self._times) else LATEST

    def rows(self, start: int, end: int) -> list[tuple[int, float, int]]:
        """Time, value and quality of the readings from `start` until before `end`."""
        first, last = bisect_left(self._times, start), bisect_left(self._times, end)
        if first >= last:
            return []
        columns = (self._times[first:last], self._values[first:last], self._qualities[first:last])
        return list(zip(*columns, strict=True))

    def trim(self) -> None:
        """Forgets old readings if there are many."""
        if len(self._times) > 2 * KEPT:
            del self._times[:-KEPT]
            del self._values[:-KEPT]
            del self._qualities[:-KEPT]
            self.complete_from = self._times[0]


def _same(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)
