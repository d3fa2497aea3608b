"""A graph while it is being changed: its maps stand open, so that many operations cost little more than dictionaries.

Persistent maps copy the path to every entry that they are given; an open map (`immutables.MapMutation`) copies each
path once. What `finish` makes shares all that did not change with the graph that the draft began with.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from immutables import Map

from .changes import (
    AddNode,
    AddSignal,
    Operation,
    PutRelationship,
    RemoveNode,
    RemoveRelationship,
    RemoveSignal,
    SetDefinition,
    UpdateNode,
    UpdateSignal,
)
from .graph import Graph
from .model import Node, Relationship

K = TypeVar("K")
_KEYS: Map[int, None] = Map()
_ARROWS: Map[tuple[str, int], Relationship] = Map()


class DraftView(Graph):
    """Looks things up in a draft: by key, by id, from node to node. It changes with the draft, and lists nothing."""

    __slots__ = ()

    def _missing(self, what: str, id: str) -> str:
        return f"no {what} is called {id!r}"  # open maps cannot be walked over for the nearest name


class GraphDraft:
    """Applies operations to a graph. `view` shows them; `next_key` and `next_index` are the numbers to give next."""

    def __init__(self, graph: Graph) -> None:
        self.revision = graph.revision
        self.next_key = graph.next_key
        self.next_index = graph.next_index
        self.definition = graph.definition
        # Typed as what they are made of: a mutation is no Map to a type checker, though it is read like one.
        self._nodes = cast(dict[int, Node], graph.node_map.mutate())
        self._ids = cast(dict[str, int], graph.key_by_id.mutate())
        self._short_ids = cast(dict[str, Map[int, None]], graph.keys_by_short_id.mutate())
        self._children = cast(dict[int, Map[int, None]], graph.children_map.mutate())
        self._signals = cast(dict[int, Any], graph.signal_map.mutate())
        self._signals_of = cast(dict[int, tuple[int, ...]], graph.signals_by_node.mutate())
        self._out = cast(dict[int, Map[tuple[str, int], Relationship]], graph.arrows_out.mutate())
        self._in = cast(dict[int, Map[tuple[str, int], Relationship]], graph.arrows_in.mutate())
        self.view = self._graph(DraftView, lambda open: open)
        self._apply: dict[type, Callable[[Any], None]] = {
            AddNode: self._add_node,
            UpdateNode: self._update_node,
            RemoveNode: self._remove_node,
            AddSignal: self._add_signal,
            UpdateSignal: self._update_signal,
            RemoveSignal: self._remove_signal,
            PutRelationship: self._put_relationship,
            RemoveRelationship: self._remove_relationship,
            SetDefinition: self._set_definition,
        }

    def apply(self, operations: Iterable[Operation]) -> None:
        """Carries out operations; they were checked when they were collected."""
        known = self._apply
        for operation in operations:
            known[type(operation)](operation)

    def apply_one(self, operation: Operation) -> None:
        """Carries out one."""
        self._apply[type(operation)](operation)

    def finish(self) -> Graph:
        """The graph as it is now, an immutable value. Nothing more can be done with the draft."""
        return self._graph(Graph, lambda open: open.finish())

    def _graph(self, kind: type[Graph], close: Callable[[Any], Any]) -> Graph:
        maps = (
            self._nodes, self._ids, self._short_ids, self._children,
            self._signals, self._signals_of, self._out, self._in,
        )  # fmt: skip
        return kind(self.revision, self.next_key, self.next_index, self.definition, *map(close, maps))

    # Nodes

    def _add_node(self, operation: AddNode) -> None:
        node = operation.node
        self._nodes[node.key] = node
        self._name(node)
        self._put_below(node)
        if node.key >= self.next_key:
            self.next_key = node.key + 1

    def _update_node(self, operation: UpdateNode) -> None:
        node, old = operation.node, self._nodes[operation.node.key]
        if node.parent != old.parent:
            self._take_out(old)
            self._put_below(node)
        if node.id != old.id:
            self._unname(old)
            self._name(node)
        self._nodes[node.key] = node

    def _remove_node(self, operation: RemoveNode) -> None:
        key = operation.key
        node = self._nodes[key]
        for arrow in [*self.view.outgoing(key), *self.view.incoming(key)]:
            self._drop_arrow(arrow.source, arrow.type, arrow.target)
        for index in self._signals_of.get(key, ()):
            self._signals.pop(index)
        self._signals_of.pop(key, None)
        self._unname(node)
        self._take_out(node)
        self._nodes.pop(key)

    def _name(self, node: Node) -> None:
        self._ids[node.id] = node.key
        short = node.short_id
        self._short_ids[short] = self._short_ids.get(short, _KEYS).set(node.key, None)

    def _unname(self, node: Node) -> None:
        self._ids.pop(node.id)
        _put(self._short_ids, node.short_id, self._short_ids[node.short_id].delete(node.key))

    def _put_below(self, node: Node) -> None:
        if node.parent is not None:
            self._children[node.parent] = self._children.get(node.parent, _KEYS).set(node.key, None)

    def _take_out(self, node: Node) -> None:
        if node.parent is not None:
            _put(self._children, node.parent, self._children[node.parent].delete(node.key))

    # Signals

    def _add_signal(self, operation: AddSignal) -> None:
        signal = operation.signal
        self._signals[signal.index] = signal
        indexes = (*self._signals_of.get(signal.node, ()), signal.index)
        if len(indexes) > 1 and signal.index < indexes[-2]:
            indexes = tuple(sorted(indexes))  # one that comes back stands where it was
        self._signals_of[signal.node] = indexes
        if signal.index >= self.next_index:
            self.next_index = signal.index + 1

    def _update_signal(self, operation: UpdateSignal) -> None:
        self._signals[operation.signal.index] = operation.signal

    def _remove_signal(self, operation: RemoveSignal) -> None:
        signal = self._signals.pop(operation.index)
        left = tuple(index for index in self._signals_of[signal.node] if index != signal.index)
        _put(self._signals_of, signal.node, left)

    # Relationships and definitions

    def _put_relationship(self, operation: PutRelationship) -> None:
        arrow = operation.relationship
        self._out[arrow.source] = self._out.get(arrow.source, _ARROWS).set((arrow.type, arrow.target), arrow)
        self._in[arrow.target] = self._in.get(arrow.target, _ARROWS).set((arrow.type, arrow.source), arrow)

    def _remove_relationship(self, operation: RemoveRelationship) -> None:
        self._drop_arrow(operation.source, operation.type, operation.target)

    def _drop_arrow(self, source: int, type: str, target: int) -> None:
        if (type, target) not in self._out.get(source, ()):
            return  # an arrow from a node to itself was dropped a moment ago, from its other end
        _put(self._out, source, self._out[source].delete((type, target)))
        _put(self._in, target, self._in[target].delete((type, source)))

    def _set_definition(self, operation: SetDefinition) -> None:
        self.definition = operation.sections
        object.__setattr__(self.view, "definition", operation.sections)  # the view is this draft's own


def _put(open: dict[K, Any], key: K, value: Any) -> None:
    """Sets the entry, or removes it where the value is empty, so that nothing piles up."""
    if value:
        open[key] = value
    else:
        open.pop(key)
