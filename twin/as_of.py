"""The plant as of an instant: graph and state together, now or as they were. What every facade reads."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from .command import COMMAND
from .graph import Graph
from .history import History
from .live import STALE, Live
from .model import Event, Quality
from .state import Reading, StateColumns
from .times import now_ns, parse_time

if TYPE_CHECKING:
    from .past import Past


class AsOf(ABC):
    """A read-only view of graph and state. `time` [ns] is world time, `known_at` [ns] what was recorded by then.

    None means now. For one signal and time, the reading recorded last counts. Structure is known when it is recorded.
    Methods of a view of the past may block; so does making one.
    """

    time: int | None
    known_at: int | None
    graph: Graph
    _past: "Past"

    @property
    def live(self) -> bool:
        """Whether it is the plant as it is now."""
        return False

    @property
    def now(self) -> int:
        """The instant that it shows [ns]."""
        instants = [at for at in (self.time, self.known_at) if at is not None]
        return min(instants) if instants else now_ns()

    @property
    def precision(self) -> float | None:
        """How exact times are [s], since readings are kept no longer; None if all of them are here."""
        return None

    def prepared(self) -> Self:
        """Itself, with all looked up that its other methods, but `history` and `events`, would block for."""
        return self

    # State

    @abstractmethod
    def snapshot(self, signals: NDArray[np.int32] | None = None) -> StateColumns:
        """The latest reading of all signals (by index), or of those at these indexes, in their order."""

    @abstractmethod
    def read(self, signal: int) -> Reading | None:
        """The latest reading of one signal; None if it had none."""

    @abstractmethod
    def labels(self, signal: int) -> tuple[str, ...]:
        """A signal's texts by code; empty for a numeric signal."""

    def label(self, signal: int, code: float) -> str | None:
        """The text behind a code; None for a numeric signal."""
        texts = self.labels(signal)
        return texts[int(code)] if 0 <= code < len(texts) else None

    @abstractmethod
    def history(self, signal: int, start: int, end: int, points: int | None = None) -> History:
        """Readings of a signal in [start, end) [ns], at most `points` rows; blocks."""

    def histories(self, signals: Sequence[int], start: int, end: int, points: int | None = None) -> list[History]:
        """`history` of several signals, in their order; what they have in common is looked up once; blocks."""
        return [self.history(signal, start, end, points) for signal in signals]

    # What happened

    @abstractmethod
    def events(
        self,
        after: int = 0,
        limit: int = 1000,
        *,
        node: int | None = None,
        kind: str | None = None,
        newest_first: bool = False,
    ) -> list[Event]:
        """Events numbered above `after`, in order, or the newest of them first; may block."""

    def event_log(
        self, after: int = 0, limit: int = 1000, *, node: int | None = None, kind: str | None = None
    ) -> list[Event]:
        """The same in order, for whoever reads all of the log: where events are gone stands one of the kind `gone`."""
        return self._past.gone(after, self.events(after, limit, node=node, kind=kind), limit)

    def events_of(self, nodes: Sequence[int], limit: int, kind: str | None = None) -> dict[int, list[Event]]:
        """The newest events of each of several nodes (keys), the newest first; may block."""
        return {node: self.events(0, limit, node=node, kind=kind, newest_first=True) for node in nodes}

    def told(self, identity: str) -> list[Event]:
        """All events of an identity, in order; may block."""
        return self.told_of([identity])[identity]

    def told_of(self, identities: Sequence[str]) -> dict[str, list[Event]]:
        """The same of several identities, from one look at the log; may block."""
        told = self._past.told_of(identities)
        return {
            identity: [not_ended_yet(event, self.time) for event in events if self._knows(event)]
            for identity, events in told.items()
        }

    def _knows(self, event: Event) -> bool:
        begun = self.time is None or event.time <= self.time
        return begun and (self.known_at is None or event.recorded <= self.known_at)

    @property
    @abstractmethod
    def last_event_seq(self) -> int:
        """The number of the last event."""

    @abstractmethod
    def _open(self) -> Iterable[Event]:
        """The events that have begun and not ended."""

    def open_events(self, kind: str, node: int | None = None) -> list[Event]:
        """Events that have begun and not ended, such as open anomalies."""
        return [event for event in self._open() if event.kind == kind and node in (None, event.node)]

    @abstractmethod
    def is_stale(self, signal: int) -> bool:
        """Whether the signal had been silent for longer than its `expected_interval`."""


