"""What the values of Sparkplug metrics mean, by their data type (Sparkplug 3.0, 6.4.16)."""

import math
import struct
from collections.abc import Iterator
from typing import Any

from ..twin.errors import InvalidValueError
from ..twin.model import Quality
from .protobuf_wire import put_bytes, put_double, put_float, put_number
from .sparkplug_payload import DataSet, Metric, Property, Template

_NAMES = (
    "Unknown", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float", "Double", "Boolean",
    "String", "DateTime", "Text", "UUID", "DataSet", "Bytes", "File", "Template", "PropertySet", "PropertySetList",
    "Int8Array", "Int16Array", "Int32Array", "Int64Array", "UInt8Array", "UInt16Array", "UInt32Array", "UInt64Array",
    "FloatArray", "DoubleArray", "BooleanArray", "StringArray", "DateTimeArray",
)  # fmt: skip
CODES = {name: code for code, name in enumerate(_NAMES)}
"""Data types by name."""

_BITS = {1: 8, 2: 16, 3: 32, 4: 64, 5: 8, 6: 16, 7: 32, 8: 64, 13: 64}
_SIGNED = {1, 2, 3, 4}
_FLOAT, _DOUBLE, _BOOLEAN, _BOOLEAN_ARRAY, _STRING_ARRAY = 9, 10, 11, 32, 33
_TEXTS = {12, 14, 15}
_OPAQUE = {17, 18, 20, 21}
_PACKED = {22: "b", 23: "h", 24: "i", 25: "q", 26: "B", 27: "H", 28: "I", 29: "Q", 30: "f", 31: "d", 34: "q"}
# OPC quality: bad, but this is the last value that was known; for what an edge node's death made stale.
STALE = 0x14
_SPARKPLUG_STALE = 500
_SEVERAL_ROWS = 64


def type_name(code: int) -> str:
    """What a data type is called."""
    return _NAMES[code] if 0 <= code < len(_NAMES) else f"data type {code}"


def is_opaque(code: int) -> bool:
    """Whether a metric of this type is no reading: bytes, files, sets of properties."""
    return code in _OPAQUE


def is_numeric(code: int) -> bool:
    """Whether a value of this type is a number."""
    return code in _BITS or code in (_FLOAT, _DOUBLE)


def read_value(code: int, raw: Any) -> Any:
    """A number, text, truth value, or list of an array. Raises InvalidValueError if it is not of that type."""
    if raw is None:
        return None
    if code in _BITS:
        return _integer(code, raw)
    if code == _BOOLEAN:
        return bool(raw)
    if code in (_FLOAT, _DOUBLE):
        if isinstance(raw, int | float) and not isinstance(raw, bool):
            return float(raw)
    elif code in _TEXTS:
        if isinstance(raw, str):
            return raw
    elif isinstance(raw, bytes) and (code in _PACKED or code in (_BOOLEAN_ARRAY, _STRING_ARRAY)):
        return _array(code, raw)
    elif code == 0:
        return raw
    raise InvalidValueError(f"found {raw.__class__.__name__} {_short(raw)}, where {type_name(code)} is expected")


def _integer(code: int, raw: Any) -> int:
    if not isinstance(raw, int):
        raise InvalidValueError(f"found {raw.__class__.__name__} {_short(raw)}, where {type_name(code)} is expected")
    bits = _BITS[code]
    # Negative numbers travel as two's complement, of 32 or 64 bits as the edge node likes.
    value = raw & ((1 << bits) - 1)
    return value - (1 << bits) if code in _SIGNED and value >> (bits - 1) else value


