"""Amounts of bytes as people write them: `10GB`, `512MB`, `1.5TB`; decimal, or binary with an i (`10GiB`)."""

import re
from decimal import Decimal

from .errors import InvalidValueError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNITS |= {"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b\s*\Z", re.IGNORECASE)


def parse_bytes(text: str) -> int:
    """The number of bytes; raises InvalidValueError."""
    match = _SIZE.match(text)
    if match is None:
        raise InvalidValueError(f"{text!r} is not an amount of bytes, such as 512MB, 10GB or 1.5TB")
    return int(Decimal(match[1]) * _UNITS[(match[2] or "").lower()])


def format_bytes(size: int) -> str:
    """The shortest text that `parse_bytes` reads back as the same number."""
    names = {"t": "TB", "g": "GB", "m": "MB", "k": "kB", "ti": "TiB", "gi": "GiB", "mi": "MiB", "ki": "KiB"}
    for unit, name in names.items():
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{name}"
    return f"{size}B"


def readable_bytes(size: float) -> str:
    """Rounded, for people: `9.6 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"
