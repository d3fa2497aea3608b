"""A burst: the samples of a waveform, which came in one message and become one reading each."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..twin.model import Quality

MAX_SAMPLES = 1_000_000


class Burst:
    """values: float64 `(n,)`. steps: int64 `(n,)`, nanoseconds since the first sample."""

    __slots__ = ("steps", "values")

    def __init__(self, values: NDArray[np.float64], interval: float) -> None:
        """interval [s]: from one sample to the next."""
        self.values = values
        self.steps = np.rint(np.arange(len(values)) * (interval * 1e9)).astype(np.int64)

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"a waveform of {len(self)} samples"

    @property
    def length(self) -> int:
        """From the first sample to the last [ns]."""
        return int(self.steps[-1])

    def rows(
        self, signal: int, start: int, scale: float, offset: float, quality: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64], NDArray[np.uint8]]:
        """Columns of readings. A sample that is no finite number is one without a value, of bad quality."""
        rows = len(self)
        values = self.values if (scale, offset) == (1.0, 0.0) else self.values * scale + offset
        qualities = np.full(rows, quality, np.uint8)
        if not math.isfinite(float(values.sum())) and not (finite := np.isfinite(values)).all():
            values = np.where(finite, values, np.nan)
            qualities[~finite] = Quality.BAD
        return np.full(rows, signal, np.int32), self.steps + start, values, qualities


def packed_type(type: str, byte_order: str) -> np.dtype[Any]:
    """numpy's type of numbers as bytes: `float32`, `big` for example."""
    return np.dtype(type).newbyteorder(">" if byte_order == "big" else "<")