class Now(AsOf):
    """The plant as it is: one revision of the graph, and the live state."""

    time = None
    known_at = None

    def __init__(self, live: Live, past: "Past") -> None:
        self._live = live
        self._past = past
        self.graph = live.graph

    @property
    def live(self) -> bool:
        """True."""
        return True

    def snapshot(self, signals: NDArray[np.int32] | None = None) -> StateColumns:
        """The live columns."""
        return self._live.state.snapshot(signals)

    def read(self, signal: int) -> Reading | None:
        """The live reading."""
        return self._live.state.read(signal)

    def labels(self, signal: int) -> tuple[str, ...]:
        """All texts so far."""
        return self._live.labels.texts(signal)

    def label(self, signal: int, code: float) -> str | None:
        """The text behind a code."""
        return self._live.labels.text(signal, code)

    def history(self, signal: int, start: int, end: int, points: int | None = None) -> History:
        """What is known of the span now."""
        return self.histories([signal], start, end, points)[0]

    def histories(self, signals: Sequence[int], start: int, end: int, points: int | None = None) -> list[History]:
        """What is known of the span now."""
        return self._past.histories(signals, start, end, points)

    def events(
        self,
        after: int = 0,
        limit: int = 1000,
        *,
        node: int | None = None,
        kind: str | None = None,
        newest_first: bool = False,
    ) -> list[Event]:
        """The log."""
        return self._past.events(after, limit, node, kind, newest_first)

    def events_of(self, nodes: Sequence[int], limit: int, kind: str | None = None) -> dict[int, list[Event]]:
        """The log's end of each."""
        return self._past.events_of(nodes, limit, kind)

    @property
    def last_event_seq(self) -> int:
        """The log's end."""
        return self._live.last_event

    def _open(self) -> Iterable[Event]:
        return tuple(self._live.open_events.values())

    def is_stale(self, signal: int) -> bool:
        """Whether it is silent now."""
        return signal in self._live.stale


class Then(AsOf):
    """The plant as it was at `time`, by what was recorded until `known_at`."""

    def __init__(self, live: Live, past: "Past", time: int | None, known_at: int | None, graph: Graph) -> None:
        self._live = live
        self._past = past
        self.time = time
        self.known_at = known_at
        self.graph = graph

    @cached_property
    def _columns(self) -> StateColumns:
        return self._latest(np.arange(self.graph.signal_count, dtype=np.int32))

    @cached_property
    def _stale(self) -> dict[int, int]:
        """Silent signals with the time of the reading behind which the silence begins [ns]."""
        return {event.data["signal"]: event.time for event in self.open_events(STALE)}

    @cached_property
    def _opened(self) -> list[Event]:
        return self._past.open_events(self.time, self.known_at)

    def _latest(self, signals: NDArray[np.int32]) -> StateColumns:
        columns = self._past.latest(self.time, self.known_at, signals)
        for signal, since in self._stale.items():
            row = np.flatnonzero(signals == signal)
            silent = row[columns.time[row] <= since]
            columns.quality[silent] = np.minimum(columns.quality[silent], np.uint8(Quality.UNCERTAIN))
        return columns

    @property
    def precision(self) -> float | None:
        """What is left of then may be tiers, or readings that were thinned."""
        return self._past.precision(self.now)

    def prepared(self) -> Self:
        """With state and open events looked up."""
        _ = self._columns, self._opened
        return self

    def snapshot(self, signals: NDArray[np.int32] | None = None) -> StateColumns:
        """The columns as they were; `seq` is 0."""
        if signals is None:
            return self._columns
        if "_columns" in self.__dict__:
            return self._columns.take(signals)
        return self._latest(signals)

    def read(self, signal: int) -> Reading | None:
        """The reading as it was."""
        return self._columns.reading(signal)

    def labels(self, signal: int) -> tuple[str, ...]:
        """The texts that were known."""
        return self._live.labels.texts(signal, self.known_at)

    def history(self, signal: int, start: int, end: int, points: int | None = None) -> History:
        """The span up to `time`, by what was known."""
        return self.histories([signal], start, end, points)[0]

    def histories(self, signals: Sequence[int], start: int, end: int, points: int | None = None) -> list[History]:
        """The span up to `time`, by what was known."""
        return self._past.histories(signals, start, end, points, self.known_at, self.time)

    def events(
        self,
        after: int = 0,
        limit: int = 1000,
        *,
        node: int | None = None,
        kind: str | None = None,
        newest_first: bool = False,
    ) -> list[Event]:
        """The log as it was known, of what had happened; an end that was still to come is left out."""
        found = self._past.events_then(self.time, self.known_at, after, limit, node, kind, newest_first)
        return [not_ended_yet(event, self.time) for event in found]

    def events_of(self, nodes: Sequence[int], limit: int, kind: str | None = None) -> dict[int, list[Event]]:
        """What was known of each, of what had happened."""
        found = self._past.events_of(nodes, limit, kind, self.time, self.known_at)
        return {node: [not_ended_yet(event, self.time) for event in those] for node, those in found.items()}

    @property
    def last_event_seq(self) -> int:
        """The end of the log that was known."""
        return self._past.last_event(self.known_at)

    def _open(self) -> Iterable[Event]:
        return (not_ended_yet(event, self.time) for event in self._opened)

    def is_stale(self, signal: int) -> bool:
        """Whether it was silent."""
        return signal in self._stale


def not_ended_yet(event: Event, time: int | None) -> Event:
    """An event without what came after `time` [ns]: its end, and that a command was sent."""
    if time is None:
        return event
    if event.kind == COMMAND and "sent" in event.data and parse_time(event.data["sent"]) > time:
        data = {name: value for name, value in event.data.items() if name != "sent"}
        event = msgspec.structs.replace(event, data=data)
    return event if event.until is None or event.until <= time else msgspec.structs.replace(event, until=None)
