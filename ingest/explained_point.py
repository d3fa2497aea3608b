"""What a person means by a point: a signal, a sensor, a component, an address at the source, or a topic."""

from collections.abc import Iterator
from dataclasses import dataclass

from ..twin.errors import AmbiguousIdError, NotFoundError
from ..twin.graph import Graph
from ..twin.model import Level, Node
from ..twin.suggestion import NearestWord
from .address_book import AddressBook
from .lane import Lanes
from .targets import LabelTarget, ListTarget, NumberTarget

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Subject:
    """signals: those that are meant, by index. topic: set if messages of a topic, queue or path are meant."""

    text: str
    signals: frozenset[int]
    topic: str | None = None


def find_point(text: str, book: AddressBook, lanes: Lanes, is_topic: bool = False) -> Subject:
    """What `text` means. is_topic: it may be a topic of which nothing is known.

    Raises NotFoundError with what is called alike, AmbiguousIdError with the candidates.
    """
    signals = _of_graph(book.graph, text) or _at_source(book, text) or frozenset(_of_lanes(lanes, text))
    if signals:
        return Subject(text, signals)
    if any(text in (lane.topic, lane.via) for lane in lanes.known()) or is_topic or lanes.is_configured(text):
        return Subject(text, frozenset(), text)
    raise NotFoundError(_words(text, book, lanes))


def _of_graph(graph: Graph, text: str) -> frozenset[int]:
    try:
        return frozenset([graph.find_signal(text).index])
    except AmbiguousIdError:
        raise
    except NotFoundError:
        pass
    try:
        node = graph.find(text)
    except AmbiguousIdError:
        raise
    except NotFoundError:
        return frozenset()
    sensors = [node] if node.level is Level.SENSOR else graph.sensors(node.key)
    return frozenset(signal.index for sensor in sensors for signal in graph.values_of(sensor.key))


def _at_source(book: AddressBook, text: str) -> frozenset[int]:
    sensors = book.sensors_at(text)
    return frozenset(signal.index for sensor in sensors for signal in book.graph.values_of(sensor.key))


def _of_lanes(lanes: Lanes, text: str) -> Iterator[int]:
    """Signals to which readings of this address have been bound."""
    for lane in lanes.known():
        for (device, name, _), target in lane.targets.items():
            if text in (name, f"{device}.{name}", f"{device}/{name}"):
                yield from indexes(target)
        for table in lane.point_tables.values():
            for point in table.points.points:
                if text in (point.tag, point.address) and (bound := lane.targets.get(point.key)) is not None:
                    yield from indexes(bound)


def indexes(target: NumberTarget | LabelTarget | ListTarget) -> list[int]:
    """The signals of a target."""
    if isinstance(target, ListTarget):
        return [index for element in target.elements for index in indexes(element)]
    return [target.plain[0] if isinstance(target, NumberTarget) else target.index]


def _words(text: str, book: AddressBook, lanes: Lanes) -> str:
    nodes = [node for node in book.graph.nodes() if node.level in (Level.SENSOR, Level.COMPONENT)]
    names = [name for node in nodes for name in _names(node)]
    names += [word for lane in lanes.known() for word in (lane.topic, lane.via) if word]
    plain = text.lower()
    alike = [name for name in names if plain in name.lower()][:_SHOWN]
    if not alike and (near := NearestWord(names).find(text)):
        alike = [near]
    hint = f"; did you mean {' or '.join(dict.fromkeys(alike))}?" if alike else ""
    return f"nothing is called {text!r}: no signal, sensor, address or topic{hint}"


def _names(node: Node) -> list[str]:
    source = node.properties.get("source")
    return [node.id, node.short_id, *([source] if isinstance(source, str) else [])]
