"""The parser of an address: what its configuration and a message's content type come to."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..twin.define_payload import Parser, Payload, PayloadSchema
from .decoders import decoder, line_decoder
from .parsers import DocumentsParser, Failures, SamplesParser, compile_schema, named_parser, parse_telemetry
from .stamps import Clock
from .telemetry import Measurement, TelemetryDocument, as_documents


def payload_parser(
    payload: Payload,
    parser: Parser,
    clock: Clock,
    namespace: Mapping[str, Any],
    stamp_path: str | None = None,
    device_clocks: Mapping[str, Clock] | None = None,
) -> SamplesParser | None:
    """How the payloads of an address are read; None: they are telemetry documents of this encoding.

    Raises InvalidValueError for a schema or a schema file that cannot work, MissingExtraError without a library.
    """
    lines = line_decoder(payload) if parser == "csv" else None
    decode = decoder(payload, parser)
    schema = payload.schema_
    if schema is None and parser == "raw":
        schema = PayloadSchema(value="$")
    if schema is not None:
        return compile_schema(schema, clock, namespace, stamp_path, device_clocks, decode, lines)
    if parser in ("protobuf", "csv"):
        return named_parser(clock, device_clocks or {}, decode, lines)
    return None


def document_parser(parser: Parser) -> DocumentsParser:
    """How telemetry documents are read that come in another encoding than JSON."""
    if parser == "json":
        return parse_telemetry
    decode = decoder(Payload(), parser)

    def parse(payload: bytes, failures: Failures) -> Sequence[TelemetryDocument]:
        found = decode(payload)
        if found.__class__ in (int, float, bool):
            return [TelemetryDocument(measurements=[Measurement(value=found)])]
        return as_documents(found)

    return parse
