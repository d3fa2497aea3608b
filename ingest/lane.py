"""A lane: all that is the same for the messages of one source on one topic, worked out once.

The hot path of a reading is `lane.plain[(device, name, unit)]`: a signal's index and how to convert to its unit.
"""

import logging
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from ..twin.define_payload import Parser, Payload
from ..twin.errors import InvalidValueError, IoTSenseError
from .content_types import parser_of
from .decoders import decoder
from .document_rows import DocumentRows
from .ingest_config import IngestConfig
from .jsonpath import JsonPath, compile_path
from .line_reader import LineReader, line_factor
from .line_series import SeriesNaming
from .normalization import STAMP_FIELD, VALUE_FIELD, Normalizer, Rule, in_order, metadata_of, stamp_of
from .parsers import DocumentsParser, SamplesParser, parse_telemetry, stamped
from .payload_parser import document_parser, payload_parser
from .place import Place, sparkplug_place, uns_place
from .points import Key, Points
from .sparkplug_parser import sparkplug_parser
from .sparkplug_topic import sparkplug_topic
from .stamps import Clock, clock
from .targets import LabelTarget, Target
from .topics import TopicMatcher
from .uns_parser import uns_parser

log = logging.getLogger("iotsense.ingest")
Plain = tuple[int, float, float]
MAX_LANES = 65_536
_POINT_TABLES = 64
_CONTENT_TYPES = 16


class Reader:
    """How payloads are read: `samples` of one with a schema, else `documents`, or `refusal` says why neither."""

    __slots__ = ("documents", "refusal", "samples")

    def __init__(self) -> None:
        self.samples: SamplesParser | None = None
        self.documents: DocumentsParser = parse_telemetry
        self.refusal: str | None = None


class Lane:
    """One source, topic, configured item, and part of the plant that its messages may write to (`under`; None: all).

    implied_device, tail: the device and the name of measurements that do not say them, by the topic. place: where the
    topic says that its device stands. device_clocks: for devices whose stamps a rule reads differently. lines: reads
    the line protocol. reader: of other payloads; by_content: of those whose content type chooses another parser.
    rows: what the measurements of documents are bound to.
    """

    __slots__ = (
        "by_content",
        "clock",
        "device_clocks",
        "implied_device",
        "lines",
        "place",
        "plain",
        "point_tables",
        "reader",
        "rows",
        "rules",
        "source",
        "sparkplug",
        "tail",
        "targets",
        "topic",
        "under",
        "value_fields",
        "via",
    )

    def __init__(
        self, source: str, topic: str | None, via: str | None = None, under: frozenset[int] | None = None
    ) -> None:
        self.source = source
        self.topic = topic
        self.via = via
        self.under = under
        self.implied_device = (topic or "").rpartition("/")[0] or source
        self.tail = topic.rpartition("/")[2] if topic else None
        self.place: Place | None = None
        self.sparkplug = False
        self.rules: tuple[Rule, ...] = ()
        self.clock: Clock = clock()
        self.device_clocks: dict[str, Clock] = {}
        self.lines: LineReader | None = None
        self.value_fields: tuple[str, ...] = (VALUE_FIELD,)
        self.reader = Reader()
        self.by_content: dict[str, Reader] = {}
        self.plain: dict[Key, Plain] = {}
        self.rows = DocumentRows()
        self.targets: dict[Key, Target] = {}
        self.point_tables: dict[int, PointTable] = {}

    def place_of(self, device: str | None) -> Place | None:
        """Where a device stands, if the topic tells, or its address."""
        place = self.place
        if self.sparkplug and device:
            return sparkplug_place(device)
        if place is None or device in (None, place.address):
            return place
        # What another plant publishes names the device by its id, whose last part is the cell of the topic.
        return place if device.rpartition(".")[2] == place.steps[-1].name else place.below(device)

    def point_table(self, points: Points) -> "PointTable":
        """Where the values of these points go, as far as that is known yet."""
        table = self.point_tables.get(id(points))
        if table is None:
            if len(self.point_tables) >= _POINT_TABLES:
                self.point_tables.clear()  # connections that were made anew have left theirs behind
            table = self.point_tables[id(points)] = PointTable(points)
        return table

    def forget(self) -> None:
        """Drops what is known of the graph: another revision may bind differently."""
        self.plain.clear()
        self.rows.forget()
        self.targets.clear()
        self.point_tables.clear()
        if self.lines is not None:
            self.lines.forget()


class PointTable:
    """For each of a source's points: its signal (-1: not known) and the conversion to that signal's unit."""

    __slots__ = ("offset", "points", "scale", "signal")

    def __init__(self, points: Points) -> None:
        self.points = points  # kept, or another object could come to bear its id
        self.signal = np.full(len(points), -1, np.int32)
        self.scale = np.ones(len(points))
        self.offset = np.zeros(len(points))

    def learn(self, lane: "Lane", rows: NDArray[np.int32]) -> None:
        """Takes over what the lane knows of these points."""
        for row in rows.tolist():
            key = self.points.keys[row]
            known = lane.plain.get(key)
            if known is not None:
                self.signal[row], self.scale[row], self.offset[row] = known
            elif isinstance(target := lane.targets.get(key), LabelTarget) and target.is_boolean:
                self.signal[row] = target.index