def _array(code: int, raw: bytes) -> list[Any]:
    if code == _STRING_ARRAY:
        return [text.decode("utf-8", "replace") for text in raw.split(b"\0")[:-1]]
    if code == _BOOLEAN_ARRAY:
        count = int.from_bytes(raw[:4], "little")
        if len(raw) < 4 + (count + 7) // 8:
            raise InvalidValueError(f"a BooleanArray of {count} values has only {len(raw)} bytes")
        return [bool(raw[4 + i // 8] >> (7 - i % 8) & 1) for i in range(count)]
    kind = _PACKED[code]
    if len(raw) % struct.calcsize("<" + kind):
        raise InvalidValueError(f"{type_name(code)} of {len(raw)} bytes is cut short")
    return [each[0] for each in struct.iter_unpack("<" + kind, raw)]


def _short(raw: Any) -> str:
    return repr(raw)[:40]


def scalars(name: str, code: int, metric: Metric) -> Iterator[tuple[str, Any, Metric]]:
    """(name, value, metric) of all that a metric holds: members of templates, columns of data sets as `NAME/MEMBER`.

    A column of a data set with several rows is a list. Definitions of templates hold no values. Raises
    InvalidValueError.
    """
    raw = metric.raw
    if isinstance(raw, Template):
        if not raw.is_definition:
            for member in raw.metrics:
                yield from scalars(f"{name}/{member.name}", member.datatype or 0, member)
    elif isinstance(raw, DataSet):
        yield from ((f"{name}/{column}", value, metric) for column, value in _columns(raw))
    elif not is_opaque(code):
        yield name, None if metric.null else read_value(code, raw), metric


def _columns(table: DataSet) -> Iterator[tuple[str, Any]]:
    if len(table.rows) > _SEVERAL_ROWS:
        raise InvalidValueError(f"a data set of {len(table.rows)} rows; {_SEVERAL_ROWS} are read at most")
    for number, (column, code) in enumerate(zip(table.columns, table.types, strict=False)):
        cells = [read_value(code, row[number]) for row in table.rows if number < len(row)]
        if cells:
            yield column, cells[0] if len(table.rows) == 1 else cells


def quality_of(metric: Metric, value: Any) -> int:
    """The OPC quality byte of a metric's value; one that has none, or is no number, is bad."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return int(Quality.BAD)
    given = metric.properties.get("Quality") or metric.properties.get("quality")
    if given is None or not isinstance(given.raw, int):
        return int(Quality.GOOD)
    if given.raw == _SPARKPLUG_STALE:
        return STALE
    return given.raw if 0 <= given.raw <= 255 else int(Quality.BAD)


def property_value(given: Property | None) -> Any:
    """What a property says; None if it is missing or cannot be read."""
    if given is None:
        return None
    try:
        return read_value(given.datatype, given.raw)
    except InvalidValueError:
        return None


# Commands -------------------------------------------------------------------------------------------------------------


def encode_value(name: str, code: int, value: float | bool | str) -> bytes:
    """The field of a metric that holds a value. Raises InvalidValueError if the type cannot hold it."""
    if code in _TEXTS and isinstance(value, str):
        return put_bytes(15, value.encode())
    if code == _BOOLEAN and value in (0, 1):
        return put_number(14, int(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        if code == _DOUBLE:
            return put_double(13, value)
        if code == _FLOAT and abs(value) <= 3.4028235e38:
            return put_float(12, value)
        if code in _BITS and float(value).is_integer():
            return _integer_field(name, code, int(value))
    raise InvalidValueError(f"{name} is {_article(code)}, which cannot be {_short(value)}", "value")


def _integer_field(name: str, code: int, value: int) -> bytes:
    bits = _BITS[code]
    low = -(1 << (bits - 1)) if code in _SIGNED else 0
    high = (1 << (bits - (code in _SIGNED))) - 1
    if not low <= value <= high:
        raise InvalidValueError(f"{name} is {_article(code)}, from {low} to {high}; {value} is outside", "value")
    # As the edge nodes of others write it: int_value up to 32 bits signed, long_value for the rest.
    if bits == 64 or code == CODES["UInt32"]:
        return put_number(11, value)
    return put_number(10, value & 0xFFFF_FFFF)


def _article(code: int) -> str:
    name = type_name(code)
    return f"{'an' if name[0] in 'AIU' else 'a'} {name}"
