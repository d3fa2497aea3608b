"""What differs between two graphs of one plant, node by node: the same words in which a plan is told."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from .difference import differences
from .graph import Graph
from .model import Node, Relationship
from .node_changes import described, governed, node_change
from .plan_changes import Changes, NodeChange, RelationshipChange, SignalChange


def structure_diff(before: Graph, after: Graph, keys: Collection[int] | None = None) -> Changes:
    """The changes that lead from one graph to the other; unchanged parts are shared and cost a look each.

    keys: the only nodes at which anything can differ, where that is known.
    """
    old, new = (sorted(_among(graph.node_map, keys)) for graph in (before, after))
    nodes = [change for key in old if (change := _kept(before, after, key)) is not None]
    nodes += [_added(after, after.node_map[key]) for key in new if key not in before.node_map]
    removed = [before.node_map[key] for key in old if key not in after.node_map]
    nodes += [NodeChange("removed", node.id, node.level, node.type) for node in removed]
    sections = () if before.definition is after.definition else differences(before.definition, after.definition)
    sources = sorted(_sources(before, keys) | _sources(after, keys))
    return Changes(tuple(nodes), tuple(_relationships(before, after, sources)), tuple(sections))


def _sources(graph: Graph, keys: Collection[int] | None) -> set[int]:
    """Where relationships start that can differ: at these nodes, or at others if they end at these."""
    found = _among(graph.arrows_out, keys)
    for key in keys or ():
        found.update(arrow.source for arrow in graph.incoming(key))
    return found


def _among(map: Mapping[int, object], keys: Collection[int] | None) -> set[int]:
    return set(map) if keys is None else {key for key in keys if key in map}


def _kept(before: Graph, after: Graph, key: int) -> NodeChange | None:
    old, new = before.node_map[key], after.node_map.get(key)
    if new is None:
        return None
    signals = tuple(_signals(before, after, key))
    return None if old is new and not signals else node_change(old, new, signals)


def _added(after: Graph, node: Node) -> NodeChange:
    fields = tuple(differences({}, described(node)))
    signals = tuple(
        SignalChange("added", s.name, tuple(differences({}, governed(s)))) for s in after.signals_of(node.key)
    )
    return NodeChange("added", node.id, node.level, node.type, fields=fields, signals=signals)


def _signals(before: Graph, after: Graph, key: int) -> Iterator[SignalChange]:
    old = {signal.index: signal for signal in before.signals_of(key)}
    for signal in after.signals_of(key):
        known = old.pop(signal.index, None)
        if known is None:
            yield SignalChange("added", signal.name, tuple(differences({}, governed(signal))))
        elif known is not signal and (fields := tuple(differences(governed(known), governed(signal)))):
            yield SignalChange("changed", signal.name, fields)
    for signal in old.values():
        yield SignalChange("removed", signal.name)


def _relationships(before: Graph, after: Graph, sources: Iterable[int]) -> Iterator[RelationshipChange]:
    for key in sources:
        if before.arrows_out.get(key) is after.arrows_out.get(key):
            continue
        old, new = ({(a.type, a.target): a for a in graph.outgoing(key)} for graph in (before, after))
        for place in [*new, *(place for place in old if place not in new)]:
            if old.get(place) != new.get(place):
                yield _relationship(before, after, old.get(place), new.get(place))


def _relationship(
    before: Graph, after: Graph, old: Relationship | None, new: Relationship | None
) -> RelationshipChange:
    graph, arrow = (after, new) if new is not None else (before, old)
    assert arrow is not None
    change = "added" if old is None else "removed" if new is None else "changed"
    fields = tuple(differences(old.properties if old else {}, new.properties if new else {}))
    source, target = (graph.node(key).id for key in (arrow.source, arrow.target))
    return RelationshipChange(change, source, arrow.type, target, fields)
