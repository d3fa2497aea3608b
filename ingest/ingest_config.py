"""What the applied definitions say about ingest, gathered for the pipeline."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from ..twin.define_mqtt import MqttProtocol, broker_address
from ..twin.define_normalization import Normalization
from ..twin.define_payload import Payload
from ..twin.define_project import Project
from ..twin.errors import InvalidValueError
from ..twin.substitution import SECRET_KEYS, reveal, variable
from .mqtt_broker import mqtt_brokers

MAX_AHEAD = 600.0
DISCOVERY_LIMIT = 100


@dataclass(frozen=True, slots=True)
class IngestConfig:
    """How messages become readings.

    parsers: (source, topic filter, how its payloads are read); the source None stands for every one. zones: of naive
    stamps, by source. unbound: `create` nodes for readings that fit no sensor, at most `discovery_limit` a minute, or
    `dead_letter`. max_ahead [s]: how far a source's clock may be ahead. secrets: texts that dead letters must not show.
    """

    parsers: Sequence[tuple[str | None, str, Payload]] = ()
    normalization: Normalization = field(default_factory=Normalization)
    zones: Mapping[str, tzinfo] = field(default_factory=dict)
    unbound: str = "create"
    discovery_limit: int = DISCOVERY_LIMIT
    max_ahead: float = MAX_AHEAD
    secrets: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @classmethod
    def of(cls, project: Project) -> "IngestConfig":
        """From a project."""
        ingestion = project.sensor_ingestion
        brokers = {broker_address(broker.url): broker.name for broker in mqtt_brokers(project)}
        parsers: list[tuple[str | None, str, Payload]] = []
        zones: dict[str, tzinfo] = {}
        for protocol in ingestion.protocols:
            name = protocol.id or protocol.name
            if isinstance(protocol, MqttProtocol):
                name = brokers.get(broker_address(protocol.broker), name)
                parsers += [(name, topic.pattern, topic) for topic in protocol.topics]
            if protocol.timezone:
                zones[name] = ZoneInfo(protocol.timezone)
        # These are topics of every broker of the configuration file.
        parsers += [(None, topic.pattern, topic) for topic in project.iotsense.ingestion.mqtt.topics]
        return cls(
            parsers=tuple(parsers),
            normalization=project.normalization,
            zones=zones,
            unbound=ingestion.unbound,
            discovery_limit=ingestion.discovery_limit,
            max_ahead=ingestion.max_ahead,
            secrets=tuple(_secrets(project.sections())),
        )

    def zone(self, source: str) -> tzinfo:
        """The zone of a source's naive stamps."""
        return self.zones.get(source, UTC)

    def environment_for_templates(self) -> dict[str, str]:
        """The environment, with HOSTNAME known."""
        host = variable("HOSTNAME", self.environment)
        return {**self.environment, "HOSTNAME": host or ""}


def _secrets(section: Any) -> Iterator[str]:
    """What the secrets of a project stand for, as far as they are known on this machine."""
    items = section.items() if isinstance(section, dict) else ()
    for key, value in items:
        if key in SECRET_KEYS and isinstance(value, str):
            with contextlib.suppress(InvalidValueError):  # not set here; whoever needs it says so
                yield reveal(value)
    for below in section.values() if isinstance(section, dict) else section if isinstance(section, list) else ():
        yield from _secrets(below)
