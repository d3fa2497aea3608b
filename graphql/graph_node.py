"""Questions of the graph that begin at a node."""

import strawberry

from ..twin import model
from ..twin.question import FLOW, SUBTREE, answered
from ..twin.question_impact import HALF_FULL, impact
from ..twin.question_reach import LIMIT
from ..twin.question_rollup import Aggregate
from ..twin.question_step import Direction
from ..twin.question_subject import Instant
from ..twin.question_summary import summarize
from .field import field
from .graph_types import Impact, Reach, Rollup, Selecting, Walk, around
from .health_summary import HealthSummary, Levels, Types, subtree
from .signal_summary import SignalSummary
from .view import View


@strawberry.type
class NodeQuestions:
    view: strawberry.Private[View]
    record: strawberry.Private[model.Node]

    @field
    async def neighbours(self, walk: Walk | None = None, select: Selecting | None = None, limit: int = LIMIT) -> Reach:
        """What is near: along all relationships, both ways, one hop unless told."""
        asked = around(self.record.id, walk, select, Direction.BOTH, hops=1, limit=limit)
        return Reach.of(self.view, await answered(self.view.plant, asked.reach))

    @field
    async def downstream(self, walk: Walk | None = None, select: Selecting | None = None, limit: int = LIMIT) -> Reach:
        """What comes behind it: along `feeds_into`, however far, unless told."""
        asked = around(self.record.id, walk, select, Direction.OUT, FLOW, limit=limit)
        return Reach.of(self.view, await answered(self.view.plant, asked.reach))

    @field
    async def upstream(self, walk: Walk | None = None, select: Selecting | None = None, limit: int = LIMIT) -> Reach:
        """What comes before it: along `feeds_into`, however far, unless told."""
        asked = around(self.record.id, walk, select, Direction.IN, FLOW, limit=limit)
        return Reach.of(self.view, await answered(self.view.plant, asked.reach))

    @field
    async def rollup(
        self,
        signal: str,
        aggregate: Aggregate = Aggregate.SUM,
        unit: str | None = None,
        weight: str | None = None,
        walk: Walk | None = None,
        select: Selecting | None = None,
    ) -> Rollup:
        """A signal of all that it contains (or that the walk reaches; not its own) as one value, in one unit."""
        asked = around(self.record.id, walk, select, Direction.OUT, SUBTREE)
        found = await answered(self.view.plant, lambda instant: asked.roll_up(instant, signal, aggregate, unit, weight))
        return Rollup.of(found)

    @field
    async def summary(
        self, signal: str, unit: str | None = None, type: Types = None, level: Levels = None
    ) -> SignalSummary:
        """A signal of it and all below it: how many are good, their least, greatest, mean and sum, in one unit."""
        view, record = self.view, self.record

        def summed_up(_: Instant) -> SignalSummary:
            nodes = subtree(view, record, type, level)
            return SignalSummary.of(view, nodes, summarize(view.plant, nodes, signal, unit))

        return await answered(view.plant, summed_up)

    @field
    async def health_summary(self, type: Types = None, level: Levels = None) -> HealthSummary:
        """How it and all below it are: so many nodes of each health, the worst of them, open anomalies, silence."""
        view, record = self.view, self.record

        def summed_up(_: Instant) -> HealthSummary:
            return HealthSummary.of(view, subtree(view, record, type, level))

        return await answered(view.plant, summed_up)

    @field
    async def impact(self, within: float | None = None, fill: float = HALF_FULL) -> Impact:
        """Who starves or blocks, and when, if it stops now; within so many seconds.

        `fill` is the share to which a buffer whose level is not known is taken to be filled.
        """
        id, now = self.record.id, self.view.now
        found = await answered(self.view.plant, lambda instant: impact(instant, id, now=now, within=within, fill=fill))
        return Impact.of(self.view, found)
