"""Recurring times as people write them: `sunday 06:00-10:00`, `monday..friday 08:00-16:00`, `next_weekend`, `weekly`.

A schedule is a weekly pattern of local wall times. It becomes instants only together with a site's time zone, so that a
night shift has 7, 8 or 9 hours as the clocks are changed. A wall time that the clocks skip means the instant of the
change; one that they show twice means the first. Shifts that follow each other therefore never overlap or leave a gap.
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from .errors import InvalidValueError
from .times import NS, datetime_to_ns

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = 86_400
_EVERY_DAY = tuple(range(7))
_SECOND = timedelta(seconds=1)
_NAMES: dict[str, tuple[int, ...]] = {
    **{name: (number,) for number, name in enumerate(DAYS)},
    **{name[:3]: (number,) for number, name in enumerate(DAYS)},
    "weekdays": (0, 1, 2, 3, 4),
    "weekend": (5, 6),
    "daily": _EVERY_DAY,
}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?$")
_FORMS = "such as 'sunday 06:00-10:00', 'monday..friday 08:00-16:00', 'daily 02:00', 'weekly' or 'next_weekend'"


class Interval(NamedTuple):
    """From `start` until before `end`, both ns since the epoch (UTC)."""

    start: int
    end: int


def parse_clock(text: str) -> int:
    """A wall time `22:00`, `06:30:15` or `24:00` as seconds after midnight. Raises InvalidValueError."""
    match = _CLOCK.match(text.strip())
    if match:
        hour, minute, second = (int(part or 0) for part in match.groups())
        seconds = hour * 3600 + minute * 60 + second
        if minute < 60 and second < 60 and seconds <= _DAY:
            return seconds
    raise InvalidValueError(f"{text!r} is not a time of day, such as 06:00 or 22:30")


def format_clock(seconds: int) -> str:
    """Seconds after midnight as `06:00` (or `06:00:30`)."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours:02d}:{minutes:02d}" + (f":{rest:02d}" if rest else "")


def at_wall_time(day: date, seconds: int, zone: tzinfo) -> int:
    """The instant [ns] at which a zone's clocks show `seconds` after midnight of `day`; `seconds` may exceed a day."""
    wall = datetime.combine(day, time()) + timedelta(seconds=seconds)
    early = wall.replace(tzinfo=zone).astimezone(UTC)
    if early.astimezone(zone).replace(tzinfo=None) == wall:
        return datetime_to_ns(early)
    return datetime_to_ns(_change_of_clocks(wall, zone, early))


def _change_of_clocks(wall: datetime, zone: tzinfo, after: datetime) -> datetime:
    """The instant of the change that skips a wall time; `after` reads the wall time by the clock before the change."""
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    offset = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // 2 // _SECOND * _SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


