"""How a graph becomes the next one: a change applied, and the edit that collects its operations."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

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
from .collector import collector_paused
from .errors import ConflictError, NotFoundError
from .graph import Graph
from .graph_draft import GraphDraft
from .model import CONTAINS, HAS_SENSOR, Level, Node, Origin, Relationship, Signal
from .undo import undo

_RANK = {level: rank for rank, level in enumerate(Level)}
_NESTING = (Level.AREA, Level.COMPONENT)


def apply_change(graph: Graph, change: StructureChange) -> Graph:
    """The graph after one more revision."""
    return replace(apply_operations(graph, change.operations), revision=change.revision)


def revert_change(graph: Graph, change: StructureChange) -> Graph:
    """The graph before a revision, from the one after it. Raises NotFoundError where the change cannot be undone."""
    if change.undo is None:
        raise NotFoundError(f"the structure before revision {change.revision} is not known any more")
    return replace(apply_operations(graph, change.undo), revision=change.revision - 1)


def apply_operations(graph: Graph, operations: Iterable[Operation]) -> Graph:
    """The graph after these operations; they were checked when they were collected."""
    with collector_paused():
        draft = GraphDraft(graph)
        draft.apply(operations)
        return draft.finish()


class GraphEdit:
    """Collects the operations of one revision and sees its own changes; the graph it began with stays as it is.

    `graph` is an immutable value; `view` is the same for looking things up between many operations: it changes with
    the next one, and lists nothing.
    """

    def __init__(self, graph: Graph, author: str) -> None:
        self.author = author
        self.operations: list[Operation] = []
        self._undo: list[list[Operation]] = []
        self._revision = graph.revision
        self._graph: Graph | None = graph
        self._begin(graph)

    def _begin(self, graph: Graph) -> None:
        self._draft = GraphDraft(graph)
        self.view: Graph = self._draft.view

    @property
    def graph(self) -> Graph:
        """The graph as edited so far, an immutable value."""
        if self._graph is None:
            self._graph = self._draft.finish()
            self._begin(self._graph)
        return self._graph

    def change(self) -> StructureChange | None:
        """The revision that the collected operations make; None if there are none."""
        if not self.operations:
            return None
        backwards = [operation for undone in reversed(self._undo) for operation in undone]
        return StructureChange(self._revision + 1, self.author, self.operations, backwards)

    def _do(self, operation: Operation) -> None:
        self._undo.append(undo.registry[type(operation)](operation, self.view))  # its dispatcher takes as long again
        self._graph = None
        self._draft.apply_one(operation)
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
            key=self._draft.next_key,
            id=id,
            level=level,
            name=name or id.rpartition(".")[2],
            type=type,
            parent=parent,
            origin=origin,
            properties=properties or {},
        )
        self._check_place(node)
        if id in self.view:
            raise ConflictError(f"a node with the id {id!r} is there already")
        self._do(AddNode(node))
        return node

    def update_node(self, key: int, **fields: Any) -> Node:
        """The node with these fields changed (all but `key`). Raises NotFoundError, ConflictError."""
        old = self.view.node(key)
        node: Node = msgspec.structs.replace(old, **fields)
        if node == old:
            return old
        self._check_place(node)
        if node.id != old.id and node.id in self.view:
            raise ConflictError(f"a node with the id {node.id!r} is there already")
        if node.parent == key or (
            node.parent != old.parent and any(node.parent == below.key for below in self.view.descendants(key))
        ):
            raise ConflictError(f"{node.id} cannot be moved below itself")
        self._do(UpdateNode(node))
        return node

    def remove_node(self, key: int) -> None:
        """The node goes with its signals and relationships; its children must have gone before (ConflictError)."""
        node = self.view.node(key)
        if children := self.view.children(key):
            raise ConflictError(f"{node.id} still contains {', '.join(child.id for child in children[:5])}")
        self._do(RemoveNode(key))

    def add_signal(self, node: int, name: str = "value", **fields: Any) -> Signal:
        """A new signal on a node, with fields of `Signal`. Raises NotFoundError, ConflictError."""
        owner = self.view.node(node)
        if self.view.signal_of(node, name) is not None:
            raise ConflictError(f"{owner.id} has a signal {name!r} already")
        signal = Signal(index=self._draft.next_index, node=node, name=name, **fields)
        self._do(AddSignal(signal))
        return signal

    def update_signal(self, index: int, **fields: Any) -> Signal:
        """The signal with these fields changed (not `index` and `node`). Raises NotFoundError."""
        old = self.view.signal(index)
        signal: Signal = msgspec.structs.replace(old, **fields)
        if signal != old:
            self._do(UpdateSignal(signal))
        return signal

    def remove_signal(self, index: int) -> None:
        """The signal goes; its history stays. Raises NotFoundError."""
        self.view.signal(index)
        self._do(RemoveSignal(index))

    def relate(self, source: int, type: str, target: int, /, **properties: Any) -> Relationship:
        """A relationship, new or with its properties replaced. Raises NotFoundError, ConflictError."""
        if type in (CONTAINS, HAS_SENSOR):
            raise ConflictError(f"{type!r} is told by a node's parent; move the node instead")
        self.view.node(source)
        self.view.node(target)
        relationship = Relationship(source, type, target, properties)
        known = self.view.arrows_out.get(source, Map[tuple[str, int], Relationship]())
        if known.get((type, target)) != relationship:
            self._do(PutRelationship(relationship))
        return relationship

    def unrelate(self, source: int, type: str, target: int) -> None:
        """The relationship goes, if it is there."""
        if (type, target) in self.view.arrows_out.get(source, ()):
            self._do(RemoveRelationship(source, type, target))

    def set_definition(self, sections: dict[str, Any]) -> None:
        """The project's sections that are not nodes; nothing happens if they are equal."""
        if sections != self._draft.definition:
            self._do(SetDefinition(sections))

    def _check_place(self, node: Node) -> None:
        if node.parent is None:
            if node.level in (Level.COMPONENT, Level.SENSOR):
                raise ConflictError(f"{node.id} is a {node.level} and needs a parent")
            return
        parent = self.view.node(node.parent)
        below = _RANK[parent.level] < _RANK[node.level]
        if not below and not (parent.level is node.level and node.level in _NESTING):
            raise ConflictError(f"a {node.level} ({node.id}) cannot stand below a {parent.level} ({parent.id})")
