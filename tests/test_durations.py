"""Durations in the words of definitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsense.twin.durations import format_duration, parse_duration
from iotsense.twin.errors import InvalidValueError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h", 3600.0),
        ("90d", 7_776_000.0),
        ("100ms", 0.1),
        ("4h", 14_400.0),
        ("1m", 60.0),
        ("5m", 300.0),
        ("2y", 63_072_000.0),
        ("10y", 315_360_000.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("2 hours", 7200.0),
        ("250 us", 0.00025),
        ("10µs", 0.00001),
        ("1.5s", 1.5),
        ("1w", 604_800.0),
        (45, 45.0),
        (0.25, 0.25),
        ("45", 45.0),
        ("1e-3", 0.001),
    ],
)
def test_durations_are_seconds(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "h", "1x", "1 month", "-5m", "0", "0s", "1h-30m", "5m!", "nan", "inf", "1" * 100, "2000y", "1e999",
     float("nan"), float("inf"), -1, 0, True, None],
)  # fmt: skip
def test_what_is_no_positive_duration_is_refused(text: object) -> None:
    with pytest.raises(InvalidValueError):
        parse_duration(text)  # type: ignore[arg-type]


def test_the_refusal_shows_how_to_write_one() -> None:
    with pytest.raises(InvalidValueError, match=r"'1 month' is not a duration, such as .*5m \(minutes\)"):
        parse_duration("1 month")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3600, "1h"), (5400, "1h30m"), (0.1, "100ms"), (90 * 86_400, "90d"), (2 * 365 * 86_400, "2y"), (300, "5m"),
     (1.5, "1.5s"), (0.00025, "250us"), (86_461, "1d1m1s")],
)  # fmt: skip
def test_formatting_is_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(min_value=1e-9, max_value=3e10, allow_nan=False))
def test_what_is_formatted_reads_back_as_the_same_number(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_nothing_that_is_no_duration_is_formatted(seconds: float) -> None:
    with pytest.raises(InvalidValueError):
        format_duration(seconds)
