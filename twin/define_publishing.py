"""Definitions of publishing: what of the plant is told to whom, over MQTT, Kafka and webhooks."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from .define_mqtt import MqttUrl
from .define_payload import Tls
from .define_protocols import KafkaCluster
from .define_types import Duration, Id, Model, Name, Positive, Reference, Secret, check, refuse
from .define_url import Url
from .errors import InvalidValueError
from .expressions import compile_template

TOPIC_NAMES = (
    "uns", "id", "node", "signal", "type", "kind", "enterprise", "site", "area", "line", "component",
)  # fmt: skip
"""What a topic's template may refer to."""


def _known(text: str) -> None:
    unknown = [name for name in compile_template(text).names() if name not in TOPIC_NAMES]
    if unknown:
        raise InvalidValueError(f"found {unknown[0]!r}, expected one of {', '.join(TOPIC_NAMES)}")


TopicTemplate = Annotated[
    str,
    AfterValidator(check(_known)),
    WithJsonSchema({"type": "string", "minLength": 1, "examples": ["${uns}", "plant/${line}/${kind}"]}),
]


class PublishingRule(Model):
    """What is published, and how. What is left out narrows nothing."""

    publish: Literal["state", "twin", "events"] = "state"
    """`state`: the values of signals as they change. `twin`: the state of whole twins. `events`: what happens."""
    nodes: list[Reference] = []
    """Only at these nodes and below them."""
    types: list[Name] = []
    """Only of nodes of these types, or signals of sensors and components of these types."""
    signals: list[Name] = []
    """Only signals of these names: a sensor's id or name, or the name of a component's own signal (`health`)."""
    kinds: list[Id] = []
    """Only events of these kinds: anomaly, failure, command, structure ..."""
    every_reading: bool = False
    """Every reading in the order in which they came, from the journal, instead of the newest of each signal."""
    max_rate: Positive | None = None
    """How often a signal is published at most [1/s]; the newest value counts."""
    topic_template: TopicTemplate | None = None
    """Topic (MQTT, Kafka); left out, the unified namespace's (MQTT), `iotsense.state`, `.twins`, `.events` (Kafka)."""
    format: Literal["telemetry", "value", "cloudevents"] | None = None
    """`telemetry`: as the REST interface takes it; `value` alone; `cloudevents`; left out, telemetry, the document of a
    twin, events as `{type, data}`."""
    retain: bool | None = None
    """Whether the broker keeps the last message of each topic (MQTT); left out, of states it does."""

    @model_validator(mode="after")
    def _fits(self) -> "PublishingRule":
        of_state = {"signals", "every_reading", "max_rate"} & self.model_fields_set
        of_state -= {"max_rate"} if self.publish == "twin" else set()
        if self.publish != "state" and of_state:
            raise refuse(f"found `{min(of_state)}`, which belongs to `publish: state`", field=min(of_state))
        if self.publish != "events" and self.kinds:
            raise refuse("found `kinds`, which belongs to `publish: events`", field="kinds")
        if self.publish != "state" and self.format in ("telemetry", "value"):
            raise refuse(f"found the format {self.format}, which belongs to `publish: state`", field="format")
        if self.every_reading and self.max_rate is not None:
            raise refuse("found `max_rate` beside `every_reading`, which contradict each other", field="max_rate")
        return self


class Endpoint(Model):
    """Who is told."""

    id: Id
    """Its name in /health and metrics; what was published is remembered under it."""
    enabled: bool = True
    """Whether it is told."""
    rules: Annotated[list[PublishingRule], Field(min_length=1)]
    """What it is told."""


class MqttPublishing(Endpoint):
    """An MQTT broker that is published to."""

    type: Literal["mqtt"]
    """An MQTT broker."""
    url: MqttUrl
    """mqtt://host:1883, mqtts://host:8883, ws:// or wss://."""
    version: Literal["3.1.1", "5.0"] = "5.0"
    """MQTT version."""
    qos: Annotated[int, Field(ge=0, le=1)] = 1
    """Quality of service: 1 is acknowledged by the broker, 0 may be lost."""
    client_id: Name | None = None
    """Our name at the broker; left out, made from the host's name and the id."""
    username: Name | None = None
    """User at the broker."""
    password: Secret | None = None
    """The user's password."""
    tls: Tls | None = None
    """Transport security; mqtts:// and wss:// have it without more ado."""


class KafkaPublishing(Endpoint, KafkaCluster):
    """A Kafka cluster that is published to."""

    type: Literal["kafka"]
    """A Kafka cluster."""


class WebhookPublishing(Endpoint):
    """A web service that is told by POST requests: `{type, timestamp, data}`."""

    type: Literal["webhook"]
    """A web service."""
    url: Annotated[str, Url(("https", "http"))]
    """Where the requests go."""
    secret: Secret | None = None
    """What requests are signed with (Standard Webhooks: HMAC-SHA256 in `webhook-signature`)."""
    headers: dict[str, Name] = {}
    """Further headers; `${VARIABLE}` is filled in when they are sent."""
    timeout: Duration = 10.0
    """How long an answer may take."""
    tls: Tls | None = None
    """Transport security."""

    @model_validator(mode="after")
    def _no_topics(self) -> "WebhookPublishing":
        for number, rule in enumerate(self.rules):
            if rule.topic_template is not None or rule.retain is not None:
                raise refuse(f"found a topic in rule {number + 1} of a webhook, which has none", field="rules")
        return self


AnyEndpoint = Annotated[MqttPublishing | KafkaPublishing | WebhookPublishing, Field(discriminator="type")]
