"""Payloads that are nothing but a number, several of them as bytes, or a text."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..twin.define_payload_formats import NUMBER_BYTES, RawFormat
from ..twin.errors import InvalidValueError
from .burst import packed_type
from .targets import shown

_WHITE = " \t\r\n\0"
_LONGEST = 64


def raw_decoder(raw: RawFormat) -> Callable[[bytes], Any]:
    """Reads a number, a list of numbers or a text. The decoder raises InvalidValueError."""
    if raw.type == "text":
        return _text
    if raw.type == "bytes":
        return lambda payload: payload
    if raw.type == "number":
        return number_text
    packed, size, offset = packed_type(raw.type, raw.byte_order), NUMBER_BYTES[raw.type], raw.offset
    count, stride = raw.count or 1, raw.stride or size
    needed = offset + (count - 1) * stride + size

    def decode(payload: bytes) -> Any:
        if len(payload) < needed:
            raise InvalidValueError(f"the payload has {len(payload)} bytes where {needed} are needed")
        found = np.ndarray((count,), packed, payload, offset, (stride,)).tolist()
        return found[0] if raw.count is None else found

    return decode


def _text(payload: bytes) -> str:
    try:
        return payload.decode().strip(_WHITE)
    except UnicodeDecodeError:
        raise InvalidValueError("the payload is no text in UTF-8") from None


def number_text(payload: bytes) -> int | float:
    """The number that is written in the payload, with white space around it at most."""
    text = payload[:_LONGEST].decode("ascii", "replace").strip(_WHITE)
    try:
        if len(payload) > _LONGEST or "_" in text:
            raise ValueError
        return int(text) if text.lstrip("+-").isdecimal() else float(text)
    except ValueError:
        raise InvalidValueError(f"the payload {shown(text)} is no number") from None
