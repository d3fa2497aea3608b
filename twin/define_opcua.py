"""Definitions of OPC UA: servers, how they are secured, and what is read there."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .define_payload import Protocol
from .define_types import Count, Duration, FileName, Model, Name, Positive, Secret, UnitText, refuse
from .define_url import Url

OpcUaUrl = Annotated[str, Url(("opc.tcp", "opc.wss"))]
SecurityPolicy = Literal[
    "None", "Basic128Rsa15", "Basic256", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"
]
_NODE_ID = r"^(ns=\d+;)?(i=\d+|s=.+|g=[0-9A-Fa-f-]{36}|b=[A-Za-z0-9+/=]+)$|^nsu=.+;(i|s|g|b)=.+$"


class OpcUaNode(Model):
    """A variable of an OPC UA server."""

    id: Annotated[str, Field(pattern=_NODE_ID)]
    """Node id, such as ns=2;s=Line1.Motor1.Speed."""
    name: Name | None = None
    """What its readings are called; left out, the node id."""
    sampling_interval_ms: Annotated[float, Field(ge=0)] | None = None
    """How often the server looks [ms]; 0: it tells each change; left out, the publishing interval."""
    publishing_interval_ms: Positive | None = None
    """How often the server publishes it [ms]; left out, the connection's."""
    deadband: Annotated[float, Field(ge=0)] | None = None
    """Change below which the server stays silent, in `deadband_type`."""
    deadband_type: Literal["absolute", "percent"] = "absolute"
    """`absolute`, in the unit of the variable, or `percent` of its range at the server (EURange)."""
    queue_size: Count | None = None
    """Values that the server keeps between two publications; left out, what comes in 10 seconds, 10 at least."""
    unit: UnitText | None = None
    """Unit of its values; left out, what the server says."""
    enumeration: Literal["text", "number"] = "text"
    """Whether an enumeration is read as the texts that the server has for its numbers, or as these numbers."""
    writable: bool = True
    """Whether it may be written, where the connection may."""

    @model_validator(mode="after")
    def _percentage(self) -> "OpcUaNode":
        if self.deadband_type == "percent" and (self.deadband is None or self.deadband > 100):
            raise refuse(f"found deadband {self.deadband}, expected 0 to 100 percent", field="deadband_type")
        return self


class OpcUaConnection(Model):
    """How an OPC UA server is spoken to."""

    security_policy: SecurityPolicy = "None"
    """How messages are signed and encrypted."""
    security_mode: Literal["None", "Sign", "SignAndEncrypt"] | None = None
    """Left out: SignAndEncrypt with a policy, None without."""
    certificate: FileName | None = None
    """Our certificate; left out, one that is made when it is needed and kept in the data directory."""
    private_key: FileName | None = None
    """Its private key; left out, the file beside the certificate that ends in .key, .pem or .der."""
    private_key_password: Secret | None = None
    """What opens the private key."""
    server_certificate: FileName | None = None
    """The server's certificate, if only that one is trusted; left out, those that `iotsense trust` lists."""
    username: Name | None = None
    """User at the server."""
    password: Secret | None = None
    """The user's password."""
    plain_password: bool = False
    """Whether the password may be sent to a server that takes it unencrypted over an unencrypted connection."""
    user_certificate: FileName | None = None
    """Certificate by which we log in, instead of a user name."""
    user_private_key: FileName | None = None
    """Its private key."""
    user_private_key_password: Secret | None = None
    """What opens the private key of the user."""
    application_uri: Name | None = None
    """Our application URI, as in our certificate."""
    publishing_interval_ms: Positive = 500.0
    """How often the server publishes [ms]."""
    session_timeout: Duration = 60.0
    """How long the server keeps a silent session, and its subscriptions."""
    timeout: Duration = 10.0
    """How long an answer may take."""
    backfill: Duration | None = 604_800.0
    """How far back an outage is filled from the server's history; null for not at all."""
    alarms: bool = False
    """Whether alarms and conditions of the server become events."""
    alarm_source: Annotated[str, Field(pattern=_NODE_ID)] = "i=2253"
    """The node whose alarms these are; left out, the whole server."""
    nodes: list[OpcUaNode] = []
    """The variables that are subscribed to."""

    @model_validator(mode="after")
    def _mode_fits(self) -> "OpcUaConnection":
        if self.security_mode and (self.security_policy == "None") != (self.security_mode == "None"):
            raise refuse(
                f"security_mode {self.security_mode} does not go with security_policy {self.security_policy}",
                field="security_mode",
            )
        if self.user_certificate and (self.username or not self.user_private_key):
            words = "needs a `user_private_key` beside it" if not self.username else "does not go with a `username`"
            raise refuse(f"the user_certificate {words}", field="user_certificate")
        return self


class OpcUaProtocol(Protocol, OpcUaConnection):
    """An OPC UA server."""

    name: Literal["opcua"]
    """OPC UA."""
    endpoint: OpcUaUrl
    """opc.tcp://host:4840."""


class OpcUaEndpoint(Protocol, OpcUaConnection):
    """A server in `iotsense.ingestion.opcua`."""

    url: OpcUaUrl
    """opc.tcp://host:4840."""
    id: Name | None = None
    """Name of the source; left out, opcua."""
