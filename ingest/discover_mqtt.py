"""Looking around at an MQTT broker: which topics come, what is in their payloads, and how often."""

import time
from dataclasses import dataclass, field
from typing import Any

from ..twin.define_mqtt import MqttTopic
from ..twin.errors import InvalidValueError, SourceError
from .checked_settings import checked
from .decoders import decode_json
from .found import Found, FoundNode, FoundPoint, Look
from .mqtt_listening import data_type_word, listen, listening_protocol
from .mqtt_packets import Publish
from .parsers import Failure
from .place import Place, uns_place
from .sample import Sample
from .sparkplug_topic import is_sparkplug
from .stamps import clock
from .topics import TopicMatcher
from .uns_parser import uns_parser

_NAMESPACE = "cell/signal"
_REASONS = 5


async def discover(
    url: str,
    look: Look,
    *,
    topics: tuple[str, ...] = (),
    namespace: str = _NAMESPACE,
    username: str | None = None,
    password: str | None = None,
    tls: dict[str, Any] | None = None,
    version: str | None = None,
) -> Found:
    """Listens for `look.listen` seconds; retained messages come at once.

    topics: what is listened to; left out, all. namespace: what the levels of the topics mean, as in the definition;
    left out, each level is equipment within that of the level before. Raises SourceError, InvalidValueError,
    MissingExtraError.
    """
    given = {"username": username, "password": password, "tls": tls, "version": version}
    settings = {name: value for name, value in given.items() if value is not None}
    protocol = listening_protocol(url, settings)
    filters = topics or ("#",)
    wanted = [checked(MqttTopic, {"pattern": topic, "namespace": namespace}) for topic in filters]
    heard = _Heard(look, wanted)
    async for _, packets in listen(protocol, filters, look.listen):
        for packet in packets:
            heard.take(packet)
        look.tell("listening", len(heard.points))
    notes = heard.notes(filters)
    if not heard.points:
        raise SourceError(f"{url}: {'; '.join(notes)}")
    return Found({"name": "mqtt", "broker": url, **settings}, heard.nodes(), notes=notes)


@dataclass
class _Point:
    """A value as it was heard: its last sample, when the first and the last came [s], and how many."""

    sample: Sample
    item: dict[str, Any]
    first: float
    last: float
    count: int = 1

    def found(self) -> FoundPoint:
        value, name = self.sample.value, self.sample.address
        several = len(value) if isinstance(value, list) else None
        return FoundPoint(
            name,
            item=self.item,
            source=f"{self.sample.device}/{name}",
            data_type=data_type_word(value[0] if several else value),
            unit=self.sample.unit,
            elements=several,
            interval=(self.last - self.first) / (self.count - 1) if self.count > 2 else None,
        )


@dataclass
class _Heard:
    """All values that came, by device and name."""

    look: Look
    wanted: list[MqttTopic]
    points: dict[tuple[str, str], _Point] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    sparkplug: set[str] = field(default_factory=set)
    full: bool = False

    def __post_init__(self) -> None:
        self._matcher = TopicMatcher((topic.pattern, topic) for topic in self.wanted)
        self._clock = clock()

    def take(self, packet: Publish) -> None:
        """A message that came."""
        if is_sparkplug(packet.topic):
            if len(self.sparkplug) < self.look.limit:
                self.sparkplug.add(packet.topic)
            return
        topic = self._matcher.match(packet.topic)
        place = uns_place(packet.topic, tuple((topic.namespace or "").split("/"))) if topic is not None else None
        if topic is None or place is None:
            self._leave(packet.topic, "a topic of one level says no more than a name")
            return
        failures: list[Failure] = []
        try:
            for sample in uns_parser(place, self._clock, decode_json)(packet.payload, failures):
                self._enter(sample, place, packet.topic, topic)
        except InvalidValueError as error:
            self._leave(packet.topic, str(error))
        for failure in failures:
            self._leave(packet.topic, failure.reason)

    def _enter(self, sample: Sample, place: Place, topic: str, by: MqttTopic) -> None:
        key, now = (sample.device or place.address, sample.address), time.monotonic()
        known = self.points.get(key)
        if known is not None:
            known.sample, known.last, known.count = sample, now, known.count + 1
        elif len(self.points) >= self.look.limit:
            self.full = True
        else:
            item = {"topics": [{"pattern": _pattern(topic, by), "namespace": by.namespace}]}
            self.points[key] = _Point(sample, item, now, now)

    def _leave(self, topic: str, reason: str) -> None:
        if len(self.unread) < self.look.limit:
            self.unread[topic] = reason

    def nodes(self) -> list[FoundNode]:
        """The devices as a tree: each level of their addresses stands in the one before."""
        root = _Branch()
        for (device, _), point in self.points.items():
            root.at(device.split("/")).points.append(point.found())
        return root.nodes()

    def notes(self, filters: tuple[str, ...]) -> list[str]:
        """What was left out, and why."""
        notes = [f"{topic}: {reason}" for topic, reason in list(self.unread.items())[:_REASONS]]
        if more := len(self.unread) - len(notes):
            notes.append(f"{more} more topics could not be read; a `schema` or a `parser` of their own may help")
        if self.sparkplug:
            notes.append(f"{len(self.sparkplug)} topics are Sparkplug's: iotsense discover sparkplug reads them")
        if self.full:
            notes.append(f"there is more than {self.look.limit} values; the rest was left out")
        if not self.points and not notes:
            notes.append(f"nothing was published on {', '.join(filters)} within {self.look.listen:g} s")
        return notes


@dataclass
class _Branch:
    """A level of the topics."""

    points: list[FoundPoint] = field(default_factory=list)
    branches: dict[str, "_Branch"] = field(default_factory=dict)

    def at(self, path: list[str]) -> "_Branch":
        """The branch at the end of a path, made where it is missing."""
        branch = self
        for name in path:
            branch = branch.branches.setdefault(name, _Branch())
        return branch

    def nodes(self) -> list[FoundNode]:
        """What stands here."""
        return [FoundNode(name, branch.points, branch.nodes()) for name, branch in self.branches.items()]


def _pattern(topic: str, by: MqttTopic) -> str:
    """What is subscribed to, to have a topic: what was asked for, or all below its first level."""
    if by.pattern != "#":
        return by.pattern
    first = next(level for level in topic.split("/") if level)
    return topic[: topic.index(first) + len(first)] + "/#"
