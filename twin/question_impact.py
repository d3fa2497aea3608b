"""If a machine stops now: who starves, who blocks, and when.

Two fronts leave the stop. Downstream material ends after the transfer times; upstream nobody takes it any more. A
buffer holds each front up: it drains at the pace of its consumers, or fills at that of its feeders. Until a front
comes, the line is taken to be in balance: levels stay as they are. A station that has lost all ways in (or out) of one
material stops, and sends out both fronts itself. One that has lost some of them is slowed; that is not followed on.
"""

import heapq
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

import msgspec

from .errors import InvalidValueError
from .graph import Graph
from .model import FEEDS_INTO, Node
from .question_cache import VIEWS
from .question_flow import UNCOUNTED, Flow, flow_around
from .question_stock import Assumption, Assumptions, Stock, Stocks
from .question_subject import Instant
from .times import NS

HALF_FULL = 0.5
LIMIT = 10_000
_SUPPLY = -1  # an event that ends an arrow; from 0 on it is the version of a buffer that runs out
_NOTHING = object()
ALTERNATIVES = (
    "its ways in, or out, are taken as alternatives; `material` on feeds_into tells those of which it needs each"
)


class Outcome(StrEnum):
    """What comes over a station or a buffer."""

    STOPS = "stops"
    STARVES = "starves"
    BLOCKS = "blocks"
    RUNS_EMPTY = "runs_empty"
    RUNS_FULL = "runs_full"
    SLOWED = "slowed"


class Effect(msgspec.Struct, frozen=True):
    """What happens to a node `after` so many seconds, `at` a time [ns], because of a neighbour."""

    node: Node
    outcome: Outcome
    after: float
    at: int
    because: Node | None


@dataclass(frozen=True, slots=True)
class Impact:
    """The effects of a stop, the earliest first, and what was assumed because nobody told it.

    `truncated` if there are more effects than were asked for.
    """

    stopped: list[Node]
    effects: list[Effect]
    assumed: list[Assumption]
    truncated: bool = False


def impact(
    instant: Instant,
    stop: str,
    *,
    now: int,
    within: float | None = None,
    fill: float = HALF_FULL,
    limit: int = LIMIT,
) -> Impact:
    """What a stop of a node at `now` [ns] brings about: the first `limit` effects, up to `within` [s] (None: any time).

    `fill` (0 to 1) is the share to which a buffer without a level is taken to be filled. A node that contains stations
    stops all of them; one without `feeds_into` stops the station that contains it. Raises NotFoundError, and
    InvalidValueError where no material flows.
    """
    if not 0 <= fill <= 1:
        raise InvalidValueError(f"fill must be between 0 and 1, not {fill:g}", "fill")
    if within is not None and not within >= 0:
        raise InvalidValueError(f"within must be 0 s or more, not {within:g}", "within")
    graph = instant.graph
    assumptions = Assumptions(graph)
    stations = _stations(instant, graph.find(stop), assumptions)
    flow = _flow(graph, [station.key for station in stations])
    fronts = Fronts(flow, Stocks(instant, flow, fill, assumptions), assumptions)
    fronts.run([flow.number[station.key] for station in stations], within)
    nodes = [graph.node_map[key] for key in flow.keys]
    told = fronts.effects()
    effects = [
        Effect(nodes[place], outcome, after, now + round(after * NS), None if because < 0 else nodes[because])
        for place, outcome, after, because in told[:limit]
    ]
    return Impact(stations[:limit], effects, assumptions.list(), len(told) > limit)


def _flow(graph: Graph, keys: list[int]) -> Flow:
    """The flow with these stations in it; one that was drawn for others is taken if they stand in it."""
    flows: dict[int, Flow] = VIEWS.of(graph, "flows", dict)
    flow = flows.get(keys[0])
    if flow is None or any(key not in flow.number for key in keys):
        flow = flow_around(graph, keys)
        flows.update(dict.fromkeys(flow.keys, flow))
    return flow


def _stations(instant: Instant, node: Node, assumptions: Assumptions) -> list[Node]:
    """What stands when the node stands."""
    graph = instant.graph

    def flows(key: int) -> bool:
        places = (*graph.arrows_out.get(key, ()), *graph.arrows_in.get(key, ()))
        return any(type == FEEDS_INTO for type, _ in places)

    inside = [each for each in (node, *graph.descendants(node.key)) if flows(each.key)]
    if inside:
        return inside
    for above in graph.ancestors(node.key):
        if flows(above.key):
            assumptions.add("has no feeds_into of its own; what contains it stops", node.key)
            return [above]
    raise InvalidValueError(f"no material flows through {node.id}: neither it nor what contains it has feeds_into")


Told = tuple[int, Outcome, float, int]
"""A station, what comes over it, after how many seconds, and because of which station (-1: of none)."""


