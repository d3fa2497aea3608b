"""The monitor: reads the journal from its own durable position and appends what it concludes.

Because it reads the journal and not the live state, a restart, a backlog and a quiet day give the same conclusions.
Events, health and the position are one transaction: after a crash it takes up exactly where its conclusions end.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ..twin.batch import ReadingBatch
from ..twin.changes import StructureChange
from ..twin.entry import Entry, EntryKind, EventDraft
from ..twin.errors import DamagedFileError, OverloadedError, StorageError
from ..twin.graph import HEALTH, Graph
from ..twin.model import Level, Quality
from ..twin.state import NEVER
from ..twin.times import now_ns
from ..twin.twin import Twin
from .anomalies import ANOMALY, Anomaly, OpenAnomalies
from .detector import ThresholdDetector, Transition
from .health import HealthBook, add_health_signals, nodes_with_health
from .rules import compile_watches
from .worker import to_the_end

log = logging.getLogger("iotsense.analytics")

CHUNK_ENTRIES = 4096
CHUNK_ROWS = 100_000
# Looking 50 times a second costs little and is soon enough; looking after every commit would cost a processor.
PAUSE_S = 0.02
POSITION_ENTRIES = 5_000
POSITION_S = 30.0
LONGEST_BACKOFF_S = 10.0


@dataclass(slots=True)
class Conclusions:
    """What one step found out and is to be recorded: events, readings of health, the position that it goes with."""

    position: int = 0
    events: list[EventDraft] = field(default_factory=list)
    signals: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.events or self.signals)

    def batch(self) -> ReadingBatch:
        """The readings of health."""
        return ReadingBatch.of(self.signals, self.times, self.scores)


class Monitor:
    """Evaluates the rules of the definition. `step` does a piece of work; `run` does it for as long as it may."""

    def __init__(self, twin: Twin, name: str = "monitor") -> None:
        self.twin = twin
        self.name = name
        self.trouble: str | None = None
        self._recall()

    def _recall(self) -> None:
        """Begins from what is durable: the position, the open anomalies and, with the graph, the health last told."""
        self.position = self.twin.position(self.name)
        self._recorded_position = self.position
        self._recorded_at = time.monotonic()
        self._unrecorded = Conclusions()
        self._graph = Graph()
        found = (Anomaly.of(event) for event in self.twin.open_events(ANOMALY) if "condition" in event.data)
        self._anomalies = OpenAnomalies(found)
        self._newest_health: dict[int, int] = {}
        self._detector = ThresholdDetector(compile_watches(Graph()))
        self._book = HealthBook(self._graph, self._anomalies, {})
        self._silent_so_far: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)

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
            found = list(self._anomalies)
        else:
            keys = [node, *(below.key for below in self.twin.graph.descendants(node))]
            found = [anomaly for key in keys for anomaly in self._anomalies.of(key)]
        return sorted(found, key=lambda anomaly: (anomaly.onset, anomaly.identity))

    # Working

    async def run(self) -> None:
        """Works until cancelled; writes that are refused are tried again with growing pauses."""
        failures = 0
        while True:
            try:
                worked = await to_the_end(self.step)
                self.trouble, failures = None, 0
            except (StorageError, OverloadedError) as error:
                failures += 1
                self.trouble = str(error)
                await asyncio.sleep(min(LONGEST_BACKOFF_S, 0.1 * 2**failures))
                continue
            if not worked:
                await self.twin.wait_entries(self.position)
            await asyncio.sleep(PAUSE_S)

    def step(self) -> int:
        """Reads on, and records what follows from it; how many entries it has read. Raises StorageError.

        What could not be recorded is kept and tried first the next time.
        """
        try:
            return self._step()
        except (StorageError, OverloadedError):
            raise
        except Exception:
            # Whoever supervises it hears of it; what was half done is forgotten, so that nothing is left out.
            self._recall()
            raise

    def _step(self) -> int:
        self._record()
        if self.twin.graph.revision and not self._graph.revision:
            self._follow(self.twin.graph, now_ns())
        before = self.position
        for chunk in self._chunks():
            self._evaluate(chunk)
        self._unrecorded.position = self.position
        self._record()
        return self.position - before

    def close(self) -> None:
        """Records how far it has come, so that the next start has nothing to repeat."""
        with contextlib.suppress(StorageError, OverloadedError):
            self._record()
            if self.position > self._recorded_position:
                self.twin.record(position=(self.name, self.position))

    def _chunks(self) -> Iterator[ReadingBatch]:
        """Readings of the entries behind the position, which moves along; a change of structure is followed."""
        batches: list[ReadingBatch] = []
        rows = 0
        for entry in self._entries():
            if entry.kind is EntryKind.READINGS:
                batches.append(entry.value)
                rows += len(entry.value)
            elif entry.kind is EntryKind.STRUCTURE and entry.value.revision > self._graph.revision:
                if batches or self._unrecorded:
                    break  # first what was found so far is recorded, then the new structure is followed
                self._follow_change(entry.value, entry.recorded)
            self.position = entry.seq
            if rows >= CHUNK_ROWS:
                break
        if batches:
            yield ReadingBatch.concat(batches)

    def _entries(self) -> Iterator[Entry]:
        try:
            yield from islice(self.twin.journal_entries(self.position), CHUNK_ENTRIES)
        except DamagedFileError as damage:
            # What is gone cannot be judged any more; what is still to come can.
            log.error("the monitor leaves out entries %d to %d: %s", self.position + 1, self.twin.last_seq, damage)
            self.position = self.twin.last_seq

    def _evaluate(self, batch: ReadingBatch) -> None:
        self._notice_first_words(batch)
        for transition in self._detector.evaluate(batch):
            component = self._open(transition) if transition.opens else self._clear(transition)
            self._tell_health(self._book.update(component), transition.time)

    def _open(self, transition: Transition) -> int:
        anomaly = Anomaly.begun(transition.watch, transition.time, transition.value)
        self._anomalies.add(anomaly)
        self._unrecorded.events.append(anomaly.opening())
        return anomaly.component

    def _clear(self, transition: Transition) -> int:
        anomaly = self._anomalies.remove(transition.watch.key)
        self._unrecorded.events.append(anomaly.ending(transition.time, cleared_value=transition.value))
        return anomaly.component

    def _notice_first_words(self, batch: ReadingBatch) -> None:
        first = self._silent_so_far[batch.signal]
        if not first.any():
            return
        graph = self._graph
        for row in np.flatnonzero(first & (batch.quality >= Quality.UNCERTAIN)).tolist():
            component = _component(graph, int(batch.signal[row]))
            if self._silent_so_far[batch.signal[row]]:
                self._tell_health(self._book.update(component), int(batch.time[row]))
                self._silent_so_far[_signals_of(graph, component)] = False

    def _tell_health(self, changed: list[int], at: int) -> None:
        for key in changed:
            signal = self._graph.signal_of(key, HEALTH)
            if signal is None:
                continue
            # Sources' clocks differ, but the health told last must be the newest: its time always rises.
            moment = max(at, self._newest_health.get(key, NEVER) + 1)
            self._newest_health[key] = moment
            self._unrecorded.signals.append(signal.index)
            self._unrecorded.times.append(moment)
            self._unrecorded.scores.append(self._book.scores[key])

    # Structure and rules

    def _follow_change(self, change: StructureChange, recorded: int) -> None:
        # Readers see an entry a moment before the graph shows it.
        while self.twin.graph.revision < change.revision:
            time.sleep(0.001)
        self._follow(self.twin.graph, recorded)

    def _follow(self, graph: Graph, recorded: int) -> None:
        """Rules and health for a new revision; anomalies of rules and signals that are gone end with it."""
        if any(graph.signal_of(key, HEALTH) is None for key in nodes_with_health(graph)):
            self.twin.change(add_health_signals, author=self.name)
            graph = self.twin.graph
        begins = not self._graph.revision
        detector = ThresholdDetector(compile_watches(graph), self.twin.history)
        detector.take_over(self._detector)
        self._detector, self._graph = detector, graph
        if begins:
            self._recall_health()
        self._settle_anomalies(recorded)
        detector.restore(self._anomalies)
        self._tell_health(self._book.rebase(graph), recorded)
        self._mark_silent()

    def _settle_anomalies(self, recorded: int) -> None:
        watches = self._detector.watches()
        for anomaly in self._anomalies:
            watch = watches.get(anomaly.key)
            if watch is not None and watch.component == anomaly.component:
                continue
            self._anomalies.remove(anomaly.key)
            if watch is not None:
                self._anomalies.add(replace(anomaly, component=watch.component))
            else:
                self._unrecorded.events.append(anomaly.ending(recorded, reason="the rule or the sensor was changed"))

    def _recall_health(self) -> None:
        """What was last told of everybody's health."""
        scores: dict[int, float] = {}
        for key in nodes_with_health(self._graph):
            signal = self._graph.signal_of(key, HEALTH)
            reading = self.twin.state.read(signal.index) if signal else None
            if reading is not None:
                scores[key] = reading.value
                self._newest_health[key] = reading.time
        self._book = HealthBook(self._graph, self._anomalies, scores)

    def _mark_silent(self) -> None:
        graph = self._graph
        self._silent_so_far = np.zeros(graph.signal_count, dtype=np.bool_)
        for key in nodes_with_health(graph):
            if key not in self._book.scores:
                self._silent_so_far[_signals_of(graph, key)] = True

    # Recording

    def _record(self) -> None:
        found = self._unrecorded
        if found:
            self.twin.record(found.events, found.batch(), (self.name, found.position))
            self._recorded(found.position)
            self._unrecorded = Conclusions()
        elif self._position_is_due():
            self.twin.record(position=(self.name, self.position))
            self._recorded(self.position)

    def _recorded(self, position: int) -> None:
        self._recorded_position, self._recorded_at = position, time.monotonic()

    def _position_is_due(self) -> bool:
        # The journal keeps what the monitor has not passed; but a position of its own is an entry, too.
        behind = self.position - self._recorded_position
        return behind > POSITION_ENTRIES or (behind > 1 and time.monotonic() - self._recorded_at > POSITION_S)


def _component(graph: Graph, signal: int) -> int:
    node = graph.node(graph.signal(signal).node)
    return node.parent if node.level is Level.SENSOR and node.parent is not None else node.key


def _signals_of(graph: Graph, component: int) -> list[int]:
    """The signals that show that a component speaks: its sensors' and its own, but not its health."""
    own = [signal.index for signal in graph.signals_of(component) if signal.name != HEALTH]
    return own + [signal.index for sensor in graph.sensors(component) for signal in graph.signals_of(sensor.key)]
