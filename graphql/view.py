"""The plant as one answer sees it: one revision of the graph, and what is read of the twin beside it."""

import asyncio
from collections import Counter
from functools import cached_property

import numpy as np

from ..analytics.anomalies import Anomaly
from ..analytics.health import health_score, health_status
from ..twin.anomalies import concerned, concerns, latest_anomalies, open_anomalies
from ..twin.as_of import AsOf
from ..twin.errors import NotFoundError
from ..twin.graph import HEALTH, Graph
from ..twin.live import STALE
from ..twin.model import DataType, Event, Level, Node, Signal
from ..twin.remarks import remarks_of
from ..twin.state import Reading
from .context import Budget, Request
from .loading import Loaders
from .scalars import finite
from .words import HealthStatus


class View:
    """A revision of the graph with its state, now or as of an instant; the same for all that one answer asks of it."""

    def __init__(self, request: Request, budget: Budget | None = None, plant: AsOf | None = None) -> None:
        self.request = request
        self.plant: AsOf = plant or request.service.twin.as_of()
        self.graph: Graph = self.plant.graph
        self.budget = budget or request.budget
        self.now = self.plant.now
        self._anomalies: asyncio.Future[list[Event]] | None = None
        self._acknowledged: asyncio.Future[set[str]] | None = None

    # Values

    def shown(self, signal: Signal, value: float) -> float | str | bool | None:
        """A signal's number as its reader knows it: text by its labels, true or false, or the number itself."""
        if not np.isfinite(value):
            return None
        if signal.data_type is DataType.BOOLEAN and not signal.labels:
            return value != 0
        if signal.data_type is DataType.NUMBER and not signal.labels:
            return finite(value)
        text = self.plant.label(signal.index, value)
        return finite(value) if text is None else text

    def reading(self, signal: Signal) -> Reading | None:
        """The signal's latest reading."""
        return self.plant.read(signal.index)

    # What has to be looked up

    @cached_property
    def loaders(self) -> Loaders:
        """Looks things up for many objects at once."""
        return Loaders(self)

    async def all_anomalies(self) -> list[Event]:
        """The last anomalies, open and cleared, each as it was last told, the newest first; looked up once."""
        if self._anomalies is None:
            self._anomalies = asyncio.ensure_future(asyncio.to_thread(latest_anomalies, self.plant))
        # Whoever gives up waiting does so for itself.
        return await asyncio.shield(self._anomalies)

    async def acknowledged(self) -> set[str]:
        """The open anomalies (identities) that somebody has seen; looked up once."""
        if self._acknowledged is None:
            self._acknowledged = asyncio.ensure_future(asyncio.to_thread(self._seen))
        return await asyncio.shield(self._acknowledged)

    def _seen(self) -> set[str]:
        told = remarks_of(self.plant, [str(event.identity) for event in self.open_anomalies])
        return {identity for identity, remarks in told.items() if remarks.acknowledged_by is not None}

    # What is open

    @cached_property
    def open_anomalies(self) -> list[Event]:
        """All open anomalies, the newest first."""
        return open_anomalies(self.plant)

    @cached_property
    def open_below(self) -> dict[int, list[Event]]:
        """The open anomalies at or below a node, by its key, the newest first; only where there are some."""
        below: dict[int, list[Event]] = {}
        for event in self.open_anomalies:
            for key in concerned(self.graph, event):
                below.setdefault(key, []).append(event)
        return below

    @cached_property
    def open_silences(self) -> list[Event]:
        """What is silent for longer than expected."""
        return self.plant.open_events(STALE)

    @cached_property
    def silent_below(self) -> Counter[int]:
        """How many signals are silent at or below a node, by its key."""
        count: Counter[int] = Counter()
        for event in self.open_silences:
            if event.node is not None and event.node in self.graph.node_map:
                count.update([event.node, *(node.key for node in self.graph.ancestors(event.node))])
        return count

    def concerns(self, event: Event, key: int) -> bool:
        """Whether the event is about the node or something below it."""
        return concerns(self.graph, event, key)

    def is_stale(self, key: int) -> bool:
        """Whether everything at or below the node that should speak regularly is silent."""
        silent = self.silent_below[key]
        if not silent:
            return False
        nodes = [self.graph.node(key), *self.graph.descendants(key)]
        expected = sum(s.expected_interval is not None for node in nodes for s in self.graph.signals_of(node.key))
        return silent >= expected

    # Health

    def health(self, node: Node) -> tuple[float | None, HealthStatus]:
        """Score [percent] and status; a sensor's is that of the anomalies on its signals."""
        score = self._sensor_score(node) if node.level is Level.SENSOR else self._score(node)
        return (None, HealthStatus.UNKNOWN) if score is None else (score, HealthStatus(health_status(score)))

    def _score(self, node: Node) -> float | None:
        signal = self.graph.signal_of(node.key, HEALTH)
        reading = self.reading(signal) if signal else None
        return finite(reading.value) if reading else None

    def _sensor_score(self, node: Node) -> float | None:
        indexes = {signal.index for signal in self.graph.signals_of(node.key)}
        if not any(self.plant.read(index) for index in indexes):
            return None
        return health_score(Anomaly.of(e) for e in self.open_anomalies if e.data.get("signal") in indexes)

    # Finding

    def find(self, id: str) -> Node:
        """The node of this id or unambiguous ending of one; raises NotFoundError."""
        return self.graph.find(id)

    def twin_node(self, id: str) -> Node:
        """The twin of this id; raises NotFoundError that names the twins where the node is something else."""
        node = self.find(id)
        if all(node.key != twin.key for twin in self.graph.twins()):
            names = ", ".join(twin.id for twin in self.graph.twins()[:20]) or "none"
            raise NotFoundError(f"{node.id} is a {node.level}, not a twin; the twins are: {names}")
        return node
