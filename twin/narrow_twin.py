"""The twin as those see it who may see only what is below some nodes: there is nothing else."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .as_of import AsOf
from .errors import ForbiddenError, NotFoundError
from .event_gap import GONE
from .graph import Graph
from .history import History
from .model import Event
from .narrow_graph import narrow_graph
from .remarks import AnomalyRemarks
from .state import Reading, StateColumns
from .twin import Twin


class NarrowAsOf(AsOf):
    """A view of the plant that knows only the nodes of a narrowed graph. Event numbers have gaps for it."""

    def __init__(self, whole: AsOf, graph: Graph) -> None:
        self._whole = whole
        self._past = whole._past
        self.graph = graph
        self.time, self.known_at = whole.time, whole.known_at

    @property
    def live(self) -> bool:
        """Whether it is the plant as it is now."""
        return self._whole.live

    @property
    def precision(self) -> float | None:
        """As of the whole plant."""
        return self._whole.precision

    def snapshot(self, signals: NDArray[np.int32] | None = None) -> StateColumns:
        """The columns of its signals; left out, by index."""
        if signals is None:
            signals = np.array(sorted(self.graph.signal_map), dtype=np.int32)
        elif any(index not in self.graph.signal_map for index in signals.tolist()):
            raise NotFoundError("no such signal")
        return self._whole.snapshot(signals)

    def read(self, signal: int) -> Reading | None:
        """None for a signal that is not its."""
        return self._whole.read(signal) if signal in self.graph.signal_map else None

    def labels(self, signal: int) -> tuple[str, ...]:
        """Empty for a signal that is not its."""
        return self._whole.labels(signal) if signal in self.graph.signal_map else ()

    def label(self, signal: int, code: float) -> str | None:
        """None for a signal that is not its."""
        return self._whole.label(signal, code) if signal in self.graph.signal_map else None

    def history(self, signal: int, start: int, end: int, points: int | None = None) -> History:
        """Raises NotFoundError for a signal that is not its."""
        self.graph.signal(signal)
        return self._whole.history(signal, start, end, points)

    def histories(self, signals: Sequence[int], start: int, end: int, points: int | None = None) -> list[History]:
        """Raises NotFoundError for a signal that is not its."""
        for signal in signals:
            self.graph.signal(signal)
        return self._whole.histories(signals, start, end, points)

    def events(
        self,
        after: int = 0,
        limit: int = 1000,
        *,
        node: int | None = None,
        kind: str | None = None,
        newest_first: bool = False,
    ) -> list[Event]:
        """Those of its nodes."""
        asked = limit
        while True:
            found = self._whole.events(after, asked, node=node, kind=kind, newest_first=newest_first)
            mine = self._mine(found)
            if len(mine) >= limit or len(found) < asked:
                return mine[:limit]
            asked *= 4

    def events_of(self, nodes: Sequence[int], limit: int, kind: str | None = None) -> dict[int, list[Event]]:
        """Empty for a node that is not its."""
        found = self._whole.events_of([node for node in nodes if node in self.graph.node_map], limit, kind)
        return {node: found.get(node, []) for node in nodes}

    def told_of(self, identities: Sequence[str]) -> dict[str, list[Event]]:
        """Empty for what concerns others."""
        return {identity: self._mine(events) for identity, events in self._whole.told_of(identities).items()}

    @property
    def last_event_seq(self) -> int:
        """The end of the whole log."""
        return self._whole.last_event_seq

    def _open(self) -> Iterable[Event]:
        return self._mine(self._whole._open())

    def is_stale(self, signal: int) -> bool:
        """False for a signal that is not its."""
        return signal in self.graph.signal_map and self._whole.is_stale(signal)

    def _mine(self, events: Iterable[Event]) -> list[Event]:
        return [event for event in events if event.node in self.graph.node_map or event.kind == GONE]


class NarrowTwin:
    """The twin as those see it who are tied to a part of it: it can be read, and its anomalies spoken about.

    Whatever is not named here is refused, so that what is new must be let in on purpose.
    """

    def __init__(self, whole: Twin, roots: frozenset[int]) -> None:
        self._whole = whole
        self._roots = roots
        self._known: tuple[Graph, Graph] | None = None

    def __getattr__(self, name: str) -> Any:
        if name in _AS_THE_WHOLE:
            return getattr(self._whole, name)
        raise ForbiddenError("this concerns all of the plant, and the key is tied to a part of it")

    @property
    def graph(self) -> Graph:
        """Its part of the graph."""
        return self._narrow(self._whole.graph)

    def as_of(self, time: int | None = None, known_at: int | None = None, scenario: str | None = None) -> AsOf:
        """Its part of the plant as of an instant."""
        return self._view(self._whole.as_of(time, known_at, scenario), scenario)

    async def as_of_async(
        self, time: int | None = None, known_at: int | None = None, scenario: str | None = None
    ) -> AsOf:
        """`as_of` for coroutines."""
        return self._view(await self._whole.as_of_async(time, known_at, scenario), scenario)

    @property
    def remarks(self) -> AnomalyRemarks:
        """What is said about anomalies of its part."""
        return self._whole.remarks.within(self.as_of)

    def _view(self, plant: AsOf, scenario: str | None) -> AsOf:
        if scenario is not None:
            raise ForbiddenError("scenarios concern all of the plant, and the key is tied to a part of it")
        return NarrowAsOf(plant, self._narrow(plant.graph))

    def _narrow(self, graph: Graph) -> Graph:
        known = self._known
        if known is None or known[0] is not graph:
            known = self._known = (graph, narrow_graph(graph, self._roots))
        return known[1]


_AS_THE_WHOLE = frozenset(
    {"last_seq", "last_event_seq", "wait_entries", "subscribe_state", "revisions", "writable", "trouble"}
)


def narrow_twin(whole: Twin, roots: frozenset[int]) -> Twin:
    """The twin for those who may see only the nodes with these keys and what is below them."""
    return cast(Twin, NarrowTwin(whole, roots))
