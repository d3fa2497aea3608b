"""What a round of asking brought in, until it is handed over: columns of numbers, and texts."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..twin.errors import IoTSenseError
from ..twin.model import DataType, Quality
from ..twin.times import now_ns
from .adapter import Deliver
from .message import Message
from .points import PointReadings, Points
from .sample import Sample

_UNTOLD = 255
Rows = NDArray[np.int32]


class _Told:
    """What was told last of each point. all_good: of all of them a good value, so that nothing need be noted."""

    __slots__ = ("all_good", "quality")

    def __init__(self, points: int) -> None:
        self.quality = np.full(points, _UNTOLD, np.uint8)
        self.all_good = False

    def good(self, rows: Rows | int) -> None:
        """Good values came."""
        if not self.all_good:
            self.quality[rows] = Quality.GOOD

    def look(self) -> None:
        """Finds out whether all are good; once in a round, not for each block."""
        self.all_good = self.all_good or bool((self.quality == Quality.GOOD).all())

    def bad(self, rows: Rows, quality: int) -> None:
        """They cannot be read."""
        self.quality[rows] = quality
        self.all_good = False


class Harvest:
    """Readings of points, which are known by their number (row). That one cannot be read is told once, not in each
    round, until it can be read again.
    """

    def __init__(self, source: str, points: Points, told: _Told | None = None) -> None:
        self._source = source
        self._points = points
        self._told = told or _Told(len(points))
        self._is_text = np.array([point.data_type is DataType.TEXT for point in points.points], bool)
        self._clear()

    def _clear(self) -> None:
        self.rows = 0
        self._columns: list[tuple[Rows, NDArray[np.float64], NDArray[np.uint8], int]] = []
        self._texts: list[Sample] = []

    def beside(self) -> "Harvest":
        """Another one of the same points, for what is asked at the same time."""
        return Harvest(self._source, self._points, self._told)

    def add(self, rows: Rows, values: NDArray[np.float64], quality: NDArray[np.uint8], time: int) -> None:
        """Values of points, columns of equal length; time [ns]."""
        self.rows += len(rows)
        self._told.good(rows)
        self._columns.append((rows, values, quality, time))

    def add_text(self, row: int, text: str | None, time: int, quality: int = Quality.GOOD) -> None:
        """A text of a point, or none with a bad quality; time [ns]."""
        self.rows += 1
        self._told.good(row)
        self._texts.append(self._points.sample(row, text, time, quality))

    def lost(self, rows: Rows, quality: int) -> bool:
        """Points cannot be read, for the reason that a bad quality byte tells; whether that is news of any of them."""
        new = rows[self._told.quality[rows] != quality]
        if not len(new):
            return False
        self._told.bad(new, quality)
        self.rows += len(new)
        time, texts = now_ns(), new[self._is_text[new]]
        self._texts += [self._points.sample(row, None, time, quality) for row in texts.tolist()]
        if len(others := new[~self._is_text[new]]):
            nothing, qualities = np.full(len(others), np.nan), np.full(len(others), quality, np.uint8)
            self._columns.append((others, nothing, qualities, time))
        return True

    async def deliver(self, deliver: Deliver, ack: Callable[[], None] | None = None) -> None:
        """Hands over what there is, and waits until it is taken; `ack` is called when it is durable."""
        messages = self.messages()
        self._clear()
        self._told.look()
        if messages:
            messages[-1].ack = ack
        if messages:
            await deliver(messages)

    def messages(self) -> list[Message]:
        """What there is, as messages."""
        found = []
        if self._columns:
            rows, values, qualities, stamps = zip(*self._columns, strict=True)
            times = [np.full(len(part), stamp, np.int64) for part, stamp in zip(rows, stamps, strict=True)]
            joined = (np.concatenate(columns) for columns in (rows, values, times, qualities))
            found.append(Message(self._source, readings=PointReadings(self._points, *joined), refuse=self._forget))
        if self._texts:
            found.append(Message(self._source, samples=self._texts, refuse=self._forget))
        return found

    def _forget(self, _: IoTSenseError) -> None:
        """Storage refused something, so what was told is told again."""
        self._told.quality.fill(_UNTOLD)
        self._told.all_good = False
