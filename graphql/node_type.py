"""Nodes and the relationships between them."""

import strawberry
from strawberry.scalars import JSON

from ..twin import model
from ..twin.errors import InvalidValueError
from ..twin.model import FEEDS_INTO, Level, Origin
from .event_type import Anomaly, Event
from .field import field
from .graph_node import NodeQuestions
from .loading import NodeEvents
from .node_order import NodeOrder, in_order
from .node_where import NodeWhere
from .report_query import NodeAssets
from .scalars import Long
from .signal_type import Signal, StateEntry
from .view import View
from .words import HealthStatus

MOST_EVENTS = 1_000


@strawberry.type(description="Health from 0 (worst) to 100; null and UNKNOWN before the first reading.")
class Health:
    score: float | None
    status: HealthStatus


@strawberry.type(description="A node of the plant: enterprise, site, area, line, component or sensor.")
class Node(NodeQuestions, NodeAssets):
    view: strawberry.Private[View]
    record: strawberry.Private[model.Node]

    @classmethod
    def of(cls, view: View, node: model.Node) -> "Node":
        """What GraphQL shows of a node; counted against the operation's budget."""
        view.budget.take_nodes(1)
        return cls(view=view, record=node)

    # Read from the record when they are asked for: a list of a thousand nodes is mostly asked for a few of them.

    @field
    def id(self) -> strawberry.ID:
        return strawberry.ID(self.record.id)

    @field
    def key(self) -> Long:
        """Its number: never changes, never reused."""
        return Long(self.record.key)

    @field
    def name(self) -> str:
        return self.record.name

    @field
    def level(self) -> Level:
        return self.record.level

    @field
    def type(self) -> str | None:
        return self.record.type

    @field
    def origin(self) -> Origin:
        return self.record.origin

    @field
    def properties(self) -> JSON:
        return JSON(self.record.properties)

    @field
    def short_id(self) -> str:
        """The last part of its id."""
        return self.record.short_id

    @field
    def parent(self) -> "Node | None":
        parent = self.record.parent
        return None if parent is None else Node.of(self.view, self.view.graph.node(parent))

    @field
    def children(self, where: NodeWhere | None = None, order_by: list[NodeOrder] | None = None) -> list["Node"]:
        """What it contains, sensors included."""
        return self._nodes(self.view.graph.children(self.record.key), where, order_by)

    @field
    def components(self, where: NodeWhere | None = None, order_by: list[NodeOrder] | None = None) -> list["Node"]:
        """The components that it contains."""
        return self._nodes(self.view.graph.components(self.record.key), where, order_by)

    @field
    def sensors(self, where: NodeWhere | None = None, order_by: list[NodeOrder] | None = None) -> list["Node"]:
        """Its sensors."""
        return self._nodes(self.view.graph.sensors(self.record.key), where, order_by)

    @field
    def child_count(self) -> int:
        """How many nodes it contains at once (not counting theirs)."""
        return len(self.view.graph.children_map.get(self.record.key, ()))

    @field
    def feeds_into(self) -> list["Relationship"]:
        """Where its material goes next."""
        return self._arrows(self.view.graph.outgoing(self.record.key, FEEDS_INTO), outgoing=True)

    @field
    def fed_by(self) -> list["Relationship"]:
        """Where its material comes from."""
        return self._arrows(self.view.graph.incoming(self.record.key, FEEDS_INTO), outgoing=False)

    @field
    def relationships(self, type: str | None = None) -> list["Relationship"]:
        """All relationships that start or end here, of one type if told."""
        graph, key = self.view.graph, self.record.key
        outgoing = self._arrows(graph.outgoing(key, type), outgoing=True)
        return outgoing + self._arrows(graph.incoming(key, type), outgoing=False)

    @field
    def signals(self) -> list[Signal]:
        """Its own signals."""
        return [Signal.of(self.view, signal) for signal in self.view.graph.signals_of(self.record.key)]

    @field
    def signal(self, name: str) -> Signal | None:
        """Its own signal of that name, or that of its sensor of that name or id."""
        return Signal.of(self.view, self.view.graph.find_signal(f"{self.record.id}.{name}"))

    @field
    def state(self, first: int | None = None) -> list[StateEntry]:
        """What it shows: its sensors under their names, then its own signals but health."""
        shown = self.view.graph.state_signals(self.record.key)
        limit = len(shown) if first is None else max(first, 0)
        return [
            StateEntry(view=self.view, members=signals, name=name, unit=signals[0].unit)
            for name, signals in shown[:limit]
        ]

    @field
    def health(self) -> Health:
        score, status = self.view.health(self.record)
        return Health(score=score, status=status)

    @field
    def stale(self) -> bool:
        """Whether everything here that should speak regularly is silent."""
        return self.view.is_stale(self.record.key)

    @field
    def silent(self) -> int:
        """How many signals here and below are silent for longer than expected."""
        return self.view.silent_below[self.record.key]

    @field
    async def anomalies(self, open: bool = True, first: int = 50) -> list[Anomaly]:
        """Anomalies here and below, the newest first; the cleared ones too unless `open`."""
        check_first(first)
        view, key = self.view, self.record.key
        if open:
            mine = view.open_below.get(key, [])
        else:
            mine = [event for event in await view.all_anomalies() if view.concerns(event, key)]
        return [Anomaly.of(view, event) for event in mine[:first]]

    @field
    async def events(self, kind: str | None = None, first: int = 50) -> list[Event]:
        """What happened to this very node, the newest first."""
        check_first(first)
        found = await self.view.loaders.events.load(NodeEvents(self.record.key, kind, first))
        return [Event.of(self.view, event) for event in found]

    def _nodes(
        self, nodes: list[model.Node], where: NodeWhere | None, order_by: list[NodeOrder] | None
    ) -> list["Node"]:
        return [Node.of(self.view, node) for node in in_order(self.view, nodes, where, order_by)]

    def _arrows(self, arrows: list[model.Relationship], *, outgoing: bool) -> list["Relationship"]:
        return [Relationship.of(self.view, arrow, arrow.target if outgoing else arrow.source) for arrow in arrows]


@strawberry.type(description="An arrow between two nodes.")
class Relationship:
    view: strawberry.Private[View]
    arrow: strawberry.Private[model.Relationship]
    other: strawberry.Private[int]
    type: str
    properties: JSON

    @classmethod
    def of(cls, view: View, arrow: model.Relationship, other: int) -> "Relationship":
        """An arrow as seen from one of its ends; `other` is the key of the other one."""
        return cls(view=view, arrow=arrow, other=other, type=arrow.type, properties=JSON(arrow.properties))

    @field
    def node(self) -> Node:
        """The node at the other end."""
        return Node.of(self.view, self.view.graph.node(self.other))

    @field
    def source(self) -> Node:
        """The node where it starts."""
        return Node.of(self.view, self.view.graph.node(self.arrow.source))

    @field
    def target(self) -> Node:
        """The node where it ends."""
        return Node.of(self.view, self.view.graph.node(self.arrow.target))

    @field
    def transfer_time(self) -> float | None:
        """How long the material is on its way [s]."""
        time = self.arrow.properties.get("transfer_time")
        return float(time) if isinstance(time, (int, float)) else None


def check_first(first: int, most: int = MOST_EVENTS) -> None:
    """Raises InvalidValueError unless a page of that size is given out."""
    if not 1 <= first <= most:
        raise InvalidValueError(f"first must be between 1 and {most}, not {first}", "first")
