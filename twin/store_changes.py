"""What changes in a graph database when the plant's graph becomes another: rows, grouped by what they share."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .collector import collector_paused
from .graph import Graph
from .model import Node
from .store_rows import OPEN_ANOMALIES, NodeRow, RelationshipKey, node_row, relationships_of

Properties = dict[str, Any]


class Ends(NamedTuple):
    """What relationships have in common: their type, and the labels of the levels of both ends."""

    type: str
    source: str
    target: str


class Relabelling(NamedTuple):
    """What changed nodes have in common: the label by which they are found, labels that come, labels that go."""

    found_by: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass
class RowChanges:
    """Rows to write, in this order, each a pair of key and properties; a property that is None goes.

    cut: relationships that go. removed: nodes that go, by the label of their level. changed: nodes with their new
    properties and labels. added: nodes by (label of the level, label of the type). drawn: relationships that come or
    have other properties. keys: the nodes that changed in any way, their signals included.
    strict: relationships that hold parts may have got properties by hand, which go.
    """

    cut: dict[Ends, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    removed: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    changed: dict[Relabelling, list[tuple[int, Properties]]] = field(default_factory=lambda: defaultdict(list))
    added: dict[tuple[str, str | None], list[tuple[int, Properties]]] = field(default_factory=lambda: defaultdict(list))
    drawn: dict[Ends, list[tuple[int, int, Properties]]] = field(default_factory=lambda: defaultdict(list))
    keys: list[int] = field(default_factory=list)
    strict: bool = False

    def __len__(self) -> int:
        groups: tuple[dict[Any, list[Any]], ...] = (self.cut, self.removed, self.changed, self.added, self.drawn)
        return sum(len(rows) for group in groups for rows in group.values())

    def add(self, row: NodeRow) -> None:
        """A node comes."""
        self.added[row.level, row.type].append((row.properties["key"], row.properties | {OPEN_ANOMALIES: 0}))

    def change(self, before: NodeRow, after: NodeRow, labels: frozenset[str] | None = None) -> None:
        """A node becomes another; nothing happens if it is the same. `labels` are those that it bears now."""
        now = before.labels if labels is None else labels
        properties = changed_properties(before.properties, after.properties)
        added = tuple(sorted(after.labels - now))
        removed = tuple(sorted(now - after.labels))
        if properties or added or removed:
            self.changed[Relabelling(before.level, added, removed)].append((after.properties["key"], properties))

    def remove(self, row: NodeRow) -> None:
        """A node goes, and its relationships with it."""
        self.removed[row.level].append(row.properties["key"])


def changed_properties(before: Properties, after: Properties) -> Properties:
    """The properties that are different afterwards; None for those that are gone."""
    gone = dict.fromkeys(before.keys() - after.keys())
    return gone | {name: value for name, value in after.items() if name not in before or before[name] != value}


def row_changes(before: Graph, after: Graph) -> RowChanges:
    """What takes a database from one graph to another; looks at every node, but closely at changed ones only."""
    changes = RowChanges()
    with collector_paused():
        keys = changes.keys = changed_keys(before, after)
        for key in keys:
            _change_node(changes, before, after, key)
        for key in keys:
            _change_relationships(changes, before, after, key)
    return changes


def changed_keys(before: Graph, after: Graph) -> list[int]:
    """The keys of nodes that came, went, or whose node, signals or outgoing relationships are other ones.

    Persistent maps share what did not change, so identity tells.
    """
    keys: set[int] = set()
    for old, new in (
        (before.node_map, after.node_map),
        (before.signals_by_node, after.signals_by_node),
        (before.arrows_out, after.arrows_out),
    ):
        if old is not new:
            keys.update(_differing(old, new))
    if before.signal_map is not after.signal_map:
        for index in _differing(before.signal_map, after.signal_map):
            signal = after.signal_map.get(index) or before.signal_map[index]
            keys.add(signal.node)
    return sorted(keys)


def _differing(old: Any, new: Any) -> Iterable[int]:
    find = old.get
    yield from (key for key, value in new.items() if find(key) is not value)
    yield from (key for key in old if key not in new)


def _change_node(changes: RowChanges, before: Graph, after: Graph, key: int) -> None:
    old, new = before.node_map.get(key), after.node_map.get(key)
    if old is None and new is not None:
        changes.add(node_row(after, new))
    elif old is not None and new is None:
        changes.remove(node_row(before, old))
    elif old is not None and new is not None:
        changes.change(node_row(before, old), node_row(after, new))


def _change_relationships(changes: RowChanges, before: Graph, after: Graph, key: int) -> None:
    old, new = _relationships(before, before.node_map.get(key)), _relationships(after, after.node_map.get(key))
    for one, properties in new.items():
        if old.get(one) != properties:
            changes.drawn[ends_of(after, one)].append((one.source, one.target, properties))
    for one in old.keys() - new.keys():
        if one.source in after.node_map and one.target in after.node_map:  # else it goes with its end
            # The ends may have got another level a moment ago: they are found by the one that they have then.
            changes.cut[ends_of(before, one)].append((one.source, one.target))


def _relationships(graph: Graph, node: Node | None) -> dict[RelationshipKey, Properties]:
    return {} if node is None else dict(relationships_of(graph, node))


def ends_of(graph: Graph, one: RelationshipKey) -> Ends:
    """The type of a relationship with the labels of its ends' levels."""
    source, target = (graph.node_map[key].level.capitalize() for key in (one.source, one.target))
    return Ends(one.type, source, target)
