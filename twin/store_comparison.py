"""What a graph database shows, compared with what it should show: node by node, relationship by relationship."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from .graph import Graph
from .store_changes import RowChanges, ends_of
from .store_neo4j import Neo4jGraph, ShownNode, Stranger
from .store_rows import (
    OPEN_ANOMALIES,
    NodeRow,
    RelationshipKey,
    node_row,
    relationships_at,
    relationships_from,
    signal_name,
    state_names,
)
from .store_words import HEALTH_LABELS, LEVEL_LABELS, LEVELS

Properties = dict[str, Any]
_BEYOND = 1 << 62
PART = 500
_HEALTH = frozenset(HEALTH_LABELS)


@dataclass
class Comparison:
    """The differences: what is another, missing, or too much. `equal` counts the nodes that are as they should be.

    Of relationships: what they should be and what is shown, None where there is none.
    """

    equal: int = 0
    other: list[tuple[NodeRow, ShownNode]] = field(default_factory=list)
    missing: list[NodeRow] = field(default_factory=list)
    extra: list[ShownNode] = field(default_factory=list)
    strangers: list[Stranger] = field(default_factory=list)
    relationships: dict[RelationshipKey, tuple[Properties | None, Properties | None]] = field(default_factory=dict)

    def __len__(self) -> int:
        nodes = len(self.other) + len(self.missing) + len(self.extra) + len(self.strangers)
        return nodes + len(self.relationships)

    @property
    def nothing_there(self) -> bool:
        """Whether the database shows no node of ours at all, though it should."""
        return not (self.equal or self.other) and bool(self.missing)

    def repair(self, graph: Graph) -> RowChanges:
        """What makes the database as it should be; strangers are removed apart from that."""
        changes = RowChanges(strict=True)
        for expected, shown in self.other:
            there = NodeRow(expected.level, expected.type, shown.properties)
            changes.change(there, expected, shown.labels - _HEALTH)
        for row in self.missing:
            changes.add(row)
        for node in self.extra:
            for level in node.labels & LEVELS.keys():
                changes.removed[level].append(node.key)
        wanted = {one: expected for one, (expected, _) in self.relationships.items()}
        for row in self.missing:  # what was removed by hand, or is about to be, has lost its relationships
            wanted |= relationships_at(graph, row.properties["key"])
        for one, properties in wanted.items():
            if properties is not None:
                changes.drawn[ends_of(graph, one)].append((one.source, one.target, properties))
            elif one.source in graph.node_map and one.target in graph.node_map:  # else it goes with its end
                changes.cut[ends_of(graph, one)].append((one.source, one.target))
        return changes


async def compare(store: Neo4jGraph, graph: Graph) -> Comparison:
    """All differences; state is left out, and so are labels of health."""
    found = Comparison()
    async for _ in pages(store, graph, found):
        pass
    return found


async def pages(store: Neo4jGraph, graph: Graph, found: Comparison) -> AsyncIterator[None]:
    """The comparison page by page, so that other work may be done between two of them; `found` is added to."""
    by_level = _keys_by_label(graph)
    skip = volatile_names(graph)
    async for label, start, shown in store.nodes(skip):
        end = shown[-1].key + 1 if shown else _BEYOND
        keys = by_level[label][bisect_left(by_level[label], start) : bisect_left(by_level[label], end)]
        there = {node.key: node for node in shown}
        for part in _parts(keys):
            _compare_nodes(found, graph, part, there, set(skip))
            await asyncio.sleep(0)
        _add_extra(found, graph, there)
        drawn = await store.relationships(label, start, end)
        for part in _parts(keys):
            _compare_relationships(found, graph, part, drawn)
            await asyncio.sleep(0)
        found.relationships |= {one: (None, properties) for one, properties in drawn.items()}
        yield
    found.strangers = await store.strangers()


def _parts(keys: list[int]) -> Iterator[list[int]]:
    return (keys[start : start + PART] for start in range(0, len(keys), PART))


def volatile_names(graph: Graph) -> list[str]:
    """The properties that hold state: they change with every reading, so they are not compared."""
    names = {signal_name(signal) for signal in graph.signal_map.values()} | {"value"}
    return sorted({state for name in names for state in state_names(name)} | {OPEN_ANOMALIES})


def _keys_by_label(graph: Graph) -> dict[str, list[int]]:
    keys: dict[str, list[int]] = {label: [] for label in LEVEL_LABELS.values()}
    for key, node in graph.node_map.items():
        keys[LEVEL_LABELS[node.level]].append(key)
    for of_level in keys.values():
        of_level.sort()
    return keys


def _compare_nodes(
    found: Comparison, graph: Graph, keys: list[int], there: dict[int, ShownNode], skip: set[str]
) -> None:
    for key in keys:
        row = _without(node_row(graph, graph.node_map[key]), skip)
        node = there.pop(key, None)
        if node is None:
            found.missing.append(row)
        elif node.properties == row.properties and node.labels - _HEALTH == row.labels:
            found.equal += 1
        else:
            found.other.append((row, node))


def _add_extra(found: Comparison, graph: Graph, there: dict[int, ShownNode]) -> None:
    for key, node in there.items():
        ours = graph.node_map.get(key)
        # One that has got the label of a second level as well is told where it belongs.
        if ours is None or LEVEL_LABELS[ours.level] not in node.labels:
            found.extra.append(node)


def _compare_relationships(
    found: Comparison, graph: Graph, keys: list[int], drawn: dict[RelationshipKey, Properties]
) -> None:
    for key in keys:
        for one, properties in relationships_from(graph, key):
            shown = drawn.pop(one, None)
            if shown != properties:
                found.relationships[one] = (properties, shown)


def _without(row: NodeRow, skip: set[str]) -> NodeRow:
    if skip.isdisjoint(row.properties):
        return row
    return row._replace(properties={name: value for name, value in row.properties.items() if name not in skip})
