"""Merges small parts of a day into larger ones, in the background and with bounded memory."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .history_flush import PART_ROWS
from .history_gather import gathered, stamps_of
from .history_part import Part
from .history_raw_writer import PartInfo, write_raw

FAN = 4
_LEAST_ROWS = 1024


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
    return write_raw(directory, name, day, count, stamps_of(parts), gathered(parts, stopping))
