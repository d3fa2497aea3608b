"""Which source the signals' latest readings came from, since the start of the service."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..twin.batch import ReadingBatch


class Feeds:
    """A column by `Signal.index` with the number of a source; numpy work for each group of messages."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._source = np.full(0, -1, np.int16)

    def note(self, runs: Iterable[tuple[str, int]], batch: ReadingBatch) -> dict[str, int]:
        """Takes in what is durable: (source, rows) in the order of the rows. The newest time [ns] of each source."""
        newest: dict[str, int] = {}
        self._grow(int(batch.signal.max()) + 1)
        row = 0
        for source, rows in runs:
            here = slice(row, row + rows)
            row += rows
            self._source[batch.signal[here]] = self._numbers.setdefault(source, len(self._numbers))
            newest[source] = max(int(batch.time[here].max()), newest.get(source, 0))
        return newest

    def signals(self, source: str) -> NDArray[np.int32]:
        """The signals, by index, whose latest reading came from this source."""
        number = self._numbers.get(source, -2)
        return np.flatnonzero(self._source == number).astype(np.int32)

    def _grow(self, signals: int) -> None:
        if signals > len(self._source):
            more = np.full(max(signals, 2 * len(self._source)) - len(self._source), -1, np.int16)
            self._source = np.concatenate([self._source, more])
