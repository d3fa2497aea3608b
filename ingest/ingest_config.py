"""What the applied definitions say about ingest, gathered for the pipeline."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from ..twin.define_line_protocol import LineProtocol
from ..twin.define_mqtt import MqttProtocol, broker_address
from ..twin.define_normalization import Normalization
from ..twin.define_payload import Payload
from ..twin.define_project import Project
from ..twin.define_reporting import Reporting
from ..twin.errors import InvalidValueError
from ..twin.substitution import SECRET_KEYS, reveal, variable
from .configured import configured_sources
from .mqtt_broker import mqtt_brokers

MAX_AHEAD = 600.0
DISCOVERY_LIMIT = 100


@dataclass(frozen=True, slots=True)
class IngestConfig:
    """How messages become readings.

    parsers: (source, topic filter, how its payloads are read); the source None stands for every one. items: how the
    payloads of a source's queue, path or address are read, by (source, `Message.via`). sparkplug: sources that
    are Sparkplug's. zones: of naive stamps, by source. unbound: `create` nodes for readings that fit no sensor, at most
    `discovery_limit` a minute (None: as many as come), or `dead_letter`. max_ahead [s]: how far a source's clock may be
    ahead. secrets: texts that dead letters must not show. reporting: which readings are stored, by source. lines: what
    the points of the line protocol become.
    """

    parsers: Sequence[tuple[str | None, str, Payload]] = ()
    items: Mapping[tuple[str, str], Payload] = field(default_factory=dict)
    sparkplug: frozenset[str] = frozenset()
    normalization: Normalization = field(default_factory=Normalization)
    zones: Mapping[str, tzinfo] = field(default_factory=dict)
    unbound: str = "create"
    discovery_limit: int | None = DISCOVERY_LIMIT
    max_ahead: float = MAX_AHEAD
    secrets: Sequence[str] = ()
    reporting: Mapping[str, Reporting] = field(default_factory=dict)
    lines: LineProtocol = field(default_factory=LineProtocol)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @classmethod
    def of(cls, project: Project) -> "IngestConfig":
        """From a project."""
        ingestion = project.sensor_ingestion
        limit = ingestion.discovery_limit
        all_brokers = mqtt_brokers(project)
        brokers = {broker_address(broker.url): broker.name for broker in all_brokers}
        parsers: list[tuple[str | None, str, Payload]] = []
        zones: dict[str, tzinfo] = {}
        reporting: dict[str, Reporting] = {}
        for protocol in ingestion.protocols:
            name = protocol.id or protocol.name
            if isinstance(protocol, MqttProtocol):
                name = brokers.get(broker_address(protocol.broker), name)
                parsers += [(name, topic.pattern, topic) for topic in protocol.topics]
            if protocol.timezone:
                zones[name] = ZoneInfo(protocol.timezone)
            if protocol.reporting:
                reporting[name] = protocol.reporting
        items: dict[tuple[str, str], Payload] = {}
        for source in configured_sources(project):
            items |= {(source.name, via): payload for via, payload in source.payloads()}
            if source.settings.timezone:
                zones[source.name] = ZoneInfo(source.settings.timezone)
            if source.settings.reporting:
                reporting[source.name] = source.settings.reporting
        # These are topics of every broker of the configuration file.
        parsers += [(None, topic.pattern, topic) for topic in project.iotsense.ingestion.mqtt.topics]
        return cls(
            parsers=tuple(parsers),
            items=items,
            sparkplug=frozenset(broker.name for broker in all_brokers if broker.sparkplug is not None),
            normalization=project.normalization,
            zones=zones,
            unbound=ingestion.unbound,
            discovery_limit=limit if isinstance(limit, int) else None,
            max_ahead=ingestion.max_ahead,
            reporting=reporting,
            lines=project.iotsense.ingestion.line_protocol,
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
