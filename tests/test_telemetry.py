"""Telemetry documents and time stamps, right and wrong."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsense.ingest.stamps import clock, iso_ns
from iotsense.ingest.telemetry import decode_documents, encode_documents, quality_byte
from iotsense.twin.errors import InvalidValueError
from iotsense.twin.times import datetime_to_ns, format_time, parse_time

SPECIFIED: dict[str, Any] = {
    "device_id": "sensor_001",
    "timestamp": "2024-01-15T10:30:00.123Z",
    "measurements": [
        {"name": "temperature", "value": 72.5, "unit": "celsius", "quality": "good"},
        {"name": "vibration_rms", "value": 2.3, "unit": "mm/s", "quality": "good"},
    ],
    "metadata": {"plant": "factory_1", "line": "assembly_1", "equipment": "motor_001"},
}


def test_the_specifications_document_is_read_and_written() -> None:
    (document,) = decode_documents(json.dumps(SPECIFIED).encode())
    assert document.device_id == "sensor_001"
    assert [m.value for m in document.measurements] == [72.5, 2.3]
    assert json.loads(encode_documents([document])) == SPECIFIED
    assert len(decode_documents(json.dumps([SPECIFIED, SPECIFIED]).encode())) == 2


@pytest.mark.parametrize(
    ("payload", "field", "words"),
    [
        (b'{"device_id": 1, "measurements": []}', "device_id", "expected str | null, got int"),
        (b'[{"device_id": "a", "measurements": [{"value": {}}]}]', "[0].measurements[0].value", "got an object"),
        (b'{"device_id": "a"}', "measurements", "at least one measurement"),
        (b'[{"measurements": [{"value": 1}]}, {"measurements": []}]', "[1].measurements", "at least one"),
        (b'{"measurements": [{"name": "x", "value": 1e999}]}', "measurements[0].value", "out of range"),
        (b"3", None, "expected an object"),
        (b'{"x": ' + b"[" * 100_000, None, "nested too deep"),
        (b'{"device_id"', None, "not JSON"),
        (b"\xff", None, "not JSON"),
        (b"", None, "not JSON"),
    ],
)
def test_a_wrong_document_names_its_field(payload: bytes, field: str | None, words: str) -> None:
    with pytest.raises(InvalidValueError, match=words.replace("|", r"\|")) as caught:
        decode_documents(payload)
    assert caught.value.field == field


@given(st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1), timezones=st.just(UTC)), st.integers(0, 9))
def test_the_usual_spelling_is_read_exactly(moment: datetime, digits: int) -> None:
    seconds = moment.replace(microsecond=0)
    fraction = f"{moment.microsecond:06d}123"[:digits]
    text = seconds.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + (f".{fraction}" if digits else "") + "Z"
    expected = datetime_to_ns(seconds) + int(fraction.ljust(9, "0"))
    assert iso_ns(text) == parse_time(text) == expected
    assert iso_ns(format_time(expected)) == expected


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        (1705314600, 1705314600),
        (1705314600.123, 1705314600.123),
        (1705314600123, 1705314600.123),
        (1705314600123456, 1705314600.123456),
        (1705314600123456000, 1705314600.123456),
        ("1705314600123", 1705314600.123),
        ("1705314600.5", 1705314600.5),
        (" 2024-01-15T10:30:00.5Z ", 1705314600.5),
        ("2024-01-15T12:30:00+02:00", 1705314600),
        ("2024-01-15 10:30:00Z", 1705314600),
        ("20240115", 1705276800),
        (0, 0),
        (-1.5, -1.5),
    ],
)
def test_stamps_of_all_kinds(stamp: object, seconds: float) -> None:
    assert clock()(stamp) == round(seconds * 1_000_000) * 1000


def test_a_float_keeps_its_microseconds() -> None:
    assert clock()(1705314600.123456) == 1705314600123456000


def test_naive_stamps_are_understood_in_the_sources_zone() -> None:
    berlin = clock(ZoneInfo("Europe/Berlin"))
    assert berlin("2024-07-15T10:30:00") == parse_time("2024-07-15T08:30:00Z")
    assert berlin("2024-01-15T10:30:00") == parse_time("2024-01-15T09:30:00Z")
    assert berlin("2024-01-15T10:30:00Z") == parse_time("2024-01-15T10:30:00Z")


def test_formats() -> None:
    assert clock(format="unix_ms")(5) == 5_000_000
    assert clock(format="unix_s")("5.5") == 5_500_000_000
    assert clock(format="unix_ns")(5) == 5
    tokyo = clock(timezone(timedelta(hours=9)), "%d.%m.%Y %H:%M:%S")
    assert tokyo("15.01.2024 19:30:00") == parse_time("2024-01-15T10:30:00Z")


@pytest.mark.parametrize(
    "stamp",
    ["", "now", "2024-13-15T10:30:00Z", "2024-01-15T10:61:00Z", "2024-01-15T10:30:60Z", "2024-01-15T10:30:+1Z",
     "2024-01-15T10:30:00.1_0Z", "9999-01-15T10:30:00Z", "0001-01-15T10:30:00Z", True, None,
     [], 1e30, float("nan"), float("inf"), 10**20, "١٢-01-15T10:30:00Z"],
)  # fmt: skip
def test_what_is_no_instant_is_refused(stamp: object) -> None:
    with pytest.raises(InvalidValueError):
        clock()(stamp)


def test_qualities() -> None:
    assert [quality_byte(q) for q in (None, "good", "Uncertain", "BAD", 216, "68", 0.0, True)] == [
        192, 192, 64, 0, 216, 68, 0, 192,
    ]  # fmt: skip
    for wrong in ("fine", 256, -1, 1.5, []):
        with pytest.raises(InvalidValueError, match="is not a quality"):
            quality_byte(wrong)
