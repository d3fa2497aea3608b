"""What the applied definitions say about ingest, gathered for the pipeline."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from ..twin.define_mqtt import MqttTopic
from ..twin.define_normalization import Normalization
from ..twin.define_payload import Payload, Protocol
from ..twin.define_project import Project
from ..twin.substitution import variable

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
    def of(cls, project: Project, sources: Mapping[str, Protocol] | None = None) -> "IngestConfig":
        """From a project. `sources` maps the names under which messages come to their definitions.

        Left out, a source goes by its `id`, else by its protocol's name.
        """
        ingestion = project.sensor_ingestion
        named = list(sources.items()) if sources is not None else [(p.id or p.name, p) for p in ingestion.protocols]
        parsers: list[tuple[str | None, str, Payload]] = [
            (name, topic.pattern, topic)
            for name, protocol in named
            for topic in getattr(protocol, "topics", ())
            if isinstance(topic, MqttTopic)
        ]
        parsers += [(None, topic.pattern, topic) for topic in project.iotsense.ingestion.mqtt.topics]
        return cls(
            parsers=parsers,
            normalization=project.normalization,
            zones={name: ZoneInfo(protocol.timezone) for name, protocol in named if protocol.timezone},
            unbound=ingestion.unbound,
            discovery_limit=ingestion.discovery_limit,
            max_ahead=ingestion.max_ahead,
        )

    def zone(self, source: str) -> tzinfo:
        """The zone of a source's naive stamps."""
        return self.zones.get(source, UTC)

    def environment_for_templates(self) -> dict[str, str]:
        """The environment, with HOSTNAME known."""
        host = variable("HOSTNAME", self.environment)
        return {**self.environment, "HOSTNAME": host or ""}