@dataclass(frozen=True, slots=True)
class Schedule:
    """A weekly pattern: on each of `days` (0 = Monday) from `start` until `end` [s of wall time after midnight].

    `end` may lie in the following days (a night shift ends at 30 h). A schedule of moments (`weekly`, `daily 02:00`)
    has `end` equal to `start`: its intervals are empty.
    """

    days: tuple[int, ...]
    start: int
    end: int

    @property
    def momentary(self) -> bool:
        """Whether it names moments rather than spans of time."""
        return self.start == self.end

    def occurrence(self, day: date, zone: tzinfo) -> Interval:
        """The interval that begins on a day of the pattern."""
        return Interval(at_wall_time(day, self.start, zone), at_wall_time(day, self.end, zone))

    def next_occurrence(self, after: int, zone: tzinfo) -> Interval:
        """The first interval (or moment) that begins later than `after` [ns]."""
        for occurrence in self._from_day(self._day(after, zone), zone):
            if occurrence.start > after:
                return occurrence
        raise AssertionError("a weekly pattern always recurs")

    def current(self, at: int, zone: tzinfo) -> Interval | None:
        """The interval that the instant `at` [ns] lies in."""
        return next(self.intervals(at, at + 1, zone), None)

    def intervals(self, start: int, end: int, zone: tzinfo) -> Iterator[Interval]:
        """All intervals that overlap [start, end) [ns], in order, at their full length; moments that lie in it."""
        first = self._day(start, zone) - timedelta(days=self.end // _DAY + 1)
        for occurrence in self._from_day(first, zone):
            if occurrence.start >= end:
                return
            if occurrence.end > start or (self.momentary and occurrence.start >= start):
                yield occurrence

    def _from_day(self, day: date, zone: tzinfo) -> Iterator[Interval]:
        while True:
            if day.weekday() in self.days:
                occurrence = self.occurrence(day, zone)
                # A window that falls wholly into the hour that the clocks skip does not happen that day.
                if self.momentary or occurrence.end > occurrence.start:
                    yield occurrence
            day += timedelta(days=1)

    @staticmethod
    def _day(instant: int, zone: tzinfo) -> date:
        return datetime.fromtimestamp(instant // NS, zone).date()

    def __str__(self) -> str:
        names = "daily" if self.days == _EVERY_DAY else ",".join(DAYS[day] for day in self.days)
        if self.momentary:
            return f"{names} {format_clock(self.start)}"
        last = self.end if self.end <= _DAY else self.end % _DAY or _DAY
        return f"{names} {format_clock(self.start)}-{format_clock(last)}"


NEXT_WEEKEND = Schedule((5,), 0, 2 * _DAY)
WEEKLY = Schedule((0,), 0, 0)
DAILY = Schedule(_EVERY_DAY, 0, 0)
_WORDS = {"next_weekend": NEXT_WEEKEND, "weekend": NEXT_WEEKEND, "weekly": WEEKLY, "daily": DAILY}


def shift(start: str, end: str) -> Schedule:
    """A daily shift between two wall times; `22:00` to `06:00` ends on the next day, equal times mean 24 hours."""
    return _window(_EVERY_DAY, parse_clock(start), parse_clock(end))


def parse_schedule(text: str) -> Schedule:
    """A schedule from text.

    `DAYS`, `DAYS HH:MM` or `DAYS HH:MM-HH:MM`, where DAYS are days of the week (`sunday`, `mon,wed`, `monday..friday`),
    `weekdays`, `weekend`, `daily` or left out (each day); or `weekly` (Monday 00:00), `daily` (00:00), `next_weekend`
    (Saturday 00:00 until Monday 00:00). Days alone mean the whole days. Raises InvalidValueError.
    """
    wanted = " ".join(text.split()).lower()
    if not wanted:
        raise InvalidValueError(f"a schedule must not be empty; write one {_FORMS}")
    if wanted in _WORDS:
        return _WORDS[wanted]
    names, _, clock = wanted.rpartition(" ") if ":" in wanted else (wanted, "", "")
    days = _days(names, text) if names else _EVERY_DAY
    if not clock:
        return Schedule(days, 0, _DAY)
    start, dash, end = clock.partition("-")
    if not dash:
        moment = parse_clock(start)
        return Schedule(days, moment, moment)
    return _window(days, parse_clock(start), parse_clock(end))


def _window(days: tuple[int, ...], start: int, end: int) -> Schedule:
    return Schedule(days, start, end if end > start else end + _DAY)


def _days(names: str, text: str) -> tuple[int, ...]:
    days: set[int] = set()
    for name in re.split(r"\s*,\s*", names):
        first, dots, last = (part.strip() for part in re.sub(r"\s*-\s*", "..", name).partition(".."))
        span = _day_name(first, text)
        if dots:
            begin, end = span[0], _day_name(last, text)[-1]
            span = tuple((begin + n) % 7 for n in range((end - begin) % 7 + 1))
        days.update(span)
    return tuple(sorted(days))


def _day_name(name: str, text: str) -> tuple[int, ...]:
    if name in _NAMES:
        return _NAMES[name]
    near = difflib.get_close_matches(name, [*_NAMES, *_WORDS], 1)
    hint = f"; did you mean {near[0]!r}?" if near else f", {_FORMS}"
    raise InvalidValueError(f"{text!r} is not a schedule: {name!r} is no day{hint}")
