"""Schedules over the days of 23 and 25 hours."""

import itertools
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsense.twin.errors import InvalidValueError
from iotsense.twin.schedules import Interval, Schedule, parse_clock, parse_schedule, shift
from iotsense.twin.times import NS, format_time, parse_time

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600 * NS


def local(text: str, zone: tzinfo = BERLIN) -> int:
    return parse_time(text, zone)


def hours(interval: Interval) -> float:
    return (interval.end - interval.start) / HOUR


@pytest.mark.parametrize(
    ("text", "days", "start", "end"),
    [
        ("sunday 06:00-10:00", (6,), "06:00", "10:00"),
        ("Sun 06:00 - 10:00".replace(" - ", "-"), (6,), "06:00", "10:00"),
        ("monday..friday 08:00-16:00", (0, 1, 2, 3, 4), "08:00", "16:00"),
        ("mon-fri 08:00-16:00", (0, 1, 2, 3, 4), "08:00", "16:00"),
        ("weekdays 08:00-16:00", (0, 1, 2, 3, 4), "08:00", "16:00"),
        ("friday..monday 08:00-16:00", (0, 4, 5, 6), "08:00", "16:00"),
        ("monday, wednesday 10:00-12:00", (0, 2), "10:00", "12:00"),
        ("06:00-14:00", tuple(range(7)), "06:00", "14:00"),
        ("saturday", (5,), "00:00", "24:00"),
    ],
)
def test_schedules_are_days_and_a_window(text: str, days: tuple[int, ...], start: str, end: str) -> None:
    assert parse_schedule(text) == Schedule(days, parse_clock(start), parse_clock(end))


@pytest.mark.parametrize("text", ["sunday 06:00-10:00", "daily 22:00-06:00", "saturday 00:00-24:00", "monday 02:00"])
def test_a_schedule_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_schedule(text)) == text


