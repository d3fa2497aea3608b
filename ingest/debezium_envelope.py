"""Debezium's change events, with and without their schema part, as changes of rows.

See the page on change events of each connector at https://debezium.io/documentation/reference/stable/connectors/: those
for PostgreSQL, MySQL, SQL Server and Oracle have the same envelope.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from ..twin.errors import InvalidValueError
from .change import UNCHANGED, Change, Operation

_OPERATIONS: dict[str, Operation] = {"c": "insert", "r": "read", "u": "update", "d": "delete", "t": "truncate"}
# What stands for a large value that did not change (the connectors' default).
_PLACEHOLDER = "__debezium_unavailable_value"
_MS, _US = 10**6, 1000
_DAY_NS = 86_400 * 10**9
_decode = msgspec.json.decode


def change_of(value: bytes, table: str) -> Change | None:
    """The change that an event tells; None for heartbeats, transaction metadata and changes of the schema.

    Raises InvalidValueError for what is no event of Debezium.
    """
    try:
        document = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"the record is not JSON: {error}") from None
    fields: Mapping[str, Any] = {}
    if isinstance(document, dict) and "payload" in document and "schema" in document:
        fields, document = _fields(document["schema"]), document["payload"]
    if not isinstance(document, dict):
        raise InvalidValueError("the record is no event of Debezium: expected an object")
    if "op" not in document:
        if _is_other(document):
            return None
        raise InvalidValueError(
            "the record is no event of Debezium: it has no `op`; if the transformation ExtractNewRecordState "
            "is on, read the topic as `kafka`"
        )
    operation = _OPERATIONS.get(document["op"])
    if operation is None:  # m: a logical message of PostgreSQL
        return None
    return Change(
        operation,
        table,
        _row(document.get("before"), fields.get("before", {})),
        _row(document.get("after"), fields.get("after", {})),
        _time(document),
    )


def _is_other(document: Mapping[str, Any]) -> bool:
    heartbeat = document.keys() <= {"ts_ms", "ts_us", "ts_ns"}
    transaction = "status" in document and "id" in document
    schema_change = "ddl" in document or "tableChanges" in document or "databaseName" in document
    return bool(document) and (heartbeat or transaction or schema_change)


def _time(document: Mapping[str, Any]) -> int | None:
    """When it was committed, if the source says, else when the connector saw it [ns]."""
    source = document.get("source") or {}
    # A row of a snapshot was not committed then: what counts is when it was read.
    for holder in (source, document):
        for name, unit in (("ts_ns", 1), ("ts_us", _US), ("ts_ms", _MS)):
            stamp = holder.get(name)
            if isinstance(stamp, int) and stamp > 0:
                return stamp * unit
    return None


# Values -----------------------------------------------------------------------------------------------------------


def _fields(schema: Any) -> dict[str, dict[str, Any]]:
    """The schemas of the columns, by `before` and `after`."""
    found = {}
    for part in schema.get("fields", ()) if isinstance(schema, dict) else ():
        if part.get("field") in ("before", "after"):
            found[part["field"]] = {column["field"]: column for column in part.get("fields", ())}
    return found


def _row(row: Any, schemas: Mapping[str, Any]) -> dict[str, Any] | None:
    if row is None:
        return None
    if not isinstance(row, dict):
        raise InvalidValueError("the record is no event of Debezium: `before` and `after` are rows")
    return {name: _value(value, schemas.get(name)) for name, value in row.items()}


def _value(value: Any, schema: Mapping[str, Any] | None) -> Any:
    if value == _PLACEHOLDER:
        return UNCHANGED
    if value is None or schema is None:
        # Without a schema: what can be seen is the structure of a number with a scale of its own.
        return _scaled(value) if isinstance(value, dict) and value.keys() == {"scale", "value"} else value
    match schema.get("name"):
        case "org.apache.kafka.connect.data.Decimal":
            return _decimal(value, int(schema.get("parameters", {}).get("scale", 0)))
        case "io.debezium.data.VariableScaleDecimal":
            return _scaled(value)
        case "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date":
            return value * _DAY_NS
        case "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp":
            return value * _MS
        case "io.debezium.time.MicroTimestamp":
            return value * _US
        case "io.debezium.data.Json":
            return _decode(value)
    return value


def _scaled(value: Mapping[str, Any]) -> Any:
    return _decimal(value["value"], int(value["scale"]))


def _decimal(value: Any, scale: int) -> Any:
    """A two's complement number in base64, as the connectors write decimals (`decimal.handling.mode: precise`)."""
    if not isinstance(value, str):
        return value
    try:
        digits = int.from_bytes(base64.b64decode(value, validate=True), "big", signed=True)
    except (binascii.Error, ValueError):
        raise InvalidValueError(f"{value!r} is no decimal of Debezium") from None
    return float(digits) if scale == 0 else digits / 10**scale
