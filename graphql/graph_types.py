"""Answers to questions of the graph."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from ..twin import question_impact, question_paths, question_reach, question_rollup
from ..twin.model import Level
from ..twin.question import Around
from ..twin.question_impact import Outcome
from ..twin.question_rollup import Aggregate
from ..twin.question_step import Direction
from .field import field
from .scalars import Time, finite
from .timed import timed
from .view import View
from .words import QualityWord

if TYPE_CHECKING:
    from ..twin import question_cuts
    from .node_type import Node, Relationship

LazyNode = Annotated["Node", strawberry.lazy(".node_type")]
LazyRelationship = Annotated["Relationship", strawberry.lazy(".node_type")]

strawberry.enum(Direction, description="Which way relationships are followed: from source to target, back, or both.")
strawberry.enum(Aggregate, description="How many values become one.")
strawberry.enum(
    Outcome,
    name="StopOutcome",
    description="What a stop does to a node. RUNS_EMPTY, RUNS_FULL: to a buffer. SLOWED: it loses some of its ways.",
)


@strawberry.input(description="Which relationships are followed, and how far. What is left out does not narrow.")
class Walk:
    relationship: list[str] | None = strawberry.field(
        default=None, description="Their types; `contains` and `has_sensor` are among them."
    )
    direction: Direction | None = None
    along: str | None = strawberry.field(
        default=None, description="Only relationships for which this holds: `transfer_time < 5`."
    )
    through: str | None = strawberry.field(default=None, description="Only pass nodes for which this holds.")
    hops: int | None = strawberry.field(default=None, description="At most so many hops.")


@strawberry.input(description="Which nodes the answer is about. What is left out does not narrow.")
class Selecting:
    level: list[Level] | None = None
    type: list[str] | None = None
    where: str | None = strawberry.field(
        default=None, description="Only nodes for which this holds: `criticality == 'high' and power > 5 kW`."
    )


def around(
    node: str,
    walk: Walk | None,
    select: Selecting | None,
    direction: Direction,
    relationship: tuple[str, ...] = (),
    *,
    hops: int | None = None,
    limit: int = question_reach.LIMIT,
) -> Around:
    """The nodes that a field is about; what it does not say is as told here."""
    walk, select = walk or Walk(), select or Selecting()
    return Around(
        node,
        walk.relationship or relationship,
        walk.direction or direction,
        select.level or (),
        select.type or (),
        select.where,
        walk.along,
        walk.through,
        hops if walk.hops is None else walk.hops,
        limit,
    )


@strawberry.type(description="A node, and how it was reached first.")
class ReachedNode:
    view: strawberry.Private[View]
    reached: strawberry.Private[question_reach.Reached]
    hops: int

    @field
    def node(self) -> LazyNode:
        """The node."""
        from .node_type import Node

        return Node.of(self.view, self.reached.node)

    @field
    def via(self) -> LazyRelationship:
        """The relationship by which it was reached."""
        from .node_type import Relationship

        arrow = self.reached.via
        key = self.reached.node.key
        return Relationship.of(self.view, arrow, arrow.source if arrow.target == key else arrow.target)


@strawberry.type(description="Nodes around a node, the nearest first.")
class Reach:
    nodes: list[ReachedNode]
    truncated: bool = strawberry.field(description="Whether there are more.")
    notes: list[str] = strawberry.field(description="What looks misspelt, or was left out.")

    @classmethod
    def of(cls, view: View, found: question_reach.Reach) -> "Reach":
        """What GraphQL shows of it."""
        nodes = [ReachedNode(view=view, reached=each, hops=each.hops) for each in found.nodes]
        return cls(nodes=nodes, truncated=found.truncated, notes=found.notes)


@strawberry.type(description="A way from node to node.")
class Path:
    view: strawberry.Private[View]
    path: strawberry.Private[question_paths.Path]
    hops: int
    cost: float | None = strawberry.field(description="The sum of the weights, if asked for.")

    @field
    def nodes(self) -> list[LazyNode]:
        """From the start to the end."""
        from .node_type import Node

        return [Node.of(self.view, node) for node in self.path.nodes]

    @field
    def relationships(self) -> list[LazyRelationship]:
        """Those between the nodes; they may have been followed backwards."""
        from .node_type import Relationship

        pairs = zip(self.path.relationships, self.path.nodes[1:], strict=True)
        return [Relationship.of(self.view, arrow, node.key) for arrow, node in pairs]


@strawberry.type(description="Paths, the shortest (or quickest) first.")
class Paths:
    paths: list[Path]
    truncated: bool = strawberry.field(description="Whether there may be more.")
    notes: list[str]

    @classmethod
    def of(cls, view: View, found: question_paths.Paths) -> "Paths":
        """What GraphQL shows of them."""
        paths = [Path(view=view, path=path, hops=len(path.relationships), cost=path.cost) for path in found.paths]
        return cls(paths=paths, truncated=found.truncated, notes=found.notes)


@strawberry.type(description="A signal that does not count, and why.")
class LeftOut:
    signal: strawberry.ID
    reason: str


@strawberry.type(description="A signal of many nodes as one value.")
@timed
class Rollup:
    value: float | None = strawberry.field(description="Null where no signal counts.")
    unit: str | None
    count: int = strawberry.field(description="How many signals count.")
    at: strawberry.ID | None = strawberry.field(description="The signal of the least or greatest.")
    oldest: Time | None
    newest: Time | None
    quality: QualityWord | None = strawberry.field(description="That of the worst reading that counts.")
    left_out: list[LeftOut] = strawberry.field(description="Up to 100 signals that do not count.")
    notes: list[str]

    @classmethod
    def of(cls, found: question_rollup.Rollup) -> "Rollup":
        """What GraphQL shows of it."""
        return cls(
            value=None if found.value is None else finite(found.value),
            unit=found.unit,
            count=found.count,
            at=None if found.at is None else strawberry.ID(found.at),
            oldest=None if found.oldest is None else Time(found.oldest),
            newest=None if found.newest is None else Time(found.newest),
            quality=None if found.quality is None else QualityWord.of(found.quality),
            left_out=[LeftOut(signal=strawberry.ID(each.signal), reason=each.reason) for each in found.left_out],
            notes=found.notes,
        )


@strawberry.type(description="What a stop does to a node.")
@timed
class StopEffect:
    view: strawberry.Private[View]
    effect: strawberry.Private[question_impact.Effect]
    outcome: Outcome
    after: float = strawberry.field(description="How long after the stop [s].")
    at: Time

    @field
    def node(self) -> LazyNode:
        """The node that it happens to."""
        from .node_type import Node

        return Node.of(self.view, self.effect.node)

    @field
    def because(self) -> LazyNode | None:
        """The neighbour that brings it about; null for what stops itself."""
        from .node_type import Node

        cause = self.effect.because
        return None if cause is None else Node.of(self.view, cause)


@strawberry.type(description="What was taken for granted because nobody told it.")
class Assumption:
    text: str
    count: int = strawberry.field(description="For how many nodes.")
    nodes: list[strawberry.ID] = strawberry.field(description="The first of them.")


@strawberry.type(description="Who starves or blocks, and when, if a node stops.")
class Impact:
    stopped: list[strawberry.ID]
    effects: list[StopEffect] = strawberry.field(description="The earliest first, 10,000 at most.")
    assumed: list[Assumption]
    truncated: bool = strawberry.field(description="Whether there are more.")

    @classmethod
    def of(cls, view: View, found: question_impact.Impact) -> "Impact":
        """What GraphQL shows of it."""
        effects = [
            StopEffect(view=view, effect=each, outcome=each.outcome, after=each.after, at=Time(each.at))
            for each in found.effects
        ]
        assumed = [
            Assumption(text=each.text, count=each.count, nodes=[strawberry.ID(id) for id in each.nodes])
            for each in found.assumed
        ]
        stopped = [strawberry.ID(node.id) for node in found.stopped]
        return cls(stopped=stopped, effects=effects, assumed=assumed, truncated=found.truncated)


@strawberry.type(description="A node whose loss cuts something off.")
class SinglePoint:
    view: strawberry.Private[View]
    cut: strawberry.Private["question_cuts.Cut"]
    sinks: int = strawberry.field(description="How many ends get nothing any more without it.")
    sources: int = strawberry.field(description="How many beginnings cannot deliver any more without it.")
    first_sinks: list[strawberry.ID]
    first_sources: list[strawberry.ID]
    separates: bool = strawberry.field(description="Whether what is left does not even hang together.")

    @field
    def node(self) -> LazyNode:
        """The node."""
        from .node_type import Node

        return Node.of(self.view, self.cut.node)


@strawberry.type(description="Single points of failure, the worst first.")
class SinglePoints:
    points: list[SinglePoint]
    nodes: int = strawberry.field(description="How many nodes these relationships join.")
    sources: int
    sinks: int
    truncated: bool
    notes: list[str]

    @classmethod
    def of(cls, view: View, found: "question_cuts.Cuts") -> "SinglePoints":
        """What GraphQL shows of them."""
        points = [
            SinglePoint(
                view=view,
                cut=cut,
                sinks=cut.sinks,
                sources=cut.sources,
                first_sinks=[strawberry.ID(id) for id in cut.first_sinks],
                first_sources=[strawberry.ID(id) for id in cut.first_sources],
                separates=cut.separates,
            )
            for cut in found.cuts
        ]
        return cls(
            points=points,
            nodes=found.nodes,
            sources=found.sources,
            sinks=found.sinks,
            truncated=found.truncated,
            notes=found.notes,
        )
