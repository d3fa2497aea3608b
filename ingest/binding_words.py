"""Why a measurement is this signal's: each place where the binder looks, in its order, and what stands there."""

from collections.abc import Callable, Iterator
from functools import partial

import msgspec

from ..twin.errors import IoTSenseError
from ..twin.model import Level, Node
from .address_book import AddressBook, answers_to
from .binding import Address
from .lane import Lane


class Considered(msgspec.Struct):
    """A place that was looked at. found: the ids that stand there, or why none can be chosen."""

    rule: str
    looked_for: str
    found: list[str]


def considered(book: AddressBook, lane: Lane, address: Address) -> list[Considered]:
    """Where a measurement was looked for; the binder stops at the first that fits."""
    return [*_by_source(book, lane, address), *_by_id(book, lane, address)]


def _by_source(book: AddressBook, lane: Lane, address: Address) -> Iterator[Considered]:
    device = address.device or (lane.place.address if lane.place else None)
    texts = [address.tag] if address.tag else []
    if device is None:
        texts += [address.name] if address.name else []
    else:
        texts += [f"{device}.{address.name}", f"{device}/{address.name}"]
    for text in texts:
        yield _looked("a sensor whose `source` is the address", text, partial(_at_source, book, text, address))
    if lane.topic is not None:
        at_topic = book.sensors_at(lane.topic)
        fitting = [each for each in at_topic if answers_to(each, address.name) or each.type == address.name]
        yield Considered("sensors whose `source` is the topic", lane.topic, _ids(fitting or at_topic))


def _at_source(book: AddressBook, text: str, address: Address) -> list[str]:
    return _ids([book.by_source(text, address.metadata)])


def _by_id(book: AddressBook, lane: Lane, address: Address) -> Iterator[Considered]:
    if address.device is None and address.name:
        yield _looked(
            "a sensor of that id or name", address.name, lambda: _ids([book.sensor(address.name, address.metadata)])
        )
    device = address.device or lane.implied_device
    node: Node | None = None
    try:
        node = book.device(device, address.metadata)
        found = _ids([node])
    except IoTSenseError as error:
        found = [str(error)]
    if not found and lane.place_of(address.device) is not None and (place := lane.place_of(address.device)):
        node = place.find(book)
        found = _ids([node])
    implied = "" if address.device else " (by the topic)"
    yield Considered(f"the device{implied}", device, found)
    if node is not None and node.level is not Level.SENSOR:
        name = address.name or lane.tail or ""
        sensors = book.graph.sensors(node.key)
        fitting = [sensor for sensor in sensors if answers_to(sensor, name)]
        yield Considered(f"a sensor of {node.id}", name, _ids(fitting) or [f"none of {len(sensors)}: {_some(sensors)}"])


def _looked(rule: str, text: str, find: Callable[[], list[str]]) -> Considered:
    try:
        return Considered(rule, text, find())
    except IoTSenseError as error:
        return Considered(rule, text, [str(error)])


def _ids(nodes: "list[Node | None] | list[Node]") -> list[str]:
    return [node.id for node in nodes if node is not None]


def _some(sensors: "list[Node] | tuple[Node, ...]", shown: int = 8) -> str:
    names = [sensor.short_id for sensor in sensors]
    return ", ".join(names[:shown]) + (" ..." if len(names) > shown else "")