class Lanes:
    """The lanes of a configuration, made when their first message comes."""

    def __init__(self, config: IngestConfig) -> None:
        self._config = config
        self._environment = config.environment_for_templates()
        self.normalizer = Normalizer(config.normalization)
        self._lanes: dict[tuple[str, str | None, str | None, frozenset[int] | None], Lane] = {}
        self._parsers: dict[str | None, TopicMatcher[Payload]] = {}
        for source, pattern, payload in config.parsers:
            self._parsers.setdefault(source, TopicMatcher()).add(pattern, payload)

    def of(self, source: str, topic: str | None, via: str | None = None, under: frozenset[int] | None = None) -> Lane:
        """The lane of a source, a topic, the configured item by which it came, and the nodes that it may write to."""
        lane = self._lanes.get((source, topic, via, under))
        if lane is None:
            if len(self._lanes) >= MAX_LANES:
                self._lanes.clear()  # topics that carry ids or times would grow without bound
            lane = self._lanes[source, topic, via, under] = self._make(source, topic, via, under)
        return lane

    def afresh(self) -> "Lanes":
        """The same, by which nothing has come."""
        return Lanes(self._config)

    def known(self) -> list[Lane]:
        """Those by which messages have come."""
        return [*self._lanes.values()]

    def is_configured(self, topic: str) -> bool:
        """Whether the configuration says how messages of this topic or item are read."""
        by_topic = any(parsers.match(topic) is not None for parsers in self._parsers.values())
        return by_topic or any(via == topic for _, via in self._config.items)

    def source_of(self, topic: str | None, via: str | None) -> str:
        """The source whose configuration has this topic or item; `http` if there is none."""
        named = [source for source, item in self._config.items if via is not None and item == via]
        named += [
            source
            for source, parsers in self._parsers.items()
            if source is not None and topic is not None and parsers.match(topic) is not None
        ]
        return named[0] if named else "http" if topic is None else "mqtt"

    def forget(self) -> None:
        """Another revision of the graph: nothing is bound any more."""
        for lane in self._lanes.values():
            lane.forget()

    def notices(self) -> list[str]:
        """What of the configuration cannot work in this version; a line each."""
        found = []
        items = ((source, via, payload) for (source, via), payload in self._config.items.items())
        for source, pattern, payload in (*self._config.parsers, *items):
            try:
                payload_parser(payload, payload.usual_parser, clock(), self.namespace(source or "", pattern))
            except IoTSenseError as error:
                found.append(f"topic {pattern}: {error}")
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

    def _make(self, source: str, topic: str | None, via: str | None, under: frozenset[int] | None) -> Lane:
        lane = Lane(source, topic, via, under)
        lane.rules = self.normalizer.of_lane(source, topic)
        stamp = stamp_of(lane.rules)
        zone = self._config.zone(source)
        lane.clock = clock(ZoneInfo(stamp.timezone), stamp.format) if stamp else clock(zone)
        lane.device_clocks = self._device_clocks(lane.rules)
        if (factor := line_factor(via)) is not None:
            # The stamps of this protocol are numbers since the epoch, whatever else the source sends.
            lane.lines = LineReader(SeriesNaming(self._config.lines), factor)
            lane.clock, lane.device_clocks = clock(), {}
            return lane
        payload = self.payload(source, topic, via)
        self._find_place(lane, payload)
        if payload is not None and payload.schema_ is not None:
            lane.value_fields = (VALUE_FIELD, *_last_step(payload.schema_.value))
        lane.reader = self._reader(lane, payload, payload.usual_parser if payload else "json")
        return lane

    def reader(self, lane: Lane, content_type: str) -> Reader:
        """The reader of a message that says its content type, which counts where the configuration names no parser."""
        found = lane.by_content.get(content_type)
        if found is None:
            if len(lane.by_content) >= _CONTENT_TYPES:
                lane.by_content.clear()
            payload = self.payload(lane.source, lane.topic, lane.via)
            parser = parser_of(content_type)
            found = lane.reader
            if parser is not None and (payload is None or payload.fixed_parser is None):
                found = self._reader(lane, payload, parser)
            lane.by_content[content_type] = found
        return found

    def _reader(self, lane: Lane, payload: Payload | None, parser: Parser) -> Reader:
        reader = Reader()
        if lane.sparkplug and lane.place is not None:
            reader.samples = sparkplug_parser(lane.place.address)
            return reader
        stamp = stamp_of(lane.rules)
        try:
            path = _stamp_path(stamp.from_field) if stamp else None
            clocks, names = lane.device_clocks, self.namespace(lane.source, lane.topic)
            text = path.text if path else None
            reader.samples = payload_parser(payload or Payload(), parser, lane.clock, names, text, clocks)
            if reader.samples is None and lane.place is not None:
                reader.samples = uns_parser(lane.place, lane.clock, decoder(payload or Payload(), parser), path)
            elif reader.samples is None:
                reader.documents = document_parser(parser)
                if path is not None and parser == "json":
                    reader.documents = stamped(reader.documents, path)
        except IoTSenseError as error:
            reader.refusal = str(error)
        return reader

    def _find_place(self, lane: Lane, payload: Payload | None) -> None:
        told = sparkplug_topic(lane.topic or "")
        lane.sparkplug = told is not None or (lane.topic is None and lane.source in self._config.sparkplug)
        levels = getattr(payload, "namespace", None)
        place = sparkplug_place(told.address) if told is not None else None
        if levels and lane.topic is not None:
            place = uns_place(lane.topic, tuple(levels.split("/")))
        if place is not None:
            lane.place, lane.implied_device, lane.tail = place, place.address, place.name

    def payload(self, source: str, topic: str | None, via: str | None) -> Payload | None:
        """What the configuration says of the payloads of a source's topic or item."""
        if via is not None:
            return self._config.items.get((source, via))
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
