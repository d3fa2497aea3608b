"""The plant as one immutable value.

A `Graph` is built of persistent maps: a new revision shares all that did not change with the one before, so keeping
revisions and forking cost next to nothing, and whoever holds a graph reads it without a lock.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from immutables import Map

from .errors import AmbiguousIdError, NotFoundError
from .model import Level, Node, Origin, Relationship, Role, Signal

Arrows = Map[int, Map[tuple[str, int], Relationship]]

HEALTH = "health"
VALUE = "value"
DESIRED = "desired"


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes, relationships and signals as of one revision."""

    revision: int = 0
    next_key: int = 1
    next_index: int = 0
    definition: dict[str, Any] = field(default_factory=dict)
    node_map: Map[int, Node] = Map()
    key_by_id: Map[str, int] = Map()
    keys_by_short_id: Map[str, Map[int, None]] = Map()
    children_map: Map[int, Map[int, None]] = Map()
    signal_map: Map[int, Signal] = Map()
    signals_by_node: Map[int, tuple[int, ...]] = Map()
    arrows_out: Arrows = Map()
    arrows_in: Arrows = Map()

    def __len__(self) -> int:
        return len(self.node_map)

    def __contains__(self, id: object) -> bool:
        return id in self.key_by_id

    # Nodes

    def node(self, key: int) -> Node:
        """The node with this key; raises NotFoundError."""
        node = self.node_map.get(key)
        if node is None:
            raise NotFoundError(f"no node has the key {key}")
        return node

    def find(self, id: str, within: str | None = None) -> Node:
        """The node of this id, or of this ending of an id where only one node (`within` a twin) has it.

        Raises NotFoundError with the nearest names, AmbiguousIdError with the candidates.
        """
        prefix = f"{within}." if within else ""
        key = self.key_by_id.get(prefix + id)
        if key is not None:
            return self.node_map[key]
        found = self.candidates(id, within)
        if len(found) == 1:
            return found[0]
        if found:
            raise AmbiguousIdError(id, [node.id for node in found])
        raise NotFoundError(self._missing("node", id))

    def candidates(self, id: str, within: str | None = None) -> list[Node]:
        """The nodes whose id ends in `.id` (or is it), below `within` if that is given."""
        keys = self.keys_by_short_id.get(id.rpartition(".")[2], ())
        nodes = [self.node_map[key] for key in keys]
        found = [node for node in nodes if node.id == id or node.id.endswith("." + id)]
        return [node for node in found if within is None or node.id.startswith(within + ".")]

    def nodes(
        self, level: Level | None = None, type: str | None = None, origin: Origin | None = None
    ) -> Iterator[Node]:
        """All nodes, in the order in which they came, narrowed by what is given."""
        for key in sorted(self.node_map):
            node = self.node_map[key]
            if level in (None, node.level) and type in (None, node.type) and origin in (None, node.origin):
                yield node

    def twins(self) -> list[Node]:
        """The nodes that REST and GraphQL call twins: the lines, and areas that hold components themselves."""
        return [
            node
            for node in self.nodes()
            if node.level is Level.LINE or (node.level is Level.AREA and self.components(node.key))
        ]

    def children(self, key: int) -> list[Node]:
        """What the node contains, sensors included, in the order in which they came."""
        return [self.node_map[child] for child in sorted(self.children_map.get(key, ()))]

    def components(self, key: int) -> list[Node]:
        """The children that are components."""
        return [node for node in self.children(key) if node.level is Level.COMPONENT]

    def sensors(self, key: int) -> list[Node]:
        """The children that are sensors."""
        return [node for node in self.children(key) if node.level is Level.SENSOR]

    def ancestors(self, key: int) -> Iterator[Node]:
        """The parent, its parent, and so on."""
        parent = self.node(key).parent
        while parent is not None:
            node = self.node_map[parent]
            yield node
            parent = node.parent

    def descendants(self, key: int) -> Iterator[Node]:
        """Everything below the node, parents before their children."""
        waiting = self.children(key)[::-1]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(self.children(node.key)[::-1])

    # Relationships

    def outgoing(self, key: int, type: str | None = None) -> list[Relationship]:
        """The relationships that start at the node; `contains` and `has_sensor` are `Node.parent` instead."""
        return _of_type(self.arrows_out, key, type)

    def incoming(self, key: int, type: str | None = None) -> list[Relationship]:
        """The relationships that end at the node."""
        return _of_type(self.arrows_in, key, type)

    def relationships(self, type: str | None = None) -> Iterator[Relationship]:
        """All relationships, by the key of their source."""
        for key in sorted(self.arrows_out):
            yield from self.outgoing(key, type)

    # Signals

    def signal(self, index: int) -> Signal:
        """The signal of this index; raises NotFoundError."""
        signal = self.signal_map.get(index)
        if signal is None:
            raise NotFoundError(f"no signal has the index {index}")
        return signal

    def signals(self) -> Iterator[Signal]:
        """All signals by index."""
        return (self.signal_map[index] for index in sorted(self.signal_map))

    @property
    def signal_count(self) -> int:
        """One more than the highest index ever given: the length of a column indexed by `Signal.index`."""
        return self.next_index

    def signals_of(self, key: int) -> list[Signal]:
        """The node's own signals, in the order in which they came."""
        return [self.signal_map[index] for index in self.signals_by_node.get(key, ())]

    def values_of(self, key: int) -> list[Signal]:
        """What a sensor shows: its signals without the desired one."""
        return [signal for signal in self.signals_of(key) if signal.role is not Role.DESIRED]

    def desired_of(self, signal: Signal) -> Signal | None:
        """The signal beside it that says what it is to be; None if nobody may set it."""
        return self.signal_of(signal.node, DESIRED)

    def signal_of(self, key: int, name: str = VALUE) -> Signal | None:
        """The node's own signal of that name."""
        return next((signal for signal in self.signals_of(key) if signal.name == name), None)

    def find_signal(self, id: str) -> Signal:
        """A signal by `line.component.sensor`, `...sensor.value[0]`, `component.speed` or `component.health`.

        Behind a component's id stands the name or id of a sensor, or a signal of the component's own; behind either of
        these `desired` is what it is to be.
        Raises NotFoundError, or AmbiguousIdError where a short id fits several nodes.
        """
        try:
            node = self.find(id)
        except AmbiguousIdError:
            raise
        except NotFoundError:
            return self._signal_behind_dot(id)
        signals = self.values_of(node.key)
        if node.level is Level.SENSOR and signals:
            return signals[0]
        raise NotFoundError(f"{node.id} is a {node.level}; name one of its signals: {self._signal_names(node)}")

    def _signal_behind_dot(self, id: str) -> Signal:
        head, _, name = id.rpartition(".")
        if not head:
            raise NotFoundError(self._missing("signal", id))
        if name == DESIRED and (desired := self._desired(head)) is not None:
            return desired
        node = self.find(head)
        own = self.signal_of(node.key, name)
        if own is not None:
            return own
        for sensor in self.sensors(node.key):
            if sensor.name == name and (signals := self.values_of(sensor.key)):
                return signals[0]
        raise NotFoundError(f"{node.id} has no signal {name!r}; it has {self._signal_names(node)}")

    def _desired(self, id: str) -> Signal | None:
        try:
            return self.desired_of(self.find_signal(id))
        except NotFoundError:
            return None

    def signal_id(self, signal: Signal) -> str:
        """The dotted id by which `find_signal` finds the signal again."""
        node = self.node(signal.node)
        return node.id if node.level is Level.SENSOR and signal.name == VALUE else f"{node.id}.{signal.name}"

    def state_signals(self, key: int) -> list[tuple[str, list[Signal]]]:
        """What a node shows as its state: its sensors under their names, then its own signals but health.

        More than one signal under a name is one list value (`value[0]`, `value[1]`, ...).
        """
        shown = [(sensor.name, self.values_of(sensor.key)) for sensor in self.sensors(key)]
        own = [(signal.name, [signal]) for signal in self.signals_of(key) if signal.name != HEALTH]
        return [(name, signals) for name, signals in shown + own if signals]

    def _signal_names(self, node: Node) -> str:
        names = [signal.name for signal in self.signals_of(node.key)] + [s.name for s in self.sensors(node.key)]
        return ", ".join(names[:20]) or "none"

    def _missing(self, what: str, id: str) -> str:
        near = difflib.get_close_matches(id.rpartition(".")[2], _first(self.keys_by_short_id, 20_000), n=3)
        ids = [self.node_map[key].id for short in near for key in self.keys_by_short_id[short]][:3]
        return f"no {what} is called {id!r}" + (f"; did you mean {', '.join(ids)}?" if ids else "")


def _first(names: Map[str, Map[int, None]], limit: int) -> list[str]:
    # A did-you-mean over a million names would take longer than its reader would wait.
    return [name for name, _ in zip(names, range(limit), strict=False)]


def _of_type(arrows: Arrows, key: int, type: str | None) -> list[Relationship]:
    of_node = arrows.get(key)
    if of_node is None:
        return []
    found = of_node.values() if type is None else (r for r in of_node.values() if r.type == type)
    return sorted(found, key=lambda r: (r.type, r.source, r.target))
