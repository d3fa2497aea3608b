"""Questions of the graph."""

from typing import Annotated

import strawberry

from ..twin.question import FLOW, SUBTREE, Between, Points, answered
from ..twin.question_impact import HALF_FULL, impact
from ..twin.question_paths import LIMIT as PATHS
from ..twin.question_reach import LIMIT as NODES
from ..twin.question_rollup import Aggregate
from ..twin.question_step import Direction
from .graph_types import Impact, Paths, Reach, Rollup, Selecting, SinglePoints, Walk, around
from .moment import plant_field
from .view import View

From = Annotated[strawberry.ID | None, strawberry.argument(name="from")]


@strawberry.type
class GraphQuery:
    @plant_field
    async def neighbours(
        self,
        view: View,
        node: strawberry.ID,
        walk: Walk | None = None,
        select: Selecting | None = None,
        limit: int = NODES,
    ) -> Reach:
        """What is near a node: along all relationships, both ways, one hop unless told."""
        asked = around(node, walk, select, Direction.BOTH, hops=1, limit=limit)
        return Reach.of(view, await answered(view.plant, asked.reach))

    @plant_field
    async def downstream(
        self,
        view: View,
        node: strawberry.ID,
        walk: Walk | None = None,
        select: Selecting | None = None,
        limit: int = NODES,
    ) -> Reach:
        """What comes behind a node: along `feeds_into`, however far, unless told."""
        asked = around(node, walk, select, Direction.OUT, FLOW, limit=limit)
        return Reach.of(view, await answered(view.plant, asked.reach))

    @plant_field
    async def upstream(
        self,
        view: View,
        node: strawberry.ID,
        walk: Walk | None = None,
        select: Selecting | None = None,
        limit: int = NODES,
    ) -> Reach:
        """What comes before a node: along `feeds_into`, however far, unless told."""
        asked = around(node, walk, select, Direction.IN, FLOW, limit=limit)
        return Reach.of(view, await answered(view.plant, asked.reach))

    @plant_field
    async def paths(
        self,
        view: View,
        from_: Annotated[strawberry.ID, strawberry.argument(name="from")],
        to: strawberry.ID,
        walk: Walk | None = None,
        weight: str | None = None,
        all: bool = False,
        limit: int = PATHS,
    ) -> Paths:
        """Ways from one node to another along `feeds_into`: the shortest, that of the least weight, or all of them."""
        walk = walk or Walk()
        direction = walk.direction or Direction.OUT
        asked = Between(
            from_, to, walk.relationship or FLOW, direction, walk.along, walk.through, weight, all, walk.hops, limit
        )
        return Paths.of(view, await answered(view.plant, asked.paths))

    @plant_field
    async def rollup(
        self,
        view: View,
        node: strawberry.ID,
        signal: str,
        aggregate: Aggregate = Aggregate.SUM,
        unit: str | None = None,
        weight: str | None = None,
        walk: Walk | None = None,
        select: Selecting | None = None,
    ) -> Rollup:
        """A signal of all that a node contains (or that the walk reaches; not its own) as one value, in one unit."""
        asked = around(node, walk, select, Direction.OUT, SUBTREE)
        return Rollup.of(
            await answered(view.plant, lambda instant: asked.roll_up(instant, signal, aggregate, unit, weight))
        )

    @plant_field
    async def impact(
        self, view: View, node: strawberry.ID, within: float | None = None, fill: float = HALF_FULL
    ) -> Impact:
        """Who starves or blocks, and when, if a node stops; within so many seconds.

        `fill` is the share to which a buffer whose level is not known is taken to be filled.
        """
        found = await answered(
            view.plant, lambda instant: impact(instant, node, now=view.now, within=within, fill=fill)
        )
        return Impact.of(view, found)

    @plant_field
    async def single_points_of_failure(
        self,
        view: View,
        relationship: list[str] | None = None,
        from_: From = None,
        to: strawberry.ID | None = None,
        within: strawberry.ID | None = None,
        along: str | None = None,
        limit: int = NODES,
    ) -> SinglePoints:
        """The nodes that everything to some end, or from some beginning, must pass along `feeds_into` unless told.

        `from` and `to` name one beginning and one end instead of all; `within` looks at what a node contains.
        """
        asked = Points(relationship or FLOW, from_, to, within, along, limit)
        return SinglePoints.of(view, await answered(view.plant, asked.cuts))
