"""Questions as a facade takes them: plain words and texts, checked and put to the graph."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from .errors import InvalidValueError
from .model import CONTAINS, FEEDS_INTO, HAS_SENSOR, Level
from .question_formula import formula
from .question_paths import LIMIT as PATHS
from .question_paths import Paths, all_paths, shortest_path
from .question_reach import LIMIT as NODES
from .question_reach import Reach, Selection, reach
from .question_rollup import Aggregate, Rollup, roll_up
from .question_step import Direction, Tracks
from .question_subject import Instant

if TYPE_CHECKING:
    from .question_cuts import Cuts

FLOW = (FEEDS_INTO,)
SUBTREE = (CONTAINS, HAS_SENSOR)
MOST = 10_000
_EVERYTHING = 10_000_000
# Nobody knows how far a question leads: however many are asked, no more than two slow what else the service does.
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="question")

T = TypeVar("T")


async def answered(instant: Instant, ask: Callable[[Instant], T]) -> T:
    """What `ask` makes of the plant, worked out in a thread; questions wait for each other."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, ask, instant)


@dataclass(frozen=True, slots=True)
class Around:
    """Nodes around a node. What is left empty does not narrow; `relationship` types left empty are all types.

    `level`, `type` and `where` choose nodes of the answer, `through` those that may be passed, `along` the
    relationships that may be followed. `hops` None: however far.
    """

    node: str
    relationship: Sequence[str] = ()
    direction: Direction = Direction.BOTH
    level: Sequence[Level] = ()
    type: Sequence[str] = ()
    where: str | None = None
    along: str | None = None
    through: str | None = None
    hops: int | None = None
    limit: int = NODES

    def reach(self, instant: Instant) -> Reach:
        """The nodes, the nearest first. Raises NotFoundError, InvalidValueError."""
        return self._reach(instant, _bounded("limit", self.limit, 1, MOST))

    def roll_up(
        self, instant: Instant, signal: str, aggregate: Aggregate, unit: str | None = None, weight: str | None = None
    ) -> Rollup:
        """One value of a signal of all these nodes, without a limit. Raises NotFoundError, InvalidValueError."""
        found = self._reach(instant, _EVERYTHING)
        return roll_up(instant, found, signal, aggregate, unit=unit, weight=formula(weight, "weight"))

    def _reach(self, instant: Instant, limit: int) -> Reach:
        if self.hops is not None:
            _bounded("hops", self.hops, 0)
        return reach(
            instant,
            self.node,
            Tracks.of(self.relationship, self.direction, formula(self.along, "along")),
            Selection.of(self.level, self.type, formula(self.where, "where")),
            through=formula(self.through, "through"),
            hops=self.hops,
            limit=limit,
        )


@dataclass(frozen=True, slots=True)
class Between:
    """Ways between two nodes: the one with the fewest hops or the least `weight`, or (`all`) each of them."""

    start: str
    end: str
    relationship: Sequence[str] = ()
    direction: Direction = Direction.OUT
    along: str | None = None
    through: str | None = None
    weight: str | None = None
    all: bool = False
    hops: int | None = None
    limit: int = PATHS

    def paths(self, instant: Instant) -> Paths:
        """The paths, the shortest first. Raises NotFoundError, InvalidValueError."""
        tracks = Tracks.of(self.relationship, self.direction, formula(self.along, "along"))
        through, weight = formula(self.through, "through"), formula(self.weight, "weight")
        if not self.all:
            return shortest_path(instant, self.start, self.end, tracks, through=through, weight=weight)
        limit = _bounded("limit", self.limit, 1, MOST)
        hops = None if self.hops is None else _bounded("hops", self.hops, 0)
        return all_paths(instant, self.start, self.end, tracks, through=through, weight=weight, hops=hops, limit=limit)


@dataclass(frozen=True, slots=True)
class Points:
    """Single points of failure: of all that `relationship` joins, between two nodes, or `within` one."""

    relationship: Sequence[str] = FLOW
    source: str | None = None
    sink: str | None = None
    within: str | None = None
    along: str | None = None
    limit: int = NODES

    def cuts(self, instant: Instant) -> "Cuts":
        """The points, the worst first. Raises NotFoundError, InvalidValueError."""
        # Brings networkx along, which takes a while to load and which no other question needs.
        from .question_cuts import single_points_of_failure

        return single_points_of_failure(
            instant,
            self.relationship,
            source=self.source,
            sink=self.sink,
            within=self.within,
            along=formula(self.along, "along"),
            limit=_bounded("limit", self.limit, 1, MOST),
        )


def _bounded(name: str, value: int, low: int, high: int | None = None) -> int:
    if value < low or (high is not None and value > high):
        bounds = f"between {low} and {high}" if high is not None else f"{low} or more"
        raise InvalidValueError(f"{name} must be {bounds}, not {value}", name)
    return value
