"""Sparkplug B payloads (Sparkplug 3.0, chapter 6): metrics out of bytes, and commands into bytes.

A metric's value travels in the field of its kind; what it means, its data type says, which may have been told in the
birth certificate only. So a metric keeps its value as it came, and `sparkplug_values` reads it.
"""

import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from ..twin.errors import InvalidValueError
from .protobuf_wire import (
    as_bytes,
    as_double,
    as_float,
    as_number,
    as_text,
    fields,
    put_bytes,
    put_number,
    varints,
)

_COMPRESSED = "SPBV1.0_COMPRESSED"
_MOST_BYTES = 16 << 20
_DEPTH = 16
_MS = 1_000_000


class DataSet(msgspec.Struct):
    """A table: names and data types of its columns, and rows of raw values."""

    columns: list[str] = []
    types: list[int] = []
    rows: list[list[Any]] = []


class Template(msgspec.Struct):
    """A structure of metrics: a definition, or an instance of the one that `reference` names."""

    metrics: "list[Metric]" = []
    reference: str | None = None
    is_definition: bool = False


class Property(msgspec.Struct):
    """A metric's property, as it came."""

    datatype: int = 0
    raw: Any = None


class Metric(msgspec.Struct):
    """One metric. name or alias tells which; timestamp [ns]; raw: its value as it came, None if there is none."""

    name: str | None = None
    alias: int | None = None
    timestamp: int | None = None
    datatype: int | None = None
    historical: bool = False
    transient: bool = False
    null: bool = False
    properties: dict[str, Property] = {}
    raw: Any = None


class Payload(msgspec.Struct):
    """A payload. timestamp [ns]; seq: 0 to 255, counted over all messages of an edge node."""

    timestamp: int | None = None
    metrics: list[Metric] = []
    seq: int | None = None

    def metric(self, name: str) -> Metric | None:
        """The metric of a name."""
        return next((metric for metric in self.metrics if metric.name == name), None)


def decode_payload(data: bytes) -> Payload:
    """A payload, taken out of its compressed envelope if it comes in one. Raises InvalidValueError."""
    payload, uuid, body = _payload(data)
    if uuid != _COMPRESSED:
        return payload
    algorithm = payload.metric("algorithm")
    word = str(algorithm.raw).upper() if algorithm is not None else "DEFLATE"
    if word not in ("DEFLATE", "GZIP"):
        raise InvalidValueError(f"the payload is compressed by {word}; DEFLATE and GZIP are known")
    inside = _payload(_inflate(body))[0]
    inside.seq = inside.seq if payload.seq is None else payload.seq
    return inside


def _inflate(body: bytes) -> bytes:
    opened = zlib.decompressobj(wbits=47)  # either format, by its header
    try:
        plain = opened.decompress(body, _MOST_BYTES)
    except zlib.error as error:
        raise InvalidValueError(f"the payload cannot be decompressed: {error}") from None
    if opened.unconsumed_tail:
        raise InvalidValueError(f"the payload has more than {_MOST_BYTES >> 20} MiB when decompressed")
    return plain


def _payload(data: bytes) -> tuple[Payload, str | None, bytes]:
    payload, uuid, body = Payload(metrics=[]), None, b""
    for number, value in fields(data):
        if number == 2:
            payload.metrics.append(_metric(as_bytes(value), 0))
        elif number == 1:
            payload.timestamp = as_number(value) * _MS
        elif number == 3:
            payload.seq = as_number(value)
        elif number == 4:
            uuid = as_text(value)
        elif number == 5:
            body = as_bytes(value)
    return payload, uuid, body


def _metric(data: bytes, depth: int) -> Metric:
    if depth > _DEPTH:
        raise InvalidValueError(f"the payload has templates nested deeper than {_DEPTH}")
    metric = Metric()
    for number, value in fields(data):
        if number == 12:
            metric.raw = as_float(value)
        elif number == 13:
            metric.raw = as_double(value)
        elif number in (10, 11):
            metric.raw = as_number(value)
        elif number == 14:
            metric.raw = bool(value)
        elif number == 15:
            metric.raw = as_text(value)
        elif number == 2:
            metric.alias = as_number(value)
        elif number == 1:
            metric.name = as_text(value)
        elif number == 3:
            metric.timestamp = as_number(value) * _MS
        elif number == 4:
            metric.datatype = as_number(value)
        else:
            _rare(metric, number, value, depth)
    return metric


def _rare(metric: Metric, number: int, value: int | bytes, depth: int) -> None:
    if number == 5:
        metric.historical = bool(value)
    elif number == 6:
        metric.transient = bool(value)
    elif number == 7:
        metric.null = bool(value)
    elif number == 9:
        metric.properties = _properties(as_bytes(value))
    elif number == 16:
        metric.raw = as_bytes(value)
    elif number == 17:
        metric.raw = _dataset(as_bytes(value))
    elif number == 18:
        metric.raw = _template(as_bytes(value), depth)


def _properties(data: bytes) -> dict[str, Property]:
    keys: list[str] = []
    values: list[Property] = []
    for number, value in fields(data):
        if number == 1:
            keys.append(as_text(value))
        elif number == 2:
            values.append(_property(as_bytes(value)))
    return dict(zip(keys, values, strict=False))


def _property(data: bytes) -> Property:
    found = Property()
    for number, value in fields(data):
        if number == 1:
            found.datatype = as_number(value)
        elif number in _SCALARS_FROM_3:
            found.raw = _SCALARS_FROM_3[number](value)
    return found


# The alternatives of a value within properties (from field 3) and data sets (from field 1): int, long, float, double,
# boolean, string.
_KINDS: tuple[Callable[[int | bytes], Any], ...] = (as_number, as_number, as_float, as_double, bool, as_text)
_SCALARS_FROM_3 = dict(enumerate(_KINDS, 3))
_SCALARS_FROM_1 = dict(enumerate(_KINDS, 1))


def _dataset(data: bytes) -> DataSet:
    table = DataSet(columns=[], types=[], rows=[])
    for number, value in fields(data):
        if number == 2:
            table.columns.append(as_text(value))
        elif number == 3:
            table.types += varints(value)
        elif number == 4:
            table.rows.append([_cell(as_bytes(cell)) for at, cell in fields(as_bytes(value)) if at == 1])
    return table


def _cell(data: bytes) -> Any:
    cell = None
    for number, value in fields(data):
        if number in _SCALARS_FROM_1:
            cell = _SCALARS_FROM_1[number](value)
    return cell


def _template(data: bytes, depth: int) -> Template:
    template = Template(metrics=[])
    for number, value in fields(data):
        if number == 2:
            template.metrics.append(_metric(as_bytes(value), depth + 1))
        elif number == 4:
            template.reference = as_text(value)
        elif number == 5:
            template.is_definition = bool(value)
    return template


# Commands -------------------------------------------------------------------------------------------------------------


def encode_command(name: str, datatype: int, value: bytes, now: int, alias: int | None = None) -> bytes:
    """The payload of an NCMD or DCMD with one metric. value: its encoded field (`encode_value`); now [ns]."""
    stamp = now // _MS
    metric = put_bytes(1, name.encode()) + (put_number(2, alias) if alias is not None else b"")
    metric += put_number(3, stamp) + put_number(4, datatype) + value
    return put_number(1, stamp) + put_bytes(2, metric)
