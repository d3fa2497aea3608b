"""Reporting: between binding and storing, which readings of a group are worth a row of history.

What is left out is counted (`suppressed`), and how far history misses it is measured. A decision counts only when the
group has become durable; if storage refuses, it is taken back, so that what comes again is judged anew.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..twin.batch import ReadingBatch
from ..twin.counts import Counts, SourceShare
from ..twin.define_reporting import Reporting
from ..twin.errors import OverloadedError, StorageError
from ..twin.times import now_ns
from ..twin.twin import Twin
from .address_book import AddressBook
from .reporting_policy import Policy, Watched, policy_of, says_anything
from .source_reporting import SourceReporting
from .swinging_door import Row
from .tally import Tally

log = logging.getLogger("iotsense.ingest")
Undo = Callable[[], None]


class SignalReport(msgspec.Struct, frozen=True):
    """What reporting did to one signal since the start, or since the definitions changed.

    worst_error, mean_error [the signal's unit]: how far history misses the readings that it was not given: their
    distance from the value stored before them or, with a swinging door, from the line.
    """

    signal: str
    source: str
    policy: str
    received: int
    stored: int
    worst_error: float | None
    mean_error: float | None

    @property
    def ratio(self) -> float | None:
        """How many readings came for each that was stored."""
        return self.received / self.stored if self.stored else None


class Reporter:
    """Decides for all sources. Belongs to the pipeline's task; `reports` may be asked on its event loop."""

    def __init__(self, twin: Twin, of_sources: Mapping[str, Reporting]) -> None:
        self._twin = twin
        self._of_sources = of_sources
        self._sources: dict[str, SourceReporting] = {}
        self._book: AddressBook | None = None
        self._limits: Mapping[int, Sequence[tuple[str, float]]] = {}
        self._waiting: list[tuple[str, int, Row]] = []
        self.watched: Watched | None = None
        self.active = False

    def use(self, of_sources: Mapping[str, Reporting]) -> None:
        """Another configuration: all policies are looked up again."""
        self._of_sources = of_sources
        self._book = None

    def refresh(self, book: AddressBook) -> None:
        """What the next group is bound by: a book remains the same while only discovery adds nodes."""
        if book is self._book:
            return
        self._book, graph = book, book.graph
        for name, source in self._sources.items():
            self._waiting += [(name, signal, row) for signal, row in source.forget_policies()]
        self.active = bool(self._of_sources) or says_anything(graph)
        self._limits = self.watched(graph) if self.watched is not None and self.active else {}

    def policy(self, source: str, signal: int) -> Policy:
        """How a signal is reported whose readings come from this source."""
        graph = self._twin.graph
        return policy_of(
            graph, graph.signal(signal), source, self._of_sources.get(source), self._limits.get(signal, ())
        )

    def _of(self, source: str) -> SourceReporting:
        found = self._sources.get(source)
        if found is None:
            found = self._sources[source] = SourceReporting(partial(self.policy, source), self._twin.state)
        return found

    # One group

    def decide(self, batch: ReadingBatch, tally: Tally) -> tuple[ReadingBatch | None, Undo]:
        """The rows that are stored, None for none, and how to take the decision back. The tally follows."""
        undone: list[Undo] = []
        kept: list[ReadingBatch] = []
        begin = 0
        for source, rows in tally.take_runs():
            part = _rows(batch, slice(begin, begin + rows))
            begin += rows
            part = self._decide(source, part, undone)
            kept.append(part)
            tally.extend(source, len(part))
            tally.suppress(source, rows - len(part))
        whole = ReadingBatch.concat(kept) if kept else batch

        def undo() -> None:
            for each in reversed(undone):
                each()

        return (whole if len(whole) else None), undo

    def _decide(self, source: str, part: ReadingBatch, undone: list[Undo]) -> ReadingBatch:
        reporting = self._of(source)
        slot = reporting.slots(part.signal)
        if not (slot >= 0).any():
            return part
        undone.append(reporting.snapshot(slot))
        keep, extras = reporting.decide(slot, part.time, part.value, part.quality)
        if not extras:
            return part if keep.all() else _rows(part, keep)
        at = np.array([row for row, _ in extras])
        time, value, quality = zip(*(row for _, row in extras), strict=True)
        keep = np.insert(keep, at, True)
        return ReadingBatch(
            np.insert(part.signal, at, part.signal[at])[keep],
            np.insert(part.time, at, time)[keep],
            np.insert(part.value, at, value)[keep],
            np.insert(part.quality, at, quality)[keep],
        )

    # Readings that wait behind a door

    @property
    def waits(self) -> bool:
        """Whether readings may wait that a heartbeat or the end must store."""
        return bool(self._waiting) or any(source.doors for source in self._sources.values())

    def overdue(self, everything: bool = False) -> tuple[ReadingBatch, Counts, Undo] | None:
        """The readings behind doors that have waited for a heartbeat, or all of them, as a transaction of their own.

        None if there are none.
        """
        now, waiting = None if everything else now_ns(), self._waiting
        found, self._waiting = [*waiting], []
        undone: list[Undo] = []
        for name, source in self._sources.items():
            if len(slots := source.overdue(now)):
                undone.append(source.snapshot(slots))
                found += [(name, signal, row) for signal, row in source.flush(slots)]
        signals = self._twin.graph.signal_map
        found = [each for each in found if each[1] in signals]  # not of those that are gone
        if not found:
            return None

        def undo() -> None:
            self._waiting = waiting
            for each in undone:
                each()

        time, value, quality = zip(*(row for _, _, row in found), strict=True)
        batch = ReadingBatch.of([signal for _, signal, _ in found], time, value, quality)
        return batch, _counts([name for name, _, _ in found]), undo

    async def store_overdue(self, everything: bool) -> list[str]:
        """Stores them; whose they are. What storage refuses waits on."""
        overdue = self.overdue(everything)
        if overdue is None:
            return []
        batch, counts, undo = overdue
        try:
            await self._twin.append(batch, counts=counts)
        except (StorageError, OverloadedError) as error:
            log.warning("readings that reporting held back cannot be stored now: %s", error)
            undo()
        return [share.source for share in counts.shares]

    # What it came to

    def reports(self) -> Iterator[SignalReport]:
        """Of all signals with a policy from which readings came, in the order of sources and signals."""
        graph = self._twin.graph
        for name in sorted(self._sources):
            source = self._sources[name]
            for slot, signal in sorted(enumerate(source.signals), key=lambda each: each[1]):
                received, stored, judged, worst, total = source.outcome(slot)
                if received and signal in graph.signal_map:
                    errors = (worst, total / judged) if judged else (None, None)
                    id, words = graph.signal_id(graph.signal(signal)), source.policies[slot].words()
                    yield SignalReport(id, name, words, received, stored, *errors)


def _rows(batch: ReadingBatch, chosen: "slice | NDArray[np.bool_]") -> ReadingBatch:
    return ReadingBatch(batch.signal[chosen], batch.time[chosen], batch.value[chosen], batch.quality[chosen])


def _counts(sources: list[str]) -> Counts:
    """These had been counted as suppressed when they came, and are stored now."""
    names = list(dict.fromkeys(sources))
    shares = [SourceShare(name, suppressed=-sources.count(name)) for name in names]
    return Counts(shares, [(names.index(name), 1) for name in sources])
