"""Readings as they gather for one commit: growing columns that become a ReadingBatch."""

from array import array

import numpy as np
from numpy.typing import NDArray

from ..twin.batch import ReadingBatch


class Columns:
    """Four columns of equal length; `append` is what the tight loops call, through bound methods of the arrays."""

    __slots__ = ("quality", "signal", "time", "value")

    def __init__(self) -> None:
        self.signal = array("i")
        self.time = array("q")
        self.value = array("d")
        self.quality = array("B")

    def __len__(self) -> int:
        return len(self.signal)

    def append(self, signal: int, time: int, value: float, quality: int) -> None:
        """One reading: index, ns since the epoch, value in the signal's unit, OPC quality byte."""
        self.signal.append(signal)
        self.time.append(time)
        self.value.append(value)
        self.quality.append(quality)

    def extend(
        self,
        signal: NDArray[np.int32],
        time: NDArray[np.int64],
        value: NDArray[np.float64],
        quality: NDArray[np.uint8],
    ) -> None:
        """Many readings, as columns of equal length."""
        self.signal.frombytes(signal.astype(np.int32, copy=False).tobytes())
        self.time.frombytes(time.astype(np.int64, copy=False).tobytes())
        self.value.frombytes(value.astype(np.float64, copy=False).tobytes())
        self.quality.frombytes(quality.astype(np.uint8, copy=False).tobytes())

    def truncate(self, rows: int) -> None:
        """Forgets what came after the first `rows` rows."""
        del self.signal[rows:], self.time[rows:], self.value[rows:], self.quality[rows:]

    def batch(self) -> ReadingBatch:
        """The rows as a batch, which must not grow any more."""
        return ReadingBatch(
            np.frombuffer(self.signal, np.int32),
            np.frombuffer(self.time, np.int64),
            np.frombuffer(self.value, np.float64),
            np.frombuffer(self.quality, np.uint8),
        )
