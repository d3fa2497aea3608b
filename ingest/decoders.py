"""What is in a payload, as plain objects that JSONPaths read: one function for each parser."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec

from ..twin.define_payload import Parser, Payload
from ..twin.define_payload_formats import CsvFormat, RawFormat
from ..twin.errors import InvalidValueError, MissingExtraError
from .csv_lines import Line, csv_decoder
from .raw_numbers import raw_decoder
from .telemetry import invalid_document

Decode = Callable[[bytes], Any]
DecodeLines = Callable[[bytes], Iterator[Line]]
_json = msgspec.json.decode
_msgpack = msgspec.msgpack.decode
_DEPTH = 64


def decode_json(payload: bytes) -> Any:
    """Any JSON; raises InvalidValueError."""
    try:
        return _json(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid_document(error) from None


def decode_msgpack(payload: bytes) -> Any:
    """Any MessagePack; raises InvalidValueError."""
    try:
        return with_text_keys(_msgpack(payload))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidValueError(f"the payload is not MessagePack: {error}") from None


def decoder(payload: Payload, parser: Parser) -> Decode:
    """The decoder of an address; not for CSV, whose messages are lines.

    Raises InvalidValueError for a schema file that is wrong, MissingExtraError.
    """
    if parser == "cbor":
        return _cbor_decoder()
    if parser == "msgpack":
        return decode_msgpack
    if parser == "raw":
        schema = payload.schema_
        packed = schema is not None and schema.waveform is not None and schema.waveform.type is not None
        return raw_decoder(payload.raw or RawFormat(type="bytes" if packed else "number"))
    if parser == "protobuf":
        from .protobuf_payload import protobuf_decoder

        if payload.schema_file is None:
            raise InvalidValueError("protobuf came where no `schema_file` says what it means")
        return protobuf_decoder(payload.schema_file, payload.message_type)
    return decode_json


def line_decoder(payload: Payload) -> DecodeLines:
    """The decoder of CSV lines."""
    return csv_decoder(payload.csv or CsvFormat())


def _cbor_decoder() -> Decode:
    try:
        import cbor2
    except ImportError:
        raise MissingExtraError("the parser cbor", "cbor") from None
    return partial(_decode_cbor, cbor2.loads, cbor2.CBORDecodeError)


def _decode_cbor(loads: Callable[[bytes], Any], mistake: type[Exception], payload: bytes) -> Any:
    try:
        return with_text_keys(loads(payload))
    except (mistake, ValueError, RecursionError) as error:
        raise InvalidValueError(f"the payload is not CBOR: {error}") from None


def with_text_keys(value: Any, depth: int = 0) -> Any:
    """The same with texts as keys: CBOR and MessagePack have numbers and bytes as keys, too, which no path can name.

    Raises ValueError for what is nested deeper than any telegram.
    """
    if depth > _DEPTH:
        raise ValueError(f"it is nested deeper than {_DEPTH} levels")
    if isinstance(value, dict):
        return {_key(key): with_text_keys(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        if value and value[0].__class__ in (float, int):
            return list(value)  # numbers, most likely; what is not is refused where a number is wanted
        return [with_text_keys(each, depth + 1) for each in value]
    return value


def _key(key: Any) -> str:
    if isinstance(key, bytes):
        return key.decode("utf-8", "replace")
    return key if isinstance(key, str) else str(key)
