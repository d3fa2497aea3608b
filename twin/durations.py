"""Durations as people write them: `1h`, `90d`, `100ms`, `1h30m`, `2y`, `45`.

`m` is minutes (a month has no fixed length and is refused), a day is 24 hours, a week 7 days, a year 365 days. A bare
number is seconds. Everything is seconds inside, as a float; the arithmetic is decimal, so `0.1ms` is exactly 1e-4.
"""

import re
from decimal import Decimal

from .errors import InvalidValueError

_SECONDS: dict[str, Decimal] = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86_400),
    "w": Decimal(604_800),
    "y": Decimal(31_536_000),
}
_WORDS: dict[str, str] = {
    "µs": "us",
    "μs": "us",
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("week", "weeks"), "w"),
    **dict.fromkeys(("year", "years"), "y"),
    **{unit: unit for unit in _SECONDS},
}
_PART = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Zµμ]+)\s*")
_NUMBER = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?\s*$")
_LONGEST = Decimal(1000) * _SECONDS["y"]
MAX_LENGTH = 64


def parse_duration(text: str | int | float) -> float:
    """A positive duration [s] from text (`1h30m`, `100ms`, `2 hours`) or a number of seconds.

    Raises InvalidValueError if it is no duration, not positive, or beyond 1000 years.
    """
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise _refusal(text)
    if isinstance(text, str):
        if len(text) > MAX_LENGTH:
            raise _refusal(text[:MAX_LENGTH])
        seconds = _sum(text)
    else:
        seconds = Decimal(repr(text))
    if seconds is None or not seconds.is_finite():
        raise _refusal(text)
    if seconds <= 0:
        raise InvalidValueError(f"a duration must be positive, not {text!r}")
    if seconds > _LONGEST:
        raise InvalidValueError(f"{text!r} is longer than 1000 years")
    return float(seconds)


def _sum(text: str) -> Decimal | None:
    if _NUMBER.match(text):
        return Decimal(text.strip())
    total, position = Decimal(0), 0
    while position < len(text):
        part = _PART.match(text, position)
        unit = part and (_WORDS.get(part[2]) or _WORDS.get(part[2].lower()))
        if not part or not unit:
            return None
        total += Decimal(part[1]) * _SECONDS[unit]
        position = part.end()
    return total if position else None


def _refusal(text: object) -> InvalidValueError:
    return InvalidValueError(f"{text!r} is not a duration, such as 100ms, 45s, 5m (minutes), 1h30m, 4h, 90d or 2y")


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back as the same number: `1h30m`, `100ms`, `90d`.

    Years are only used for whole years, so that 400 days stay `400d`. Raises InvalidValueError if not positive.
    """
    rest = Decimal(repr(float(seconds)))
    if not rest.is_finite() or rest <= 0:
        raise InvalidValueError(f"a duration must be positive, not {seconds!r}")
    if rest % _SECONDS["y"] == 0:
        return f"{rest // _SECONDS['y']:f}y"
    parts: list[str] = []
    for unit in ("d", "h", "m"):
        whole, rest = divmod(rest, _SECONDS[unit])
        if whole:
            parts.append(f"{whole:f}{unit}")
    if rest:
        parts.append(_seconds(rest))
    return "".join(parts)


def _seconds(rest: Decimal) -> str:
    unit = next((unit for unit in ("s", "ms", "us") if rest >= _SECONDS[unit]), "ns")
    return f"{(rest / _SECONDS[unit]).normalize():f}{unit}"
