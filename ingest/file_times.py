"""Columns of times to nanoseconds: a whole column at once where it is plain, one by one where it is not."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..twin.errors import InvalidValueError
from ..twin.times import NS
from .stamps import clock

Times = NDArray[np.int64]
_QUARTER = 900 * NS
_NIGHT = 2 * 3600 * NS
_EPOCH = datetime(1970, 1, 1)
_ZONED = re.compile(r"(?:[zZ]|[+-]\d\d(?::?\d\d)?)\s*\Z")
_NUMBER = re.compile(r"\s*-?\d{9,}(?:\.\d+)?\s*\Z")
_DATE = 10


class LocalTimes:
    """Wall clock times of a zone to UTC.

    In the hour that an autumn night has twice, times that step back are those of the second hour; the order of rows
    is the only thing that tells.
    """

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._offsets: dict[int, tuple[int, int]] = {}
        self._last = 0
        self._second = False

    def to_utc(self, wall: Times) -> Times:
        """(n,) ns of the wall clock as if it were UTC, to (n,) ns since the epoch."""
        quarters, where = np.unique(wall // _QUARTER, return_inverse=True)
        offsets = np.array([self._offset(int(quarter)) for quarter in quarters], dtype=np.int64).reshape(-1, 2)
        first, second = offsets[where, 0], offsets[where, 1]
        twice = first > second
        if twice.any():
            self._choose(wall, first, second, twice)
        else:
            self._second = False
        if len(wall):
            self._last = int(wall[-1])
        utc: Times = wall - first
        return utc

    def _choose(self, wall: Times, first: Times, second: Times, twice: NDArray[np.bool_]) -> None:
        for row in np.flatnonzero(twice).tolist():
            back = (int(wall[row - 1]) if row else self._last) - int(wall[row])
            if abs(back) > _NIGHT or (row and not twice[row - 1]):
                self._second = False
            elif back > 0:
                self._second = True
            if self._second:
                first[row] = second[row]

    def _offset(self, quarter: int) -> tuple[int, int]:
        known = self._offsets.get(quarter)
        if known is None:
            wall = _EPOCH + timedelta(seconds=quarter * 900)
            known = self._offsets[quarter] = (self._at(wall, 0), self._at(wall, 1))
        return known

    def _at(self, wall: datetime, fold: int) -> int:
        offset = wall.replace(tzinfo=self._zone, fold=fold).utcoffset() or timedelta()
        return round(offset.total_seconds()) * NS


class ColumnClock:
    """Reads the times of a file: text or numbers, with or without a zone of their own.

    zone: of times that name none; None if nobody told it, and then such a time is a mistake.
    """

    def __init__(self, zone: tzinfo | None, format: str | None) -> None:
        self._local = LocalTimes(zone) if zone is not None else None
        self._read = clock(UTC, format)
        self._plain = format in (None, "iso8601")
        self._naive_format = None if self._plain or format is None else _is_naive(format)

    def read(self, cells: Sequence[Any]) -> tuple[Times, dict[int, str]]:
        """(n,) ns since the epoch, and why by row for those that are no time (0 there)."""
        whole = _iso_column(cells) if self._plain else None
        if whole is not None:
            return self._localized(whole, np.ones(len(whole), dtype=bool)), {}
        times = np.zeros(len(cells), dtype=np.int64)
        naive = np.zeros(len(cells), dtype=bool)
        bad: dict[int, str] = {}
        for row, cell in enumerate(cells):
            try:
                times[row] = self._read(cell)
                naive[row] = self._is_naive(cell)
            except InvalidValueError as error:
                bad[row] = str(error)
        return self._localized(times, naive), bad

    def wall_clock(self, times: Times) -> Times:
        """(n,) ns of a column whose type says that it is a wall clock's."""
        return self._localized(times, np.ones(len(times), dtype=bool))

    def _localized(self, times: Times, naive: NDArray[np.bool_]) -> Times:
        if naive.any():
            if self._local is None:
                raise InvalidValueError(
                    "the file's times name no zone: say whose clock it was (--timezone Europe/Berlin, or UTC), or give"
                    " the site of these signals its `timezone`",
                    "timezone",
                )
            times[naive] = self._local.to_utc(times[naive])
        return times

    def _is_naive(self, cell: Any) -> bool:
        if self._naive_format is not None:
            return self._naive_format
        return isinstance(cell, str) and not _NUMBER.match(cell) and not _ZONED.search(cell, _DATE)


def _is_naive(format: str) -> bool:
    return not format.startswith("unix_") and "%z" not in format and "%s" not in format


def _iso_column(cells: Sequence[Any]) -> Times | None:
    """A column of ISO 8601 without zones as if it were UTC; None if it is something else."""
    if not cells or not isinstance(cells[0], str):
        return None
    try:
        text = "".join(cells)
    except TypeError:
        return None
    plain = text.count("-") == 2 * len(cells) and not set("zZ+") & set(text) and min(map(len, cells)) >= _DATE
    # Years that nanoseconds cannot hold would silently become others.
    if not plain or not "1678" <= min(cells) <= max(cells) < "2262":
        return None
    try:
        return np.array(cells, dtype="datetime64[ns]").view(np.int64)
    except ValueError:
        return None
