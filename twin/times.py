"""Instants: nanoseconds since the epoch (UTC) inside, ISO 8601 at every boundary."""

import time
from datetime import UTC, datetime, tzinfo

from .errors import InvalidValueError

NS = 1_000_000_000
LATEST = 2**63 - 1
"""The last instant [ns since the epoch] that columns of int64 can hold, in the year 2262."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_ns() -> int:
    """The wall clock [ns since the epoch]."""
    return time.time_ns()


def datetime_to_ns(moment: datetime, zone: tzinfo = UTC) -> int:
    """An instant as exact ns; a naive moment is understood in `zone`."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * NS + delta.microseconds * 1_000


def parse_time(text: str, zone: tzinfo = UTC) -> int:
    """ISO 8601 text to ns; up to nine digits of a second are kept, naive text is understood in `zone`.

    Raises InvalidValueError if the text is no instant, or one before 1677 or after 2262.
    """
    # datetime keeps six digits of a second; the three after them are read apart.
    head, dot, tail = text.partition(".")
    rest = 0
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        if digits > 6:
            rest = int(tail[6 : min(digits, 9)].ljust(3, "0"))
            text = f"{head}.{tail[:6]}{tail[digits:]}"
    try:
        ns = datetime_to_ns(datetime.fromisoformat(text), zone) + rest
    except (ValueError, OverflowError):
        raise InvalidValueError(f"{text!r} is not a time in ISO 8601, such as 2024-01-15T10:30:00.123Z") from None
    if abs(ns) > LATEST:
        where = f"future: it is after {format_time(LATEST)}" if ns > 0 else f"past: it is before {format_time(-LATEST)}"
        raise InvalidValueError(f"{text!r} is too far in the {where}")
    return ns


def format_time(ns: int) -> str:
    """ns to ISO 8601 in UTC: milliseconds, or as many digits as the instant needs."""
    seconds, rest = divmod(ns, NS)
    if rest % 1_000_000 == 0:
        digits = f"{rest // 1_000_000:03d}"
    elif rest % 1_000 == 0:
        digits = f"{rest // 1_000:06d}"
    else:
        digits = f"{rest:09d}"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{digits}Z"
