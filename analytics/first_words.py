"""When components speak for the first time: before that they have no health."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..twin.batch import ReadingBatch
from ..twin.graph import HEALTH, Graph
from ..twin.model import Level, Quality
from ..twin.state import NEVER
from .anomaly_book import FOREVER
from .health import nodes_with_health
from .health_book import HealthBook
from .pages import ReadHistory, pages


class FirstWords:
    """The time of the first usable reading (not bad, not NaN) of each component, for all its signals."""

    def __init__(self, graph: Graph, health: HealthBook, read: ReadHistory, newest: Callable[[int], int]) -> None:
        """`newest(signal)` is no earlier than the signal's newest reading [ns]."""
        self._newest = newest
        self._graph = graph
        self._health = health
        self._read = read
        self._signals = {key: found for key in nodes_with_health(graph) if (found := _signals_of(graph, key))}
        health.speaking = set(self._signals)
        # Of each signal's component the first time, or after a restart one that is no earlier.
        self._first: NDArray[np.int64] = np.full(graph.signal_count, NEVER, dtype=np.int64)
        for key, signals in self._signals.items():
            self._first[signals] = health.spoke_at_the_latest(key)

    def notice(self, batch: ReadingBatch) -> None:
        """Tells health of components that spoke earlier than was known, or whose first reading was taken back."""
        first = self._first[batch.signal]
        early = batch.time <= first
        if not early.any():
            return
        usable = (batch.quality >= Quality.UNCERTAIN) & ~np.isnan(batch.value)
        for row in np.flatnonzero(early & usable & (batch.time < first)).tolist():
            self._speaks(int(batch.signal[row]), int(batch.time[row]))
        for row in np.flatnonzero(early & ~usable & (batch.time == self._first[batch.signal])).tolist():
            self._takes_back(int(batch.signal[row]), int(batch.time[row]))

    def _speaks(self, signal: int, time: int) -> None:
        if time < self._first[signal]:
            component = component_of(self._graph, signal)
            if time < self._health.spoke(component):
                self._health.speaks(component, time)
            self._first[self._signals[component]] = self._health.spoke(component)

    def _takes_back(self, signal: int, time: int) -> None:
        component = component_of(self._graph, signal)
        if time == self._health.spoke(component):
            found = (self._earliest(each, time) for each in self._signals[component])
            self._health.speaks(component, min(found))
        self._first[self._signals[component]] = self._health.spoke(component)

    def _earliest(self, signal: int, start: int) -> int:
        """The first usable reading of a signal from `start` on; FOREVER if there is none."""
        for page in pages(self._read, signal, start, self._newest(signal) + 1):
            if len(page.time):
                return int(page.time[0])
        return FOREVER


def component_of(graph: Graph, signal: int) -> int:
    """The node whose health a signal speaks of: a sensor's parent, else its own node."""
    node = graph.node(graph.signal(signal).node)
    return node.parent if node.level is Level.SENSOR and node.parent is not None else node.key


def _signals_of(graph: Graph, component: int) -> list[int]:
    """The signals that show that a component speaks: its sensors' and its own, but not its health."""
    own = [signal.index for signal in graph.signals_of(component) if signal.name != HEALTH]
    return own + [signal.index for sensor in graph.sensors(component) for signal in graph.signals_of(sensor.key)]
