"""What takes an operation on a graph back: so that older revisions are reached from the newest one."""

from functools import singledispatch

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


@singledispatch
def undo(operation: Operation, before: Graph) -> list[Operation]:
    """The operations that make `before` of the graph that the operation made of it, in their order.

    Only `next_key` and `next_index` stay as they are: what was given once is never given again.
    """
    raise TypeError(f"{type(operation).__name__} is no operation on a graph")


@undo.register
def _(operation: AddNode, before: Graph) -> list[Operation]:
    return [RemoveNode(operation.node.key)]


@undo.register
def _(operation: UpdateNode, before: Graph) -> list[Operation]:
    return [UpdateNode(before.node(operation.node.key))]


@undo.register
def _(operation: RemoveNode, before: Graph) -> list[Operation]:
    node = before.node(operation.key)
    arrows = {(a.source, a.type, a.target): a for a in [*before.outgoing(node.key), *before.incoming(node.key)]}
    signals = before.signals_of(node.key)
    return [AddNode(node), *(AddSignal(signal) for signal in signals), *map(PutRelationship, arrows.values())]


@undo.register
def _(operation: AddSignal, before: Graph) -> list[Operation]:
    return [RemoveSignal(operation.signal.index)]


@undo.register
def _(operation: UpdateSignal, before: Graph) -> list[Operation]:
    return [UpdateSignal(before.signal(operation.signal.index))]


@undo.register
def _(operation: RemoveSignal, before: Graph) -> list[Operation]:
    return [AddSignal(before.signal(operation.index))]


@undo.register
def _(operation: PutRelationship, before: Graph) -> list[Operation]:
    new = operation.relationship
    known = before.arrows_out.get(new.source)
    old = None if known is None else known.get((new.type, new.target))
    return [RemoveRelationship(new.source, new.type, new.target) if old is None else PutRelationship(old)]


@undo.register
def _(operation: RemoveRelationship, before: Graph) -> list[Operation]:
    return [PutRelationship(before.arrows_out[operation.source][operation.type, operation.target])]


@undo.register
def _(operation: SetDefinition, before: Graph) -> list[Operation]:
    return [SetDefinition(before.definition)]
