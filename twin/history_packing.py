"""Unsigned integers of 0 to 8 bytes at any byte address, little-endian, read and written as numpy columns."""

from mmap import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = bytes | bytearray | memoryview | mmap
PADDING = 8
"""Bytes that must follow the last integer of a buffer, since eight are read at each address."""
MASKS = np.array([(1 << 8 * width) - 1 for width in range(9)], dtype=np.uint64)


def widths_for(largest: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """How many bytes each of these numbers needs; none for zero."""
    return np.searchsorted(MASKS, largest).astype(np.uint8)


def words(buffer: Bytes, size: int) -> NDArray[np.uint64]:
    """The eight bytes from each address on, for all addresses of a padded buffer of `size` bytes; a view."""
    return np.ndarray((size - PADDING + 1,), "<u8", buffer, strides=(1,))


def gather(words: NDArray[np.uint64], address: NDArray[np.int64], width: NDArray[np.uint8] | int) -> NDArray[np.uint64]:
    """The integers at these addresses."""
    found: NDArray[np.uint64] = words[address] & MASKS[width]
    return found


def packed_run(buffer: Bytes, address: int, width: int, count: int) -> NDArray[np.uint64]:
    """`count` integers of one width that stand one behind another."""
    if width == 0:
        return np.zeros(count, dtype=np.uint64)
    if width in (1, 2, 4, 8):
        return np.frombuffer(buffer, f"<u{width}", count, address).astype(np.uint64)
    wide: NDArray[np.uint64] = np.ndarray((count,), "<u8", buffer, address, (width,)) & MASKS[width]
    return wide


def scatter(
    out: NDArray[np.uint8], address: NDArray[np.int64], codes: NDArray[np.uint64], width: NDArray[np.uint8]
) -> None:
    """Writes integers of different widths at their addresses; their bytes must not overlap."""
    for size in (8, 4, 2, 1):
        # A width is a sum of powers of two: 7 bytes are written as 4, 2 and 1.
        chosen = (width & size) != 0
        if not chosen.any():
            continue
        rows: Any = slice(None) if chosen.all() else np.flatnonzero(chosen)
        done = (width[rows] & np.uint8(256 - 2 * size)).astype(np.int64)
        view = np.ndarray((len(out) - size + 1,), f"<u{size}", out.data, strides=(1,))
        view[address[rows] + done] = codes[rows] >> (8 * done).astype(np.uint64)
