"""The log of revisions, for people: who changed what when, and what differs between two revisions."""

from collections import Counter
from dataclasses import dataclass

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
    touched,
)
from .errors import InvalidValueError, NotFoundError
from .graph import Graph
from .plan_changes import Changes
from .plan_text import changes_text
from .structure_diff import structure_diff
from .times import parse_time
from .twin import Twin

NAMED = 20
_WORDS: dict[type[Operation], str] = {
    AddNode: "nodes_added",
    UpdateNode: "nodes_changed",
    RemoveNode: "nodes_removed",
    AddSignal: "signals_added",
    UpdateSignal: "signals_changed",
    RemoveSignal: "signals_removed",
    PutRelationship: "relationships_put",
    RemoveRelationship: "relationships_removed",
    SetDefinition: "definition",
}


@dataclass(frozen=True, slots=True)
class LoggedRevision:
    """A revision: `recorded` [ns], how many operations of which kind, and the ids of the first 20 nodes it touched."""

    revision: int
    recorded: int
    author: str
    counts: dict[str, int]
    nodes: list[str]


@dataclass(frozen=True, slots=True)
class RevisionDiff:
    """What leads from revision `before` to `after`."""

    before: int
    after: int
    changes: Changes

    @property
    def text(self) -> str:
        """As a diff to read."""
        return "Nothing differs.\n" if self.changes.empty else changes_text(self.changes)


def logged(twin: Twin, node: str | None, before: int, limit: int) -> tuple[list[LoggedRevision], bool]:
    """Revisions before a number, the newest first, of the whole plant or of one node; whether there are more. Blocks.

    Raises NotFoundError for a node that there never was.
    """
    newest = min(before - 1, twin.graph.revision)
    if node is None:
        numbers = list(range(newest, max(newest - limit - 1, 0), -1))
    else:
        numbers = [each for each in twin.revisions.of_node(_key(twin, node)) if each < before][: -limit - 2 : -1]
    return [_logged(twin, number) for number in numbers[:limit]], len(numbers) > limit


def diff(twin: Twin, before: str, after: str | None) -> RevisionDiff:
    """What differs between two revisions, each a number or a time in ISO 8601; the newest unless told. Blocks."""
    first = _revision(twin, before, "from")
    second = twin.graph.revision if after is None else _revision(twin, after, "to")
    return RevisionDiff(first, second, structure_diff(twin.revisions.graph(first), twin.revisions.graph(second)))


def _revision(twin: Twin, reference: str, field: str) -> int:
    if reference.isascii() and reference.isdigit():
        return int(reference)
    try:
        return twin.revisions.number_at(parse_time(reference))
    except InvalidValueError:
        raise InvalidValueError(f"{field} is the number of a revision or a time, not {reference!r}", field) from None


def _key(twin: Twin, id: str) -> int:
    """A node that is there, or one that once was and went."""
    try:
        return twin.graph.find(id).key
    except NotFoundError as missing:
        for _, change in reversed(twin.revisions.changes()):
            for operation in change.operations:
                if isinstance(operation, AddNode | UpdateNode) and operation.node.id == id:
                    return operation.node.key
        raise missing


def _logged(twin: Twin, number: int) -> LoggedRevision:
    ((recorded, change),) = twin.revisions.changes(number - 1, number)
    counts = Counter(_WORDS[type(operation)] for operation in change.operations)
    return LoggedRevision(number, recorded, change.author, dict(counts), _named(twin.revisions.graph(number), change))


def _named(graph: Graph, change: StructureChange) -> list[str]:
    gone = {op.node.key: op.node.id for op in change.undo or () if isinstance(op, AddNode)}
    keys = sorted(touched(change))[:NAMED]
    return [graph.node_map[key].id if key in graph.node_map else gone.get(key, str(key)) for key in keys]


def newest_in_short(twin: Twin) -> dict[str, object] | None:
    """How much of what the newest revision changed, and the first nodes, for the audit log; blocks."""
    found, _ = logged(twin, None, 2**53, 1)
    return {"counts": found[0].counts, "nodes": found[0].nodes} if found else None
