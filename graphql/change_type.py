"""What a revision changes of the graph, as GraphQL tells it."""

import asyncio
from enum import Enum
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from ..twin import plan_changes
from ..twin.difference import Difference
from ..twin.graph import Graph
from ..twin.graph_changes import GraphChange as Change
from ..twin.model import Level
from ..twin.plan_changes import Changes
from ..twin.plan_text import changes_text
from .field import field
from .node_type import Node, check_first
from .scalars import Long, Time
from .timed import timed
from .view import View

MOST = 10_000
_FIELDS = "What differs: `path`, `change`, `before` and `after` of each place."
First = Annotated[int, strawberry.argument(description="At most so many; `counts` tells how many there are.")]


@strawberry.enum(description="What is followed of the graph.")
class GraphPart(Enum):
    NODES = "nodes"
    RELATIONSHIPS = "relationships"
    DEFINITION = "sections"


@strawberry.enum(description="What became of something; `ADOPTED`: what was discovered is defined now.")
class ChangeKind(Enum):
    ADDED = "added"
    CHANGED = "changed"
    MOVED = "moved"
    ADOPTED = "adopted"
    REMOVED = "removed"


@strawberry.type(description="A signal that a revision changed.")
class ChangedSignal:
    change: ChangeKind
    name: str
    fields: JSON = strawberry.field(description=_FIELDS)

    @classmethod
    def of(cls, signal: plan_changes.SignalChange) -> "ChangedSignal":
        """What GraphQL shows of it."""
        return cls(change=ChangeKind(signal.change), name=signal.name, fields=_differences(signal.fields))


@strawberry.type(description="A node that a revision changed.")
class ChangedNode:
    view: strawberry.Private[View]
    key: strawberry.Private[int | None]
    change: ChangeKind
    id: strawberry.ID
    level: Level
    type: str | None
    moved_from: strawberry.ID | None = strawberry.field(description="Its id before, if that changed.")
    fields: JSON = strawberry.field(description=_FIELDS)
    signals: list[ChangedSignal]

    @classmethod
    def of(cls, view: View, graph: Graph, node: plan_changes.NodeChange) -> "ChangedNode":
        """What GraphQL shows of it; `graph` is the one after the revision."""
        return cls(
            view=view,
            # Another node may have come under the id of one that was removed.
            key=None if node.change == "removed" else graph.key_by_id.get(node.id),
            change=ChangeKind(node.change),
            id=strawberry.ID(node.id),
            level=node.level,
            type=node.type,
            moved_from=None if node.moved_from is None else strawberry.ID(node.moved_from),
            fields=_differences(node.fields),
            signals=[ChangedSignal.of(signal) for signal in node.signals],
        )

    @field
    def node(self) -> Node | None:
        """The node as it is now; null where it is gone."""
        node = None if self.key is None else self.view.graph.node_map.get(self.key)
        return None if node is None else Node.of(self.view, node)


@strawberry.type(description="A relationship that a revision changed.")
class ChangedRelationship:
    change: ChangeKind
    source: strawberry.ID
    type: str
    target: strawberry.ID
    fields: JSON = strawberry.field(description=_FIELDS)

    @classmethod
    def of(cls, arrow: plan_changes.RelationshipChange) -> "ChangedRelationship":
        """What GraphQL shows of it."""
        return cls(
            change=ChangeKind(arrow.change),
            source=strawberry.ID(arrow.source),
            type=arrow.type,
            target=strawberry.ID(arrow.target),
            fields=_differences(arrow.fields),
        )


@strawberry.type(description="A revision of the structure: all of it holds from then on, or it would not be told.")
@timed
class GraphChange:
    view: strawberry.Private[View]
    graph: strawberry.Private[Graph]
    told: strawberry.Private[Changes]
    revision: Long = strawberry.field(description="Give the last one that you have as `after`.")
    recorded: Time
    author: str
    counts: JSON = strawberry.field(
        description="How many nodes are added, changed, moved, adopted, removed; relationships; sections of definition."
    )
    definition: JSON = strawberry.field(
        description=f"What differs in the definitions that are no nodes, such as rules. {_FIELDS}"
    )

    @classmethod
    def of(cls, view: View, change: Change, told: Changes) -> "GraphChange":
        """What GraphQL shows of a revision; `told` is what of its changes was asked for."""
        return cls(
            view=view,
            graph=change.graph,
            told=told,
            revision=Long(change.revision),
            recorded=Time(change.recorded),
            author=change.author,
            counts=JSON(told.counts()),
            definition=_differences(told.sections),
        )

    @field
    def nodes(self, first: First = 1_000) -> list[ChangedNode]:
        """Parents before their children; those that were removed last."""
        check_first(first, MOST)
        return [ChangedNode.of(self.view, self.graph, node) for node in self.told.nodes[:first]]

    @field
    def relationships(self, first: First = 1_000) -> list[ChangedRelationship]:
        """Those that were added, changed or removed."""
        check_first(first, MOST)
        return [ChangedRelationship.of(arrow) for arrow in self.told.relationships[:first]]

    @field
    async def text(self) -> str:
        """As a diff to read."""
        return "" if self.told.empty else await asyncio.to_thread(changes_text, self.told)


def _differences(found: tuple[Difference, ...]) -> JSON:
    return JSON([each.to_dict() for each in found])
