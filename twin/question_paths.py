"""Ways from one node to another: the shortest, the quickest, or all of them, the shortest first."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from .errors import InvalidValueError
from .graph import Graph
from .model import Node, Relationship
from .question_formula import Formula
from .question_kinds import Kinds
from .question_step import Steps, Tracks
from .question_subject import ArrowSubject, Instant, NodeSubject

LIMIT = 100
MOST_STEPS = 500_000
"""All paths of a dense graph are more than anybody can count: the search ends after so many steps, and says so."""
MOST_NODES = 100_000
"""So many nodes are in an answer at most, on all of its paths together."""

Hop = tuple[int, Relationship, float]


@dataclass(frozen=True, slots=True)
class Path:
    """Nodes from start to end and the relationships between them; `cost` is the sum of the weights, if asked for.

    Relationships may have been followed backwards: their `source` and `target` tell.
    """

    nodes: list[Node]
    relationships: list[Relationship]
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths between two nodes; `truncated` if there may be more, and `notes` say why."""

    start: Node
    end: Node
    paths: list[Path]
    truncated: bool = False
    notes: list[str] = field(default_factory=list)


class Ways:
    """The hops that a question of paths may take; of several relationships between two nodes the cheapest counts."""

    def __init__(self, instant: Instant, tracks: Tracks, through: Formula | None, weight: Formula | None) -> None:
        self.unweighted = 0
        self.weight = weight
        self._instant = instant
        self._graph: Graph = instant.graph
        self._kinds = Kinds.of(instant.graph)
        self._tracks = tracks
        self._through = through
        self._steps = tracks.steps(self._graph)
        self._passable: dict[int, bool] = {}

    def hops(self, key: int) -> list[Hop]:
        """The neighbours by key, each with the relationship to it and its weight."""
        best: dict[int, tuple[float, str, Relationship]] = {}
        for arrow, other in self._steps(key):
            candidate = (self._weight(arrow), arrow.type, arrow)
            if other not in best or candidate[:2] < best[other][:2]:
                best[other] = candidate
        return [(other, arrow, weight) for other, (weight, _, arrow) in sorted(best.items())]

    def back(self) -> Steps:
        """The steps the other way round."""
        return self._tracks.reverse.steps(self._graph)

    def passable(self, key: int) -> bool:
        """Whether a path may lead through the node."""
        known = self._passable.get(key)
        if known is None:
            subject = NodeSubject(self._instant, self._graph.node(key))
            known = self._passable[key] = self._through is None or self._through.holds(subject)
        return known

    def notes(self, *, empty: bool) -> list[str]:
        """Words about what was assumed or looks misspelt."""
        notes = [note for formula in (self._through, self._tracks.along) if formula for note in formula.notes()]
        if self.weight is not None and self.unweighted:
            notes.append(f"{self.weight.text} is not told {self.unweighted} times; it counts as 0 there")
        return notes + (self._tracks.notes(self._graph) if empty else [])

    def _weight(self, arrow: Relationship) -> float:
        if self.weight is None:
            return 1.0
        value = self.weight.value(ArrowSubject(self._graph, arrow, self._kinds))
        if value is None:
            self.unweighted += 1
            return 0.0
        if isinstance(value, str | bool | list | dict) or value < 0:
            raise InvalidValueError(f"weight: {self.weight.text} is {value!r}, expected a number from 0 on", "weight")
        return float(value)


def shortest_path(
    instant: Instant,
    start: str,
    end: str,
    tracks: Tracks,
    *,
    through: Formula | None = None,
    weight: Formula | None = None,
) -> Paths:
    """The path with the fewest hops, or with the least sum of `weight` (such as `transfer_time`), if there is one.

    Dijkstra's. Only nodes for which `through` holds are passed. Raises NotFoundError, InvalidValueError.
    """
    graph = instant.graph
    first, last = graph.find(start), graph.find(end)
    ways = Ways(instant, tracks, through, weight)
    hops = _dijkstra(ways, first.key, last.key)
    found = [] if hops is None else [_path(graph, first.key, hops, weighted=weight is not None)]
    return Paths(first, last, found, notes=ways.notes(empty=not found))


