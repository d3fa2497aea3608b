"""Binding: whose signal is a measurement?

In this order: a sensor whose `source` is the address; a component (`device_id`) with a sensor of that id, name or
source; a sensor (`device_id`) itself; for a measurement without a device, the sensor of that id or name. What fits
nothing is returned as Unbound, with what is known about its place.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..twin.errors import InvalidValueError, IoTSenseError, NotFoundError
from ..twin.graph import Graph
from ..twin.model import DataType, Level, Node, Role, Signal
from ..twin.narrow_graph import narrow_graph
from ..twin.twin import Twin
from ..twin.units import Affine, conversion
from .address_book import AddressBook, answers_to
from .lane import Lane, Lanes
from .normalization import Rule, Units, in_order, units_of
from .place import Place
from .points import Key, Point
from .targets import LabelTarget, ListTarget, NumberTarget, Target, data_type_of

_ELEMENT = re.compile(r"(?P<sensor>.+)\[(?P<number>\d+)\]\Z")
_SAME = Affine(1.0)
ANY_NAME = "value"
_REMEMBERED = 4096
_PARTS = 100


@dataclass(frozen=True, slots=True)
class Address:
    """How a measurement is addressed. `name` is "" where the message does not name what was measured.

    alone: whether it is the only measurement of its device in the message. tag: where it is at the source, if `name`
    is another name for that.
    """

    device: str | None
    name: str
    unit: str | None
    metadata: dict[str, Any] | None
    alone: bool
    tag: str | None = None

    @classmethod
    def of(cls, point: Point) -> "Address":
        """Of a point."""
        return cls(point.device, point.address, point.unit, None, False, point.tag)

    @property
    def text(self) -> str:
        """For people."""
        return ".".join(part for part in (self.device, self.name) if part) or "a measurement without device and name"


@dataclass(frozen=True, slots=True)
class Unbound:
    """A measurement that fits no signal. `near` is the component or sensor that its device id means, if any.

    device, name: what it and its sensor would be called. metadata: the message's and what rules add. unit: what a
    signal made for it would have. place: where its topic says that it stands.
    """

    address: Address
    device: str
    name: str
    near: Node | None
    metadata: dict[str, Any]
    unit: str | None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Undecided:
    """Signals whose type the first reading decides, and that reading is a text or a truth value."""

    signals: tuple[Signal, ...]
    data_type: DataType


class Binder:
    """Finds targets; the lanes remember them until the graph changes."""

    def __init__(self, twin: Twin, lanes: Lanes, part: Graph | None = None) -> None:
        """`part` of the graph: for it there is nothing else."""
        self._twin = twin
        self._lanes = lanes
        self._book = AddressBook(twin.graph if part is None else part)
        self._numeric: set[int] = set()
        self._unconvertible: dict[tuple[str, str], str] = {}
        self._parts: dict[frozenset[int], tuple[Graph, Binder]] = {}
        self._is_part = part is not None

    @property
    def book(self) -> AddressBook:
        """The tables that it looks things up in."""
        return self._book

    def use(self, lanes: Lanes) -> None:
        """Another configuration."""
        self._lanes = lanes

    def refresh(self) -> None:
        """Sees to it that nothing is bound by an outdated revision of the graph."""
        graph = self._twin.graph
        if graph is not self._book.graph:
            self._book = AddressBook(graph)
            self._lanes.forget()

    def follow_edit(self, graph: Graph, added: Iterable[Node] = ()) -> None:
        """Looks things up in a graph that is being made: the one before with these nodes."""
        if graph.revision != self._book.graph.revision:
            self._book = AddressBook(graph)
            self._lanes.forget()
        else:
            self._book.follow(graph, added)

    def follow(self, graph: Graph) -> None:
        """The edit that it has followed became this graph: what was bound remains so."""
        if graph.revision == self._book.graph.revision + 1:
            self._book.follow(graph, ())
        else:
            self.refresh()

    def bind(self, lane: Lane, address: Address, value: Any) -> Target | Unbound | Undecided:
        """The target of a measurement; remembered by the lane unless metadata decided.

        Raises InvalidValueError or AmbiguousIdError with the reason why there can be none; NotFoundError instead of
        Unbound for a lane that is tied to a part of the plant, in which nothing is discovered.
        """
        if lane.under is not None and not self._is_part:
            return self._part(lane.under).bind(lane, address, value)
        key: Key = (address.device, address.name or None, address.unit)
        known = lane.targets.get(key)
        if known is not None:
            return known
        signals, node = self._find(lane, address)
        rules, units = self.normalized(lane, address, self._book.graph.node(signals[0].node) if signals else None)
        if not signals:
            if self._is_part:
                raise NotFoundError(f"{address.text} is unknown")
            metadata = (address.metadata or {}) | self._lanes.metadata(lane, address.device, rules)
            device = address.device or lane.implied_device
            name = address.name or lane.tail or ANY_NAME
            return Unbound(address, device, name, node, metadata, units.become, lane.place_of(address.device))
        bound = self._target(signals, units, value, _ELEMENT.match(address.name) is not None)
        if isinstance(bound, Undecided):
            return bound
        # What only this message's metadata told must not decide for others.
        if not address.metadata or self._found_without_metadata(lane, address) == signals:
            lane.targets[key] = bound
            if bound.plain is not None:
                lane.plain[key] = bound.plain
        return bound

    def signals(self, lane: Lane, address: Address) -> list[Signal]:
        """The signals that a measurement would be bound to; none if it fits none, or several."""
        if lane.under is not None and not self._is_part:
            return self._part(lane.under).signals(lane, address)
        try:
            return self._find(lane, address)[0]
        except IoTSenseError:
            return []

    def _part(self, under: frozenset[int]) -> "Binder":
        """A binder for which there is nothing but these nodes and what is below them."""
        graph, known = self._book.graph, self._parts.get(under)
        if known is None or known[0] is not graph:
            if len(self._parts) >= _PARTS:
                self._parts.clear()
            part = Binder(self._twin, self._lanes, narrow_graph(graph, under))
            part._numeric, part._unconvertible = self._numeric, self._unconvertible
            known = self._parts[under] = (graph, part)
        return known[1]

    # Finding the signals

    def _find(self, lane: Lane, address: Address) -> tuple[list[Signal], Node | None]:
        """The signals, or none and the node that comes near."""
        book = self._book
        sensor = self._by_source(lane, address)
        if sensor is not None:
            return book.graph.values_of(sensor.key), sensor
        place = lane.place_of(address.device)
        if address.device is None and place is None and (found := self._without_device(address)):
            return found, book.graph.node(found[0].node)
        node = book.device(address.device or lane.implied_device, address.metadata)
        if node is None and place is not None:
            node = place.find(book)
        if node is None:
            return [], None
        if node.level is Level.SENSOR:
            return self._of_sensor(node, address), node
        return self._of_component(lane, node, address), node

    def _found_without_metadata(self, lane: Lane, address: Address) -> list[Signal]:
        try:
            return self._find(lane, replace(address, metadata=None))[0]
        except NotFoundError:
            return []

    def _by_source(self, lane: Lane, address: Address) -> Node | None:
        book, metadata = self._book, address.metadata
        device, name = address.device or (lane.place.address if lane.place else None), address.name
        if address.tag is not None and (at_tag := book.by_source(address.tag, metadata)) is not None:
            return at_tag
        if device is None:
            found = book.by_source(name, metadata) if name else None
        else:
            found = book.by_source(f"{device}.{name}", metadata) or book.by_source(f"{device}/{name}", metadata)
        if found is None and lane.topic is not None:
            at_topic = book.sensors_at(lane.topic)
            fitting = [s for s in at_topic if answers_to(s, name) or s.type == name] if name else []
            if len(fitting) == 1 or (len(at_topic) == 1 and address.alone):
                return (fitting or at_topic)[0]
        return found

    def _without_device(self, address: Address) -> list[Signal]:
        if not address.name:
            return []
        sensor = self._book.sensor(address.name, address.metadata)
        if sensor is not None:
            return self._book.graph.values_of(sensor.key)
        return self._by_signal_id(address.name)

    def _by_signal_id(self, id: str) -> list[Signal]:
        element = _ELEMENT.match(id)
        if element is not None:
            sensor = self._book.sensor(element["sensor"], None)
            signal = sensor and self._book.graph.signal_of(sensor.key, f"value[{element['number']}]")
            return [signal] if signal else []
        try:
            signal = self._book.graph.find_signal(id)
        except NotFoundError:
            return []
        return [signal] if signal.role is Role.MEASURED else []

    def _of_component(self, lane: Lane, node: Node, address: Address) -> list[Signal]:
        graph = self._book.graph
        name = address.name or self._implied_name(lane, node)
        if (sensor := self._book.sensor_of(node, name)) is not None:
            return graph.values_of(sensor.key)
        own = graph.signal_of(node.key, name)
        if own is not None:
            if own.role is not Role.MEASURED:
                raise InvalidValueError(f"{node.id}.{name} is {own.role}: it is not for a source to set")
            return [own]
        element = _ELEMENT.match(name)
        if element and (sensor := self._book.sensor_of(node, element["sensor"])) is not None:
            signal = graph.signal_of(sensor.key, f"value[{element['number']}]")
            return [signal] if signal else []
        return []

    def _implied_name(self, lane: Lane, node: Node) -> str:
        """What a message measured that does not say it: the topic's last level, else the only sensor's."""
        sensors = self._book.graph.sensors(node.key)
        for sensor in sensors:
            if lane.tail and (answers_to(sensor, lane.tail) or sensor.type == lane.tail):
                return sensor.short_id
        return sensors[0].short_id if len(sensors) == 1 else lane.tail or ANY_NAME

    def _of_sensor(self, node: Node, address: Address) -> list[Signal]:
        name = address.name
        if address.alone or name in ("", ANY_NAME, node.type) or answers_to(node, name):
            return self._book.graph.values_of(node.key)
        return []

    # Units and types

    def normalized(self, lane: Lane, address: Address, node: Node | None) -> tuple[tuple[Rule, ...], Units]:
        """The rules for a measurement of this node, and what units they give it."""
        if not self._lanes.normalizer.names:
            return (), Units(address.unit, address.unit)
        names = {address.device or address.name}
        if node is not None:
            for near in (node, *self._book.graph.ancestors(node.key)):
                names |= {near.id, near.short_id, near.name}
        rules = in_order([*lane.rules, *self._lanes.normalizer.of_device(names)])
        return rules, units_of(rules, (*lane.value_fields, address.name), address.unit)

    def _target(self, signals: Sequence[Signal], units: Units, value: Any, is_element: bool) -> Target | Undecided:
        name = self._book.graph.signal_id(signals[0])
        types = {self._data_type(signal) for signal in signals}
        if types == {None}:
            data_type = data_type_of(value)
            if data_type is not DataType.NUMBER:
                return Undecided(tuple(signals), data_type)
            self._numeric.update(signal.index for signal in signals)
        elements = [self._element(signal, units) for signal in signals]
        if len(elements) == 1 and (is_element or signals[0].name != "value[0]"):
            return elements[0]
        return ListTarget(name.partition(".value[")[0], elements)

    def _data_type(self, signal: Signal) -> DataType | None:
        """The type of a signal that its definition, its unit or its readings so far tell; None if none of them do."""
        if signal.data_type is not None:
            return signal.data_type
        if self._twin.labels(signal.index):
            return DataType.TEXT
        told = signal.unit is not None or signal.low is not None or signal.high is not None
        if told or signal.index in self._numeric or self._twin.state.read(signal.index) is not None:
            return DataType.NUMBER
        return None

    def _element(self, signal: Signal, units: Units) -> NumberTarget | LabelTarget:
        name = self._book.graph.signal_id(signal)
        data_type = self._data_type(signal) or DataType.NUMBER
        if data_type is not DataType.NUMBER:
            return LabelTarget(signal.index, name, data_type, self._twin.label_code, self._twin.labels)
        try:
            return NumberTarget(signal.index, name, self._conversion(units.given, signal.unit or units.become))
        except InvalidValueError as error:
            raise InvalidValueError(f"{name}: {error}", "unit") from None

    def _conversion(self, given: str | None, wanted: str | None) -> Affine:
        if given is None or wanted is None or given == wanted:
            return _SAME
        # A device that sends a wrong unit sends it a thousand times; finding what it may have meant takes a while.
        known = self._unconvertible.get((given, wanted))
        if known is not None:
            raise InvalidValueError(known)
        try:
            return conversion(given, wanted)
        except InvalidValueError as error:
            if len(self._unconvertible) < _REMEMBERED:
                self._unconvertible[given, wanted] = str(error)
            raise
