"""A batch of readings as numpy columns: the one shape in which values travel, are journalled and are stored."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import DamagedFileError
from .model import Quality

_HEADER = struct.Struct("<II")
ROW_BYTES = 4 + 8 + 8 + 1


@dataclass(frozen=True, slots=True)
class ReadingBatch:
    """Readings as columns of equal length `(n,)`.

    signal: int32, `Signal.index`. time: int64 [ns since the epoch, UTC], when it was so in the world.
    value: float64 [the signal's unit]. quality: uint8, OPC quality byte.
    """

    signal: NDArray[np.int32]
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]

    @classmethod
    def of(cls, signal: ArrayLike, time: ArrayLike, value: ArrayLike, quality: ArrayLike | None = None) -> Self:
        """Columns from anything array-like; a scalar `time` or `quality` is repeated, no quality means good.

        Raises ValueError if the lengths differ.
        """
        signals = np.atleast_1d(np.asarray(signal, dtype=np.int32))
        n = len(signals)
        times = np.array(np.broadcast_to(np.asarray(time, dtype=np.int64), n))
        values = np.atleast_1d(np.asarray(value, dtype=np.float64))
        given = np.uint8(Quality.GOOD) if quality is None else quality
        qualities = np.array(np.broadcast_to(np.asarray(given, dtype=np.uint8), n))
        if len(values) != n:
            raise ValueError(f"{n} signals but {len(values)} values")
        return cls(signals, times, values, qualities)

    @classmethod
    def concat(cls, batches: "Sequence[ReadingBatch]") -> "ReadingBatch":
        """One batch of all rows, in order."""
        if len(batches) == 1:
            return batches[0]
        return cls(
            np.concatenate([b.signal for b in batches]),
            np.concatenate([b.time for b in batches]),
            np.concatenate([b.value for b in batches]),
            np.concatenate([b.quality for b in batches]),
        )

    def __len__(self) -> int:
        return len(self.signal)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "ReadingBatch":
        """The rows that a mask or an index array chooses."""
        return ReadingBatch(self.signal[rows], self.time[rows], self.value[rows], self.quality[rows])

    def pack(self) -> bytes:
        """Row count, CRC-32, then the columns one after another, little-endian."""
        body = b"".join((self.time.tobytes(), self.value.tobytes(), self.signal.tobytes(), self.quality.tobytes()))
        return _HEADER.pack(len(self), zlib.crc32(body)) + body

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """The inverse of `pack`; raises DamagedFileError if a byte is missing or altered."""
        if len(payload) < _HEADER.size:
            raise DamagedFileError("a batch of readings is shorter than its header")
        n, checksum = _HEADER.unpack_from(payload)
        body = memoryview(payload)[_HEADER.size :]
        if len(body) != n * ROW_BYTES or zlib.crc32(body) != checksum:
            raise DamagedFileError("a batch of readings fails its checksum")
        return cls(
            time=np.frombuffer(body, np.int64, n),
            value=np.frombuffer(body, np.float64, n, 8 * n),
            signal=np.frombuffer(body, np.int32, n, 16 * n),
            quality=np.frombuffer(body, np.uint8, n, 20 * n),
        )
