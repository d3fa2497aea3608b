"""What resolvers of many objects look up together: one question for all objects of a list, not one for each.

A resolver asks for its own; what is asked for until the event loop comes round again is looked up at once, in a thread.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from strawberry.dataloader import DataLoader

from ..twin import assets
from ..twin.assets import Stay
from ..twin.command import Command
from ..twin.commanded import latest_of
from ..twin.errors import IoTSenseError
from ..twin.history import History
from ..twin.model import Event
from ..twin.remarks import NONE, Remarks, remarks_of

if TYPE_CHECKING:
    from .view import View

# Histories that are read in one go: other questions want to read in between.
MOST_AT_ONCE = 100

K = TypeVar("K")


class Span(NamedTuple):
    """A history that is asked for: of a signal over [start, end) [ns], in at most so many rows."""

    signal: int
    start: int
    end: int
    points: int


class NodeEvents(NamedTuple):
    """The newest events of a node (key) that are asked for."""

    node: int
    kind: str | None
    limit: int


class Loaders:
    """Looks things up for the objects of one view."""

    def __init__(self, view: "View") -> None:
        self._view = view
        self.history: DataLoader[Span, History] = DataLoader(self._histories)
        self.events: DataLoader[NodeEvents, list[Event]] = DataLoader(self._events)
        self.command: DataLoader[int, Command | None] = DataLoader(self._commands)
        self.stays: DataLoader[int, list[Stay]] = DataLoader(self._stays)
        self.remarks: DataLoader[str, Remarks] = DataLoader(self._remarks)

    async def _histories(self, spans: list[Span]) -> list[Any]:
        found: dict[Span, Any] = {}
        await asyncio.gather(*(self._read(some, found) for some in _alike(spans, lambda span: span[1:])))
        return [found[span] for span in spans]

    async def _read(self, spans: Sequence[Span], found: dict[Span, Any]) -> None:
        async with self._view.request.readers:
            histories = await asyncio.to_thread(self._histories_of, spans)
        found.update(zip(spans, histories, strict=True))

    def _histories_of(self, spans: Sequence[Span]) -> Sequence[Any]:
        _, start, end, points = spans[0]
        try:
            return self._view.plant.histories([span.signal for span in spans], start, end, points)
        except IoTSenseError as error:
            # A file that is damaged concerns only those who have readings in it.
            return [error] if len(spans) == 1 else [self._histories_of([span])[0] for span in spans]

    async def _events(self, asked: list[NodeEvents]) -> list[list[Event]]:
        plant, found = self._view.plant, dict[NodeEvents, list[Event]]()
        for some in _alike(asked, lambda each: each[1:], most=len(asked)):
            nodes, (_, kind, limit) = [each.node for each in some], some[0]
            told = await asyncio.to_thread(plant.events_of, nodes, limit, kind)
            found.update((each, told[each.node]) for each in some)
        return [found[each] for each in asked]

    async def _commands(self, signals: list[int]) -> list[Command | None]:
        return await asyncio.to_thread(latest_of, self._view.plant, signals)

    async def _remarks(self, anomalies: list[str]) -> list[Remarks]:
        found = await asyncio.to_thread(remarks_of, self._view.plant, anomalies)
        return [found.get(identity, NONE) for identity in anomalies]

    async def _stays(self, nodes: list[int]) -> list[list[Stay]]:
        plant, graph = self._view.plant, self._view.graph
        if len(nodes) == 1:
            return [await asyncio.to_thread(assets.stays, plant, graph.node(nodes[0]).id)]
        found: dict[int, list[Stay]] = {node: [] for node in nodes}
        for stay in await asyncio.to_thread(assets.stays, plant):
            if stay.place is not None and stay.place.key in found:
                found[stay.place.key].append(stay)
        return [found[node] for node in nodes]


def _alike(asked: Sequence[K], how: Callable[[K], object], most: int = MOST_AT_ONCE) -> list[list[K]]:
    """Those that can be looked up together, at most so many at once."""
    groups: dict[object, list[K]] = {}
    for each in asked:
        groups.setdefault(how(each), []).append(each)
    return [group[start : start + most] for group in groups.values() for start in range(0, len(group), most)]
