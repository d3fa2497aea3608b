"""Definitions of the protocols other than MQTT, OPC UA and Modbus."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .define_payload import Payload, Protocol, Tls
from .define_types import Duration, Model, Name, Secret, refuse
from .define_url import Url

# AMQP ---------------------------------------------------------------------------------------------------------------


class AmqpQueue(Payload):
    """A queue that is consumed."""

    queue: Name
    """The queue."""
    exchange: Name | None = None
    """The exchange that it is bound to."""
    routing_key: Name | None = None
    """The routing key that it is bound with."""
    declare_: Annotated[Literal["active", "passive"], Field(alias="declare")] = "active"
    """Whether queue, exchange and binding are made where they are missing (active), or must be there (passive)."""
    durable: bool = True
    """Whether the queue survives a restart of the broker."""
    exchange_type: Literal["direct", "topic", "fanout", "headers"] = "topic"
    """What an exchange becomes that is missing."""
    arguments: dict[str, str | int | float | bool] = {}
    """Further settings of a queue that is missing, such as x-queue-type or x-dead-letter-exchange."""
    reject: bool = False
    """Whether what cannot be used is rejected, so that the broker dead-letters it besides us."""


class AmqpProtocol(Protocol):
    """An AMQP 0-9-1 broker."""

    name: Literal["amqp"]
    """AMQP."""
    url: Annotated[str, Url(("amqp", "amqps"))]
    """amqp://host:5672/vhost or amqps://."""
    queues: Annotated[list[AmqpQueue], Field(min_length=1)]
    """What is consumed."""
    prefetch: Annotated[int, Field(ge=1, le=65_535)] = 1000
    """Unacknowledged messages that the broker may send ahead."""
    username: Name | None = None
    """User at the broker."""
    password: Secret | None = None
    """The user's password."""
    tls: Tls | None = None
    """Transport security; for amqps://."""

    @model_validator(mode="after")
    def _fits(self) -> "AmqpProtocol":
        if self.tls is not None and self.tls.enabled and self.url.startswith("amqp:"):
            raise refuse("found `tls` with amqp://, expected amqps://", field="tls")
        if self.username is not None and self.password is None:
            raise refuse("found a `username` without a `password`", field="username")
        return self


# Kafka --------------------------------------------------------------------------------------------------------------


class KafkaTopic(Payload):
    """A topic that is consumed."""

    topic: Name
    """The topic."""


class KafkaCluster(Model):
    """How a Kafka cluster is reached."""

    bootstrap_servers: Annotated[list[Name], Field(min_length=1)]
    """host:9092 of some of its brokers."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How the connection is secured."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How we log in; left out, PLAIN where `security_protocol` says SASL."""
    username: Name | None = None
    """User at the cluster."""
    password: Secret | None = None
    """The user's password."""
    tls: Tls | None = None
    """Transport security."""

    @model_validator(mode="after")
    def _secured(self) -> "KafkaCluster":
        sasl, tls = self.security_protocol.startswith("SASL"), self.security_protocol.endswith("SSL")
        if sasl and (self.username is None or self.password is None):
            raise refuse(f"{self.security_protocol} needs `username` and `password`", field="security_protocol")
        if not sasl and (self.username or self.password or self.sasl_mechanism):
            raise refuse(
                f"found a login, which {self.security_protocol} does not use: expected SASL_PLAINTEXT or SASL_SSL",
                field="security_protocol",
            )
        if self.tls is not None and self.tls.enabled and not tls:
            raise refuse(
                f"found `tls`, which {self.security_protocol} does not use: expected SSL or SASL_SSL", field="tls"
            )
        return self


class KafkaConnection(KafkaCluster):
    """How a Kafka cluster is consumed."""

    group_id: Name = "iotsense"
    """Consumer group."""
    auto_offset_reset: Literal["earliest", "latest"] = "earliest"
    """Where a new group begins."""
    session_timeout: Duration = 10.0
    """How long the group waits for a member that has fallen silent before it gives its partitions to others."""


class KafkaProtocol(Protocol, KafkaConnection):
    """A Kafka cluster."""

    name: Literal["kafka"]
    """Kafka."""
    topics: Annotated[list[KafkaTopic], Field(min_length=1)]
    """What is consumed."""


# HTTP ---------------------------------------------------------------------------------------------------------------


class HttpEndpoint(Payload):
    """An address that is asked for readings."""

    url: Annotated[str, Url(("http", "https"))]
    """The address."""
    interval: Duration
    """How often it is asked."""
    headers: dict[str, Name] = {}
    """Headers of the request; `${VARIABLE}` is filled in when it is sent."""
    method: Literal["GET", "POST"] = "GET"
    """How it is asked."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    """How often it is asked again at once when it does not answer, or answers that it cannot at the moment."""
    timeout: Duration = 10.0
    """How long an answer may take."""


class HttpProtocol(Protocol):
    """HTTP: telemetry sent to the REST interface, and addresses that are asked."""

    name: Literal["http"]
    """HTTP."""
    endpoints: list[HttpEndpoint] = []
    """Addresses that are asked; sending to the REST interface needs none."""
    tls: Tls | None = None
    """Transport security."""
