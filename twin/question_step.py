"""Steps from a node to its neighbours, along relationships of chosen types.

`contains` and `has_sensor` are told by `Node.parent`; here they are relationships like any other.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from .graph import Graph
from .model import CONTAINS, HAS_SENSOR, Level, Node, Relationship
from .question_formula import Formula
from .question_kinds import Kinds
from .question_subject import ArrowSubject
from .suggestion import nearest

Step = tuple[Relationship, int]
Steps = Callable[[int], list[Step]]


class Direction(StrEnum):
    """Which way relationships are followed: from source to target, the other way, or both."""

    OUT = "out"
    IN = "in"
    BOTH = "both"

    @property
    def reverse(self) -> "Direction":
        """The way back."""
        return {Direction.OUT: Direction.IN, Direction.IN: Direction.OUT}.get(self, self)


@dataclass(frozen=True, slots=True)
class Tracks:
    """What may be followed: types (None: all), which way, and a condition that each relationship must fulfil."""

    types: frozenset[str] | None = None
    direction: Direction = Direction.OUT
    along: Formula | None = None

    @classmethod
    def of(cls, types: Iterable[str] | None, direction: Direction, along: Formula | None = None) -> "Tracks":
        """No types at all mean all types."""
        return cls(frozenset(types) if types else None, direction, along)

    @property
    def reverse(self) -> "Tracks":
        """The same, walked backwards."""
        return replace(self, direction=self.direction.reverse)

    def steps(self, graph: Graph) -> Steps:
        """From a node's key to the relationships that lead on, each with the key of its other end."""
        ways = []
        if self.direction is not Direction.IN:
            ways.append(_outward(graph, self.types))
        if self.direction is not Direction.OUT:
            ways.append(_inward(graph, self.types))
        both = ways[0] if len(ways) == 1 else lambda key: ways[0](key) + ways[1](key)
        along = self.along
        if along is None:
            return both
        kinds = Kinds.of(graph)
        return lambda key: [step for step in both(key) if along.holds(ArrowSubject(graph, step[0], kinds))]

    def notes(self, graph: Graph) -> list[str]:
        """A word about types that no relationship has; asked where an answer is empty, for it looks at all of them."""
        if not self.types:
            return []
        known = relationship_types(graph)
        missing = sorted(self.types - known)
        return [f"no relationship is of type {type!r}{_instead(type, known)}" for type in missing]


def relationship_types(graph: Graph) -> set[str]:
    """The types of all relationships that there are."""
    found = {type for arrows in graph.arrows_out.values() for type, _ in arrows}
    for children in graph.children_map.values():
        found.update(belongs(graph.node_map[child]) for child in children)
        if {CONTAINS, HAS_SENSOR} <= found:
            break
    return found


def belongs(node: Node) -> str:
    """How a node hangs on its parent: `has_sensor` for a sensor, else `contains`."""
    return HAS_SENSOR if node.level is Level.SENSOR else CONTAINS


def _instead(type: str, known: set[str]) -> str:
    near = nearest(type, tuple(sorted(known)))
    if near is not None:
        return f"; did you mean {near!r}?"
    return f"; there are {', '.join(sorted(known)[:20]) or 'none'}"


def _outward(graph: Graph, types: frozenset[str] | None) -> Steps:
    arrows_out, children_map, nodes = graph.arrows_out, graph.children_map, graph.node_map
    descends = types is None or CONTAINS in types or HAS_SENSOR in types

    def steps(key: int) -> list[Step]:
        found: list[Step] = []
        arrows = arrows_out.get(key)
        if arrows is not None:
            found = [(arrow, place[1]) for place, arrow in arrows.items() if types is None or place[0] in types]
        if descends:
            for child in children_map.get(key, ()):
                type = belongs(nodes[child])
                if types is None or type in types:
                    found.append((Relationship(key, type, child), child))
        return found

    return steps


def _inward(graph: Graph, types: frozenset[str] | None) -> Steps:
    arrows_in, nodes = graph.arrows_in, graph.node_map
    ascends = types is None or CONTAINS in types or HAS_SENSOR in types

    def steps(key: int) -> list[Step]:
        found: list[Step] = []
        arrows = arrows_in.get(key)
        if arrows is not None:
            found = [(arrow, place[1]) for place, arrow in arrows.items() if types is None or place[0] in types]
        if ascends:
            node = nodes[key]
            if node.parent is not None and (types is None or belongs(node) in types):
                found.append((Relationship(node.parent, belongs(node), key), node.parent))
        return found

    return steps
