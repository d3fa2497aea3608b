"""How a whole subtree is, at a glance."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import strawberry

from ..twin import model
from ..twin.anomalies import about
from ..twin.model import Event, Level
from .field import field
from .view import View
from .words import HealthStatus

if TYPE_CHECKING:
    from .node_type import Node

_WORST_FIRST = (HealthStatus.CRITICAL, HealthStatus.WARNING, HealthStatus.HEALTHY)

Types = Annotated[list[str] | None, strawberry.argument(description="Only nodes of these types.")]
Levels = Annotated[list[Level] | None, strawberry.argument(description="Only nodes of these levels.")]


def subtree(
    view: View, top: model.Node, types: Sequence[str] | None, levels: Sequence[Level] | None
) -> list[model.Node]:
    """A node and all below it, of these types and levels if told."""
    return [
        node
        for node in (top, *view.graph.descendants(top.key))
        if (types is None or node.type in types) and (levels is None or node.level in levels)
    ]


def equipment(nodes: Sequence[model.Node]) -> Sequence[model.Node]:
    """The nodes without sensors, whose health is part of their component's; sensors where there is nothing else."""
    return [node for node in nodes if node.level is not Level.SENSOR] or nodes


def worst_of(known: Iterable[HealthStatus]) -> HealthStatus:
    """The worst; UNKNOWN where none is known."""
    there = set(known)
    return next((status for status in _WORST_FIRST if status in there), HealthStatus.UNKNOWN)


@strawberry.type(
    description="How many nodes of a subtree are how; sensors count where there is nothing else, as they are part of"
    " their component's health."
)
class HealthSummary:
    view: strawberry.Private[View]
    worst_node: strawberry.Private[model.Node | None]
    anomalies: strawberry.Private[Sequence[Event]]
    nodes: int = strawberry.field(description="How many count.")
    critical: int
    warning: int
    healthy: int
    unknown: int
    worst: HealthStatus = strawberry.field(description="UNKNOWN where none is known.")
    lowest_score: float | None
    open_anomalies: int = strawberry.field(
        description="Anomalies of these nodes and their sensors that have not ended."
    )
    critical_anomalies: int = strawberry.field(description="Those of them that are critical.")
    silent: int = strawberry.field(description="Signals that are silent for longer than expected.")

    @classmethod
    def of(cls, view: View, nodes: Sequence[model.Node]) -> "HealthSummary":
        """What GraphQL shows of nodes."""
        counted = equipment(nodes)
        found = [(view.health(node), node) for node in counted]
        statuses = Counter(status for (_, status), _ in found)
        scored = [(score, node) for (score, _), node in found if score is not None]
        score, worst = min(scored, key=lambda each: (each[0], each[1].key), default=(None, None))
        keys = {node.key for node in nodes}
        keys |= {sensor.key for key in keys for sensor in view.graph.sensors(key)}
        anomalies = [event for event in view.open_anomalies if about(view.graph, event) & keys]
        return cls(
            view=view,
            worst_node=worst,
            anomalies=anomalies,
            nodes=len(counted),
            critical=statuses[HealthStatus.CRITICAL],
            warning=statuses[HealthStatus.WARNING],
            healthy=statuses[HealthStatus.HEALTHY],
            unknown=statuses[HealthStatus.UNKNOWN],
            worst=worst_of(statuses),
            lowest_score=score,
            open_anomalies=len(anomalies),
            critical_anomalies=sum(event.data.get("severity") == "critical" for event in anomalies),
            silent=sum(event.node in keys for event in view.open_silences),
        )

    @field
    def worst_at(self) -> Annotated["Node", strawberry.lazy(".node_type")] | None:
        """The node of the lowest score; of several, the one that came first."""
        from .node_type import Node

        return None if self.worst_node is None else Node.of(self.view, self.worst_node)

    @field
    async def unacknowledged(self) -> int:
        """The open anomalies that nobody said they have seen."""
        seen = await self.view.acknowledged()
        return sum(event.identity not in seen for event in self.anomalies)
