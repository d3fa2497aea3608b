"""The twin in memory: graph, state, labels, open events and numbers, all of it absorbed from the journal's entries.

Live and on recovery the same function absorbs the same entries, so what a start rebuilds is what a crash took away.
"""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from .batch import ReadingBatch
from .changes import AddSignal, StructureChange, UpdateSignal
from .checkpoint import Checkpoint, StateImage, StructureImage
from .counts import SourceCounts, SourceTotals
from .entry import DeadLetter, Entry, EntryKind, EventDraft, NewLabel, Position
from .errors import NotFoundError
from .graph import Graph
from .graph_edit import apply_change
from .journal import Part
from .labels import Labels
from .model import DataType, Event
from .scenario import Scenario
from .state import TwinState
from .suggestion import nearest

STALE = "stale"
RECENT_EVENTS = 4096
_BOOLEAN_LABELS = ("false", "true")


class Live:
    """Owner of the journal: numbers what is submitted, absorbs what is durable, makes images for checkpoints."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.graph = Graph()
        self.state = TwinState()
        self.labels = Labels()
        self.open_events: dict[str, Event] = {}
        self.stale: dict[int, str] = {}
        self.recent_events: deque[Event] = deque(maxlen=RECENT_EVENTS)
        self.positions: dict[str, int] = {}
        self.scenarios: dict[str, Scenario] = {}
        self.seq = 0
        self.recorded = 0
        self.readings = 0
        self._totals = SourceTotals()
        self.last_event = 0
        self.last_dead_letter = 0
        self._structure: tuple[Graph, bytes] | None = None
        # A change that is being committed, and what it makes of the graph: who edited it has made that already.
        self.foreseen: tuple[StructureChange, Graph] | None = None

    # What the journal asks

    def number(self, parts: Sequence[Part], recorded: int) -> list[Part]:
        """Puts the new labels first, and gives events and dead letters their numbers; nothing is remembered."""
        new = self.labels.new()
        numbered: list[Part] = [(EntryKind.LABELS, new), *parts] if new else list(parts)
        event, letter = self.last_event, self.last_dead_letter
        for i, (kind, value) in enumerate(numbered):
            if kind is EntryKind.EVENTS:
                numbered[i] = (kind, _numbered_events(value, event, recorded + i))
                event += len(value)
            elif kind is EntryKind.DEAD_LETTERS:
                numbered[i] = (kind, _numbered_letters(value, letter))
                letter += len(value)
        return numbered

    def committed(self, entries: Sequence[Entry]) -> None:
        """Absorbs durable entries."""
        with self.lock:
            for entry in entries:
                self._absorb(entry)

    def snapshot(self) -> bytes:
        """The checkpoint as of the last absorbed entry, as bytes."""
        return self.checkpoint().encode()

    def source_counts(self) -> dict[str, SourceCounts]:
        """The totals by source as of one instant."""
        with self.lock:
            return self._totals.copy()

    def counts_of(self, source: str) -> SourceCounts:
        """The totals of one source."""
        with self.lock:
            return self._totals.of(source)

    def scenario(self, id: str) -> Scenario:
        """One scenario; raises NotFoundError with the nearest name."""
        scenario = self.scenarios.get(id)
        if scenario is None:
            hint = nearest(id, tuple(self.scenarios))
            raise NotFoundError(f"no scenario is called {id!r}" + (f"; did you mean {hint}?" if hint else ""))
        return scenario

    # Absorbing

    def _absorb(self, entry: Entry) -> None:
        value = entry.value
        match entry.kind:
            case EntryKind.READINGS:
                self._totals.absorb_readings(len(value), self.state.apply(value, entry.seq))
                self.readings += len(value)
                if self.stale:
                    self._keep_stale(value, entry.seq)
            case EntryKind.COUNTS:
                self._totals.absorb(value)
            case EntryKind.STRUCTURE:
                self._become(value, entry.recorded)
            case EntryKind.EVENTS:
                for event in value:
                    self._absorb_event(event, entry.seq)
            case EntryKind.LABELS:
                self._absorb_labels(value, entry.recorded)
            case EntryKind.DEAD_LETTERS:
                self.last_dead_letter = value[-1].id
            case EntryKind.POSITION:
                self.positions[value.name] = value.seq
            case EntryKind.SCENARIO:
                self._absorb_scenario(value)
            case EntryKind.RESOLVED | EntryKind.SNAPSHOT:
                pass  # the catalog's, and a start's, concern
        self.seq, self.recorded = entry.seq, entry.recorded

    def _become(self, change: StructureChange, recorded: int) -> None:
        made_of, graph = self.foreseen or (None, None)
        if graph is None or made_of is not change:
            graph = apply_change(self.graph, change)
        self.foreseen = None
        self.state.grow(graph.signal_count)
        for operation in change.operations:
            if isinstance(operation, AddSignal | UpdateSignal):
                signal = operation.signal
                boolean = signal.data_type is DataType.BOOLEAN and not signal.labels
                self.labels.define(signal.index, _BOOLEAN_LABELS if boolean else signal.labels, recorded)
        self.graph = graph

    def _absorb_scenario(self, scenario: Scenario) -> None:
        if scenario.removed:
            self.scenarios.pop(scenario.id, None)
        else:
            self.scenarios[scenario.id] = scenario

    def _absorb_event(self, event: Event, seq: int) -> None:
        # In this order: who reads the number in another thread finds the event.
        self.recent_events.append(event)
        self.last_event = event.seq
        if event.identity is None:
            return
        ended = event.until is not None or event.retracts is not None
        if ended:
            self.open_events.pop(event.identity, None)
        else:
            self.open_events[event.identity] = event
        if event.kind == STALE:
            self._absorb_stale(event, event.identity, ended, seq)

    def _absorb_stale(self, event: Event, identity: str, ended: bool, seq: int) -> None:
        index = event.data["signal"]
        if ended:
            self.stale.pop(index, None)
        else:
            self.stale[index] = identity
            reading = self.state.read(index)
            if reading is not None and reading.time <= event.time:
                self.state.mark_uncertain([index], seq)  # unless it spoke just before it was found silent

    def _keep_stale(self, batch: ReadingBatch, seq: int) -> None:
        """A correction of the last reading before a silence does not end the silence."""
        for index in set(batch.signal.tolist()) & self.stale.keys():
            reading, event = self.state.read(index), self.open_events.get(self.stale[index])
            if reading is not None and event is not None and reading.time <= event.time:
                self.state.mark_uncertain([index], seq)

    def _absorb_labels(self, labels: list[NewLabel], recorded: int) -> None:
        self.labels.absorb(labels, recorded)
        self.labels.journalled(len(labels))

    # Checkpoints

    def checkpoint(self) -> Checkpoint:
        """Everything as of the last absorbed entry."""
        with self.lock:
            graph = self.graph
            image: dict[str, Any] = {
                "seq": self.seq,
                "recorded": self.recorded,
                "state": StateImage.of(self.state.snapshot()),
                "labels": self.labels.dump(),
                "labels_since": self.labels.dump_since(),
                "open_events": list(self.open_events.values()),
                "positions": dict(self.positions),
                "scenarios": list(self.scenarios.values()),
                "readings": self.readings,
                "counts": self._totals.copy(),
                "last_event": self.last_event,
                "last_dead_letter": self.last_dead_letter,
            }
        return Checkpoint(structure=msgspec.Raw(self._encoded(graph)), **image)

    def _encoded(self, graph: Graph) -> bytes:
        if self._structure is None or self._structure[0] is not graph:
            self._structure = (graph, msgspec.msgpack.encode(StructureImage.of(graph)))
        return self._structure[1]

    def restore(self, checkpoint: Checkpoint) -> None:
        """Begins from a checkpoint."""
        self.graph = checkpoint.graph()
        self.state.restore(checkpoint.state.columns(), checkpoint.seq)
        self.state.grow(self.graph.signal_count)
        self.labels.restore(checkpoint.labels, checkpoint.labels_since)
        self.open_events = {event.identity: event for event in checkpoint.open_events if event.identity}
        self.stale = {e.data["signal"]: i for i, e in self.open_events.items() if e.kind == STALE}
        self.positions = dict(checkpoint.positions)
        self.scenarios = {scenario.id: scenario for scenario in checkpoint.scenarios}
        self.seq, self.recorded = checkpoint.seq, checkpoint.recorded
        self.readings = checkpoint.readings
        self._totals.restore(checkpoint.counts.items())
        self.last_event, self.last_dead_letter = checkpoint.last_event, checkpoint.last_dead_letter


def position(name: str, seq: int) -> Part:
    """The part that journals how far a reader has come."""
    return (EntryKind.POSITION, Position(name, seq))


def _numbered_events(drafts: Sequence[EventDraft], last: int, recorded: int) -> list[Event]:
    return [draft.numbered(last + 1 + i, recorded) for i, draft in enumerate(drafts)]


def _numbered_letters(letters: Sequence[DeadLetter], last: int) -> list[DeadLetter]:
    return [msgspec.structs.replace(letter, id=last + 1 + i) for i, letter in enumerate(letters)]
