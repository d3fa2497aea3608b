"""Traces: waiting for the next message that concerns a point, and keeping what became of it.

Nothing is kept beforehand: a trace is armed when somebody asks, and until then the pipeline sees an empty list.
"""

import asyncio

import msgspec
import numpy as np

from ..twin.batch import ReadingBatch
from ..twin.errors import IoTSenseError, OverloadedError
from ..twin.times import now_ns
from .columns import Columns
from .entry import Entry
from .message import Message

MAX_ARMED = 64
_ROWS = 64
Row = tuple[int, int, float, int]
"""Signal, time [ns], value, quality."""


class Traced(msgspec.Struct):
    """A message that was waited for. rows: readings of it that concern the point, as they were bound, the first few.

    count: how many there are. stored: whether each of `rows` is in history now. seq: number of the journal's entry.
    durable [ns]: since when. error: why it was not stored.
    """

    message: Message
    rows: list[Row] = []
    count: int = 0
    stored: list[bool] = []
    seq: int | None = None
    durable: int | None = None
    error: IoTSenseError | None = None


class Trace:
    """Waits for a message from which readings of these signals come, or that comes by this topic (or queue, path)."""

    def __init__(self, signals: frozenset[int], topic: str | None) -> None:
        self.signals = signals
        self.topic = topic
        self.caught: Traced | None = None
        self.future: asyncio.Future[Traced] = asyncio.get_running_loop().create_future()

    def look(self, message: Message, columns: Columns, begin: int) -> None:
        """A message, and its rows in the columns from `begin` on."""
        by_topic = self.topic is not None and self.topic in (message.topic, message.via)
        signal = np.array(columns.signal[begin:], np.int32)
        mine = np.ones(len(signal), np.bool_) if by_topic else np.isin(signal, [*self.signals])
        chosen = (np.flatnonzero(mine) + begin).tolist()
        if chosen or by_topic:
            kept = msgspec.structs.replace(message, ack=None, refuse=None)
            rows = [(columns.signal[r], columns.time[r], columns.value[r], columns.quality[r]) for r in chosen[-_ROWS:]]
            self.caught = Traced(kept, rows, len(chosen))


class Traces:
    """The traces that are armed."""

    def __init__(self) -> None:
        self._armed: list[Trace] = []

    @property
    def armed(self) -> bool:
        """Whether anybody waits."""
        return bool(self._armed)

    async def next(self, signals: frozenset[int], topic: str | None, wait: float) -> Traced | None:
        """The next message that concerns these signals or this topic; None if none came within `wait` [s].

        Raises OverloadedError if too many wait already.
        """
        if len(self._armed) >= MAX_ARMED:
            raise OverloadedError(f"{MAX_ARMED} explanations wait for messages already")
        trace = Trace(signals, topic)
        self._armed.append(trace)
        try:
            return await asyncio.wait_for(trace.future, wait)
        except TimeoutError:
            return None
        finally:
            self._armed.remove(trace)

    def took(self, entry: Entry, columns: Columns, begin: int) -> None:
        """The pipeline has laid a message into the columns."""
        for trace in self._armed:
            if trace.caught is None:
                trace.look(entry.message, columns, begin)

    def settled(self, batch: ReadingBatch | None, seq: int | None, error: BaseException | None = None) -> None:
        """The group is durable as this batch, or was refused."""
        for trace in self._armed:
            caught = trace.caught
            if caught is None or trace.future.done():
                continue
            caught.seq, caught.durable = seq, None if error else now_ns()
            caught.error = error if isinstance(error, IoTSenseError) else None
            caught.stored = [error is None and _holds(batch, row) for row in caught.rows]
            trace.future.set_result(caught)


def _holds(batch: ReadingBatch | None, row: Row) -> bool:
    if batch is None:
        return False
    signal, time, value, _ = row
    same = (batch.signal == signal) & (batch.time == time)
    return bool((same & ((batch.value == value) | np.isnan(batch.value))).any())
