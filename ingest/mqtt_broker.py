"""The MQTT brokers of a project, whichever of the two forms of configuration names them."""

import re
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..twin.define_mqtt import (
    MQTT_PORTS,
    BrokerConfig,
    MqttConnection,
    MqttProtocol,
    MqttTopic,
    Sparkplug,
    broker_address,
)
from ..twin.define_payload import Tls
from ..twin.define_project import Project
from .sparkplug_topic import ALL, NAMESPACE, is_sparkplug, state_topic
from .topics import without_covered

_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class MqttBroker:
    """One broker and what is wanted of it.

    name: of the source. subscriptions: (topic filter, QoS), those left out that another covers. settings: version,
    user, session. tls: None for a connection in the clear. writable: whether its commands may be sent.
    """

    name: str
    url: str
    subscriptions: tuple[tuple[str, int], ...]
    settings: MqttConnection = field(default_factory=MqttConnection)
    writable: bool = False

    @property
    def host(self) -> str:
        """The broker's host."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The broker's port; the scheme's own, if the address names none."""
        parts = urlsplit(self.url)
        return parts.port or MQTT_PORTS[parts.scheme]

    @property
    def websocket_path(self) -> str | None:
        """The path of a connection over WebSocket; None for one over TCP."""
        parts = urlsplit(self.url)
        return parts.path or "/mqtt" if parts.scheme in ("ws", "wss") else None

    @property
    def tls(self) -> Tls | None:
        """How the connection is secured; None if it is not."""
        given = self.settings.tls
        if urlsplit(self.url).scheme in ("mqtts", "wss"):
            return given or Tls()
        return given if given is not None and given.enabled else None

    @property
    def sparkplug(self) -> Sparkplug | None:
        """How we are a host application of Sparkplug; None if we are not."""
        if self.settings.sparkplug is not None:
            return self.settings.sparkplug
        return Sparkplug() if any(is_sparkplug(pattern) for pattern, _ in self.subscriptions) else None

    @property
    def client_id(self) -> str:
        """Our name at the broker: the same after every start, or the session would not be found again."""
        return self.settings.client_id or _UNFIT.sub("_", f"iotsense-{socket.gethostname()}-{self.name}")


def mqtt_brokers(project: Project) -> list[MqttBroker]:
    """The brokers of `sensor_ingestion` and `iotsense.ingestion.mqtt`; what both say of one broker adds up."""
    connections: dict[str, list[MqttProtocol | BrokerConfig]] = {}
    topics: dict[str, list[MqttTopic | str]] = {}
    for protocol in project.sensor_ingestion.protocols:
        if isinstance(protocol, MqttProtocol) and protocol.enabled:
            address = broker_address(protocol.broker)
            connections.setdefault(address, []).append(protocol)
            topics.setdefault(address, []).extend(protocol.topics)
    config = project.iotsense.ingestion.mqtt
    for broker in config.brokers:
        if not broker.enabled:
            continue
        address = broker_address(broker.url)
        connections.setdefault(address, []).append(broker)
        topics.setdefault(address, []).extend(config.topics)
    brokers: list[MqttBroker] = []
    for address, named in connections.items():
        taken = {broker.name for broker in brokers}
        brokers.append(_broker(_name(named, taken), address, named, topics[address]))
    return brokers


def _broker(name: str, url: str, named: list[MqttProtocol | BrokerConfig], topics: list[MqttTopic | str]) -> MqttBroker:
    given: dict[str, object] = {}
    for connection in reversed(named):
        chosen = connection.model_fields_set & MqttConnection.model_fields.keys()
        given |= {key: getattr(connection, key) for key in chosen}
    settings = MqttConnection.model_construct(**given)  # type: ignore[arg-type]
    filters = [(topic, None) if isinstance(topic, str) else (topic.pattern, topic.qos) for topic in topics]
    filters += [(pattern, None) for pattern in _sparkplug_filters(settings.sparkplug)]
    wanted = without_covered(
        (_shared(pattern, settings.share), settings.qos if qos is None else qos) for pattern, qos in filters
    )
    return MqttBroker(name, url, tuple(wanted), settings, any(connection.writable for connection in named))


def _shared(pattern: str, group: str | None) -> str:
    # Messages of Sparkplug are numbered: one host has to see them all.
    return pattern if group is None or pattern.startswith("$") or is_sparkplug(pattern) else f"$share/{group}/{pattern}"


def _sparkplug_filters(sparkplug: Sparkplug | None) -> list[str]:
    if sparkplug is None:
        return []
    filters = [f"{NAMESPACE}/{group}/#" for group in sparkplug.groups] or [ALL]
    return [*filters, state_topic(sparkplug.host_id)] if sparkplug.host_id else filters


def _name(named: list[MqttProtocol | BrokerConfig], taken: set[str]) -> str:
    wanted = next((connection.id for connection in named if connection.id), "mqtt")
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name
