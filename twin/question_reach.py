"""What can be reached from a node: its neighbours, all that lies downstream or upstream, in the order of distance."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import msgspec

from .graph import Graph
from .model import Level, Node, Relationship
from .question_formula import Formula
from .question_kinds import Kinds
from .question_step import Steps, Tracks
from .question_subject import Instant, NodeSubject

LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which nodes are meant: of some levels, of some types, for which a condition holds; all that is given counts."""

    levels: frozenset[Level] = frozenset()
    types: frozenset[str] = frozenset()
    where: Formula | None = None

    @classmethod
    def of(
        cls, levels: Iterable[Level] | None = None, types: Iterable[str] | None = None, where: Formula | None = None
    ) -> "Selection":
        """What is not given does not narrow."""
        return cls(frozenset(levels or ()), frozenset(types or ()), where)

    def widened(self, graph: Graph) -> "Selection":
        """With the component types that extend those that are named."""
        return replace(self, types=Kinds.of(graph).with_subtypes(self.types)) if self.types else self

    def takes(self, instant: Instant, node: Node) -> bool:
        """Whether the node is meant."""
        if self.levels and node.level not in self.levels:
            return False
        if self.types and node.type not in self.types:
            return False
        return self.where is None or self.where.holds(NodeSubject(instant, node))


class Reached(msgspec.Struct, frozen=True):
    """A node, how many hops away it is, and the relationship by which it was reached first."""

    node: Node
    hops: int
    via: Relationship


@dataclass(frozen=True, slots=True)
class Reach:
    """Nodes around `start`, the nearest first; `truncated` if there are more than were asked for."""

    start: Node
    nodes: list[Reached]
    truncated: bool = False
    notes: list[str] = field(default_factory=list)


def reach(
    instant: Instant,
    start: str,
    tracks: Tracks,
    select: Selection | None = None,
    *,
    through: Formula | None = None,
    hops: int | None = None,
    limit: int = LIMIT,
) -> Reach:
    """The nodes that `select` takes, at most `limit` of them, within `hops` of `start` (None: however far).

    Only nodes for which `through` holds are passed on the way. Breadth first, so each node is met on a shortest way;
    cycles do no harm. Raises NotFoundError for the start, InvalidValueError for a formula that does not fit.
    """
    graph = instant.graph
    select = (select or Selection()).widened(graph)
    origin = graph.find(start)
    found: list[Reached] = []
    seen, frontier, depth = {origin.key}, [origin.key], 0
    steps = tracks.steps(graph)
    while frontier and (hops is None or depth < hops):
        depth += 1
        frontier_next = []
        for key, via in sorted(_beyond(steps, frontier, seen).items()):
            node = graph.node_map[key]
            if select.takes(instant, node):
                if len(found) == limit:
                    return Reach(origin, found, True, [f"there are more than {limit}; these are the nearest"])
                found.append(Reached(node, depth, via))
            if through is None or through.holds(NodeSubject(instant, node)):
                frontier_next.append(key)
        frontier = frontier_next
    return Reach(origin, found, notes=_notes(graph, tracks, select.where, through, empty=len(seen) == 1))


def _beyond(steps: Steps, frontier: list[int], seen: set[int]) -> dict[int, Relationship]:
    """The nodes one hop behind the frontier that were not seen before, by key, each with the way to it."""
    found: dict[int, Relationship] = {}
    for key in frontier:
        for arrow, other in steps(key):
            if other not in seen:
                seen.add(other)
                found[other] = arrow
            elif other in found and _rank(arrow) < _rank(found[other]):
                found[other] = arrow  # texts hash differently in each process; the answer must not
    return found


def _rank(arrow: Relationship) -> tuple[str, int, int]:
    return arrow.type, arrow.source, arrow.target


def _notes(graph: Graph, tracks: Tracks, where: Formula | None, through: Formula | None, *, empty: bool) -> list[str]:
    notes = [note for formula in (where, through, tracks.along) if formula is not None for note in formula.notes()]
    return notes + (tracks.notes(graph) if empty else [])
