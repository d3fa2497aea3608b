"""What one revision of the structure changes: operations that are journalled whole and applied as one."""

from collections.abc import Iterator
from typing import Any

import msgspec

from .model import Node, Relationship, Signal


class AddNode(msgspec.Struct, frozen=True, gc=False, tag_field="operation", tag="add_node"):
    """A new node; its key was never used before."""

    node: Node


class UpdateNode(msgspec.Struct, frozen=True, gc=False, tag_field="operation", tag="update_node"):
    """The node with this key becomes this."""

    node: Node


class RemoveNode(msgspec.Struct, frozen=True, gc=False, tag_field="operation", tag="remove_node"):
    """The node goes, with its signals and relationships; its key and their indexes are never used again."""

    key: int


class AddSignal(msgspec.Struct, frozen=True, gc=False, tag_field="operation", tag="add_signal"):
    """A new signal; its index was never used before."""

    signal: Signal


class UpdateSignal(msgspec.Struct, frozen=True, gc=False, tag_field="operation", tag="update_signal"):
    """The signal with this index becomes this; its node and index stay."""

    signal: Signal


class RemoveSignal(msgspec.Struct, frozen=True, gc=False, tag_field="operation", tag="remove_signal"):
    """The signal goes; its history stays and its index is never used again."""

    index: int


class PutRelationship(msgspec.Struct, frozen=True, gc=False, tag_field="operation", tag="put_relationship"):
    """A relationship is added, or its properties replaced."""

    relationship: Relationship


class RemoveRelationship(msgspec.Struct, frozen=True, gc=False, tag_field="operation", tag="remove_relationship"):
    """A relationship goes."""

    source: int
    type: str
    target: int


class SetDefinition(msgspec.Struct, frozen=True, gc=False, tag_field="operation", tag="set_definition"):
    """The applied sections of the project that are not nodes, as canonical JSON."""

    sections: dict[str, Any]


Operation = (
    AddNode
    | UpdateNode
    | RemoveNode
    | AddSignal
    | UpdateSignal
    | RemoveSignal
    | PutRelationship
    | RemoveRelationship
    | SetDefinition
)


class StructureChange(msgspec.Struct, frozen=True):
    """One revision: what `author` changed, in order; all of it or nothing.

    `undo` makes of the graph after it the graph before it; a journal of version 0.1 has none.
    """

    revision: int
    author: str
    operations: list[Operation]
    undo: list[Operation] | None = None


def touched(change: StructureChange) -> set[int]:
    """The keys of the nodes that a revision made, changed, removed, connected or gave signals."""
    return {key for operation in [*change.operations, *(change.undo or ())] for key in _keys(operation)}


def _keys(operation: Operation) -> Iterator[int]:
    match operation:
        case AddNode(node) | UpdateNode(node):
            yield node.key
        case RemoveNode(key):
            yield key
        case AddSignal(signal) | UpdateSignal(signal):
            yield signal.node
        case PutRelationship(arrow):
            yield from (arrow.source, arrow.target)
        case RemoveRelationship(source, _, target):
            yield from (source, target)
