"""Which signals and events a rule means, and the topics that they go to, by one revision of the graph."""

import re

import numpy as np
from numpy.typing import NDArray

from ..twin.component_types import TypeLibrary
from ..twin.define_publishing import PublishingRule
from ..twin.errors import IoTSenseError
from ..twin.expressions import Template, compile_template
from ..twin.graph import Graph
from ..twin.model import Event, Level, Node, Signal
from ..twin.unified_namespace import uns_topic

_UNFIT = re.compile(r"[+#\0]+")
_EMPTY = re.compile(r"/{2,}")


class Selection:
    """A rule, with what it means in a graph; `follow` takes over the next revision.

    signals: indexes, sorted, `(n,)` int32.
    """

    def __init__(self, rule: PublishingRule, default_topic: str) -> None:
        self.rule = rule
        self.signals: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._template: Template = compile_template(rule.topic_template or default_topic)
        self._graph = Graph()
        self._nodes: frozenset[int] | None = None
        self._indexes: frozenset[int] = frozenset()
        self._topics: dict[int, str] = {}

    def follow(self, graph: Graph) -> None:
        """Looks up anew what the rule means."""
        if graph is self._graph:
            return
        self._graph = graph
        self._topics.clear()
        self._nodes = self._places(graph)
        self._library = TypeLibrary.of(graph.definition)
        if self.rule.publish == "state":
            found = sorted(i for i, signal in graph.signal_map.items() if self._fits(graph.node(signal.node), signal))
            self.signals, self._indexes = np.array(found, dtype=np.int32), frozenset(found)

    def _places(self, graph: Graph) -> frozenset[int] | None:
        """The keys of the nodes that are meant; None for all."""
        if not self.rule.nodes:
            return None
        keys: set[int] = set()
        for id in self.rule.nodes:
            try:
                node = graph.find(id)
            except IoTSenseError:
                continue  # it is not there yet, or no longer
            keys |= {node.key, *(below.key for below in graph.descendants(node.key))}
        return frozenset(keys)

    def _fits(self, node: Node, signal: Signal) -> bool:
        rule = self.rule
        if self._nodes is not None and node.key not in self._nodes:
            return False
        if rule.types and not self._is_of_type(node):
            return False
        names = {signal.name, node.short_id, node.name} if node.level is Level.SENSOR else {signal.name}
        return not rule.signals or not names.isdisjoint(rule.signals)

    def _is_of_type(self, node: Node) -> bool:
        above = None if node.parent is None or node.level is not Level.SENSOR else self._graph.node(node.parent)
        types = {type for each in (node, above) if each is not None for type in self._library.lineage(each.type)}
        return not types.isdisjoint(self.rule.types)

    def means(self, index: int) -> bool:
        """Whether the rule means a signal."""
        return index in self._indexes

    def wants_node(self, node: Node) -> bool:
        """Whether the rule means a node itself."""
        return (self._nodes is None or node.key in self._nodes) and (not self.rule.types or self._is_of_type(node))

    def wants(self, event: Event) -> bool:
        """Whether the rule means an event; one that tells of a gap in the log concerns everybody."""
        rule = self.rule
        if rule.kinds and event.kind not in (*rule.kinds, "gone"):
            return False
        if event.kind == "gone" or (self._nodes is None and not rule.types):
            return True
        node = None if event.node is None else self._graph.node_map.get(event.node)
        return node is not None and self.wants_node(node)

    # Topics

    def topic_of(self, signal: Signal) -> str:
        """The topic of a signal's changes."""
        topic = self._topics.get(signal.index)
        if topic is None:
            node = self._graph.node(signal.node)
            name = node.name if node.level is Level.SENSOR and signal.name == "value" else signal.name
            names = self._names(node) | {
                "uns": uns_topic(self._graph, node.key, signal.name),
                "id": self._graph.signal_id(signal),
                "signal": name,
                "kind": "state",
            }
            topic = self._topics[signal.index] = _clean(self._template.render(names))
        return topic

    def topic_of_event(self, event: Event) -> str:
        """The topic of an event."""
        node = None if event.node is None else self._graph.node_map.get(event.node)
        return self.topic_of_node(node, event.kind)

    def topic_of_node(self, node: Node | None, kind: str) -> str:
        """The topic of what is about a node, or about none."""
        names = dict.fromkeys(("enterprise", "site", "area", "line", "component", "node", "type", "uns"), "")
        if node is not None:
            path = [*reversed(list(self._graph.ancestors(node.key))), node]
            names = self._names(node) | {"uns": "/".join(each.short_id for each in path)}
        names |= {"id": names["node"], "signal": "", "kind": kind}
        return _clean(self._template.render(names))

    def _names(self, node: Node) -> dict[str, str]:
        names = dict.fromkeys(("enterprise", "site", "area", "line", "component"), "")
        path = [*reversed(list(self._graph.ancestors(node.key))), node]
        for each in path:
            if each.level is not Level.SENSOR:
                names[each.level.value] = each.short_id
        names["component"] = ".".join(each.short_id for each in path if each.level is Level.COMPONENT)
        return names | {"node": node.id, "type": node.type or ""}


def _clean(topic: str) -> str:
    """Without wildcards, and without the empty levels of what a node does not have."""
    return _EMPTY.sub("/", _UNFIT.sub("_", topic)).strip("/")
