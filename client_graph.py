"""Questions of the graph, as the SDK asks them: `iot.graph.downstream("filler")`. Answers are those of the REST API.

Each may be asked of another instant than now: `as_of`, `known_at`, `scenario`, `min_revision`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Unpack

from .client_moment import Instant, at

Json = dict[str, Any]
Words = str | Sequence[str]


class Walk(Instant, total=False):
    """Which relationships are followed, and how far.

    relationship: types, `contains` and `has_sensor` among them. direction: `out`, `in` or `both`. along: a condition on
    every relationship (`transfer_time < 5`). through: one on every node that is passed. hops: at most so many.
    """

    relationship: Words
    direction: str
    along: str
    through: str
    hops: int


class Around(Walk, total=False):
    """Which nodes are meant: of these levels and types, for which `where` holds; at most `limit`."""

    level: Words
    type: Words
    where: str
    limit: int


class Ways(Walk, total=False):
    """weight: seek the least sum of this (`transfer_time`). all: all simple paths; at most `limit`."""

    weight: str
    all: bool
    limit: int


class Summed(Around, total=False):
    """aggregate: sum, mean, min, max or count. unit: of the value. weight: how much each value counts."""

    aggregate: str
    unit: str
    weight: str


class Stop(Instant, total=False):
    """within: only what happens within so many seconds. fill: share (0 to 1) of buffers whose level is not known."""

    within: float
    fill: float


class Points(Instant, total=False):
    """Of all that these relationships join, of what is `within` a node, or between `source` and `sink`."""

    relationship: Words
    source: str
    sink: str
    within: str
    along: str
    limit: int


class GraphQuestions:
    """Questions of the graph. They raise NotFoundError for unknown nodes and InvalidValueError for conditions."""

    def __init__(self, get: Callable[..., Any]) -> None:
        self._get = get

    def neighbours(self, node: str, **given: Unpack[Around]) -> Json:
        """What is near a node: along all relationships, both ways, one hop unless told."""
        return dict(self._get("/graph/neighbours", **_parameters({"node": node, **given})))

    def downstream(self, node: str, **given: Unpack[Around]) -> Json:
        """What comes behind a node: along `feeds_into`, however far, unless told."""
        return dict(self._get("/graph/downstream", **_parameters({"node": node, **given})))

    def upstream(self, node: str, **given: Unpack[Around]) -> Json:
        """What comes before a node: along `feeds_into`, however far, unless told."""
        return dict(self._get("/graph/upstream", **_parameters({"node": node, **given})))

    def paths(self, start: str, end: str, **given: Unpack[Ways]) -> Json:
        """Ways from one node to another along `feeds_into` unless told: the shortest, or `all`."""
        return dict(self._get("/graph/paths", **_parameters({"from": start, "to": end, **given})))

    def rollup(self, node: str, signal: str, **given: Unpack[Summed]) -> Json:
        """A signal of all that a node contains (or that the walk reaches) as one value, in one unit."""
        return dict(self._get("/graph/rollup", **_parameters({"node": node, "signal": signal, **given})))

    def impact(self, node: str, **given: Unpack[Stop]) -> Json:
        """Who starves or blocks, and when, if a node stops now; and what was assumed."""
        return dict(self._get("/graph/impact", **_parameters({"node": node, **given})))

    def single_points_of_failure(self, **given: Unpack[Points]) -> Json:
        """What must not fail, the worst first."""
        return dict(self._get("/graph/single-points-of-failure", **_parameters(_ends(given))))


class AsyncGraphQuestions:
    """The same questions for coroutines."""

    def __init__(self, get: Callable[..., Awaitable[Any]]) -> None:
        self._get = get

    async def neighbours(self, node: str, **given: Unpack[Around]) -> Json:
        """As `GraphQuestions.neighbours`."""
        return dict(await self._get("/graph/neighbours", **_parameters({"node": node, **given})))

    async def downstream(self, node: str, **given: Unpack[Around]) -> Json:
        """As `GraphQuestions.downstream`."""
        return dict(await self._get("/graph/downstream", **_parameters({"node": node, **given})))

    async def upstream(self, node: str, **given: Unpack[Around]) -> Json:
        """As `GraphQuestions.upstream`."""
        return dict(await self._get("/graph/upstream", **_parameters({"node": node, **given})))

    async def paths(self, start: str, end: str, **given: Unpack[Ways]) -> Json:
        """As `GraphQuestions.paths`."""
        return dict(await self._get("/graph/paths", **_parameters({"from": start, "to": end, **given})))

    async def rollup(self, node: str, signal: str, **given: Unpack[Summed]) -> Json:
        """As `GraphQuestions.rollup`."""
        return dict(await self._get("/graph/rollup", **_parameters({"node": node, "signal": signal, **given})))

    async def impact(self, node: str, **given: Unpack[Stop]) -> Json:
        """As `GraphQuestions.impact`."""
        return dict(await self._get("/graph/impact", **_parameters({"node": node, **given})))

    async def single_points_of_failure(self, **given: Unpack[Points]) -> Json:
        """As `GraphQuestions.single_points_of_failure`."""
        return dict(await self._get("/graph/single-points-of-failure", **_parameters(_ends(given))))


def _ends(given: Points) -> Json:
    renamed = {"source": "from", "sink": "to"}
    return {renamed.get(name, name): value for name, value in given.items()}


def _parameters(given: Json) -> Json:
    """As a query: several words repeat the parameter, truths are written small, None is left out."""
    return {name: _written(value) for name, value in at(given).items()}


def _written(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str | int | float) else list(value)
