"""Definitions of MQTT connections."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema, model_validator
from pydantic_core import CoreSchema

from .define_payload import Payload, Protocol, Tls
from .define_types import Duration, Model, Name, Secret, UnitText, refuse
from .define_url import Url
from .errors import InvalidValueError
from .expressions import compile_template
from .unified_namespace import LEVELS, UNS

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


def plain_topic(text: str) -> str:
    """A topic that can be published on. Raises a mistake of the author's."""
    if any(wildcard in text for wildcard in "+#"):
        raise refuse(f"found {text!r}, expected a topic without wildcards")
    return topic_filter(text)


TopicName = Annotated[str, AfterValidator(plain_topic), WithJsonSchema({"type": "string", "minLength": 1})]


def _namespace(text: str) -> str:
    words = UNS.split("/") if text == "uns" else text.split("/")
    ranks = [list(LEVELS).index(word) for word in words if word in LEVELS]
    if len(ranks) < max(2, len(words)) or words[-1] != "signal" or ranks != sorted(set(ranks)):
        raise refuse(f"found {text!r}, expected `uns` or levels of {UNS}, in this order, the last being signal")
    return "/".join(words)


class MqttTopic(Payload):
    """Topics that are subscribed to, and how their payloads are read."""

    pattern: TopicFilter
    """Topic filter: `+` stands for one level, `#` for all that follow."""
    qos: QoS | None = None
    """Quality of service of this subscription; left out, the connection's."""
    namespace: Annotated[str, AfterValidator(_namespace)] | None = None
    """What the levels of the topics mean: `uns` for enterprise/site/area/line/cell/signal, or some of these levels."""

    @model_validator(mode="after")
    def _in_order(self) -> "MqttTopic":
        if self.pattern.startswith("$share/") and self.pattern.split("/", 2)[-1].startswith("spBv1.0/"):
            raise refuse("messages of Sparkplug are numbered, so they cannot be shared among several", field="pattern")
        return self


class Sparkplug(Model):
    """Sparkplug B: we are a host application of its edge nodes."""

    host_id: Name | None = None
    """Our name as the primary host, told by `spBv1.0/STATE/HOST_ID`; left out, edge nodes do not know of us."""
    groups: list[Name] = []
    """The groups that are listened to; left out, all."""
    rebirth_interval: Duration = 10.0
    """An edge node of which messages were missed is not asked for its birth certificate more often than that."""

    @model_validator(mode="after")
    def _topics(self) -> "Sparkplug":
        for field, names in (("host_id", [self.host_id or ""]), ("groups", self.groups)):
            if wrong := next((name for name in names if set(name) & set("/+#")), None):
                raise refuse(f"found {wrong!r}, expected a name without '/', '+' and '#'", field=field)
        return self


class MqttCommand(Model):
    """A point that can be set by publishing; the source must be `writable: true`."""

    device: Name | None = None
    """The device, as its readings call it."""
    name: Name
    """The measurement, as readings call it; together with `device` it says whose signal it is."""
    topic: TopicName
    """Where the value is published."""
    payload_template: str | None = None
    """What is published: a text with `${value}` (as JSON), `${time}` and `${time_ms}`; left out, the bare value."""
    qos: QoS = 1
    """Quality of service: 1 and 2 mean that the broker has it."""
    retain: bool = False
    """Whether the broker keeps it for devices that come later."""
    unit: UnitText | None = None
    """What the value is in; left out, the signal's unit."""
    state: TopicName | None = None
    """The topic on which the device shows what it holds, to confirm what was set."""
    value: Name = "$.value"
    """Where the value is in a message of `state`, if it is not the bare value."""

    @model_validator(mode="after")
    def _template(self) -> "MqttCommand":
        try:
            names = compile_template(self.payload_template or "").names()
        except InvalidValueError as error:
            raise refuse(str(error), field="payload_template") from None
        if unknown := sorted(set(names) - {"value", "time", "time_ms"}):
            raise refuse(
                f"found ${{{unknown[0]}}}, expected ${{value}}, ${{time}} or ${{time_ms}}", field="payload_template"
            )
        return self


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
    receive_maximum: Annotated[int, Field(ge=1, le=65_535)] = 4000
    """How many unacknowledged messages the broker may send ahead (MQTT 5)."""
    share: Annotated[str, Field(pattern=r"^[^/+#]+$")] | None = None
    """A group: several services that name it share the messages of this broker's topics among them."""
    sparkplug: Sparkplug | None = None
    """Sparkplug B at this broker; a topic pattern that begins with spBv1.0/ has it without more ado."""
    commands: list[MqttCommand] = []
    """Points that can be set, if the source is `writable: true`."""


class MqttProtocol(Protocol, MqttConnection):
    """An MQTT broker, version 3.1.1 or 5."""

    name: Literal["mqtt"]
    """MQTT."""
    broker: MqttUrl
    """mqtt://host:1883, mqtts://host:8883, ws:// or wss://."""
    topics: list[MqttTopic] = []
    """What is subscribed to."""


class BrokerConfig(Protocol, MqttConnection):
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
