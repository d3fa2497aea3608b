"""Single points of failure: the nodes whose loss cuts something off from all that feeds it, or from all that it feeds.

With dominators (Cooper, Harvey and Kennedy 2006): what every way from the sources to a sink passes, dominates it. And
with articulation points: nodes without which what hangs together falls apart, whichever way material flows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import networkx as nx

from .errors import InvalidValueError
from .graph import Graph
from .model import FEEDS_INTO, Node
from .question_cache import VIEWS
from .question_formula import Formula
from .question_step import Direction, Tracks
from .question_subject import Instant

LIMIT = 1_000
SHOWN = 20
_ROOT = 0  # keys begin at 1


@dataclass(frozen=True, slots=True)
class Cut:
    """A single point of failure.

    `sinks` is how many ends get nothing any more without it, `sources` how many beginnings cannot deliver any more
    (itself not counted), each with the first ids. `separates` if what is left does not even hang together.
    """

    node: Node
    sinks: int
    sources: int
    first_sinks: list[str]
    first_sources: list[str]
    separates: bool


@dataclass(frozen=True, slots=True)
class Cuts:
    """The single points of failure, the worst first, among so many `nodes` with so many sources and sinks."""

    cuts: list[Cut]
    nodes: int
    sources: int
    sinks: int
    truncated: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Web:
    """Nodes joined by relationships as networkx has them, where ways begin and end, and what holds them together."""

    graph: "nx.DiGraph[int]"
    begin: list[int]
    end: list[int]
    joints: frozenset[int]


def single_points_of_failure(
    instant: Instant,
    types: Iterable[str] | None = None,
    *,
    source: str | None = None,
    sink: str | None = None,
    within: str | None = None,
    along: Formula | None = None,
    limit: int = LIMIT,
) -> Cuts:
    """The nodes that everything to some sink, or from some source, must pass along relationships of `types`.

    Types are `feeds_into` unless told. Sources are the nodes that nothing feeds, sinks those that feed nothing (of a
    loop without either: all of it); `source` and `sink` name one instead; `within` narrows to what a node contains.
    Raises NotFoundError; InvalidValueError where there is no way from the source to the sink.
    """
    graph = instant.graph
    tracks = Tracks.of(types or (FEEDS_INTO,), Direction.OUT, along)
    scope = None if within is None else graph.find(within).key
    first, last = (None if id is None else graph.find(id).key for id in (source, sink))
    if along is None:
        web = VIEWS.of(graph, ("web", tracks.types, scope), lambda: _web(graph, tracks, scope))
    else:
        web = _web(graph, tracks, scope)
    _check_ends(graph, web.graph, first, last)
    begin = web.begin if first is None else [first]
    end = web.end if last is None else [last]
    cuts = [cut for cut in _cuts(graph, web, begin, end) if cut.node.key not in (first, last)]
    notes = [f"there are more than {limit}; these are the worst"] if len(cuts) > limit else []
    notes += along.notes() if along else []
    notes += [] if len(web.graph) else tracks.notes(graph)
    return Cuts(cuts[:limit], len(web.graph), len(begin), len(end), len(cuts) > limit, notes)


def _web(graph: Graph, tracks: Tracks, scope: int | None) -> Web:
    steps = tracks.steps(graph)
    inside = None if scope is None else {scope, *(node.key for node in graph.descendants(scope))}
    drawn: nx.DiGraph[int] = nx.DiGraph()
    for key in sorted(graph.node_map if inside is None else inside):
        drawn.add_edges_from((key, other) for _, other in steps(key) if inside is None or other in inside)
    joints = frozenset(nx.articulation_points(drawn.to_undirected(as_view=True)))
    return Web(drawn, _beginnings(drawn), _beginnings(drawn.reverse(copy=False)), joints)


def _beginnings(drawn: "nx.DiGraph[int]") -> list[int]:
    """The nodes that have no predecessor, and the loops that nothing enters."""
    begin = {key for key, degree in drawn.in_degree() if not degree}
    reached, waiting = set(begin), list(begin)
    while waiting:
        fresh = [other for other in drawn.successors(waiting.pop()) if other not in reached]
        reached.update(fresh)
        waiting += fresh
    if len(reached) < len(drawn):
        loops = nx.condensation(drawn.subgraph(set(drawn) - reached))
        begin |= {key for part, degree in loops.in_degree() if not degree for key in loops.nodes[part]["members"]}
    return sorted(begin)


def _check_ends(graph: Graph, drawn: "nx.DiGraph[int]", first: int | None, last: int | None) -> None:
    for key in (first, last):
        if key is not None and key not in drawn:
            raise InvalidValueError(f"{graph.node(key).id} has no relationship of these types here")
    if first is not None and last is not None and not nx.has_path(drawn, first, last):
        raise InvalidValueError(f"there is no way from {graph.node(first).id} to {graph.node(last).id}", "sink")


def _cuts(graph: Graph, web: Web, begin: list[int], end: list[int]) -> list[Cut]:
    lost = _dominated(web.graph, begin, set(end))
    stranded = _dominated(web.graph.reverse(copy=False), end, set(begin))
    nothing = Behind()
    cuts = []
    for key in lost.keys() | stranded.keys():
        sinks, sources = lost.get(key, nothing), stranded.get(key, nothing)
        shown = [[graph.node(each).id for each in some.first] for some in (sinks, sources)]
        cuts.append(Cut(graph.node(key), sinks.count, sources.count, shown[0], shown[1], key in web.joints))
    return sorted(cuts, key=lambda cut: (-cut.sinks - cut.sources, cut.node.key))


@dataclass(frozen=True, slots=True)
class Behind:
    """How many nodes are reached through one only, and the first of them by key."""

    count: int = 0
    first: tuple[int, ...] = ()

    def with_more(self, count: int, first: tuple[int, ...]) -> "Behind":
        """And these."""
        return Behind(self.count + count, tuple(sorted(self.first + first)[:SHOWN]))


def _dominated(drawn: "nx.DiGraph[int]", begin: list[int], counted: set[int]) -> dict[int, Behind]:
    """By node: those of `counted` that no way from the beginnings reaches without it."""
    rooted = nx.DiGraph(drawn)
    rooted.add_node(_ROOT)
    rooted.add_edges_from((_ROOT, key) for key in begin)
    above = nx.immediate_dominators(rooted, _ROOT)
    tree: dict[int, list[int]] = {}
    for key, parent in above.items():
        if key != _ROOT:
            tree.setdefault(parent, []).append(key)
    order = [_ROOT]
    for key in order:
        order += tree.get(key, ())
    found: dict[int, Behind] = {}
    for key in reversed(order[1:]):
        behind = found.get(key, Behind())
        if key in counted:
            behind = behind.with_more(1, (key,))
        if behind.count and above[key] != _ROOT:
            found[above[key]] = found.get(above[key], Behind()).with_more(behind.count, behind.first)
    return found
