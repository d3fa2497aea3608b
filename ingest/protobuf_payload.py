"""Protobuf payloads as plain objects: what JSONPaths find in them is what they would find in JSON.

Enumerations become their names, a Timestamp ISO 8601 text, a Duration seconds, wrappers and Struct what they hold, maps
objects. A field that knows whether it was sent (a message, `optional`, `oneof`) is left out if it was not.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ..twin.errors import InvalidValueError
from ..twin.protobuf_schema import MessageType, load_message_type

Convert = Callable[[Any], Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MANY = 64
_TYPE_DOUBLE, _TYPE_FLOAT, _TYPE_ENUM = 1, 2, 14


def protobuf_decoder(file: str, message_type: str | None) -> Callable[[bytes], Any]:
    """Reads messages of a schema file. Raises as `load_message_type`; the decoder raises InvalidValueError."""
    message = load_message_type(file, message_type)
    convert = _Conversions().of(message.descriptor)

    def decode(payload: bytes) -> Any:
        return convert(_parsed(message, payload))

    return decode


def _parsed(message: MessageType, payload: bytes) -> Any:
    from google.protobuf.message import DecodeError

    try:
        found = message.parse(payload)
    except DecodeError:
        raise InvalidValueError(f"the payload is no {message.name}") from None
    # Bytes of something else often are a message of unknown fields only.
    if payload and not found.ListFields():
        raise InvalidValueError(f"the payload is no {message.name}: it has none of its fields")
    return found


class _Conversions:
    """A function for each message type; types may contain themselves."""

    def __init__(self) -> None:
        self._known: dict[str, Convert] = {}

    def of(self, descriptor: Any) -> Convert:
        own = _WELL_KNOWN.get(descriptor.full_name)
        if own is not None:
            return own
        name = descriptor.full_name
        if name not in self._known:
            fields: list[tuple[str, bool, Convert | None]] = []
            self._known[name] = lambda message: _fields(message, fields)
            fields += [(f.name, f.has_presence, self._field(f)) for f in descriptor.fields]
        return self._known[name]

    def _field(self, field: Any) -> Convert | None:
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            value = self._field(kind.fields_by_name["value"])
            return lambda found: {str(key): found[key] if value is None else value(found[key]) for key in found}
        one = self._one(field)
        if not field.is_repeated:
            return one
        if field.type in (_TYPE_DOUBLE, _TYPE_FLOAT):
            return _numbers
        return list if one is None else lambda found: [one(each) for each in found]

    def _one(self, field: Any) -> Convert | None:
        if field.message_type is not None:
            return self.of(field.message_type)
        if field.type == _TYPE_ENUM:
            names = {number: value.name for number, value in field.enum_type.values_by_number.items()}
            return lambda number: names.get(number, number)
        return None


def _fields(message: Any, fields: list[tuple[str, bool, Convert | None]]) -> dict[str, Any]:
    found = {}
    for name, has_presence, convert in fields:
        if has_presence and not message.HasField(name):
            continue
        value = getattr(message, name)
        found[name] = value if convert is None else convert(value)
    return found


def _numbers(found: Any) -> Any:
    """A list, or of many numbers an array: a waveform of 10,000 samples is never 10,000 objects."""
    return np.array(found, np.float64) if len(found) > _MANY else list(found)


def _timestamp(message: Any) -> str:
    # Timestamps of protobuf are UTC with up to nine digits, which datetime cannot hold.
    whole = (_EPOCH + timedelta(seconds=message.seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{message.nanos:09d}Z" if message.nanos else f"{whole}Z"


def _duration(message: Any) -> float:
    return float(message.seconds + message.nanos / 1e9)


def _value(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind in (None, "null_value"):
        return None
    found = getattr(message, kind)
    return _struct(found) if kind == "struct_value" else _list(found) if kind == "list_value" else found


def _struct(message: Any) -> dict[str, Any]:
    return {name: _value(message.fields[name]) for name in message.fields}


def _list(message: Any) -> list[Any]:
    return [_value(each) for each in message.values]


def _wrapped(message: Any) -> Any:
    return message.value


_WRAPPERS = ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
_WELL_KNOWN: dict[str, Convert] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.Value": _value,
    "google.protobuf.Struct": _struct,
    "google.protobuf.ListValue": _list,
    **{f"google.protobuf.{name}Value": _wrapped for name in _WRAPPERS},
}
