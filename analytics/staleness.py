"""Staleness: a sensor that is silent for longer than its `expected_interval` is no longer believed to be good.

Silence is counted on this machine's clock, from the moment a newer reading arrived, so that neither a source's wrong
clock nor a restart makes sensors stale; one that never spoke has nothing that could go stale.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..twin.entry import EventDraft
from ..twin.errors import OverloadedError, StorageError
from ..twin.graph import Graph
from ..twin.live import STALE
from ..twin.model import Event, Role
from ..twin.state import NEVER
from ..twin.times import now_ns
from ..twin.twin import Twin
from .worker import to_the_end

LOOK_S = 0.5


class Staleness:
    """Looks at all signals that have an expected interval, twice a second, in a few array operations."""

    def __init__(self, twin: Twin, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` [s] must never go back."""
        self.twin = twin
        self.trouble: str | None = None
        self._clock = clock
        self._graph: Graph | None = None
        self._signal: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._interval = np.zeros(0)
        self._newest = np.zeros(0, dtype=np.int64)
        self._heard = np.zeros(0)

    @property
    def stale_count(self) -> int:
        """How many signals are stale now."""
        return len(self.twin.open_events(STALE))

    async def run(self) -> None:
        """Looks until cancelled; if the journal refuses writes, it looks again later."""
        while True:
            try:
                await to_the_end(self.step)
                self.trouble = None
            except (StorageError, OverloadedError) as error:
                self.trouble = str(error)
            await asyncio.sleep(LOOK_S)

    def step(self) -> None:
        """Marks those that have become silent, and ends the silence of those that spoke. Raises StorageError."""
        if self.twin.graph is not self._graph:
            self._follow(self.twin.graph)
        if not len(self._signal):
            return
        now = self._clock()
        newest = self.twin.state.snapshot(self._signal).time
        heard = np.where(newest != self._newest, now, self._heard)
        silent = (now - heard > self._interval) & (newest != NEVER)
        open_now = self.twin.open_events(STALE)
        self._end(open_now, newest)
        stale = np.isin(self._signal, [event.data["signal"] for event in open_now])
        begun = np.flatnonzero(silent & ~stale)
        if len(begun):
            self.twin.mark_stale(list(zip(self._signal[begun].tolist(), newest[begun].tolist(), strict=True)))
        self._newest, self._heard = newest, heard

    def _end(self, open_now: Sequence[Event], newest: NDArray[np.int64]) -> None:
        if not open_now:
            return
        rows = np.searchsorted(self._signal, [event.data["signal"] for event in open_now])
        drafts = [
            _ended(event, spoke)
            for event, spoke in zip(open_now, newest[rows].tolist(), strict=True)
            if spoke > event.time
        ]
        if drafts:
            self.twin.record(drafts)

    def _follow(self, graph: Graph) -> None:
        """Takes in which signals are expected to speak; what is known of those that were here before stays known."""
        signals = [s for s in graph.signals() if s.expected_interval is not None and s.role is Role.MEASURED]
        index = np.array([signal.index for signal in signals], dtype=np.int32)
        newest = self.twin.state.snapshot(index).time
        heard = np.full(len(index), self._clock())
        _, here, before = np.intersect1d(index, self._signal, assume_unique=True, return_indices=True)
        newest[here], heard[here] = self._newest[before], self._heard[before]
        self._end_gone(set(index.tolist()))
        self._graph, self._signal = graph, index
        self._interval = np.array([signal.expected_interval for signal in signals], dtype=np.float64)
        self._newest, self._heard = newest, heard

    def _end_gone(self, expected: set[int]) -> None:
        """Nobody waits any more for signals that were removed or lost their expected interval."""
        drafts = [_ended(e, now_ns()) for e in self.twin.open_events(STALE) if e.data["signal"] not in expected]
        if drafts:
            self.twin.record(drafts)


def _ended(event: Event, until: int) -> EventDraft:
    return EventDraft(event.time, STALE, event.node, until, event.data, event.identity)
