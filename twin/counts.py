"""What became of messages and readings, by source: counted in the journal, so that the totals survive every crash.

Three accounts add up, at any moment and after any restart:

- messages: received = accepted + duplicate + refused + those that wait; acknowledged = accepted + duplicate;
- readings: read = stored + dead_lettered + unstored + suppressed;
- stored = applied + superseded + late.
"""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from .arrival import ARRIVALS, Arrival

DIRECT = "direct"
"""The source of readings that came without one: `Twin.apply` in a program of one's own."""

DERIVED = "derived"
"""The source of what analytics concludes: the readings of derived signals."""


class SourceShare(msgspec.Struct, array_like=True):
    """What one transaction adds to a source's counts: messages and their bytes, and measurements without a reading."""

    source: str
    accepted: int = 0
    duplicate: int = 0
    refused: int = 0
    received_bytes: int = 0
    dead_lettered: int = 0
    unstored: int = 0
    ahead: int = 0
    suppressed: int = 0


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """A journal entry: what a transaction adds to each source, and whose the rows of the readings behind it are.

    runs: (number of the share, how many rows), in the order of the rows; rows beyond them came without a source.
    """

    shares: list[SourceShare]
    runs: list[tuple[int, int]] = []

    @classmethod
    def of_readings(cls, source: str, rows: int) -> "Counts":
        """Readings of one source that came in no message."""
        return cls([SourceShare(source)], [(0, rows)])


class SourceCounts(msgspec.Struct):
    """The totals of one source since the data directory was made, of what is durable.

    applied: became the latest of their signal. superseded: have the time of their signal's latest and replaced it, so
    that they correct it. late: older than their signal's latest when they came, so they are history only.
    suppressed: left out by reporting.
    """

    accepted: int = 0
    duplicate: int = 0
    refused: int = 0
    received_bytes: int = 0
    dead_lettered: int = 0
    unstored: int = 0
    ahead: int = 0
    stored: int = 0
    applied: int = 0
    superseded: int = 0
    late: int = 0
    suppressed: int = 0

    @property
    def received(self) -> int:
        """Messages of which it is known what became of them."""
        return self.accepted + self.duplicate + self.refused

    def add(self, share: SourceShare) -> None:
        """Takes in what a transaction adds."""
        self.accepted += share.accepted
        self.duplicate += share.duplicate
        self.refused += share.refused
        self.received_bytes += share.received_bytes
        self.dead_lettered += share.dead_lettered
        self.unstored += share.unstored
        self.ahead += share.ahead
        self.suppressed += share.suppressed


class SourceTotals:
    """The counts of all sources, as the entries of the journal add to them."""

    def __init__(self) -> None:
        self._counts: dict[str, SourceCounts] = {}
        self._runs: list[tuple[str, int]] = []

    def absorb(self, counts: Counts) -> None:
        """Takes in an entry of counts; the readings behind it are still to come."""
        for share in counts.shares:
            self._of(share.source).add(share)
        self._runs = [(counts.shares[number].source, rows) for number, rows in counts.runs]

    def absorb_readings(self, rows: int, arrivals: NDArray[np.uint8] | None) -> None:
        """Takes in how each of a batch's rows arrived; None: all of them were applied."""
        runs, self._runs = self._runs, []
        rest = rows - sum(length for _, length in runs)
        if rest > 0:
            runs.append((DIRECT, rest))
        for source, length in runs:
            counts = self._of(source)
            counts.stored += length
            if arrivals is None:
                counts.applied += length
        if arrivals is not None:
            self._add_arrivals(runs, arrivals)

    def _add_arrivals(self, runs: Sequence[tuple[str, int]], arrivals: NDArray[np.uint8]) -> None:
        sources = list(dict.fromkeys(source for source, _ in runs))
        number = {source: i for i, source in enumerate(sources)}
        owner = np.repeat([number[source] for source, _ in runs], [length for _, length in runs])
        table = np.bincount(owner * ARRIVALS + arrivals, minlength=len(sources) * ARRIVALS)
        for source, by_arrival in zip(sources, table.reshape(-1, ARRIVALS).tolist(), strict=True):
            counts = self._of(source)
            counts.applied += by_arrival[Arrival.APPLIED]
            counts.superseded += by_arrival[Arrival.SUPERSEDED]
            counts.late += by_arrival[Arrival.LATE]

    def _of(self, source: str) -> SourceCounts:
        found = self._counts.get(source)
        if found is None:
            found = self._counts[source] = SourceCounts()
        return found

    def copy(self) -> dict[str, SourceCounts]:
        """The totals now."""
        return {source: msgspec.structs.replace(counts) for source, counts in self._counts.items()}

    def of(self, source: str) -> SourceCounts:
        """A copy of one source's totals; zeros if nothing ever came from it."""
        return msgspec.structs.replace(self._counts.get(source) or SourceCounts())

    def restore(self, counts: Iterable[tuple[str, SourceCounts]]) -> None:
        """Begins from a checkpoint."""
        self._counts = {source: msgspec.structs.replace(each) for source, each in counts}
