"""The plant's own history behind the port that external stores are read through, so that all pass the same tests."""

import asyncio

import numpy as np
from numpy.typing import NDArray

from .state import NEVER
from .store import Recorded
from .twin import Twin

UNTOLD = np.iinfo(np.int64).min
"""What stands in `recorded`: the plant's answers do not tell when they were recorded."""


class EmbeddedHistory:
    """Reads the history of a twin; see `HistoryReader`."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    async def rows(self, signal: int, start: int, end: int, known_at: int | None = None) -> Recorded:
        """Readings of a signal in [start, end) [ns], as known at `known_at` [ns]."""
        found = await asyncio.to_thread(self._twin.history, signal, start, end, None, known_at)
        signals = np.full(len(found), signal, dtype=np.int32)
        untold = np.full(len(found), UNTOLD)
        return Recorded(signals, found.time, found.value, found.quality, untold)

    async def latest(
        self, time: int, known_at: int | None = None, signals: NDArray[np.int32] | None = None
    ) -> Recorded:
        """Of each signal (or of these) the newest reading at or before `time` [ns]; by index."""
        wanted = np.arange(self._twin.graph.signal_count, dtype=np.int32) if signals is None else np.sort(signals)
        found = await asyncio.to_thread(lambda: self._twin.as_of(time, known_at).snapshot(wanted))
        spoke = np.flatnonzero(found.time != NEVER)
        untold = np.full(len(spoke), UNTOLD)
        return Recorded(wanted[spoke], found.time[spoke], found.value[spoke], found.quality[spoke], untold)
