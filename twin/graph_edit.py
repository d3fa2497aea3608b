"""How a graph becomes the next one: operations applied to persistent maps, and the edit that collects them."""

from collections.abc import Callable, Iterable, Sized
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
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
    StructureChange,
    UpdateNode,
    UpdateSignal,
)
from .errors import ConflictError
from .graph import Arrows, Graph
from .model import CONTAINS, HAS_SENSOR, Level, Node, Origin, Relationship, Signal

_ORDER = list(Level)
_NESTING = (Level.AREA, Level.COMPONENT)
K = TypeVar("K")
V = TypeVar("V", bound=Sized)


def apply_change(graph: Graph, change: StructureChange) -> Graph:
    """The graph after one more revision."""
    return replace(apply_operations(graph, change.operations), revision=change.revision)


def apply_operations(graph: Graph, operations: Iterable[Operation]) -> Graph:
    """The graph after these operations; they were checked when they were collected."""
    for operation in operations:
        graph = _APPLY[type(operation)](graph, operation)
    return graph


def _add_node(graph: Graph, operation: AddNode) -> Graph:
    node = operation.node
    return replace(
        _name(graph, node),
        node_map=graph.node_map.set(node.key, node),
        children_map=_with_child(graph.children_map, node),
        next_key=max(graph.next_key, node.key + 1),
    )


def _update_node(graph: Graph, operation: UpdateNode) -> Graph:
    node, old = operation.node, graph.node(operation.node.key)
    children = graph.children_map
    if node.parent != old.parent:
        children = _with_child(_without_child(children, old), node)
    if node.id != old.id:
        graph = _name(_unname(graph, old), node)
    return replace(graph, node_map=graph.node_map.set(node.key, node), children_map=children)


def _remove_node(graph: Graph, operation: RemoveNode) -> Graph:
    node = graph.node(operation.key)
    for relationship in [*graph.outgoing(node.key), *graph.incoming(node.key)]:
        graph = _drop_arrow(graph, relationship.source, relationship.type, relationship.target)
    for signal in graph.signals_of(node.key):
        graph = _remove_signal(graph, RemoveSignal(signal.index))
    return replace(
        _unname(graph, node),
        node_map=graph.node_map.delete(node.key),
        children_map=_without_child(graph.children_map, node),
    )


def _add_signal(graph: Graph, operation: AddSignal) -> Graph:
    signal = operation.signal
    indexes = graph.signals_by_node.get(signal.node, ())
    return replace(
        graph,
        signal_map=graph.signal_map.set(signal.index, signal),
        signals_by_node=graph.signals_by_node.set(signal.node, (*indexes, signal.index)),
        next_index=max(graph.next_index, signal.index + 1),
    )


def _update_signal(graph: Graph, operation: UpdateSignal) -> Graph:
    return replace(graph, signal_map=graph.signal_map.set(operation.signal.index, operation.signal))


def _remove_signal(graph: Graph, operation: RemoveSignal) -> Graph:
    signal = graph.signal(operation.index)
    left = tuple(index for index in graph.signals_by_node[signal.node] if index != signal.index)
    return replace(
        graph,
        signal_map=graph.signal_map.delete(signal.index),
        signals_by_node=_put(graph.signals_by_node, signal.node, left),
    )


def _put_relationship(graph: Graph, operation: PutRelationship) -> Graph:
    arrow = operation.relationship
    return replace(
        graph,
        arrows_out=_with_arrow(graph.arrows_out, arrow.source, (arrow.type, arrow.target), arrow),
        arrows_in=_with_arrow(graph.arrows_in, arrow.target, (arrow.type, arrow.source), arrow),
    )


def _remove_relationship(graph: Graph, operation: RemoveRelationship) -> Graph:
    return _drop_arrow(graph, operation.source, operation.type, operation.target)


def _set_definition(graph: Graph, operation: SetDefinition) -> Graph:
    return replace(graph, definition=operation.sections)


_APPLY: dict[type, Callable[[Graph, Any], Graph]] = {
    AddNode: _add_node,
    UpdateNode: _update_node,
    RemoveNode: _remove_node,
    AddSignal: _add_signal,
    UpdateSignal: _update_signal,
    RemoveSignal: _remove_signal,
    PutRelationship: _put_relationship,
    RemoveRelationship: _remove_relationship,
    SetDefinition: _set_definition,
}


def _put(map: Map[K, V], key: K, value: V) -> Map[K, V]:
    """The map with the entry, or without it where the value is empty, so that nothing piles up."""
    return map.set(key, value) if value else map.delete(key)


def _name(graph: Graph, node: Node) -> Graph:
    keys = graph.keys_by_short_id.get(node.short_id, Map[int, None]())
    return replace(
        graph,
        key_by_id=graph.key_by_id.set(node.id, node.key),
        keys_by_short_id=graph.keys_by_short_id.set(node.short_id, keys.set(node.key, None)),
    )


def _unname(graph: Graph, node: Node) -> Graph:
    left = graph.keys_by_short_id[node.short_id].delete(node.key)
    return replace(
        graph,
        key_by_id=graph.key_by_id.delete(node.id),
        keys_by_short_id=_put(graph.keys_by_short_id, node.short_id, left),
    )


def _with_child(children: Map[int, Map[int, None]], node: Node) -> Map[int, Map[int, None]]:
    if node.parent is None:
        return children
    return children.set(node.parent, children.get(node.parent, Map[int, None]()).set(node.key, None))


def _without_child(children: Map[int, Map[int, None]], node: Node) -> Map[int, Map[int, None]]:
    if node.parent is None:
        return children
    return _put(children, node.parent, children[node.parent].delete(node.key))


