"""Questions of the graph: what is near, which ways there are, what a stop brings about, what must not fail."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..twin.as_of import AsOf
from ..twin.question import FLOW, SUBTREE, answered
from ..twin.question_impact import HALF_FULL, impact
from ..twin.question_rollup import Aggregate
from ..twin.question_step import Direction
from ..twin.question_subject import Instant
from . import query
from .answer import json_answer
from .context import Context
from .endpoint import PREFIX, Answer, Endpoint, Operation, Parameter
from .graph_parameters import (
    DOWNSTREAM,
    IMPACT,
    NEIGHBOURS,
    PATHS_BETWEEN,
    POINTS,
    ROLLUP,
    around,
    between,
    number,
    plant,
    points,
    required,
    text,
)
from .graph_shapes import CutsView, ImpactView, PathsView, ReachView, RollupView
from .graph_views import cuts_view, impact_view, paths_view, reach_view, rollup_view


async def neighbours(context: Context, request: Request) -> Response:
    """What is near a node."""
    now = await plant(context, request, NEIGHBOURS)
    asked = around(request, Direction.BOTH, hops=1)
    return await _answered(now, lambda instant: reach_view(instant.graph, asked.reach(instant)))


async def downstream(context: Context, request: Request) -> Response:
    """What comes behind a node."""
    now = await plant(context, request, DOWNSTREAM)
    asked = around(request, Direction.OUT, FLOW)
    return await _answered(now, lambda instant: reach_view(instant.graph, asked.reach(instant)))


async def upstream(context: Context, request: Request) -> Response:
    """What comes before a node."""
    now = await plant(context, request, DOWNSTREAM)
    asked = around(request, Direction.IN, FLOW)
    return await _answered(now, lambda instant: reach_view(instant.graph, asked.reach(instant)))


async def paths(context: Context, request: Request) -> Response:
    """Ways from one node to another."""
    now = await plant(context, request, PATHS_BETWEEN)
    asked = between(request)
    return await _answered(now, lambda instant: paths_view(instant.graph, asked.paths(instant)))


async def rollup(context: Context, request: Request) -> Response:
    """A signal of many nodes as one value."""
    now = await plant(context, request, ROLLUP)
    asked = around(request, Direction.OUT, SUBTREE)
    signal = required(request, "signal")
    aggregate = query.choice(request, "aggregate", Aggregate) or Aggregate.SUM
    unit, weight = text(request, "unit"), text(request, "weight")
    return await _answered(now, lambda instant: rollup_view(asked.roll_up(instant, signal, aggregate, unit, weight)))


async def impact_of_a_stop(context: Context, request: Request) -> Response:
    """What happens if a node stops."""
    now = await plant(context, request, IMPACT)
    node, within, fill = required(request, "node"), number(request, "within"), number(request, "fill")
    fill = HALF_FULL if fill is None else fill
    return await _answered(
        now, lambda instant: impact_view(impact(instant, node, now=instant.now, within=within, fill=fill))
    )


async def single_points_of_failure(context: Context, request: Request) -> Response:
    """What must not fail."""
    now = await plant(context, request, POINTS)
    asked = points(request)
    return await _answered(now, lambda instant: cuts_view(asked.cuts(instant)))


async def _answered(now: AsOf, ask: Callable[[Instant], Any]) -> Response:
    return json_answer(await answered(now, ask))


def _endpoint(
    name: str, run: Operation, summary: str, meaning: str, type: Any, parameters: tuple[Parameter, ...]
) -> Endpoint:
    path = f"{PREFIX}/graph/{name}"
    return Endpoint(
        "GET", path, run, summary, (Answer(meaning, type),), "graph", parameters, problems=(400, 404), reads=True
    )


ENDPOINTS = [
    _endpoint("neighbours", neighbours, "What is near a node", "The nodes, the nearest first", ReachView, NEIGHBOURS),
    _endpoint(
        "downstream", downstream, "What comes behind a node", "The nodes, the nearest first", ReachView, DOWNSTREAM
    ),
    _endpoint("upstream", upstream, "What comes before a node", "The nodes, the nearest first", ReachView, DOWNSTREAM),
    _endpoint(
        "paths", paths, "Ways from one node to another", "The paths, the shortest first", PathsView, PATHS_BETWEEN
    ),
    _endpoint("rollup", rollup, "A signal of many nodes as one value", "The value", RollupView, ROLLUP),
    _endpoint(
        "impact", impact_of_a_stop, "Who starves or blocks if a node stops", "The effects by time", ImpactView, IMPACT
    ),
    _endpoint(
        "single-points-of-failure",
        single_points_of_failure,
        "What must not fail",
        "The nodes, the worst first",
        CutsView,
        POINTS,
    ),
]
