"""What a buffer holds while the fronts of a stop come upon it, and what had to be assumed for it."""

from dataclasses import dataclass

from .graph import Graph
from .question_flow import UNCOUNTED, Flow
from .question_subject import Instant

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Assumption:
    """What was taken for granted, for how many nodes, and (the first of) their ids."""

    text: str
    count: int
    nodes: list[str]


class Assumptions:
    """Gathers what was assumed: each text once, with the nodes (keys) that it is about."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._keys: dict[str, dict[int, None]] = {}

    def add(self, text: str, key: int) -> None:
        """One more node of which that was assumed."""
        self._keys.setdefault(text, {})[key] = None

    def list(self) -> list[Assumption]:
        """In the order in which they were first made."""
        return [
            Assumption(text, len(keys), [self._graph.node(key).id for key in list(keys)[:SHOWN]])
            for text, keys in self._keys.items()
        ]


@dataclass(slots=True)
class Stock:
    """A buffer's `level` [parts] at `since` [s], and how it goes on: `drift` [parts/s].

    `inflow` and `outflow` [parts/s] are what `feeders` and `consumers`, as many as are left, give and take; `dry` [s]
    is when the last feeder ended.
    """

    station: int
    level: float
    capacity: float
    feeders: int
    consumers: int
    inflow: float
    outflow: float
    since: float = 0.0
    drift: float = 0.0
    version: int = 0
    because: int = -1
    dry: float = 0.0
    spent: bool = False

    def lose_feeder(self, feeder: int, flow: float, time: float) -> None:
        """A feeder, which gave so much [parts/s], has nothing more."""
        self._advance(time, feeder)
        self.feeders -= 1
        self.dry = time
        self.inflow -= flow
        # It was in balance before; at the end the consumers take what they can.
        self.drift = self.drift - flow if self.feeders else -self.outflow if self.consumers else 0.0

    def lose_consumer(self, consumer: int, flow: float, time: float) -> None:
        """A consumer, which took so much [parts/s], takes nothing more."""
        self._advance(time, consumer)
        self.consumers -= 1
        self.outflow -= flow
        self.drift = self.drift + flow if self.consumers else self.inflow if self.feeders else 0.0

    def due(self) -> float | None:
        """When it runs empty or full [s], if it does and has not yet."""
        if self.spent or bool(self.feeders) is bool(self.consumers):
            return None
        if self.feeders:
            return self.since + _duration(max(self.capacity - self.level, 0.0), self.inflow)
        return self.since + _duration(self.level, self.outflow)

    def _advance(self, time: float, because: int) -> None:
        if self.drift:
            level = self.level + self.drift * (time - self.since)
            self.level = min(max(level, 0.0), max(self.capacity, self.level))
        self.since = time
        self.because = because
        self.version += 1


def _duration(content: float, pace: float) -> float:
    """Without a pace nobody can say how long the content lasts: it does not count."""
    return content / pace if pace > 1e-12 else 0.0


class Stocks:
    """The buffers that a front has come to; arrows and stations are the flow's numbers.

    `given` and `taken` are what each arrow brings to a buffer, and takes from one [parts/s].
    """

    def __init__(self, instant: Instant, flow: Flow, fill: float, assumptions: Assumptions) -> None:
        self._flow = flow
        self._fill = fill
        self._assumptions = assumptions
        self._paces = flow.gauges.paces(instant)
        self._contents = flow.gauges.contents(instant)
        self._doubtful = flow.gauges.doubtful(instant)
        self._stocks: dict[int, Stock] = {}
        self.given: dict[int, float] = {}
        self.taken: dict[int, float] = {}

    def of(self, station: int) -> Stock:
        """The buffer, as it is before the first front comes to it."""
        stock = self._stocks.get(station)
        if stock is None:
            level, capacity = self._content(station)
            feeders, consumers = self._flow.feeders[station], self._flow.consumers[station]
            inflow, outflow = self._paces_around(station, feeders, consumers)
            stock = Stock(station, level, capacity, len(feeders), len(consumers), inflow, outflow)
            self._stocks[station] = stock
        return stock

    def _content(self, station: int) -> tuple[float, float]:
        key = self._flow.keys[station]
        level, capacity = self._contents.get(station), self._flow.gauges.capacity[station]
        if level is not None and station in self._doubtful:
            self._assumptions.add("its level is uncertain; taken as it was last told", key)
        if capacity is None:
            self._assumptions.add("its capacity is not told; it takes no more than it holds", key)
            if level is None:
                self._assumptions.add("neither its capacity nor its level is known; it holds nothing", key)
            return level or 0.0, level or 0.0
        if level is None:
            self._assumptions.add(f"its level is not known; taken to be {self._fill:.0%} full", key)
            level = self._fill * capacity
        return level, capacity

    def _paces_around(self, station: int, feeders: list[int], consumers: list[int]) -> tuple[float, float]:
        """The paces at which all feeders deliver and all consumers take; notes each arrow's part in it."""
        flow = self._flow
        given = [self._share(flow.source[n], _ways(flow.outlet[n], flow.outlet_size), down=False) for n in feeders]
        taken = [self._share(flow.target[n], _ways(flow.supply[n], flow.supply_size), down=True) for n in consumers]
        if None in given or None in taken:
            given, taken = self._completed(station, given, taken)
        inflow = outflow = 0.0
        for arrow, pace in zip(feeders, given, strict=True):
            self.given[arrow] = pace or 0.0
            inflow += pace or 0.0
        for arrow, pace in zip(consumers, taken, strict=True):
            self.taken[arrow] = pace or 0.0
            outflow += pace or 0.0
        if not inflow and not outflow:
            self._assumptions.add("no pace is known around it; its content does not count", flow.keys[station])
        return inflow, outflow

    def _completed(
        self, station: int, given: list[float | None], taken: list[float | None]
    ) -> tuple[list[float | None], list[float | None]]:
        """What is not told on one side is what is left of its own pace, or of that of the other side."""
        known_in, known_out = (sum(pace or 0.0 for pace in some) for some in (given, taken))
        own = self._paces[station] or 0.0
        if known_in or known_out or own:
            text = "the pace of a neighbour is not known; taken as its share of the rest"
            self._assumptions.add(text, self._flow.keys[station])
        return _filled(given, own or known_out or known_in), _filled(taken, own or known_in or known_out)

    def _share(self, neighbour: int, ways: int, *, down: bool) -> float | None:
        """A neighbour's pace by one of its ways; one that does not tell has that of those behind it."""
        pace = self._paces[neighbour]
        if pace is None:
            pace = self._beyond(neighbour, down=down)
        if pace is None or ways == 1:
            return pace
        self._assumptions.add("takes or gives evenly by its several ways", self._flow.keys[neighbour])
        return pace / ways

    def _beyond(self, station: int, *, down: bool) -> float | None:
        """The paces of the nearest stations behind it that tell one, each counted once."""
        flow = self._flow
        arrows_of, end = (flow.outputs, flow.target) if down else (flow.inputs, flow.source)
        found, seen, waiting = [], {station}, [station]
        while waiting:
            fresh = {end[arrow] for arrow in arrows_of[waiting.pop()]} - seen
            seen |= fresh
            for other in fresh:
                pace = self._paces[other]
                if pace is None:
                    waiting.append(other)
                else:
                    found.append(pace)
        return sum(found) if found else None


def _ways(group: int, sizes: list[int]) -> int:
    return 1 if group == UNCOUNTED else sizes[group]


def _filled(paces: list[float | None], whole: float) -> list[float | None]:
    """Who does not tell his pace gets an even share of what the others leave of the whole."""
    silent = sum(pace is None for pace in paces)
    share = max(whole - sum(pace or 0.0 for pace in paces), 0.0) / silent if silent else 0.0
    return [share if pace is None else pace for pace in paces]
