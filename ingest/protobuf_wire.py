"""Protocol Buffers on the wire: fields out of bytes and into bytes, for messages whose meaning we know by heart."""

import struct
from collections.abc import Iterator

from ..twin.errors import InvalidValueError

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
Field = tuple[int, int | bytes]
"""A field's number, and its value: an integer (fixed ones unsigned), or the bytes of a text or message."""


def fields(data: bytes) -> Iterator[Field]:
    """The fields of a message in their order. Raises InvalidValueError if the bytes are no message."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at, end)
        kind = key & 7
        value: int | bytes
        if kind == VARINT:
            value, at = _varint(data, at, end)
        elif kind == LENGTH:
            length, at = _varint(data, at, end)
            value, at = data[at : at + length], at + length
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
            value, at = int.from_bytes(data[at : at + size], "little"), at + size
        else:
            raise InvalidValueError(f"the payload is no protobuf message: a field of the kind {kind}")
        if at > end:
            raise InvalidValueError("the payload is no protobuf message: it ends in the middle of a field")
        yield key >> 3, value


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > 63:
            raise InvalidValueError("the payload is no protobuf message: a number of more than ten bytes")
    raise InvalidValueError("the payload is no protobuf message: it ends in the middle of a number")


def varints(value: int | bytes) -> list[int]:
    """The elements of a repeated number: one by itself, or packed."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at, len(value))
        found.append(number)
    return found


def as_text(value: int | bytes) -> str:
    """A text; raises InvalidValueError if it is a number or no UTF-8."""
    if isinstance(value, int):
        raise InvalidValueError("the payload has a number where a text is expected")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidValueError("the payload has a text that is no UTF-8") from None


def as_bytes(value: int | bytes) -> bytes:
    """The bytes of a message; raises InvalidValueError for a number."""
    if isinstance(value, int):
        raise InvalidValueError("the payload has a number where a message is expected")
    return value


def as_number(value: int | bytes) -> int:
    """A number; raises InvalidValueError for anything else."""
    if isinstance(value, bytes):
        raise InvalidValueError("the payload has a text where a number is expected")
    return value


def as_float(value: int | bytes) -> float:
    """The float that fixed 32 bits stand for."""
    number: float = struct.unpack("<f", (as_number(value) & 0xFFFF_FFFF).to_bytes(4, "little"))[0]
    return number


def as_double(value: int | bytes) -> float:
    """The float that fixed 64 bits stand for."""
    number: float = struct.unpack("<d", as_number(value).to_bytes(8, "little"))[0]
    return number


def put_number(number: int, value: int) -> bytes:
    """A field that is an integer."""
    return _put_varint(number << 3 | VARINT) + _put_varint(value)


def put_bytes(number: int, value: bytes) -> bytes:
    """A field that is a text or a message."""
    return _put_varint(number << 3 | LENGTH) + _put_varint(len(value)) + value


def put_float(number: int, value: float) -> bytes:
    """A field that is a float of 32 bits. Raises OverflowError beyond its range."""
    return _put_varint(number << 3 | FIXED32) + struct.pack("<f", value)


def put_double(number: int, value: float) -> bytes:
    """A field that is a float of 64 bits."""
    return _put_varint(number << 3 | FIXED64) + struct.pack("<d", value)


def _put_varint(value: int) -> bytes:
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
