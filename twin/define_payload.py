"""How a payload becomes readings, and how a connection is secured: shared by all protocols."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .define_payload_formats import CsvFormat, RawFormat, Waveform
from .define_reporting import Reporting
from .define_types import Duration, FileName, Id, Model, Name, Secret, Timezone, refuse

Parser = Literal["json", "protobuf", "cbor", "msgpack", "csv", "raw"]


_BELONGS = {"schema_file": "protobuf", "message_type": "protobuf", "csv": "csv", "raw": "raw"}


class PayloadSchema(Model):
    """Where a payload holds what. `$...` is a JSONPath, `${topic...}` a template, any other text a constant."""

    device_id: Name | None = None
    """Which device it is."""
    name: Name | None = None
    """What was measured."""
    value: Name | None = None
    """The value."""
    unit: Name | None = None
    """The value's unit."""
    timestamp: Name | None = None
    """When it was so."""
    quality: Name | None = None
    """How far it can be trusted: good, uncertain, bad or an OPC quality code."""
    metadata: dict[str, Name] = {}
    """Further fields, by name."""
    waveform: Waveform | None = None
    """For a burst of samples instead of one `value`: each becomes a reading."""

    @model_validator(mode="after")
    def _one_value(self) -> "PayloadSchema":
        if self.waveform is not None and self.value is not None:
            raise refuse("a schema has either a `value` or a `waveform`", field="value")
        return self


class Payload(Model):
    """How messages of one address are read."""

    parser: Parser = "json"
    """json, protobuf, cbor, msgpack, csv or raw; left out, what a message says of its content type, else json."""
    schema_: Annotated[PayloadSchema | None, Field(alias="schema")] = None
    """Where the payload holds what; left out, it is in the telemetry shape of the REST interface.

    A protobuf or CSV payload without a schema is read by the names of its fields.
    """
    schema_file: FileName | None = None
    """The .proto file (or its descriptor set) of a protobuf payload."""
    message_type: Name | None = None
    """The protobuf message; left out, the only one of the file."""
    csv: CsvFormat | None = None
    """How the lines of a CSV payload are written."""
    raw: RawFormat | None = None
    """Which numbers a raw payload is; left out, one number written as text."""

    @model_validator(mode="after")
    def _parser_fits(self) -> "Payload":
        if self.parser == "protobuf" and self.schema_file is None:
            raise refuse("the parser protobuf needs a `schema_file`", field="parser")
        if self.message_type is not None and self.schema_file is None:
            raise refuse("found message_type without the `schema_file` that defines it", field="message_type")
        # Where a message's content type may choose the parser, there may be something for each of them.
        chosen = {self.parser} if "parser" in self.model_fields_set else {"protobuf", "csv", "raw"}
        for field, parser in _BELONGS.items():
            if getattr(self, field) is not None and parser not in chosen:
                raise refuse(f"found {field}, which belongs to the parser {parser}", field=field)
        return self

    @property
    def usual_parser(self) -> Parser:
        """The parser of messages that do not say their content type."""
        if "parser" in self.model_fields_set:
            return self.parser
        return "protobuf" if self.schema_file else "csv" if self.csv else "raw" if self.raw else self.parser

    @property
    def fixed_parser(self) -> Parser | None:
        """The parser that is named, whatever a message says of itself."""
        return self.parser if "parser" in self.model_fields_set else None


class Tls(Model):
    """Transport security."""

    enabled: bool = True
    """Whether the connection is encrypted."""
    ca: FileName | None = None
    """Certificates that the server's must descend from; left out, the system's."""
    certificate: FileName | None = None
    """Our certificate, if the server asks for one."""
    key: FileName | None = None
    """The private key of our certificate."""
    key_password: Secret | None = None
    """What opens the private key."""
    server_name: Name | None = None
    """Name that the server's certificate must bear, if it is not the host's."""
    insecure: bool = False
    """Accept any certificate; for a test bench only."""

    @model_validator(mode="after")
    def _pair(self) -> "Tls":
        if (self.certificate is None) != (self.key is None):
            raise refuse("`certificate` and `key` belong together", field="key")
        return self


class Protocol(Model):
    """What every connection may have."""

    id: Id | None = None
    """Name of the source in metrics and events; left out, the protocol's name."""
    enabled: bool = True
    """Whether it is connected."""
    timezone: Timezone | None = None
    """Zone of its time stamps that name none; left out, UTC."""
    reporting: Reporting | None = None
    """Which of its readings are stored; left out, every one. Nodes of the plant may say otherwise for theirs."""
    writable: bool = False
    """Whether values may be written to it; a source is read-only unless this says otherwise."""


class Polled(Model):
    """An address that is asked at an interval."""

    interval: Duration | None = None
    """How often it is asked."""
