"""A tier: what is kept of readings per span of time (`1m`, `1h`, `1d` ...), and for how long."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidValueError
from .history_parts import DAY_NS
from .times import NS, datetime_to_ns

_NAME = re.compile(r"([1-9]\d*)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPANS_A_PART = 256
_EPOCH = date(1970, 1, 1).toordinal()
_MONDAY = date(1970, 1, 5).toordinal()


@dataclass(frozen=True, slots=True)
class Tier:
    """`name` such as 1m; `retention` [ns], None for ever. Days and weeks (from Monday) are those of a site's zone."""

    name: str
    retention: int | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidValueError(f"{self.name!r} is not a tier, such as 1m, 1h or 1d")

    @property
    def _parsed(self) -> tuple[int, str]:
        found = _NAME.fullmatch(self.name)
        assert found is not None
        return int(found[1]), found[2]

    @property
    def width(self) -> int:
        """The length of a span [ns]; of days and weeks, the usual one."""
        count, unit = self._parsed
        return count * _SECONDS[unit] * NS

    @property
    def by_date(self) -> bool:
        """Whether its spans begin at a site's midnight."""
        return self._parsed[1] in "dw"

    @property
    def period_days(self) -> int:
        """How many UTC days a part of this tier holds: such that a run has some hundred rows."""
        wanted = _SPANS_A_PART * self.width // DAY_NS
        return 1 << max(0, int(wanted).bit_length() - 1) if wanted else 1

    def edges(self, begin: int, end: int, zone: tzinfo) -> NDArray[np.int64]:
        """The begins of spans from the one that holds `begin` to the first at or after `end` [ns]."""
        if not self.by_date:
            first, last = begin // self.width, -(-end // self.width)
            return np.arange(first, last + 1, dtype=np.int64) * self.width
        count, unit = self._parsed
        days, origin = (count * 7, _MONDAY) if unit == "w" else (count, _EPOCH)
        first_day = _local_date(begin, zone).toordinal()
        day = origin + (first_day - origin) // days * days
        found = [_midnight(day, zone)]
        while found[-1] < end:
            day += days
            found.append(_midnight(day, zone))
        return np.array(found, dtype=np.int64)


def _local_date(ns: int, zone: tzinfo) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1_000)).astimezone(zone).date()


def _midnight(ordinal: int, zone: tzinfo) -> int:
    # Where clocks jump at midnight this is the first instant of the day, where they are put back to it the earlier one.
    return datetime_to_ns(datetime.combine(date.fromordinal(ordinal), time(), zone).astimezone(UTC))
