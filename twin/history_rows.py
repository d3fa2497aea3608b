"""Readings on their way into and out of history: columns of equal length."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

ROW_BYTES = 4 + 8 + 8 + 1 + 8


@dataclass(frozen=True, slots=True)
class SignalRows:
    """Readings of many signals: `signal` int32, `time` [ns], `value`, `quality`, `recorded` [ns], each `(n,)`."""

    signal: NDArray[np.int32]
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]
    recorded: NDArray[np.int64]

    @classmethod
    def concat(cls, rows: "Sequence[SignalRows]") -> Self:
        """All rows, in order."""
        return cls(
            np.concatenate([r.signal for r in rows]),
            np.concatenate([r.time for r in rows]),
            np.concatenate([r.value for r in rows]),
            np.concatenate([r.quality for r in rows]),
            np.concatenate([r.recorded for r in rows]),
        )

    def __len__(self) -> int:
        return len(self.signal)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "SignalRows":
        """The rows that an index array, a mask or a slice chooses."""
        return SignalRows(self.signal[rows], self.time[rows], self.value[rows], self.quality[rows], self.recorded[rows])


def in_order(rows: SignalRows) -> NDArray[np.intp]:
    """The order by signal, time and recorded; rows with all three equal stay as they came.

    The rows are expected more or less in the order of recording.
    """
    # Several stable sorts, the least important key first. Arrivals are nearly in the order of the first two, which the
    # merge sort makes use of; for 16 bits numpy counts instead of comparing.
    order = None
    if (np.diff(rows.recorded) < 0).any():
        order = np.argsort(rows.recorded, kind="stable")
    order = _then_by(rows.time, order)
    order = _then_by((rows.signal & 0xFFFF).astype(np.uint16), order)
    if len(rows) and int(rows.signal.max()) > 0xFFFF:
        order = _then_by((rows.signal >> 16).astype(np.uint16), order)
    return order


def _then_by(key: NDArray[np.generic], order: NDArray[np.intp] | None) -> NDArray[np.intp]:
    if order is None:
        return np.argsort(key, kind="stable")
    found: NDArray[np.intp] = order[np.argsort(key[order], kind="stable")]
    return found


def run_starts(signal: NDArray[np.int32]) -> NDArray[np.int64]:
    """The rows at which another signal begins, of rows in order."""
    return np.flatnonzero(np.append(True, signal[1:] != signal[:-1])) if len(signal) else np.zeros(0, dtype=np.int64)
