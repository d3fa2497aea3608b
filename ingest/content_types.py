"""What a message's content type (MQTT 5, AMQP, CoAP, HTTP) says about how its payload is read."""

from ..twin.define_payload import Parser

PARSERS: dict[str, Parser] = {
    "application/json": "json",
    "text/json": "json",
    "text/plain": "json",  # a bare number
    "application/cbor": "cbor",
    "application/msgpack": "msgpack",
    "application/x-msgpack": "msgpack",
    "application/vnd.msgpack": "msgpack",
    "text/csv": "csv",
    "application/protobuf": "protobuf",
    "application/x-protobuf": "protobuf",
    "application/vnd.google.protobuf": "protobuf",
}
"""Content type -> parser, as the configuration calls it."""


def parser_of(content_type: str | None) -> Parser | None:
    """The parser that a content type asks for; None if it says nothing that we know."""
    if not content_type:
        return None
    media = content_type.partition(";")[0].strip().lower()
    if media.endswith("+json"):
        return "json"
    return "cbor" if media.endswith("+cbor") else PARSERS.get(media)
