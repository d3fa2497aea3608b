"""Source time stamps to nanoseconds: compiled once per source, half a microsecond per stamp."""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any

from ..twin.errors import InvalidValueError
from ..twin.times import NS, datetime_to_ns, parse_time

Clock = Callable[[Any], int]
"""A stamp (text or number) to ns since the epoch; raises InvalidValueError."""

_EARLIEST, _LATEST = -(2**63) + 1, 2**63 - 1
_FRACTION = (NS, NS // 10, NS // 100, 10**6, 10**5, 10**4, 1000, 100, 10, 1)
_KNOWN_SECONDS = 16_384
_seconds: dict[str, int] = {}

# Numbers below these are seconds, milliseconds, microseconds (until the year 5138), anything above nanoseconds.
_UNITS = ((10**11, NS), (10**14, 10**6), (10**17, 1000))
_FORMATS = {"unix_s": NS, "unix_ms": 10**6, "unix_us": 1000, "unix_ns": 1}


def clock(zone: tzinfo = UTC, format: str | None = None) -> Clock:
    """Reads stamps of a source: those that name no zone are understood in `zone`.

    format: `iso8601`, `unix_s`, `unix_ms`, `unix_us`, `unix_ns`, a strptime format, or None to recognise it.
    """
    if format in _FORMATS:
        return _epoch_clock(_FORMATS[format])
    if format is not None and format != "iso8601":
        return _pattern_clock(format, zone)

    def read(stamp: Any) -> int:
        if stamp.__class__ is str:
            return iso_ns(stamp, zone)
        if isinstance(stamp, datetime):  # CBOR and MessagePack have a type for times
            return _bounded(datetime_to_ns(stamp, zone), stamp)
        return epoch_ns(stamp)

    return read


def iso_ns(text: str, zone: tzinfo = UTC) -> int:
    """ISO 8601 text to ns, naive text in `zone`; digits alone are a number. Raises InvalidValueError."""
    # The usual spelling, 2024-01-15T10:30:00.123Z, without a datetime: the second is looked up, the rest is added.
    if text[-1:] == "Z" and text.isascii():
        second = _seconds.get(text[:19])
        if second is None:
            second = _learn_second(text[:19])
        if second is not None:
            fraction = text[20:-1]
            if text[19] == "." and fraction.isdecimal() and len(fraction) <= 9:
                return second + int(fraction) * _FRACTION[len(fraction)]
            if len(text) == 20:
                return second
    return _slow_iso_ns(text, zone)


def _learn_second(text: str) -> int | None:
    if len(text) != 19 or text[10] != "T":
        return None
    try:
        second = parse_time(text, UTC)
    except InvalidValueError:
        return None
    if not _EARLIEST < second < _LATEST - NS:
        return None
    if len(_seconds) >= _KNOWN_SECONDS:
        _seconds.clear()
    _seconds[text] = second
    return second


def _slow_iso_ns(text: str, zone: tzinfo) -> int:
    plain = text.strip()
    # Eight digits are a date of ISO 8601's short form.
    if len(plain) > 8 and plain.replace(".", "", 1).removeprefix("-").isdecimal():
        return epoch_ns(float(plain) if "." in plain else int(plain))
    return _bounded(parse_time(plain, zone), text)


def epoch_ns(number: Any) -> int:
    """A number since the epoch to ns: seconds, milliseconds, microseconds or nanoseconds by its size."""
    if number.__class__ is not int and number.__class__ is not float:
        raise InvalidValueError(f"{number!r} is not a time: ISO 8601 text or a number since the epoch", "timestamp")
    for limit, factor in _UNITS:
        if -limit < number < limit:
            return _scaled(number, factor)
    return _scaled(number, 1)


def _scaled(number: Any, factor: int) -> int:
    if number.__class__ is int:
        return _bounded(number * factor, number)
    # A float holds 2024 to the microsecond only in parts: the fraction is scaled apart from the whole.
    if not isinstance(number, float) or number - number != 0.0:
        raise InvalidValueError(f"{number!r} is not a time", "timestamp")
    whole = int(number // 1)
    micro = round((number - whole) * 10**6) if factor == NS else 0
    fraction = micro * 1000 if factor == NS else round((number - whole) * factor)
    return _bounded(whole * factor + fraction, number)


def _bounded(ns: int, stamp: object) -> int:
    if not _EARLIEST <= ns <= _LATEST:
        raise InvalidValueError(f"{stamp!r} is outside the years 1678 to 2261", "timestamp")
    return ns


def _epoch_clock(factor: int) -> Clock:
    def read(stamp: Any) -> int:
        number = stamp
        if isinstance(stamp, str):
            try:
                number = float(stamp) if "." in stamp else int(stamp)
            except ValueError:
                number = None
        if number.__class__ is not int and number.__class__ is not float:
            raise InvalidValueError(f"{stamp!r} is not a number since the epoch", "timestamp")
        return _scaled(number, factor)

    return read


def _pattern_clock(pattern: str, zone: tzinfo) -> Clock:
    def read(stamp: Any) -> int:
        try:
            moment = datetime.strptime(str(stamp), pattern)
        except ValueError:
            raise InvalidValueError(f"{stamp!r} does not fit the time format {pattern!r}", "timestamp") from None
        return _bounded(datetime_to_ns(moment, zone), stamp)

    return read
