"""The live state: the latest reading of every signal, as numpy columns indexed by `Signal.index`."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .arrival import Arrival, arrivals
from .batch import ReadingBatch
from .model import Quality

NEVER = np.iinfo(np.int64).min


class Reading(NamedTuple):
    """One signal's latest reading: value [unit], time [ns], OPC quality byte, the journal's number of it."""

    value: float
    time: int
    quality: int
    seq: int


@dataclass(frozen=True, slots=True)
class StateColumns:
    """A consistent copy of some signals' state: columns of equal length `(n,)`; `time` is NEVER without a reading."""

    value: NDArray[np.float64]
    time: NDArray[np.int64]
    quality: NDArray[np.uint8]
    seq: NDArray[np.int64]

    def take(self, rows: NDArray[np.int32] | slice) -> "StateColumns":
        """A copy of the rows that an index array or a slice chooses."""
        return StateColumns(
            self.value[rows].copy(), self.time[rows].copy(), self.quality[rows].copy(), self.seq[rows].copy()
        )

    def reading(self, row: int) -> Reading | None:
        """The reading of one row; None if there never was one."""
        if self.time[row] == NEVER:
            return None
        return Reading(float(self.value[row]), int(self.time[row]), int(self.quality[row]), int(self.seq[row]))


class TwinState:
    """Columns `value`, `time`, `quality`, `seq`; the newest source time wins, whatever the order of arrival.

    One thread writes (the journal's), any may read; a lock keeps the four columns of a reading together.
    `seq` also answers what changed: the signals whose `seq` is above the one that a subscriber last saw.
    """

    def __init__(self, capacity: int = 0) -> None:
        self._lock = threading.Lock()
        self._columns = blank(max(capacity, 1024))
        self._last_row = np.empty(len(self), dtype=np.int32)
        self.last_seq = 0

    def __len__(self) -> int:
        return len(self._columns.value)

    def grow(self, signals: int) -> None:
        """Makes room for that many signals; doubles, so that growing one by one stays cheap."""
        with self._lock:
            missing = signals - len(self)
            if missing > 0:
                more = blank(max(missing, len(self)))
                self._columns = _joined(self._columns, more)
                self._last_row = np.empty(len(self), dtype=np.int32)

    def apply(self, batch: ReadingBatch, seq: int) -> NDArray[np.uint8] | None:
        """Takes in a journalled batch; of two readings with one time the later recorded wins.

        Returns the `Arrival` of each row, `(n,)`; None if all of them are applied.
        """
        with self._lock:
            columns = self._columns
            signal = batch.signal.astype(np.intp)  # what numpy indexes with, converted once
            found = arrivals(signal, batch.time, columns.time[signal], self._last_row)
            if found is not None:
                batch = batch.take(found != Arrival.LATE)
            if (batch.time[1:] < batch.time[:-1]).any():
                # Assigning to repeated indexes keeps the last row, so the newest must stand last.
                batch = batch.take(np.argsort(batch.time, kind="stable"))
            columns.value[batch.signal] = batch.value
            columns.time[batch.signal] = batch.time
            columns.quality[batch.signal] = batch.quality
            columns.seq[batch.signal] = seq
            self.last_seq = seq
            return found

    def mark_uncertain(self, signals: Sequence[int], seq: int) -> None:
        """The last readings of silent signals are no longer good; their values and times stay."""
        with self._lock:
            indexes = np.asarray(signals, dtype=np.int32)
            quality = self._columns.quality
            quality[indexes] = np.minimum(quality[indexes], np.uint8(Quality.UNCERTAIN))
            self._columns.seq[indexes] = seq
            self.last_seq = seq

    def snapshot(self, signals: NDArray[np.int32] | None = None) -> StateColumns:
        """A consistent copy of the columns, of all signals or of those at these indexes, in their order."""
        with self._lock:
            return self._columns.take(slice(None) if signals is None else signals)

    def read(self, signal: int) -> Reading | None:
        """The latest reading of one signal; None if it never had one."""
        with self._lock:
            return self._columns.reading(signal)

    def changed_since(self, seq: int, signals: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
        """The indexes (of `signals`, or of all) whose state changed after the journal's number `seq`."""
        with self._lock:
            column = self._columns.seq if signals is None else self._columns.seq[signals]
            rows = np.flatnonzero(column > seq)
        return rows.astype(np.int32) if signals is None else signals[rows]

    def restore(self, columns: StateColumns, seq: int) -> None:
        """Begins from a checkpoint's columns."""
        with self._lock:
            self._columns = columns
            self._last_row = np.empty(len(self), dtype=np.int32)
            self.last_seq = seq


def blank(n: int) -> StateColumns:
    """Columns of `n` signals that never had a reading."""
    return StateColumns(
        np.full(n, np.nan),
        np.full(n, NEVER, dtype=np.int64),
        np.zeros(n, dtype=np.uint8),
        np.zeros(n, dtype=np.int64),
    )


def _joined(a: StateColumns, b: StateColumns) -> StateColumns:
    return StateColumns(
        np.concatenate((a.value, b.value)),
        np.concatenate((a.time, b.time)),
        np.concatenate((a.quality, b.quality)),
        np.concatenate((a.seq, b.seq)),
    )
