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

    `inflow` and `outflow` [parts/s] are what `feeders` and `consumers`, as many as are left, give and take.
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
    spent: bool = False

    def lose_feeder(self, feeder: int, flow: float, time: float) -> None:
        """A feeder, which gave so much [parts/s], has nothing more."""
        self._advance(time, feeder)
        self.feeders -= 1
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
    """The buffers that a front has come to; arrows and stations are the flow's numbers."""

    def __init__(self, instant: Instant, flow: Flow, fill: float, assumptions: Assumptions) -> None:
        self._flow = flow
        self._fill = fill
        self._assumptions = assumptions
        self._paces = flow.gauges.paces(instant)
        self._contents = flow.gauges.contents(instant)
        self._stocks: dict[int, Stock] = {}
        self._flows: dict[int, float] = {}

    def of(self, station: int) -> Stock:
        """The buffer, as it is before the first front comes to it."""
        stock = self._stocks.get(station)
        if stock is None:
            level, capacity = self._content(station)
            feeders = [arrow for arrow in self._flow.inputs[station] if self._flow.supply[arrow] != UNCOUNTED]
            consumers = [arrow for arrow in self._flow.outputs[station] if self._flow.outlet[arrow] != UNCOUNTED]
            inflow, outflow = self._paces_around(station, feeders, consumers)
            stock = Stock(station, level, capacity, len(feeders), len(consumers), inflow, outflow)
            self._stocks[station] = stock
        return stock

    def flow(self, station: int, arrow: int) -> float:
        """What an arrow brings to a buffer or takes from it [parts/s]."""
        return self._flows[arrow if self._flow.target[arrow] == station else ~arrow]

    def _content(self, station: int) -> tuple[float, float]:
        key = self._flow.keys[station]
        level, capacity = self._contents.get(station), self._flow.gauges.capacity[station]
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
        given = [self._share(arrow, flow.source[arrow], flow.outlet, flow.outlet_size) for arrow in feeders]
        taken = [self._share(arrow, flow.target[arrow], flow.supply, flow.supply_size) for arrow in consumers]
        if None in given or None in taken:
            given, taken = self._completed(station, given, taken)
        for arrow, pace in zip(feeders, given, strict=True):
            self._flows[arrow] = pace or 0.0
        for arrow, pace in zip(consumers, taken, strict=True):
            self._flows[~arrow] = pace or 0.0  # an arrow from buffer to buffer is looked at from both of its ends
        inflow, outflow = sum(pace or 0.0 for pace in given), sum(pace or 0.0 for pace in taken)
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

    def _share(self, arrow: int, neighbour: int, group: list[int], sizes: list[int]) -> float | None:
        """A neighbour's pace by this arrow; one that does not tell has that of those behind it."""
        pace = self._paces[neighbour]
        if pace is None:
            pace = self._beyond(neighbour, down=group is self._flow.supply)
        rivals = sizes[group[arrow]] if group[arrow] != UNCOUNTED else 1
        if pace is None or rivals == 1:
            return pace
        self._assumptions.add("takes or gives evenly by its several ways", self._flow.keys[neighbour])
        return pace / rivals

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


def _filled(paces: list[float | None], whole: float) -> list[float | None]:
    """Who does not tell his pace gets an even share of what the others leave of the whole."""
    silent = sum(pace is None for pace in paces)
    share = max(whole - sum(pace or 0.0 for pace in paces), 0.0) / silent if silent else 0.0
    return [share if pace is None else pace for pace in paces]
