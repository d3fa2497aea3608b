"""What an expression of a question may name: the fields, signals, parameters and properties of one node or arrow.

A subject knows every name: what it does not have is unknown (None), and a condition that is unknown does not hold.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .graph import VALUE, Graph
from .model import DataType, Level, Node, Quality, Relationship, Signal
from .question_kinds import Kinds
from .state import Reading, StateColumns

_NODE_FIELDS = ("id", "short_id", "name", "level", "type", "origin", "key")


class Instant(Protocol):
    """The plant at one instant, live or as of another: its graph and the readings of that time."""

    @property
    def graph(self) -> Graph: ...
    @property
    def now(self) -> int: ...

    def snapshot(self, signals: NDArray[np.int32] | None = None) -> StateColumns:
        """The newest readings by then, of all signals or of those at these indexes."""

    def read(self, signal: int) -> Reading | None:
        """The signal's newest reading by then."""

    def label(self, signal: int, code: float) -> str | None:
        """The text behind a code of a text signal."""


class Subject(Protocol):
    """What a formula is asked about; it knows every name."""

    @property
    def id(self) -> str:
        """How a message calls it."""

    def found(self, name: str) -> tuple[Any, str | None]:
        """The value of a name and its unit; None for what is not known."""


class NodeSubject:
    """A node: its fields, then its signals by the names of its state, its parameters, its properties.

    `parameters.x` and `properties.x` name one of these outright; `parent` is the id of what contains it. A parameter
    has the unit that its component type declares.
    """

    __slots__ = ("_instant", "node")

    def __init__(self, instant: Instant, node: Node) -> None:
        self.node = node
        self._instant = instant

    @property
    def id(self) -> str:
        """The node's."""
        return self.node.id

    def found(self, name: str) -> tuple[Any, str | None]:
        """See `Subject`."""
        node = self.node
        if name in _NODE_FIELDS:
            return getattr(node, name), None
        if name == "parent":
            return None if node.parent is None else self._instant.graph.node(node.parent).id, None
        signal = signal_named(self._instant.graph, node, name)
        if signal is not None:
            return value_of(self._instant, signal), signal.unit
        parameter = name.removeprefix("parameters.")
        value = _inside(node.properties.get("parameters"), parameter)
        if value is not None:
            return value, Kinds.of(self._instant.graph).parameter_unit(node, parameter)
        return _inside(node.properties, name.removeprefix("properties.")), None


class ArrowSubject:
    """A relationship: `type`, `source` and `target` (ids), and its properties; `transfer_time` is in seconds."""

    __slots__ = ("_arrow", "_graph", "_kinds")

    def __init__(self, graph: Graph, arrow: Relationship, kinds: Kinds) -> None:
        self._graph = graph
        self._arrow = arrow
        self._kinds = kinds

    @property
    def id(self) -> str:
        """Its two ends."""
        source, target = (self._graph.node(key).id for key in (self._arrow.source, self._arrow.target))
        return f"{source} {self._arrow.type} {target}"

    def found(self, name: str) -> tuple[Any, str | None]:
        """See `Subject`."""
        arrow = self._arrow
        if name in arrow.properties:
            return arrow.properties[name], self._kinds.property_unit(arrow.type, name)
        if name == "type":
            return arrow.type, None
        if name in ("source", "target"):
            return self._graph.node(getattr(arrow, name)).id, None
        return _inside(arrow.properties, name.removeprefix("properties.")), None


def signal_named(graph: Graph, node: Node, name: str) -> Signal | None:
    """The signal that a node shows under a name: its own, or its sensor's of that name or id."""
    for index in graph.signals_by_node.get(node.key, ()):
        if graph.signal_map[index].name == name:
            return graph.signal_map[index]
    nodes, ending = graph.node_map, f".{name}"
    for child in graph.children_map.get(node.key, ()):
        sensor = nodes[child]
        if (sensor.name == name or sensor.id.endswith(ending)) and sensor.level is Level.SENSOR:
            return graph.signal_of(child, VALUE)
    return None


def value_of(instant: Instant, signal: Signal) -> float | bool | str | None:
    """What a signal shows: a number, a text or a truth; None without a reading or with a bad one."""
    reading = instant.read(signal.index)
    if reading is None or reading.quality < Quality.UNCERTAIN or reading.value != reading.value:
        return None
    if signal.data_type is DataType.BOOLEAN and not signal.labels:
        return reading.value != 0
    label = instant.label(signal.index, reading.value)
    return reading.value if label is None else label


def _inside(value: Any, name: str) -> Any:
    """`a.b` of nested JSON objects; a name with dots of its own is found, too."""
    if not isinstance(value, dict):
        return None
    if name in value:
        return value[name]
    head, dot, rest = name.partition(".")
    return _inside(value.get(head), rest) if dot else None