@pytest.mark.parametrize(
    "text", ["", "someday", "sunday 25:00-26:00", "sunday 6-10", "sunday 06:60", "06:00-", "x 06:00"]
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        parse_schedule(text)


def test_a_misspelt_day_gets_a_suggestion() -> None:
    with pytest.raises(InvalidValueError, match="'sundy' is no day; did you mean 'sunday'"):
        parse_schedule("sundy 06:00-10:00")


def test_the_next_sunday_window() -> None:
    window = parse_schedule("sunday 06:00-10:00").next_occurrence(local("2024-01-15T10:30:00"), BERLIN)
    assert window == Interval(local("2024-01-21T06:00:00"), local("2024-01-21T10:00:00"))


def test_next_is_later_than_now_even_within_the_window() -> None:
    schedule = parse_schedule("sunday 06:00-10:00")
    inside = local("2024-01-21T07:00:00")
    assert schedule.next_occurrence(inside, BERLIN).start == local("2024-01-28T06:00:00")
    assert schedule.next_occurrence(local("2024-01-21T06:00:00"), BERLIN).start == local("2024-01-28T06:00:00")
    assert schedule.current(inside, BERLIN) == Interval(local("2024-01-21T06:00:00"), local("2024-01-21T10:00:00"))
    assert schedule.current(local("2024-01-21T10:00:00"), BERLIN) is None


def test_next_weekend_is_saturday_and_sunday_of_the_site() -> None:
    monday = local("2024-01-15T10:30:00")
    weekend = parse_schedule("next_weekend").next_occurrence(monday, BERLIN)
    assert weekend == Interval(local("2024-01-20T00:00:00"), local("2024-01-22T00:00:00"))
    tokyo = ZoneInfo("Asia/Tokyo")
    assert parse_schedule("next_weekend").next_occurrence(monday, tokyo).start == local("2024-01-20T00:00:00", tokyo)


def test_weekly_and_daily_are_moments_at_midnight() -> None:
    now = local("2024-01-17T10:30:00")
    assert parse_schedule("weekly").next_occurrence(now, BERLIN).start == local("2024-01-22T00:00:00")
    assert parse_schedule("daily").next_occurrence(now, BERLIN).start == local("2024-01-18T00:00:00")
    moment = parse_schedule("daily 02:00").next_occurrence(now, BERLIN)
    assert moment == Interval(local("2024-01-18T02:00:00"), local("2024-01-18T02:00:00"))


def test_the_night_shift_is_7_hours_in_spring_and_9_in_autumn() -> None:
    night = shift("22:00", "06:00")
    assert hours(night.next_occurrence(local("2024-01-15T12:00:00"), BERLIN)) == 8
    assert hours(night.next_occurrence(local("2024-03-30T12:00:00"), BERLIN)) == 7
    assert hours(night.next_occurrence(local("2024-10-26T12:00:00"), BERLIN)) == 9


def test_whole_days_have_23_and_25_hours() -> None:
    sunday = parse_schedule("sunday")
    assert hours(sunday.next_occurrence(local("2024-03-30T12:00:00"), BERLIN)) == 23
    assert hours(sunday.next_occurrence(local("2024-10-26T12:00:00"), BERLIN)) == 25


def test_a_window_in_the_skipped_hour_does_not_happen_and_one_that_begins_there_begins_at_the_change() -> None:
    change = parse_time("2024-03-31T01:00:00Z")
    before = local("2024-03-30T12:00:00")
    assert parse_schedule("sunday 02:15-02:45").next_occurrence(before, BERLIN).start == local("2024-04-07T02:15:00")
    assert parse_schedule("sunday 02:30-04:00").next_occurrence(before, BERLIN) == Interval(change, change + HOUR)
    assert parse_schedule("sunday 02:30").next_occurrence(before, BERLIN).start == change


def test_a_wall_time_that_is_shown_twice_means_the_first() -> None:
    window = parse_schedule("sunday 02:00-03:00").next_occurrence(local("2024-10-26T12:00:00"), BERLIN)
    assert [format_time(instant) for instant in window] == ["2024-10-27T00:00:00.000Z", "2024-10-27T02:00:00.000Z"]


def test_a_zone_whose_clocks_change_at_midnight() -> None:
    santiago = ZoneInfo("America/Santiago")
    day = parse_schedule("sunday").next_occurrence(local("2024-09-07T12:00:00", santiago), santiago)
    assert [format_time(instant) for instant in day] == ["2024-09-08T04:00:00.000Z", "2024-09-09T03:00:00.000Z"]


def test_intervals_are_those_that_overlap_at_full_length() -> None:
    night = shift("22:00", "06:00")
    found = list(night.intervals(local("2024-01-15T03:00:00"), local("2024-01-16T22:00:00"), BERLIN))
    assert found == [
        Interval(local("2024-01-14T22:00:00"), local("2024-01-15T06:00:00")),
        Interval(local("2024-01-15T22:00:00"), local("2024-01-16T06:00:00")),
    ]


def test_equal_times_are_a_shift_of_24_hours() -> None:
    assert hours(shift("06:00", "06:00").next_occurrence(local("2024-01-15T12:00:00"), BERLIN)) == 24


@given(
    start=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "UTC"]),
    edges=st.lists(st.integers(0, 95), min_size=2, max_size=4, unique=True),
)
def test_shifts_that_follow_each_other_tile_time(start: datetime, zone: str, edges: list[int]) -> None:
    edges.sort()
    clocks = [f"{quarter // 4:02d}:{quarter % 4 * 15:02d}" for quarter in edges]
    shifts = [shift(a, b) for a, b in zip(clocks, clocks[1:] + clocks[:1], strict=True)]
    begin = local(start.isoformat(), UTC)
    end = begin + 4 * 24 * HOUR
    found = sorted(interval for one in shifts for interval in one.intervals(begin, end, ZoneInfo(zone)))
    assert found[0].start <= begin
    assert found[-1].end >= end
    assert all(a.end == b.start for a, b in itertools.pairwise(found))
