"""The monitor: reads the journal from its own durable position and appends what it concludes.

Its conclusions are a function of the readings and of the versions of rules and structure, not of the order in which the
readings came: what a late or corrected one touches is judged anew, and what was told otherwise is amended or taken
back. Because it reads the journal and not the live state, a restart, a backlog and a quiet day give the same.
Events, health and the position are one transaction: after a crash it takes up exactly where its conclusions end.
"""

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..twin.as_of import AsOf
from ..twin.batch import ReadingBatch
from ..twin.changes import StructureChange
from ..twin.entry import Entry, EntryKind, EventDraft
from ..twin.errors import DamagedFileError, OverloadedError, StorageError
from ..twin.graph import HEALTH, Graph
from ..twin.graph_edit import apply_change
from ..twin.history import History
from ..twin.state import NEVER
from ..twin.twin import Twin
from .anomalies import Anomaly
from .anomaly_book import AnomalyBook
from .detector import ThresholdDetector, Transition
from .first_words import FirstWords
from .health import add_health_signals, nodes_with_health
from .health_book import HealthBook, Point
from .ledger import Ledger, TwinLedger
from .pages import NO_HISTORY
from .places import Places
from .recompute import Change, Recomputation
from .rule_spans import RuleSpans
from .worker import follow_journal

log = logging.getLogger("iotsense.analytics")

CHUNK_ENTRIES = 4096
CHUNK_ROWS = 100_000
POSITION_ENTRIES = 5_000
POSITION_S = 30.0


@dataclass(slots=True)
class Conclusions:
    """What one step found out and is to be recorded: events, points of health, the position that it goes with."""

    position: int = 0
    events: list[EventDraft] = field(default_factory=list)
    health: list[Point] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.events or self.health)


