"""The revisions behind one, in order, each as what it changes of the graph or of a part of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .changes import StructureChange, touched
from .chosen_signals import at_and_below
from .errors import NotFoundError
from .graph import Graph
from .graph_edit import apply_change
from .narrow_graph import narrow_graph
from .plan_changes import Changes
from .revisions import Revisions
from .structure_diff import structure_diff

PAGE = 16
"""Revisions that are looked at in one go."""


@dataclass(frozen=True, slots=True)
class GraphChange:
    """What a revision changed; `recorded` [ns]. `graph` is the part that is followed, after it."""

    revision: int
    recorded: int
    author: str
    changes: Changes
    graph: Graph


class GraphChanges:
    """Follows the graph from behind a revision: all of it, or nodes with all below them, as if there were nothing else.

    What is moved into such a part is added to it, what is moved out of it removed. under: keys of the nodes that may
    be seen; None means all. nodes: ids, as of that revision or of now. Raises NotFoundError for a node or revision
    that there is not, or whose structure is not known any more. Blocks.
    """

    def __init__(
        self, revisions: Revisions, after: int, under: frozenset[int] | None = None, nodes: Sequence[str] | None = None
    ) -> None:
        self._revisions = revisions
        self._graph = revisions.graph(after)
        self._parts: list[Collection[int]] = [] if under is None else [under]
        if nodes is not None:
            known, newest = self._seen(self._graph), self._seen(revisions.graph(revisions.newest))
            self._parts.append({_key(known, newest, id) for id in nodes})

    @property
    def revision(self) -> int:
        """How far it has come."""
        return self._graph.revision

    @property
    def whole(self) -> bool:
        """Whether all of the graph is followed."""
        return not self._parts

    def more(self) -> list[GraphChange]:
        """The next revisions as far as they are there; of a part only those that touch it. Blocks."""
        found = []
        for recorded, change in self._revisions.changes(self.revision, self.revision + PAGE):
            before, self._graph = self._graph, apply_change(self._graph, change)
            keys = touched(change)
            if self.whole or self._holds(before, keys) or self._holds(self._graph, keys):
                found.append(self._changed(before, recorded, change, keys))
        return found

    def _changed(self, before: Graph, recorded: int, change: StructureChange, named: Collection[int]) -> GraphChange:
        old, new = self._seen(before), self._seen(self._graph)
        # What is moved takes along all below it, which the revision does not name.
        keys = at_and_below(old, named) | at_and_below(new, named)
        return GraphChange(change.revision, recorded, change.author, structure_diff(old, new, keys), new)

    def _seen(self, graph: Graph) -> Graph:
        for part in self._parts:
            graph = narrow_graph(graph, part)
        return graph

    def _holds(self, graph: Graph, keys: Collection[int]) -> bool:
        for key in keys:
            if key in graph.node_map:
                above = {key, *(node.key for node in graph.ancestors(key))}
                if all(not above.isdisjoint(part) for part in self._parts):
                    return True
        return False


def _key(known: Graph, newest: Graph, id: str) -> int:
    """A node that went meanwhile is meant as much as one that came."""
    try:
        return known.find(id).key
    except NotFoundError:
        return newest.find(id).key
