"""What somebody changed in a graph database by hand, told as a change of definitions."""

from collections.abc import Iterator
from typing import Any

from .difference import Difference
from .graph import Graph
from .plan_changes import Changes, NodeChange, RelationshipChange
from .store_comparison import Comparison, Properties
from .store_neo4j import ShownNode, Stranger
from .store_rows import NodeRow, RelationshipKey, property_paths
from .store_words import HEALTH_LABELS, LEVELS, relationship_type, snake_case

_FIELDS = {"expectedInterval": "expected_interval"}
_SILENT = ("key", "id", "origin")


def drift(graph: Graph, found: Comparison) -> Changes:
    """The differences as what they would be if the definition were changed instead of the database."""
    nodes = [_other(graph, expected, shown) for expected, shown in found.other]
    nodes += [_added(graph, node) for node in found.extra]
    nodes += [_added(graph, node) for node in found.strangers]
    nodes += [_removed(graph, row) for row in found.missing]
    gone = {row.properties["key"] for row in found.missing}
    relationships = [
        change
        for one, (expected, shown) in sorted(found.relationships.items())
        # With a node its relationships are gone as well; and what contains a node is told with the node.
        if not (shown is None and gone & {one.source, one.target})
        and (change := _relationship(graph, one, expected, shown)) is not None
    ]
    return Changes(tuple(nodes), tuple(relationships))


# Nodes


def _other(graph: Graph, expected: NodeRow, shown: ShownNode) -> NodeChange:
    node = graph.node_map[shown.key]
    paths = {name: ".".join(path) for name, (path, _) in property_paths(node, graph.signals_of(node.key)).items()}
    fields = list(_fields(expected.properties, shown.properties, paths))
    labels = shown.labels - set(HEALTH_LABELS)
    if labels != expected.labels and not any(field.path == "type" for field in fields):
        fields.append(Difference("labels", "changed", sorted(expected.labels), sorted(labels)))
    id = shown.properties.get("id")
    moved = isinstance(id, str) and id != node.id
    change = "moved" if moved else "changed"
    return NodeChange(
        change, str(id) if moved else node.id, node.level, shown.properties.get("type"), node.id if moved else None,
        tuple(fields),
    )  # fmt: skip


def _fields(expected: Properties, shown: Properties, paths: dict[str, str]) -> Iterator[Difference]:
    for name in sorted(expected.keys() | shown.keys()):
        before, after = expected.get(name), shown.get(name)
        if before == after or name == "id":
            continue
        path = paths.get(name) or _FIELDS.get(name) or (name if name in expected else snake_case(name))
        kind: Any = "added" if before is None else "removed" if after is None else "changed"
        yield Difference(path, kind, before, after)


def _added(graph: Graph, node: ShownNode | Stranger) -> NodeChange:
    level = LEVELS[min(node.labels & LEVELS.keys())]
    properties = dict(node.properties)
    id = properties.get("id") or _id_below(graph, node, properties)
    type = properties.pop("type", None) or _type_of(node.labels)
    fields = [
        Difference(snake_case(name), "added", None, value)
        for name, value in sorted(properties.items())
        if name not in _SILENT and not (name == "name" and str(id).endswith(f".{value}"))
    ]
    return NodeChange("added", str(id), level, type, fields=tuple(fields))


def _id_below(graph: Graph, node: ShownNode | Stranger, properties: Properties) -> str:
    """Who has no id is called by its name, below what contains it."""
    name = str(properties.get("name", "?"))
    parent = graph.node_map.get(node.parent) if isinstance(node, Stranger) and node.parent is not None else None
    return f"{parent.id}.{name}" if parent else name


def _type_of(labels: frozenset[str]) -> str | None:
    own = sorted(labels - LEVELS.keys() - set(HEALTH_LABELS))
    return snake_case(own[0]) if own else None


def _removed(graph: Graph, row: NodeRow) -> NodeChange:
    node = graph.node_map[row.properties["key"]]
    return NodeChange("removed", node.id, node.level, node.type)


# Relationships


def _relationship(
    graph: Graph, one: RelationshipKey, expected: Properties | None, shown: Properties | None
) -> RelationshipChange | None:
    ends = [graph.node_map.get(key) for key in (one.source, one.target)]
    source, target = (node.id if node else f"#{key}" for node, key in zip(ends, one[::2], strict=True))
    names = (expected or {}).keys() | (shown or {}).keys()
    fields = tuple(_fields(expected or {}, shown or {}, {name: snake_case(name) for name in names}))
    kind = "added" if expected is None else "removed" if shown is None else "changed"
    return RelationshipChange(kind, source, _word(graph, one), target, fields)


def _word(graph: Graph, one: RelationshipKey) -> str:
    """The type as the engineer wrote it."""
    known = (each.type for each in graph.outgoing(one.source) if relationship_type(each.type) == one.type)
    return next(known, one.type.lower())
