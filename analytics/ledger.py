"""Where the monitor writes what it concludes, and finds again what it concluded before."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from ..twin.anomalies import ANOMALY
from ..twin.batch import ReadingBatch
from ..twin.entry import EventDraft
from ..twin.model import Event, Quality
from ..twin.twin import Twin
from .anomalies import Anomaly
from .health_book import Point
from .rule_spans import RULE
from .steps import Points

PAGE = 1000
_EARLIEST, _LATEST = -(1 << 62), 1 << 62


class Ledger(Protocol):
    """What was concluded so far. Writing is all or nothing."""

    writable: bool

    def position(self) -> int:
        """How far the journal was read for what is written here."""

    def record(self, events: Sequence[EventDraft], health: Sequence[Point], position: int) -> None:
        """Writes conclusions and the position that they belong to; raises StorageError."""

    def open_anomalies(self) -> list[Anomaly]:
        """Those that have not ended."""

    def anomalies(self, component: int) -> list[Anomaly]:
        """All of a component, but for those that were taken back."""

    def seq_of(self, anomaly: Anomaly) -> int:
        """The number of the event that last told of an anomaly."""

    def rule_events(self) -> list[Event]:
        """The events that tell from when to when rules apply, in order."""

    def last_health(self, node: int) -> tuple[int, float] | None:
        """Time and score of the newest point of a node's health."""

    def health(self, node: int) -> Points:
        """All its points."""


class TwinLedger:
    """The twin's own log of events and its signals of health."""

    writable = True

    def __init__(self, twin: Twin, name: str) -> None:
        self._twin = twin
        self._name = name
        self.health_signals: dict[int, int] = {}

    def position(self) -> int:
        """See `Ledger`."""
        return self._twin.position(self._name)

    def record(self, events: Sequence[EventDraft], health: Sequence[Point], position: int) -> None:
        """See `Ledger`."""
        points = [(self.health_signals[p.node], p.time, p.score) for p in health if p.node in self.health_signals]
        self._twin.record(events, _readings(points), (self._name, position))

    def open_anomalies(self) -> list[Anomaly]:
        """See `Ledger`."""
        return [Anomaly.of(event) for event in self._twin.open_events(ANOMALY) if "condition" in event.data]

    def anomalies(self, component: int) -> list[Anomaly]:
        """See `Ledger`."""
        return standing(self._twin.standing_events(ANOMALY, node=component))

    def seq_of(self, anomaly: Anomaly) -> int:
        """See `Ledger`."""
        found = self._twin.open_event(anomaly.identity)
        return (found or self._twin.standing_events(ANOMALY, identity=anomaly.identity)[0]).seq

    def rule_events(self) -> list[Event]:
        """See `Ledger`."""
        events: list[Event] = []
        while page := self._twin.events(events[-1].seq if events else 0, PAGE, kind=RULE):
            events += page
        return events

    def last_health(self, node: int) -> tuple[int, float] | None:
        """See `Ledger`."""
        signal = self.health_signals.get(node)
        reading = None if signal is None else self._twin.state.read(signal)
        return None if reading is None else (reading.time, reading.value)

    def health(self, node: int) -> Points:
        """See `Ledger`."""
        signal = self.health_signals.get(node)
        if signal is None:
            return [], []
        # Of points that are kept no longer there are aggregates; the last of them still holds.
        start = max(_EARLIEST, self._twin.whole_from)
        signals = np.array([signal], dtype=np.int32)
        before = self._twin.as_of(time=start - 1).snapshot(signals).reading(0) if start > _EARLIEST else None
        told = self._twin.history(signal, start, _LATEST)
        times, values = ([before.time], [before.value]) if before else ([], [])
        return times + told.time.tolist(), values + told.value.tolist()


class ScratchLedger:
    """In memory: what a reprocess of the journal concludes, to be compared with what was told."""

    writable = False

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.points: dict[int, dict[int, float]] = {}
        self._position = 0

    def position(self) -> int:
        """See `Ledger`."""
        return self._position

    def record(self, events: Sequence[EventDraft], health: Sequence[Point], position: int) -> None:
        """See `Ledger`."""
        for draft in events:
            self.events.append(draft.numbered(len(self.events) + 1, 0))
        for node, time, score in health:
            self.points.setdefault(node, {})[time] = score
        self._position = position

    def open_anomalies(self) -> list[Anomaly]:
        """See `Ledger`."""
        return [a for a in standing(e for e in self.events if e.kind == ANOMALY) if a.until is None]

    def anomalies(self, component: int) -> list[Anomaly]:
        """See `Ledger`."""
        return standing(event for event in self.events if event.kind == ANOMALY and event.node == component)

    def seq_of(self, anomaly: Anomaly) -> int:
        """See `Ledger`."""
        return max(event.seq for event in self.events if event.identity == anomaly.identity)

    def rule_events(self) -> list[Event]:
        """See `Ledger`."""
        return [event for event in self.events if event.kind == RULE]

    def last_health(self, node: int) -> tuple[int, float] | None:
        """See `Ledger`."""
        points = self.points.get(node)
        return (max(points), points[max(points)]) if points else None

    def health(self, node: int) -> Points:
        """See `Ledger`."""
        points = sorted(self.points.get(node, {}).items())
        return [time for time, _ in points], [score for _, score in points]


def standing(events: Iterable[Event]) -> list[Anomaly]:
    """The anomalies that events (in the order of the log) tell of, each as last told, without those taken back."""
    last = {event.identity: event for event in events if "condition" in event.data}
    return [Anomaly.of(event) for event in last.values() if event.retracts is None]


def _readings(points: Sequence[tuple[int, int, float]]) -> ReadingBatch:
    score = np.array([score for _, _, score in points], dtype=np.float64)
    quality = np.where(np.isnan(score), Quality.BAD, Quality.GOOD)
    return ReadingBatch.of([signal for signal, _, _ in points], [time for _, time, _ in points], score, quality)
