"""A step function over time, as the readings of a stepped signal tell it."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator

from ..twin.state import NEVER

KEPT = 1024

Points = tuple[list[int], list[float]]


class Steps:
    """Times [ns, rising] and values; each holds until the next. NaN is no value.

    The newest points are in memory; `read()` gives all when older ones are asked for.
    """

    __slots__ = ("_complete_from", "_read", "_times", "_values")

    def __init__(self, read: Callable[[], Points], last: tuple[int, float] | None, nothing_more: bool) -> None:
        """`last` is the newest point; `nothing_more`: there is no older one."""
        self._read = read
        self._times = array("q", [last[0]] if last else [])
        self._values = array("d", [last[1]] if last else [])
        self._complete_from = NEVER if nothing_more or last is None else last[0]

    def last_time(self) -> int:
        """The time of the newest point; NEVER if there is none."""
        return self._times[-1] if self._times else NEVER

    def first_time(self) -> int:
        """The time of the first point that has a value; that of a later one if older ones are gone."""
        self._complete(NEVER)
        return next((t for t, v in zip(self._times, self._values, strict=True) if v == v), -NEVER - 1)

    def before(self, time: int) -> float | None:
        """The value just before `time`."""
        self._complete(time - 1)
        at = bisect_left(self._times, time)
        return _value(self._values[at - 1]) if at else None

    def told(self, time: int) -> tuple[bool, float | None]:
        """Whether there is a point at `time`, and its value."""
        at = bisect_left(self._times, time)
        if at < len(self._times) and self._times[at] == time:
            return True, _value(self._values[at])
        return False, None

    def between(self, start: int, end: int) -> Iterator[tuple[int, float | None]]:
        """The points from `start` to `end`, both included."""
        self._complete(start)
        first, last = bisect_left(self._times, start), bisect_right(self._times, end)
        for at in range(first, last):
            yield self._times[at], _value(self._values[at])

    def put(self, time: int, value: float) -> None:
        """One more point, or another value of one."""
        at = bisect_left(self._times, time)
        if at < len(self._times) and self._times[at] == time:
            self._values[at] = value
            return
        self._times.insert(at, time)
        self._values.insert(at, value)

    def trim(self) -> None:
        """Forgets old points if there are many."""
        if len(self._times) > KEPT:
            del self._times[: -KEPT // 2]
            del self._values[: -KEPT // 2]
            self._complete_from = self._times[0]

    def _complete(self, time: int) -> None:
        if time >= self._complete_from:
            return
        known = dict(zip(self._times, self._values, strict=True))
        points = dict(zip(*self._read(), strict=True)) | known
        self._times = array("q", sorted(points))
        self._values = array("d", (points[time] for time in self._times))
        self._complete_from = NEVER


def _value(value: float) -> float | None:
    return None if value != value else value
