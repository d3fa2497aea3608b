"""The rate of change of a signal: the value now minus the value at the start of the window [unit per window]."""

import math
from array import array
from bisect import bisect_left, bisect_right

RESOLUTION = 4096


class RateWindow:
    """The recent readings of one signal, as many as a window of `width` [ns] needs.

    The value at the start of the window is interpolated between the two readings around it (held from the one before
    if the signal is `stepped`); if the signal is younger than the window, it is that of its first reading.
    Readings closer together than 1/4096 of the window are thinned out, so that memory is bounded at any sampling rate.
    """

    __slots__ = ("_closest", "_times", "_values", "stepped", "width")

    def __init__(self, width: int, stepped: bool = False) -> None:
        self.width = width
        self.stepped = stepped
        self._closest = width // RESOLUTION
        self._times = array("q")
        self._values = array("d")

    def __len__(self) -> int:
        return len(self._times)

    def add(self, time: int, value: float) -> None:
        """Takes in a reading, late ones too; of two with one `time` [ns] the later given counts."""
        times, values = self._times, self._values
        at = bisect_left(times, time)
        if at < len(times) and times[at] == time:
            values[at] = value
        elif at == len(times) and at >= 2 and time - times[at - 2] < self._closest:
            times[at - 1], values[at - 1] = time, value
        elif at == len(times) or times[at] - time >= self._closest:
            times.insert(at, time)
            values.insert(at, value)

    def change(self, time: int, value: float) -> float:
        """The change up to a reading [unit per window], which is taken in; NaN for the first reading of all.

        Readings later than `time` are not looked at.
        """
        self.add(time, value)
        start = time - self.width
        self._forget_before(start)
        if self._times[0] >= time:
            return math.nan
        return value - self._value_at(start)

    def _value_at(self, time: int) -> float:
        times, values = self._times, self._values
        at = bisect_right(times, time)
        if at == 0:
            return values[0]
        before, after = at - 1, at
        if self.stepped or times[before] == time or after == len(times):
            return values[before]
        part = (time - times[before]) / (times[after] - times[before])
        return values[before] + (values[after] - values[before]) * part

    def _forget_before(self, start: int) -> None:
        # The last reading at or before the start stays, to interpolate from. Cutting seldom keeps the cost low.
        useless = bisect_right(self._times, start) - 1
        if useless > 16 and useless > len(self._times) // 4:
            del self._times[:useless]
            del self._values[:useless]
