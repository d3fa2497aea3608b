"""How the plant's nodes and relationships read in a graph database: labels, types, flat properties."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .graph import VALUE, Graph
from .model import CONTAINS, HAS_SENSOR, Level, Node, Relationship, Signal
from .store_words import LEVEL_LABELS, property_name, relationship_type, type_label

OPEN_ANOMALIES = "openAnomalies"
_LONGEST_INTEGER = 2**63
Path = tuple[str, ...]


class NodeRow(NamedTuple):
    """A node: the label of its level, the label of its type if it has one, and what it is, but for its state."""

    level: str
    type: str | None
    properties: dict[str, Any]

    @property
    def labels(self) -> frozenset[str]:
        """Its labels, but for that of its health."""
        return frozenset((self.level,) if self.type is None else (self.level, self.type))


class RelationshipKey(NamedTuple):
    """A relationship's source and target by key, and its type as the database writes it."""

    source: int
    type: str
    target: int


def node_row(graph: Graph, node: Node) -> NodeRow:
    """A node as a database shows it, without its state."""
    properties: dict[str, Any] = {"key": node.key, "id": node.id, "name": node.name, "origin": str(node.origin)}
    if node.type is not None:
        properties["type"] = node.type
    signals = graph.signals_of(node.key)
    for signal in signals:
        properties |= _of_signal(signal)
    for name, (_, value) in property_paths(node, signals).items():
        properties[name] = value
    label = None if node.type is None else type_label(node.type)
    return NodeRow(LEVEL_LABELS[node.level], label, properties)


def relationships_from(graph: Graph, key: int) -> Iterator[tuple[RelationshipKey, dict[str, Any]]]:
    """What starts at a node: to what it contains, and what engineers drew."""
    for child in graph.children_map.get(key, ()):
        yield RelationshipKey(key, parent_type(graph.node_map[child]), child), {}
    for one in graph.outgoing(key):
        yield RelationshipKey(one.source, relationship_type(one.type), one.target), relationship_properties(one)


def relationships_of(graph: Graph, node: Node) -> Iterator[tuple[RelationshipKey, dict[str, Any]]]:
    """What a change of the node may change: what engineers drew from it, and that its parent contains it."""
    if node.parent is not None:
        yield RelationshipKey(node.parent, parent_type(node), node.key), {}
    for one in graph.outgoing(node.key):
        yield RelationshipKey(one.source, relationship_type(one.type), one.target), relationship_properties(one)


def relationships_at(graph: Graph, key: int) -> dict[RelationshipKey, dict[str, Any]]:
    """All relationships that a node has, in either direction."""
    found = dict(relationships_of(graph, graph.node_map[key])) | dict(relationships_from(graph, key))
    for one in graph.incoming(key):
        found[RelationshipKey(one.source, relationship_type(one.type), key)] = relationship_properties(one)
    return found


def parent_type(node: Node) -> str:
    """HAS_SENSOR or CONTAINS: how its parent holds a node."""
    return relationship_type(HAS_SENSOR if node.level is Level.SENSOR else CONTAINS)


def relationship_properties(one: Relationship) -> dict[str, Any]:
    """A relationship's flat properties; with its `type` where the database's word does not tell it."""
    known = {} if relationship_type(one.type).lower() == one.type else {"type": one.type}
    return {name: value for name, (_, value) in _flat(one.properties, ("type",)).items()} | known


# Signals


def signal_name(signal: Signal) -> str:
    """The property of a signal's value: `value` (of `value[0]` too, which are one list), `health`, `rulDays`."""
    return property_name(signal.name.partition("[")[0])


def state_names(name: str) -> tuple[str, str, str]:
    """The properties of a signal's value, quality and time."""
    return (VALUE, "quality", "time") if name == VALUE else (name, f"{name}Quality", f"{name}Time")


def unit_name(name: str) -> str:
    """The property of a signal's unit."""
    return "unit" if name == VALUE else f"{name}Unit"


def _of_signal(signal: Signal) -> dict[str, Any]:
    name = signal_name(signal)
    facts: dict[str, Any] = {unit_name(name): signal.unit}
    if name == VALUE:
        facts |= {"low": signal.low, "high": signal.high, "expectedInterval": signal.expected_interval}
    return {key: value for key, value in facts.items() if value is not None}


# Properties


def property_paths(node: Node, signals: Iterable[Signal]) -> dict[str, tuple[Path, Any]]:
    """The properties that a definition gave a node, by the name in the database: (path in the definition, value)."""
    if not node.properties:
        return {}
    taken = ["key", "id", "name", "origin", "type", OPEN_ANOMALIES]
    for name in {signal_name(signal) for signal in signals}:
        taken += [*state_names(name), unit_name(name)]
    if node.level is Level.SENSOR:
        taken += ["low", "high", "expectedInterval", "unit", *state_names(VALUE)]
    return _flat(node.properties, taken)


def _flat(properties: dict[str, Any], taken: Iterable[str]) -> dict[str, tuple[Path, Any]]:
    """Flat properties by name; where two would bear one name, the second is called by its whole path."""
    found: dict[str, tuple[Path, Any]] = dict.fromkeys(taken, ((), None))
    for path, value in _leaves(properties, ()):
        # Parameters are what people look for first: they stand under their own names.
        short = property_name(*(path[1:] if len(path) > 1 and path[0] == "parameters" else path))
        name = short if short not in found else property_name("properties", *path)
        while name in found:
            name += "_"
        found[name] = (path, value)
    return {name: entry for name, entry in found.items() if entry[0]}


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and (value or not path):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif value is not None:
        yield path, _storable(value)


def _storable(value: Any) -> Any:
    """A property of a database is a number, a text, a boolean or a list of one of these; else it is JSON text."""
    if isinstance(value, int) and not -_LONGEST_INTEGER <= value < _LONGEST_INTEGER:
        return str(value)
    if isinstance(value, list):
        kinds = {type(item) for item in value}
        plain = len(kinds) <= 1 and kinds <= {str, bool, int, float}
        return value if plain and all(_storable(item) == item for item in value) else json.dumps(value)
    return json.dumps(value) if isinstance(value, dict) else value
