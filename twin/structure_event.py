"""The event that tells of a change in the structure."""

from .changes import (
    AddNode,
    PutRelationship,
    RemoveNode,
    RemoveRelationship,
    SetDefinition,
    StructureChange,
    UpdateNode,
)
from .entry import EventDraft
from .graph import Graph
from .times import now_ns

NAMED = 100


def structure_event(change: StructureChange, before: Graph) -> EventDraft:
    """Kind `structure`: the revision, its author, how many nodes came, changed and went, and the first 100 of each."""
    added = [op.node.id for op in change.operations if isinstance(op, AddNode)]
    changed = [op.node.id for op in change.operations if isinstance(op, UpdateNode)]
    gone = [op.key for op in change.operations if isinstance(op, RemoveNode)]
    removed = [before.node(key).id for key in gone if key in before.node_map]  # one may have come and gone
    arrows = sum(isinstance(op, PutRelationship | RemoveRelationship) for op in change.operations)
    data = {
        "revision": change.revision,
        "author": change.author,
        "added": added[:NAMED],
        "changed": changed[:NAMED],
        "removed": removed[:NAMED],
        "added_count": len(added),
        "changed_count": len(changed),
        "removed_count": len(removed),
        "relationships": arrows,
        "definition": any(isinstance(op, SetDefinition) for op in change.operations),
    }
    return EventDraft(now_ns(), "structure", data=data)