class Monitor:
    """Evaluates the rules of the definition. `step` does a piece of work; `run` does it for as long as it may."""

    def __init__(self, twin: Twin, name: str = "monitor", ledger: Ledger | None = None) -> None:
        """`ledger` is where conclusions go; by default the twin's log of events and its signals of health."""
        self.twin = twin
        self.name = name
        self.trouble: str | None = None
        self._ledger: Ledger = ledger or TwinLedger(twin, name)
        self._recall()

    def _recall(self) -> None:
        """Begins from what is durable: the position, the open anomalies and, at the first step, all else."""
        self.position = self._ledger.position()
        self._recorded_position = self.position
        self._recorded_at = time.monotonic()
        self._unrecorded = Conclusions()
        self._rule_events: list[EventDraft] = []
        self._graph = Graph()
        self._known_at = 0
        self._begun = False
        self._book = AnomalyBook(self._ledger.open_anomalies(), self._ledger.anomalies, nothing_more=not self.position)
        self._rules = RuleSpans()
        self._detector = ThresholdDetector(self._rules, self._history)

    # What others ask

    @property
    def lag(self) -> int:
        """How many entries of the journal it has not seen yet."""
        return max(0, self.twin.last_seq - self.position)

    @property
    def problems(self) -> dict[str, str]:
        """Rules that cannot be used, by name, with the reason."""
        return dict(self._detector.problems)

    @property
    def watch_count(self) -> int:
        """How many limits watch a signal."""
        return len(self._detector.table.watches)

    def anomalies(self, node: int | None = None) -> list[Anomaly]:
        """The open anomalies, of all or of one node and what it contains, the oldest first."""
        if node is None:
            found = list(self._book)
        else:
            keys = [node, *(below.key for below in self.twin.graph.descendants(node))]
            found = [anomaly for key in keys for anomaly in self._book.of(key)]
        return sorted(found, key=lambda anomaly: (anomaly.onset, anomaly.identity))

    # Working

    async def run(self) -> None:
        """Works until cancelled; writes that are refused are tried again with growing pauses."""
        await follow_journal(self)

    def step(self) -> int:
        """Reads on, and records what follows from it; how many entries it has read. Raises StorageError.

        What could not be recorded is kept and tried first the next time.
        """
        self._record()
        before = self.position
        try:
            self._work()
        except Exception:
            # Whoever supervises it hears of it; what was half done is forgotten, so that nothing is left out.
            self._recall()
            raise
        self._record()
        return self.position - before

    def close(self) -> None:
        """Records how far it has come, so that the next start has nothing to repeat."""
        with contextlib.suppress(StorageError, OverloadedError):
            self._record()
            if self.position > self._recorded_position:
                self._ledger.record((), (), self.position)

    def _work(self) -> None:
        if not self._begun:
            if not self.twin.graph.revision:
                return
            self._begin()
        batch = self._read()
        if batch is not None:
            self._judge(batch)
        self._health.update(self._graph)
        events = self._rule_events + self._book.drafts(self._ledger.seq_of)
        self._unrecorded = Conclusions(self.position, events, self._health.points())

    def _read(self) -> ReadingBatch | None:
        """Readings of the entries behind the position, which moves along; before them it follows the structure."""
        batches: list[ReadingBatch] = []
        rows = 0
        for entry in self._entries():
            if entry.kind is EntryKind.READINGS:
                batches.append(entry.value)
                rows += len(entry.value)
            elif entry.kind is EntryKind.STRUCTURE and entry.value.revision > self._graph.revision:
                if batches:
                    break  # readings are judged in the structure that they came into
                self._follow(entry.value, entry.recorded)
            self.position, self._known_at = entry.seq, entry.recorded
            if rows >= CHUNK_ROWS:
                break
        return ReadingBatch.concat(batches) if batches else None

    def _entries(self) -> Iterator[Entry]:
        try:
            yield from islice(self.twin.journal_entries(self.position), CHUNK_ENTRIES)
        except DamagedFileError as damage:
            # What is gone cannot be judged any more; what is still to come can.
            log.error("the monitor leaves out entries %d to %d: %s", self.position + 1, self.twin.last_seq, damage)
            self.position = self.twin.last_seq

    def _history(self, signal: int, start: int, end: int) -> History:
        # What is left of older readings are aggregates, of which nothing can be concluded.
        start = max(start, self.twin.whole_from)
        return self.twin.history(signal, start, end, known_at=self._known_at) if end > start else NO_HISTORY

    def _newest(self, signal: int) -> int:
        reading = self.twin.state.read(signal)
        return NEVER if reading is None else reading.time

    # Judging

    def _judge(self, batch: ReadingBatch) -> None:
        self._spoken[batch.signal] = True
        self._first_words.notice(batch)
        found = self._detector.evaluate(batch)
        for transition in found.transitions:
            if transition.opens:
                self._open(transition)
            else:
                self._clear(transition)
        whole_from = self.twin.whole_from
        for signal, times in found.touched.items():
            newest = int(self._detector.newest[signal])
            if recent := [time for time in times if time >= whole_from]:
                self._take_changes(signal, self._recomputation.touched(signal, recent, newest))

    def _open(self, transition: Transition) -> None:
        anomaly = Anomaly.begun(transition.watch, transition.time, transition.value)
        self._book.open(anomaly)
        self._health.changed(anomaly.component, transition.time)

    def _clear(self, transition: Transition) -> None:
        watch = transition.watch
        anomaly = self._book.open_of(watch.component, watch.key)
        assert anomaly is not None
        self._book.close(anomaly, anomaly.ended(transition.time, cleared_value=transition.value))
        self._health.changed(anomaly.component, transition.time)

    def _take_changes(self, signal: int, changes: list[Change]) -> None:
        for change in changes:
            self._health.changed(*change)
        self._detector.recomputed(signal, self._book)

    # Structure and rules

    def _begin(self) -> None:
        """Takes up what is known where the conclusions end."""
        then = self._then()
        self._graph = then.graph
        self._places = Places(self.twin.revisions.changes(until=then.graph.revision), then.graph)
        self._know_health_signals()
        nothing_told = not self.position
        self._health = HealthBook(self._book, self._places, self._ledger.last_health, self._ledger.health, nothing_told)
        self._rules.recall(self._ledger.rule_events(), then.graph, lambda at: self.twin.as_of(known_at=at).graph)
        newest = then.snapshot().time
        self._spoken = newest != NEVER
        self._detector = ThresholdDetector(self._rules, self._history)
        self._detector.begin(newest, self._book)
        self._recomputation = Recomputation(self._history, self._rules, self._book)
        self._first_words = FirstWords(self._graph, self._health, self._history, self._newest)
        self._begun = True

    def _then(self) -> AsOf:
        """The plant as it was when the last entry that is concluded from was recorded."""
        for entry in self.twin.journal_entries(max(0, self.position - 1)):
            self._known_at = entry.recorded if entry.seq == self.position else entry.recorded - 1
            break
        return self.twin.as_of(known_at=self._known_at)

    def _follow(self, change: StructureChange, recorded: int) -> None:
        """Rules and health for a new revision; anomalies of rules and signals that are gone end with it."""
        live = self.twin.graph
        following = change.revision == self._graph.revision + 1 and live.revision != change.revision
        graph = self._graph = apply_change(self._graph, change) if following else live
        for node in self._places.follow([(recorded, change)]):
            self._health.changed(node, recorded)
        self._make_health_signals()
        self._spoken = _longer(self._spoken, graph.signal_count, False)
        events, anew = self._rules.follow(graph, recorded, self._spoken)
        self._rule_events += events
        detector = ThresholdDetector(self._rules, self._history)
        unknown = detector.newly_watched(self._detector, self._spoken)
        if len(unknown):
            then = self.twin.as_of(known_at=self._known_at)
            self._detector.newest = _longer(self._detector.newest, len(detector.newest), NEVER)
            self._detector.newest[unknown] = then.snapshot(unknown).time
        detector.take_over(self._detector, self._book)
        self._detector = detector
        self._judge_anew(anew)
        self._first_words = FirstWords(graph, self._health, self._history, self._newest)

    def _judge_anew(self, anew: dict[int, int]) -> None:
        open_now = {anomaly.signal for anomaly in self._book}
        for signal, start in anew.items():
            newest = int(self._detector.newest[signal])
            if newest >= start > NEVER or signal in open_now:
                start = max(start, self.twin.whole_from)
                self._take_changes(signal, self._recomputation.everything(signal, start, newest))

    def _make_health_signals(self) -> None:
        """Those that are missing; in a reprocess all are there already, and nothing is written."""
        missing = (self.twin.graph.signal_of(key, HEALTH) is None for key in nodes_with_health(self.twin.graph))
        if self._ledger.writable and any(missing):
            self.twin.change(add_health_signals, author=self.name)
        self._know_health_signals()

    def _know_health_signals(self) -> None:
        if isinstance(self._ledger, TwinLedger):
            known = {signal.node: signal.index for signal in self.twin.graph.signals() if signal.name == HEALTH}
            self._ledger.health_signals = self._places.health_signals | known

    # Recording

    def _record(self) -> None:
        found = self._unrecorded
        if found:
            self._ledger.record(found.events, found.health, found.position)
            self._recorded(found.position)
            self._unrecorded = Conclusions()
            self._rule_events = []
            self._book.told()
            self._health.told()
        elif self._position_is_due():
            self._ledger.record((), (), self.position)
            self._recorded(self.position)

    def _recorded(self, position: int) -> None:
        self._recorded_position, self._recorded_at = position, time.monotonic()

    def _position_is_due(self) -> bool:
        # The journal keeps what the monitor has not passed; but a position of its own is an entry, too.
        behind = self.position - self._recorded_position
        return behind > POSITION_ENTRIES or (behind > 1 and time.monotonic() - self._recorded_at > POSITION_S)


def _longer(column: NDArray[Any], length: int, blank: Any) -> NDArray[Any]:
    more = max(0, length - len(column))
    return np.append(column, np.full(more, blank, dtype=column.dtype))
