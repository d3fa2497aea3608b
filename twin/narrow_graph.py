"""A part of the graph, cut out as if there were nothing else."""

from collections.abc import Iterable

import msgspec
from immutables import Map

from .graph import Arrows, Graph
from .model import Node, Relationship


def narrow_graph(graph: Graph, roots: Iterable[int]) -> Graph:
    """The nodes with these keys and all below them, with the relationships among them. Roots have no parent."""
    keys = {root for root in roots if root in graph.node_map}
    keys.update(node.key for root in tuple(keys) for node in graph.descendants(root))
    nodes = {key: _apart(graph.node_map[key], keys) for key in keys}
    by_short: dict[str, dict[int, None]] = {}
    for key, node in nodes.items():
        by_short.setdefault(node.short_id, {})[key] = None
    signals_by_node = {key: graph.signals_by_node[key] for key in keys if key in graph.signals_by_node}
    indexes = [index for those in signals_by_node.values() for index in those]
    return Graph(
        revision=graph.revision,
        next_key=max(keys, default=0) + 1,
        next_index=max(indexes, default=-1) + 1,
        node_map=Map(nodes),
        key_by_id=Map({node.id: key for key, node in nodes.items()}),
        keys_by_short_id=Map({name: Map(those) for name, those in by_short.items()}),
        children_map=Map({key: graph.children_map[key] for key in keys if key in graph.children_map}),
        signal_map=Map({index: graph.signal_map[index] for index in indexes}),
        signals_by_node=Map(signals_by_node),
        arrows_out=_among(graph.arrows_out, keys),
        arrows_in=_among(graph.arrows_in, keys),
    )


_NONE: Map[tuple[str, int], Relationship] = Map()


def _apart(node: Node, keys: set[int]) -> Node:
    return node if node.parent is None or node.parent in keys else msgspec.structs.replace(node, parent=None)


def _among(arrows: Arrows, keys: set[int]) -> Arrows:
    kept: dict[int, Map[tuple[str, int], Relationship]] = {}
    for key in keys:
        if found := {where: arrow for where, arrow in arrows.get(key, _NONE).items() if where[1] in keys}:
            kept[key] = Map(found)
    return Map(kept)
