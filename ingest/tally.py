"""What one group of messages adds to the counts of its sources, and whose the rows of its readings are."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..twin.counts import Counts, SourceShare

if TYPE_CHECKING:
    from .entry import Entry


class Tally:
    """Grows with the columns: the sources of the rows as runs, in the order of the rows."""

    def __init__(self) -> None:
        self._runs: list[tuple[str, int]] = []
        self._suppressed: dict[str, int] = {}

    @property
    def runs(self) -> list[tuple[str, int]]:
        """(source, rows) in the order of the rows."""
        return self._runs

    def take_runs(self) -> list[tuple[str, int]]:
        """The runs so far, for somebody who lays the rows anew."""
        runs, self._runs = self._runs, []
        return runs

    def suppress(self, source: str, rows: int) -> None:
        """So many readings of this source are not stored; a negative number if earlier ones are stored instead."""
        if rows:
            self._suppressed[source] = self._suppressed.get(source, 0) + rows

    def extend(self, source: str, rows: int) -> None:
        """The next rows came from this source."""
        if not rows:
            return
        if self._runs and self._runs[-1][0] == source:
            self._runs[-1] = (source, self._runs[-1][1] + rows)
        else:
            self._runs.append((source, rows))

    def counts(self, group: Iterable["Entry"]) -> Counts:
        """What the group adds once it is durable; no shares if that is nothing."""
        shares: dict[str, SourceShare] = {}
        for entry in group:
            if entry.error is not None or (entry.letter and not entry.rows):
                continue
            source = entry.message.source
            share = shares.get(source)
            if share is None:
                share = shares[source] = SourceShare(source)
            share.ahead += entry.ahead
            if entry.letter:
                continue  # it was counted when it came
            share.received_bytes += entry.bytes
            if entry.duplicate:
                share.duplicate += entry.message.count
            else:
                share.accepted += entry.message.count
                share.dead_lettered += entry.dead if entry.failures or entry.misfits or entry.parts else 0
        for source, rows in self._suppressed.items():
            if source in shares:
                shares[source].suppressed += rows
        number = {source: i for i, source in enumerate(shares)}
        return Counts(list(shares.values()), [(number[source], rows) for source, rows in self._runs])
