"""The state of whole twins as a feed: a twin's document whenever something of it changed, as often as a rule allows."""

import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..twin.as_of import AsOf
from ..twin.graph import Graph
from ..twin.model import Node
from ..twin.times import now_ns
from ..twin.twin import Twin
from .publish_feeds import Feed
from .publish_message import TWIN, Outgoing
from .publish_rules import Selection

RATE = 1.0
"""How often a twin is told at most where its rule does not say [1/s]."""


class Documents(Protocol):
    """What a twin shows as one document."""

    def signals(self, graph: Graph, node: Node) -> NDArray[np.int32]:
        """The indexes of all that is in it."""

    def document(self, plant: AsOf, node: Node) -> dict[str, Any]:
        """The document."""


class TwinFeed(Feed):
    """Twins of which something changed behind the position; one that was never followed begins with all of them."""

    def __init__(self, twin: Twin, name: str, selections: Sequence[Selection], documents: Documents) -> None:
        super().__init__(twin, name, selections)
        self._documents = documents
        self._looked = self.position
        self._graph: Graph | None = None
        # By the number of the rule and the key of the twin.
        self._twins: list[tuple[tuple[int, int], NDArray[np.int32]]] = []
        self._waiting: dict[tuple[int, int], None] = {}
        self._told: dict[tuple[int, int], float] = {}
        self._handed: list[tuple[int, int]] = []

    async def next(self, limit: int) -> list[Outgoing]:
        """The documents of twins that changed."""
        self._look()
        now = time.monotonic()
        self._handed = [each for each in self._waiting if self._left(each, now) <= 0][:limit]
        plant, found = self._twin.as_of(), []
        for number, key in self._handed:
            node = plant.graph.node_map.get(key)
            if node is not None:
                found.append(self._message(plant, self._selections[number], node))
        if self._handed and not found:
            self.taken()
        self._settle()
        return found

    def _look(self) -> None:
        graph = self._twin.graph
        if graph is not self._graph:
            self._graph = graph
            self.follow()
            self._twins = [
                ((number, node.key), self._documents.signals(graph, node))
                for number, each in enumerate(self._selections)
                for node in graph.twins()
                if each.wants_node(node)
            ]
        upto = self._twin.last_seq
        for place, signals in self._twins:
            if len(self._twin.state.changed_since(self._looked, signals)):
                self._waiting[place] = None
        self._looked = upto

    def _message(self, plant: AsOf, selection: Selection, node: Node) -> Outgoing:
        rule = selection.rule
        topic, retain = selection.topic_of_node(node, "twin"), rule.retain is not False
        document = self._documents.document(plant, node)
        id = f"{node.key}-{self._looked}"
        return Outgoing(TWIN, id, node.id, now_ns(), document, rule.format, topic, retain=retain)

    def taken(self) -> None:
        """They wait no longer, until something of them changes again."""
        now = time.monotonic()
        for each in self._handed:
            self._waiting.pop(each, None)
            self._told[each] = now
        self._handed = []
        self._settle()

    def _settle(self) -> None:
        if not self._waiting:
            self.position = self._looked

    @property
    def behind(self) -> int:
        """Twins that wait."""
        return len(self._waiting)

    def due(self) -> float | None:
        """When the next of them may be told."""
        now = time.monotonic()
        return min((max(0.0, self._left(each, now)) for each in self._waiting), default=None)

    def _left(self, each: tuple[int, int], now: float) -> float:
        pause = 1 / (self._selections[each[0]].rule.max_rate or RATE)
        return self._told.get(each, now - pause) + pause - now
