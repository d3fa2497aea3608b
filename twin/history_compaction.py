"""Merges small parts of a day into larger ones, in the background and with bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .history_flush import PART_ROWS
from .history_part import Part
from .history_raw import rows_of_runs, segments_of
from .history_raw_writer import SEGMENT_ROWS, PartInfo, write_raw
from .history_rows import SignalRows, in_order

FAN = 4
_LEAST_ROWS = 1024


class Stopped(Exception):
    """The store is closing; the merge was given up and left nothing."""


def to_merge(parts: Sequence[PartInfo], quiet: bool) -> list[PartInfo]:
    """Which parts of one day should become one; empty if it is well as it is.

    FAN parts of about one size are merged, so that a reading is rewritten as often as the day's size has powers of FAN;
    of a day to which nothing was added for a while (`quiet`) all that fits into one part.
    """
    small = sorted((info for info in parts if info.rows < PART_ROWS // 2), key=lambda info: info.rows)
    if quiet:
        fitting = _fitting(small)
        return fitting if len(fitting) > 1 else []
    levels: dict[int, list[PartInfo]] = {}
    for info in small:
        levels.setdefault(_level(info.rows), []).append(info)
    full = (_fitting(of_one) for of_one in levels.values() if len(of_one) >= FAN)
    return next((found for found in full if len(found) >= 2), [])


def _level(rows: int) -> int:
    return int(np.emath.logn(FAN, max(rows, _LEAST_ROWS)))


def _fitting(parts: Sequence[PartInfo]) -> list[PartInfo]:
    total = np.cumsum([info.rows for info in parts])
    return list(parts[: int(np.searchsorted(total, PART_ROWS, side="right"))])


def merge(parts: Sequence[Part], directory: Path, name: str, day: int, stopping: Callable[[], bool]) -> PartInfo:
    """Writes one part of all rows; raises StorageError, DamagedFileError or Stopped, leaving nothing."""
    count = sum(part.rows for part in parts)
    return write_raw(directory, name, day, count, _stamps(parts), _merged(parts, stopping))


def _stamps(parts: Sequence[Part]) -> NDArray[np.int64]:
    found = np.zeros(0, dtype=np.int64)
    for part in parts:
        if part.has("stamps"):
            found = np.union1d(found, part.table("stamps"))
        else:
            for rows in segments_of(part):
                found = np.union1d(found, rows.recorded)
    return found


def _merged(parts: Sequence[Part], stopping: Callable[[], bool]) -> Iterator[SignalRows]:
    for first, last in _signal_ranges(parts):
        if stopping():
            raise Stopped
        pieces = []
        for part in parts:
            start, end = np.searchsorted(part.signal, [first, last + 1]).tolist()
            if start < end:
                pieces.append(rows_of_runs(part, start, end))
        rows = SignalRows.concat(pieces)
        yield rows.take(in_order(rows))


def _signal_ranges(parts: Sequence[Part]) -> Iterator[tuple[int, int]]:
    """The first and the last signal of ranges that have some SEGMENT_ROWS together."""
    signals, where = np.unique(np.concatenate([part.signal for part in parts]), return_inverse=True)
    rows = np.zeros(len(signals), dtype=np.int64)
    np.add.at(rows, where, np.concatenate([np.diff(part.row) for part in parts]))
    before = np.cumsum(rows) - rows
    start = 0
    while start < len(signals):
        end = max(start + 1, int(np.searchsorted(before, before[start] + SEGMENT_ROWS)))
        yield int(signals[start]), int(signals[end - 1])
        start = end
