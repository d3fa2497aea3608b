"""The event that tells of a change in the structure."""

from collections import defaultdict
from typing import Any

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
    by_kind: defaultdict[type, list[Any]] = defaultdict(list)
    for operation in change.operations:
        by_kind[type(operation)].append(operation)
    added = [op.node.id for op in by_kind[AddNode]]
    changed = [op.node.id for op in by_kind[UpdateNode]]
    gone = [op.key for op in by_kind[RemoveNode]]
    removed = [before.node(key).id for key in gone if key in before.node_map]  # one may have come and gone
    data = {
        "revision": change.revision,
        "author": change.author,
        "added": added[:NAMED],
        "changed": changed[:NAMED],
        "removed": removed[:NAMED],
        "added_count": len(added),
        "changed_count": len(changed),
        "removed_count": len(removed),
        "relationships": len(by_kind[PutRelationship]) + len(by_kind[RemoveRelationship]),
        "definition": bool(by_kind[SetDefinition]),
    }
    return EventDraft(now_ns(), "structure", data=data)
