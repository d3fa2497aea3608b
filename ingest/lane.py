"""A lane: all that is the same for the messages of one source on one topic, worked out once.

The hot path of a reading is `lane.plain[(device, name, unit)]`: a signal's index and how to convert to its unit.
"""

import logging
from typing import Any
from zoneinfo import ZoneInfo

from ..twin.define_payload import Payload
from ..twin.errors import InvalidValueError, IoTSenseError
from .ingest_config import IngestConfig
from .jsonpath import JsonPath, compile_path
from .normalization import STAMP_FIELD, VALUE_FIELD, Normalizer, Rule, in_order, metadata_of, stamp_of
from .parsers import (
    DocumentsParser,
    SamplesParser,
    compile_schema,
    parse_telemetry,
    refused_parser,
    stamped,
)
from .stamps import Clock, clock
from .targets import Target
from .topics import TopicMatcher

log = logging.getLogger("iotsense.ingest")
Key = tuple[str | None, str | None, str | None]
Plain = tuple[int, float, float]
MAX_LANES = 65_536


class Lane:
    """One source and topic. `parse_samples` is set for a topic with a schema, else payloads are telemetry.

    implied_device, tail: the device and the name of measurements that do not say them, by the topic. device_clocks:
    for devices whose stamps a rule reads differently. refusal: why its payloads cannot be read at all.
    """

    __slots__ = (
        "clock",
        "device_clocks",
        "implied_device",
        "parse_documents",
        "parse_samples",
        "plain",
        "refusal",
        "rules",
        "source",
        "tail",
        "targets",
        "topic",
        "value_fields",
    )

    def __init__(self, source: str, topic: str | None) -> None:
        self.source = source
        self.topic = topic
        self.implied_device = (topic or "").rpartition("/")[0] or source
        self.tail = topic.rpartition("/")[2] if topic else None
        self.rules: tuple[Rule, ...] = ()
        self.clock: Clock = clock()
        self.device_clocks: dict[str, Clock] = {}
        self.parse_samples: SamplesParser | None = None
        self.parse_documents: DocumentsParser = parse_telemetry
        self.refusal: str | None = None
        self.value_fields: tuple[str, ...] = (VALUE_FIELD,)
        self.plain: dict[Key, Plain] = {}
        self.targets: dict[Key, Target] = {}

    def forget(self) -> None:
        """Drops what is known of the graph: another revision may bind differently."""
        self.plain.clear()
        self.targets.clear()


class Lanes:
    """The lanes of a configuration, made when their first message comes."""

    def __init__(self, config: IngestConfig) -> None:
        self._config = config
        self._environment = config.environment_for_templates()
        self.normalizer = Normalizer(config.normalization)
        self._lanes: dict[tuple[str, str | None], Lane] = {}
        self._parsers: dict[str | None, TopicMatcher[Payload]] = {}
        for source, pattern, payload in config.parsers:
            self._parsers.setdefault(source, TopicMatcher()).add(pattern, payload)

    def of(self, source: str, topic: str | None) -> Lane:
        """The lane of a source and topic."""
        lane = self._lanes.get((source, topic))
        if lane is None:
            if len(self._lanes) >= MAX_LANES:
                self._lanes.clear()  # topics that carry ids or times would grow without bound
            lane = self._lanes[source, topic] = self._make(source, topic)
        return lane

    def forget(self) -> None:
        """Another revision of the graph: nothing is bound any more."""
        for lane in self._lanes.values():
            lane.forget()

    def notices(self) -> list[str]:
        """What of the configuration cannot work in this version; a line each."""
        found = []
        for source, pattern, payload in self._config.parsers:
            reason = refused_parser(payload)
            if reason is None and payload.schema_ is not None:
                try:
                    compile_schema(payload.schema_, clock(), self.namespace(source or "", pattern))
                except IoTSenseError as error:
                    reason = str(error)
            if reason is not None:
                found.append(f"topic {pattern}: {reason}")
        return found

    def metadata(self, lane: Lane, device: str | None, rules: tuple[Rule, ...]) -> dict[str, str]:
        """What rules add to the metadata of a device's readings on this lane."""
        namespace = self.namespace(lane.source, lane.topic) | {"device_id": device}
        added, missing = metadata_of(rules, namespace)
        for reason in missing:
            log.warning("metadata of %s from %s is left out: %s", device, lane.topic or lane.source, reason)
        return added

    def namespace(self, source: str, topic: str | None) -> dict[str, Any]:
        """What templates may refer to."""
        return {"topic": topic or "", "source": source, "env": self._environment}

    def _make(self, source: str, topic: str | None) -> Lane:
        lane = Lane(source, topic)
        lane.rules = self.normalizer.of_lane(source, topic)
        stamp = stamp_of(lane.rules)
        zone = self._config.zone(source)
        lane.clock = clock(ZoneInfo(stamp.timezone), stamp.format) if stamp else clock(zone)
        lane.device_clocks = self._device_clocks(lane.rules)
        payload = self._payload(source, topic)
        stamp_path = _stamp_path(stamp.from_field) if stamp else None
        try:
            self._read_payloads(lane, payload, stamp_path)
        except IoTSenseError as error:
            lane.refusal = str(error)
        return lane

    def _read_payloads(self, lane: Lane, payload: Payload | None, stamp_path: JsonPath | None) -> None:
        if payload is not None:
            lane.refusal = refused_parser(payload)
        if payload is not None and payload.schema_ is not None and lane.refusal is None:
            schema = payload.schema_
            namespace = self.namespace(lane.source, lane.topic)
            path = stamp_path.text if stamp_path else None
            lane.parse_samples = compile_schema(schema, lane.clock, namespace, path, lane.device_clocks)
            lane.value_fields = (VALUE_FIELD, *_last_step(schema.value))
        elif stamp_path is not None:
            lane.parse_documents = stamped(parse_telemetry, stamp_path)

    def _payload(self, source: str, topic: str | None) -> Payload | None:
        if topic is None:
            return None
        for key in (source, None):
            found = self._parsers[key].match(topic) if key in self._parsers else None
            if found is not None:
                return found
        return None

    def _device_clocks(self, of_lane: tuple[Rule, ...]) -> dict[str, Clock]:
        clocks = {}
        for name, rules in self.normalizer.names.items():
            if any(rule.stamps for rule in rules):
                stamp = stamp_of(in_order([*of_lane, *rules]))
                assert stamp is not None
                clocks[name] = clock(ZoneInfo(stamp.timezone), stamp.format)
        return clocks


def _stamp_path(field: str) -> JsonPath | None:
    """Where a rule's `from_field` is in a document; None for the field that is read anyway."""
    if field == STAMP_FIELD:
        return None
    path = compile_path(field if field.startswith("$") else "$." + field)
    if path.many:
        raise InvalidValueError(f"from_field {field!r} must lead to one value")
    return path


def _last_step(path: str | None) -> tuple[str, ...]:
    steps = compile_path(path).steps if path else None
    return (steps[-1],) if steps and isinstance(steps[-1], str) else ()
