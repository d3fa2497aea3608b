"""Makes parts of the readings in memory: one for each UTC day that they belong to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .history_parts import DAY_NS
from .history_raw_writer import RAW, SEGMENT_ROWS, PartInfo, write_raw
from .history_rows import SignalRows, in_order, run_starts

PART_ROWS = 1 << 22


def write_parts(rows: SignalRows, directory: Path, name: Callable[[str, int], str]) -> list[PartInfo]:
    """Writes rows, in the order of recording, as parts of at most some PART_ROWS; raises StorageError, leaving none."""
    written: list[PartInfo] = []
    try:
        for day, chosen in _by_day(rows):
            stamps = np.unique(rows.recorded[chosen])
            segments = _segments(rows, chosen)
            written.append(write_raw(directory, name(RAW, day), day, len(chosen), stamps, segments))
    except BaseException:
        for info in written:
            (directory / info.name).unlink(missing_ok=True)
        raise
    return written


def _by_day(rows: SignalRows) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """The rows of each part, in its order."""
    if not len(rows):
        return
    order = in_order(rows)
    day = (rows.time // DAY_NS)[order]
    for number in np.unique(day).tolist():
        chosen = order[day == number]
        for piece in _pieces(rows.signal[chosen], PART_ROWS):
            yield number, chosen[piece]


def _segments(rows: SignalRows, order: NDArray[np.intp]) -> Iterator[SignalRows]:
    for piece in _pieces(rows.signal[order], SEGMENT_ROWS):
        yield rows.take(order[piece])


def _pieces(signal: NDArray[np.int32], most: int) -> Iterator[slice]:
    """Slices of whole runs, each of `most` rows or what the last run needs more."""
    first = run_starts(signal)
    start = 0
    while start < len(signal):
        after = int(np.searchsorted(first, start + most))
        end = int(first[after]) if after < len(first) else len(signal)
        yield slice(start, end)
        start = end
