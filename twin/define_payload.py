"""How a payload becomes readings, and how a connection is secured: shared by all protocols."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .define_types import Duration, FileName, Id, Model, Name, Secret, Timezone, refuse

Parser = Literal["json", "protobuf"]


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


class Payload(Model):
    """How messages of one address are read."""

    parser: Parser = "json"
    """`json` or `protobuf`."""
    schema_: Annotated[PayloadSchema | None, Field(alias="schema")] = None
    """Where the payload holds what; left out, it is in the telemetry shape of the REST interface."""
    schema_file: FileName | None = None
    """The .proto file (or its descriptor set) of a protobuf payload."""
    message_type: Name | None = None
    """The protobuf message; left out, the only one of the file."""

    @model_validator(mode="after")
    def _parser_fits(self) -> "Payload":
        if self.parser == "protobuf" and self.schema_file is None:
            raise refuse("the parser protobuf needs a `schema_file`", field="parser")
        if self.parser == "json" and (self.schema_file is not None or self.message_type is not None):
            raise refuse("found schema_file or message_type, which belong to the parser protobuf", field="schema_file")
        return self


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


class Polled(Model):
    """An address that is asked at an interval."""

    interval: Duration | None = None
    """How often it is asked."""
