"""Definitions of MQTT connections."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema, model_validator
from pydantic_core import CoreSchema

from .define_payload import Payload, Protocol, Tls
from .define_types import Duration, Model, Name, Secret, refuse
from .define_url import Url

QoS = Annotated[int, Field(ge=0, le=2)]
MQTT_SCHEMES = ("mqtt", "mqtts", "ws", "wss")
MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
MqttUrl = Annotated[str, Url(MQTT_SCHEMES)]


def topic_filter(text: str) -> str:
    """A topic filter: `+` for one level, `#` for all that follow. Raises a mistake of the author's."""
    levels = text.split("/")
    if not text or "\0" in text or len(text.encode()) > 65_535:
        raise refuse("found no topic, expected one such as sensors/+/temperature")
    for number, level in enumerate(levels):
        if "#" in level and (level != "#" or number != len(levels) - 1):
            raise refuse(f"found {text!r}; '#' stands alone, at the end of a topic pattern")
        if "+" in level and level != "+":
            raise refuse(f"found {text!r}; '+' stands for a whole level of a topic pattern")
    return text


TopicFilter = Annotated[str, AfterValidator(topic_filter), WithJsonSchema({"type": "string", "minLength": 1})]


class MqttTopic(Payload):
    """Topics that are subscribed to, and how their payloads are read."""

    pattern: TopicFilter
    """Topic filter: `+` stands for one level, `#` for all that follow."""
    qos: QoS | None = None
    """Quality of service of this subscription; left out, the connection's."""


def _version(value: Any) -> Any:
    # Unquoted, YAML reads 5 and 5.0 as numbers.
    word = {5: "5.0", "5": "5.0"}
    return word.get(value, value) if isinstance(value, (str, int, float)) else value


class MqttConnection(Model):
    """How a broker is spoken to."""

    qos: QoS = 1
    """Quality of service: 0 may lose, 1 and 2 are acknowledged once stored."""
    client_id: Name | None = None
    """The client's name at the broker; left out, made from the host's name, so that the session persists."""
    version: Annotated[
        Literal["3.1.1", "5.0"],
        BeforeValidator(_version),
        WithJsonSchema({"enum": ["3.1.1", "5.0", "5", 5]}),
    ] = "5.0"
    """MQTT version."""
    username: Name | None = None
    """User at the broker."""
    password: Secret | None = None
    """The user's password, as `${VARIABLE}` or `${file:PATH}`."""
    tls: Tls | None = None
    """Transport security; mqtts:// and wss:// have it without more ado."""
    keep_alive: Duration = 60.0
    """Longest silence on the connection."""
    clean_start: bool = False
    """Forget what the broker kept for us while we were away."""
    session_expiry: Duration = 604_800.0
    """How long the broker keeps our session (MQTT 5)."""
    receive_maximum: Annotated[int, Field(ge=1, le=65_535)] = 1000
    """How many unacknowledged messages the broker may send ahead (MQTT 5)."""


class MqttProtocol(Protocol, MqttConnection):
    """An MQTT broker, version 3.1.1 or 5."""

    name: Literal["mqtt"]
    """MQTT."""
    broker: MqttUrl
    """mqtt://host:1883, mqtts://host:8883, ws:// or wss://."""
    topics: list[MqttTopic] = []
    """What is subscribed to."""


class BrokerConfig(MqttConnection):
    """A broker in `iotsense.ingestion.mqtt`."""

    url: MqttUrl
    """mqtt://host:1883, mqtts://host:8883, ws:// or wss://."""
    id: Name | None = None
    """Name of the source; left out, mqtt."""


class ConfigTopic(MqttTopic):
    """A topic in `iotsense.ingestion.mqtt`. A text alone is its pattern."""

    @model_validator(mode="before")
    @classmethod
    def _pattern_alone(cls, given: Any) -> Any:
        return {"pattern": given} if isinstance(given, str) else given

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(schema)]}


class MqttConfig(Model):
    """MQTT in the configuration file: brokers, and topics that are subscribed to at each of them."""

    brokers: list[BrokerConfig] = []
    """The brokers."""
    topics: list[ConfigTopic] = []
    """Topic filters; a payload without a schema is in the telemetry shape of the REST interface."""


def broker_address(url: str) -> str:
    """A broker's address in one spelling, for comparing: scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or MQTT_PORTS.get(parts.scheme, 0)}{parts.path.rstrip('/')}"