def all_paths(
    instant: Instant,
    start: str,
    end: str,
    tracks: Tracks,
    *,
    through: Formula | None = None,
    weight: Formula | None = None,
    hops: int | None = None,
    limit: int = LIMIT,
) -> Paths:
    """Every simple path (no node twice) of at most `hops` hops (None: however long), the shortest first.

    At most `limit` of them, and at most MOST_STEPS steps of search: `truncated` says so. Raises as `shortest_path`.
    """
    graph = instant.graph
    first, last = graph.find(start), graph.find(end)
    ways = Ways(instant, tracks, through, weight)
    search = Search(ways, first.key, last.key, hops)
    found: list[Path] = []
    notes: list[str] = []
    nodes = 0
    for path in search.paths():
        nodes += len(path) + 1
        if len(found) == limit or nodes > MOST_NODES:
            more = str(limit) if len(found) == limit else f"an answer of {MOST_NODES:,} nodes holds"
            notes = [f"there are more than {more}; these are the shortest"]
            break
        found.append(_path(graph, first.key, path, weighted=weight is not None))
    if search.exhausted:
        notes = [f"the search ended after {MOST_STEPS} steps; there may be more paths"]
    return Paths(first, last, found, bool(notes), notes + ways.notes(empty=not found))


def _dijkstra(ways: Ways, start: int, end: int) -> list[Hop] | None:
    order = count()
    came: dict[int, tuple[int, Hop] | None] = {}
    waiting: list[tuple[float, int, int, tuple[int, Hop] | None]] = [(0.0, next(order), start, None)]
    while waiting:
        cost, _, key, before = heapq.heappop(waiting)
        if key in came:
            continue
        came[key] = before
        if key == end:
            return _backtracked(came, end)
        if key == start or ways.passable(key):
            for hop in ways.hops(key):
                if hop[0] not in came:
                    heapq.heappush(waiting, (cost + hop[2], next(order), hop[0], (key, hop)))
    return None


def _backtracked(came: dict[int, tuple[int, Hop] | None], end: int) -> list[Hop]:
    path = []
    before = came[end]
    while before is not None:
        path.append(before[1])
        before = came[before[0]]
    return path[::-1]


class Search:
    """Depth first with a bound that grows by one: what cannot reach the end within the bound is not entered."""

    def __init__(self, ways: Ways, start: int, end: int, most: int | None) -> None:
        self.exhausted = False
        self._ways = ways
        self._start = start
        self._end = end
        self._most = most
        self._left = MOST_STEPS
        self._away = _distances(ways, start, end, most)
        self._hops: dict[int, list[Hop]] = {}

    def paths(self) -> Iterator[list[Hop]]:
        """The simple paths, by length."""
        bound = self._away.get(self._start)
        while bound is not None and (self._most is None or bound <= self._most) and not self.exhausted:
            self._cut = False
            yield from self._of_length(bound)
            bound = bound + 1 if self._cut else None

    def _of_length(self, bound: int) -> Iterator[list[Hop]]:
        path: list[Hop] = []
        on_path = {self._start}
        if self._start == self._end:
            yield path
            return
        branches = [iter(self._onward(self._start))]
        while branches:
            hop = next(branches[-1], None)
            self._left -= 1
            if self._left < 0:
                self.exhausted = True
                return
            if hop is None:
                branches.pop()
                if path:
                    on_path.discard(path.pop()[0])
            elif hop[0] not in on_path:
                length = len(path) + 1
                if length + self._away[hop[0]] > bound:
                    self._cut = True
                elif hop[0] == self._end:
                    if length == bound:
                        yield [*path, hop]
                else:
                    path.append(hop)
                    on_path.add(hop[0])
                    branches.append(iter(self._onward(hop[0])))

    def _onward(self, key: int) -> list[Hop]:
        known = self._hops.get(key)
        if known is None:
            known = self._hops[key] = [hop for hop in self._ways.hops(key) if hop[0] in self._away]
        return known


def _distances(ways: Ways, start: int, end: int, most: int | None) -> dict[int, int]:
    """How many hops each node is from the end; those that lie farther than the bound are left out."""
    back = ways.back()
    away, frontier, distance = {end: 0}, [end], 0
    while frontier and (most is None or distance < most):
        distance += 1
        beyond = []
        for key in frontier:
            for _, other in back(key):
                if other not in away and (other == start or ways.passable(other)):
                    away[other] = distance
                    if other != start:
                        beyond.append(other)
        frontier = beyond
    return away


def _path(graph: Graph, start: int, hops: list[Hop], *, weighted: bool) -> Path:
    nodes = [graph.node(start), *(graph.node(key) for key, _, _ in hops)]
    cost = sum(weight for _, _, weight in hops) if weighted else None
    return Path(nodes, [arrow for _, arrow, _ in hops], cost)