class Fronts:
    """The two fronts, event by event in the order of time. Stations and arrows are the flow's numbers."""

    def __init__(self, flow: Flow, stocks: Stocks, assumptions: Assumptions) -> None:
        self._flow = flow
        self._stocks = stocks
        self._assumptions = assumptions
        self._supplies = list(flow.supply_size)
        self._outlets = list(flow.outlet_size)
        self._told: list[Told] = []
        self._stopped: set[int] = set()
        self._slowed: set[int] = set()
        self._ended: set[int] = set()
        self._shut: set[int] = set()
        self._waiting: list[tuple[float, int, int, int]] = []
        self._shutting: deque[int] = deque()
        self._order = count()

    def run(self, stations: list[int], within: float | None) -> None:
        """Lets these stations stop at once, and follows what comes of it."""
        for station in stations:
            self._stands(station, Outcome.STOPS, 0.0, -1)
        for station in stations:
            self._end_outputs(station, 0.0)
            self._shut_inputs(station)
        self._shut_all(0.0)
        while self._waiting:
            time, _, subject, version = heapq.heappop(self._waiting)
            if within is not None and time > within:
                return
            if version == _SUPPLY:
                self._supply_ends(subject, time)
            else:
                self._runs_out(subject, version, time)
            self._shut_all(time)

    def _shut_all(self, time: float) -> None:
        """What blocks does so at once, and may block others."""
        while self._shutting:
            self._outlet_shuts(self._shutting.popleft(), time)

    def effects(self) -> list[Told]:
        """All that happened, in the order of time; of what came to stand it is not told that it was slowed before."""
        return [told for told in self._told if told[1] is not Outcome.SLOWED or told[0] not in self._stopped]

    def _push(self, time: float, subject: int, version: int) -> None:
        heapq.heappush(self._waiting, (time, next(self._order), subject, version))

    def _end_outputs(self, station: int, time: float, since: float | None = None) -> None:
        """Nothing leaves it any more; of a belt nothing came onto it `since`, and what it held was under way."""
        for arrow in self._flow.outputs[station]:
            if arrow not in self._ended:
                self._ended.add(arrow)
                delay = self._flow.delay[arrow]
                if delay is None:
                    self._assumptions.add("transfer_time is not told; taken as 0 s", self._flow.keys[station])
                    delay = 0.0
                self._push(time + delay if since is None else max(time, since + delay), arrow, _SUPPLY)

    def _shut_inputs(self, station: int, but: str | object | None = _NOTHING) -> None:
        for arrow in self._flow.inputs[station]:
            if arrow not in self._shut and self._flow.material[arrow] != but:
                self._shut.add(arrow)
                self._shutting.append(arrow)

    # Stations

    def _stands(self, station: int, outcome: Outcome, time: float, because: int) -> None:
        self._stopped.add(station)
        self._told.append((station, outcome, time, because))

    def _supply_ends(self, arrow: int, time: float) -> None:
        """Nothing comes by this arrow any more."""
        flow, station, other = self._flow, self._flow.target[arrow], self._flow.source[arrow]
        if station in self._stopped:
            return
        if flow.gauges.buffer[station]:
            if flow.supply[arrow] != UNCOUNTED:
                stock = self._stocks.of(station)
                stock.lose_feeder(other, self._stocks.given[arrow], time)
                self._look_ahead(stock)
        elif self._was_last(self._supplies, flow.supply[arrow], station, other, time):
            self._stands(station, Outcome.STARVES, time, other)
            self._end_outputs(station, time)
            # What it starves of it would still take: a loop may bring some back.
            self._shut_inputs(station, but=flow.material[arrow])

    def _outlet_shuts(self, arrow: int, time: float) -> None:
        """Nothing can be sent by this arrow any more."""
        flow, station, other = self._flow, self._flow.source[arrow], self._flow.target[arrow]
        if station in self._stopped:
            return
        if flow.gauges.buffer[station]:
            if flow.outlet[arrow] != UNCOUNTED:
                stock = self._stocks.of(station)
                stock.lose_consumer(other, self._stocks.taken[arrow], time)
                self._look_ahead(stock)
        elif self._was_last(self._outlets, flow.outlet[arrow], station, other, time):
            self._stands(station, Outcome.BLOCKS, time, other)
            self._end_outputs(station, time)
            self._shut_inputs(station)

    def _was_last(self, left: list[int], group: int, station: int, other: int, time: float) -> bool:
        """One way less of those that carry one material: whether it was the last."""
        if group != UNCOUNTED:
            left[group] -= 1
            if not left[group]:
                return True
            self._assumptions.add(ALTERNATIVES, self._flow.keys[station])
        if station not in self._slowed:
            self._slowed.add(station)
            self._told.append((station, Outcome.SLOWED, time, other))
        return False

    # Buffers

    def _look_ahead(self, stock: Stock) -> None:
        due = stock.due()
        if due is not None:
            self._push(due, stock.station, stock.version)

    def _runs_out(self, station: int, version: int, time: float) -> None:
        stock = self._stocks.of(station)
        if version != stock.version or station in self._stopped:
            return  # something changed its pace meanwhile
        stock.spent = True
        if stock.consumers:
            self._told.append((station, Outcome.RUNS_EMPTY, time, stock.because))
            self._end_outputs(station, time, stock.dry if station in self._flow.gauges.belt else None)
        else:
            self._told.append((station, Outcome.RUNS_FULL, time, stock.because))
            self._shut_inputs(station)
