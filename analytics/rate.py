"""The rate of change of a signal: the value now minus the value at the start of the window [unit per window].

The value at the start of the window is interpolated between the two readings around it (held from the one before if
the signal is stepped). A reading more than 128 windows old is no longer looked at; without one before the start, the
first reading behind it is taken, so a young signal is compared with its first reading.

So that memory is bounded at any sampling rate, time is cut into cells of 1/4096 of the window, and of each cell only
the last reading is remembered. The cells are fixed (they begin at the epoch), so what is remembered, and with it every
rate, depends on the readings alone and not on the order in which they came.
"""

import math
from array import array
from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

RESOLUTION = 4096
HORIZON = 128


class RateWindow:
    """The recent readings of one signal, as many as a window of `width` [ns] needs; for readings in order of time."""

    __slots__ = ("_cell", "_horizon", "_times", "_values", "stepped", "width")

    def __init__(self, width: int, stepped: bool = False) -> None:
        self.width = width
        self.stepped = stepped
        self._cell = max(1, width // RESOLUTION)
        self._horizon = min(HORIZON * width, 1 << 62)
        self._times = array("q")
        self._values = array("d")

    def __len__(self) -> int:
        return len(self._times)

    def seed(self, times: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Begins with the readings of a `RateSeries`."""
        self._times, self._values = array("q", times.tolist()), array("d", values.tolist())

    def change(self, time: int, value: float) -> float:
        """The change up to a reading [unit per window], which is taken in; NaN where there is nothing to compare.

        `time` must not be before that of the reading before.
        """
        times, values = self._times, self._values
        if times and times[-1] // self._cell == time // self._cell:
            times[-1], values[-1] = time, value
        else:
            times.append(time)
            values.append(value)
        after = bisect_right(times, time - self.width)
        change = self._change(time, value, after)
        self._forget(after - 1)
        return change

    def _change(self, time: int, value: float, after: int) -> float:
        times, values = self._times, self._values
        before, start = after - 1, time - self.width
        if before < 0 or times[before] < time - self._horizon:
            return math.nan if after == len(times) - 1 else value - values[after]
        if self.stepped or times[before] == start:
            return value - values[before]
        part = float(start - times[before]) / float(times[after] - times[before])
        return value - (values[before] + (values[after] - values[before]) * part)

    def _forget(self, useless: int) -> None:
        # The last reading at or before the start stays, to interpolate from. Cutting seldom keeps the cost low.
        if useless > 16 and useless > len(self._times) // 4:
            del self._times[:useless]
            del self._values[:useless]


class RateSeries:
    """The same for whole columns of readings in order of time, page by page."""

    def __init__(self, width: int, stepped: bool = False) -> None:
        self.width = width
        self.stepped = stepped
        self._cell = max(1, width // RESOLUTION)
        self._horizon = min(HORIZON * width, 1 << 62)
        self.times: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.values: NDArray[np.float64] = np.zeros(0)

    def remember(self, times: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Takes in readings behind those known; of each cell the last is kept."""
        times = np.concatenate((self.times, times))
        values = np.concatenate((self.values, values))
        cell = times // self._cell
        keep = np.append(cell[1:] != cell[:-1], True) if len(times) else np.zeros(0, dtype=bool)
        self.times, self.values = times[keep], values[keep]

    def changes(self, times: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The change up to each of these readings `(n,)`, which are taken in."""
        if not len(times):
            return np.zeros(0)
        self.remember(times, values)
        start = times - self.width
        after = np.searchsorted(self.times, start, side="right")
        before = np.maximum(after - 1, 0)
        # In its own cell a reading is the last that there is: what comes behind it there was not known yet.
        itself = self.times[after] // self._cell >= times // self._cell
        time_after = np.where(itself, times, self.times[after])
        value_after = np.where(itself, values, self.values[after])
        old = (after == 0) | (self.times[before] < times - self._horizon)
        held = self.stepped | (self.times[before] == start)
        with np.errstate(divide="ignore", invalid="ignore"):
            part = (start - self.times[before]).astype(np.float64) / (time_after - self.times[before])
            between = self.values[before] + (value_after - self.values[before]) * part
        then = np.where(old, np.where(itself, np.nan, value_after), np.where(held, self.values[before], between))
        useless = int(np.searchsorted(self.times, times[-1] - self.width, side="right")) - 1
        if useless > 0:
            self.times, self.values = self.times[useless:], self.values[useless:]
        return np.asarray(values - then)
