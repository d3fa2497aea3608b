from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsense.twin.errors import InvalidValueError
from iotsense.twin.times import datetime_to_ns, format_time, parse_time


@given(st.integers(-(2**62), 2**62))
def test_every_nanosecond_survives_the_text(ns: int) -> None:
    assert parse_time(format_time(ns)) == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.123456789Z", 123_456_789),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.1234567891Z", 123_456_789),
        ("1970-01-02", 86_400_000_000_000),
    ],
)
def test_iso_8601_is_read_to_the_nanosecond(text: str, ns: int) -> None:
    assert parse_time(text) == ns


def test_naive_text_is_understood_in_the_zone_of_its_source() -> None:
    assert parse_time("2024-07-01T12:00:00", ZoneInfo("Europe/Berlin")) == parse_time("2024-07-01T10:00:00Z")
    assert datetime_to_ns(datetime(1970, 1, 1), timezone(timedelta(hours=-1))) == 3_600_000_000_000
    assert datetime_to_ns(datetime(1970, 1, 1, tzinfo=UTC)) == 0


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01T00:00:00Z", "12:00", "2024-01-01T00:00:00.Z9"])
def test_what_is_no_time_is_refused_with_words(text: str) -> None:
    with pytest.raises(InvalidValueError, match="is not a time in ISO 8601"):
        parse_time(text)


def test_short_instants_are_written_in_milliseconds() -> None:
    assert format_time(1_500_000_000) == "1970-01-01T00:00:01.500Z"