def _with_arrow(arrows: Arrows, key: int, name: tuple[str, int], arrow: Relationship) -> Arrows:
    return arrows.set(key, arrows.get(key, Map[tuple[str, int], Relationship]()).set(name, arrow))


def _drop_arrow(graph: Graph, source: int, type: str, target: int) -> Graph:
    if (type, target) not in graph.arrows_out.get(source, ()):
        return graph  # an arrow from a node to itself was dropped a moment ago, from its other end
    return replace(
        graph,
        arrows_out=_put(graph.arrows_out, source, graph.arrows_out[source].delete((type, target))),
        arrows_in=_put(graph.arrows_in, target, graph.arrows_in[target].delete((type, source))),
    )


class GraphEdit:
    """Collects the operations of one revision and sees its own changes; the graph it began with stays as it is."""

    def __init__(self, graph: Graph, author: str) -> None:
        self.graph = graph
        self.author = author
        self.operations: list[Operation] = []

    def change(self) -> StructureChange | None:
        """The revision that the collected operations make; None if there are none."""
        if not self.operations:
            return None
        return StructureChange(self.graph.revision + 1, self.author, self.operations)

    def _do(self, operation: Operation) -> None:
        self.graph = apply_operations(self.graph, (operation,))
        self.operations.append(operation)

    def add_node(
        self,
        *,
        id: str,
        level: Level,
        name: str | None = None,
        type: str | None = None,
        parent: int | None = None,
        origin: Origin = Origin.DEFINED,
        properties: dict[str, Any] | None = None,
    ) -> Node:
        """A new node; its name is the last part of its id unless given. Raises ConflictError."""
        node = Node(
            key=self.graph.next_key,
            id=id,
            level=level,
            name=name or id.rpartition(".")[2],
            type=type,
            parent=parent,
            origin=origin,
            properties=properties or {},
        )
        self._check_place(node)
        if id in self.graph:
            raise ConflictError(f"a node with the id {id!r} is there already")
        self._do(AddNode(node))
        return node

    def update_node(self, key: int, **fields: Any) -> Node:
        """The node with these fields changed (all but `key`). Raises NotFoundError, ConflictError."""
        old = self.graph.node(key)
        node: Node = msgspec.structs.replace(old, **fields)
        if node == old:
            return old
        self._check_place(node)
        if node.id != old.id and node.id in self.graph:
            raise ConflictError(f"a node with the id {node.id!r} is there already")
        if any(node.parent == below.key for below in self.graph.descendants(key)):
            raise ConflictError(f"{node.id} cannot be moved below itself")
        self._do(UpdateNode(node))
        return node

    def remove_node(self, key: int) -> None:
        """The node goes with its signals and relationships; its children must have gone before (ConflictError)."""
        node = self.graph.node(key)
        if children := self.graph.children(key):
            raise ConflictError(f"{node.id} still contains {', '.join(child.id for child in children[:5])}")
        self._do(RemoveNode(key))

    def add_signal(self, node: int, name: str = "value", **fields: Any) -> Signal:
        """A new signal on a node, with fields of `Signal`. Raises NotFoundError, ConflictError."""
        owner = self.graph.node(node)
        if self.graph.signal_of(node, name) is not None:
            raise ConflictError(f"{owner.id} has a signal {name!r} already")
        signal = Signal(index=self.graph.next_index, node=node, name=name, **fields)
        self._do(AddSignal(signal))
        return signal

    def update_signal(self, index: int, **fields: Any) -> Signal:
        """The signal with these fields changed (not `index` and `node`). Raises NotFoundError."""
        old = self.graph.signal(index)
        signal: Signal = msgspec.structs.replace(old, **fields)
        if signal != old:
            self._do(UpdateSignal(signal))
        return signal

    def remove_signal(self, index: int) -> None:
        """The signal goes; its history stays. Raises NotFoundError."""
        self.graph.signal(index)
        self._do(RemoveSignal(index))

    def relate(self, source: int, type: str, target: int, **properties: Any) -> Relationship:
        """A relationship, new or with its properties replaced. Raises NotFoundError, ConflictError."""
        if type in (CONTAINS, HAS_SENSOR):
            raise ConflictError(f"{type!r} is told by a node's parent; move the node instead")
        self.graph.node(source)
        self.graph.node(target)
        relationship = Relationship(source, type, target, properties)
        known = self.graph.arrows_out.get(source, Map[tuple[str, int], Relationship]())
        if known.get((type, target)) != relationship:
            self._do(PutRelationship(relationship))
        return relationship

    def unrelate(self, source: int, type: str, target: int) -> None:
        """The relationship goes, if it is there."""
        if (type, target) in self.graph.arrows_out.get(source, ()):
            self._do(RemoveRelationship(source, type, target))

    def set_definition(self, sections: dict[str, Any]) -> None:
        """The project's sections that are not nodes; nothing happens if they are equal."""
        if sections != self.graph.definition:
            self._do(SetDefinition(sections))

    def _check_place(self, node: Node) -> None:
        if node.parent is None:
            if node.level in (Level.COMPONENT, Level.SENSOR):
                raise ConflictError(f"{node.id} is a {node.level} and needs a parent")
            return
        parent = self.graph.node(node.parent)
        below = _ORDER.index(parent.level) < _ORDER.index(node.level)
        if not below and not (parent.level is node.level and node.level in _NESTING):
            raise ConflictError(f"a {node.level} ({node.id}) cannot stand below a {parent.level} ({parent.id})")
