"""Questions about the past: the projections, and on top of them the entries that they do not hold yet."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .as_of import AsOf, Now, Then
from .catalog import Catalog
from .entry import DeadLetter
from .errors import InvalidValueError
from .event_gap import told
from .history import History
from .history_rows import SignalRows
from .history_store import HistoryStore
from .history_tail import rows_of_entries
from .in_scenario import InScenario
from .journal import Journal
from .live import Live
from .model import Event
from .projector import Projector
from .revisions import Revisions
from .segment import copy_database
from .state import StateColumns

END = 1 << 62


class Past:
    """History, events, dead letters and revisions; all of it blocks, none of it slows a reading."""

    def __init__(
        self, live: Live, journal: Journal, store: HistoryStore, catalog: Catalog, projector: Projector
    ) -> None:
        self._live = live
        self._journal = journal
        self._store = store
        self._catalog = catalog
        self._projector = projector
        self.revisions = Revisions(live, journal, catalog, projector)

    def as_of(self, time: int | None, known_at: int | None, scenario: str | None) -> AsOf:
        """Graph and state as of an instant, or of a scenario; live if nothing is given."""
        if scenario is not None:
            return self._in_scenario(scenario, time, known_at)
        if time is None and known_at is None:
            return Now(self._live, self)
        known = min(at for at in (time, known_at) if at is not None)
        return Then(self._live, self, time, known_at, self.revisions.at(known))

    def _in_scenario(self, id: str, time: int | None, known_at: int | None) -> AsOf:
        scenario = self._live.scenario(id)
        if known_at is not None:
            raise InvalidValueError(
                "what a scenario knows was settled when it was forked; leave known_at out", "known_at"
            )
        time = scenario.clock if time is None else min(time, scenario.clock)
        return InScenario(self.as_of(time, scenario.known_at, None), scenario, time)

    # Readings

    def history(
        self,
        signal: int,
        start: int,
        end: int,
        points: int | None,
        known_at: int | None = None,
        until: int | None = None,
    ) -> History:
        """Readings of a signal in [start, end) [ns] up to `until`, as known at a time; raises InvalidValueError."""
        return self.histories([signal], start, end, points, known_at, until)[0]

    def histories(
        self,
        signals: Sequence[int],
        start: int,
        end: int,
        points: int | None,
        known_at: int | None = None,
        until: int | None = None,
    ) -> list[History]:
        """The same of several signals, in their order."""
        if end <= start:
            raise InvalidValueError("the end of a history must be after its start", "to")
        if points is not None and points < 1:
            raise InvalidValueError("a history has at least one point", "points")
        return self._store.histories(signals, start, end, points, known_at, self._newer(), until)

    def _newer(self) -> SignalRows | None:
        """Readings that history does not hold yet; one that it takes over meanwhile is seen twice, without harm."""
        if self._journal.recent(self._store.applied_seq) is None:
            self._projector.catch_up(self._store)
        return rows_of_entries(list(self._journal.read(self._store.applied_seq)))

    def latest(self, time: int | None, known_at: int | None, signals: NDArray[np.int32]) -> StateColumns:
        """The newest reading of each signal up to `time` [ns] among those recorded until `known_at` [ns]."""
        return self._store.latest(time, known_at, signals, self._newer())

    @property
    def whole_from(self) -> int:
        """From when on [ns] all readings are kept."""
        return self._store.whole_from

    def precision(self, time: int) -> float | None:
        """How exact the state as of `time` [ns] is [s]; None if every reading of then is still here."""
        return self._store.precision(time)

    def reading_count(self, signal: int | None) -> int:
        """Stored readings of one signal or of all."""
        self._projector.catch_up(self._store)
        return self._store.count(signal)

    def reading_days(self, known_at: int) -> list[int]:
        """The UTC days of the readings that were recorded until then [ns]."""
        self._projector.catch_up(self._store)
        return self._store.days(known_at)

    def readings_of_day(self, day: int, known_at: int) -> Iterator[SignalRows]:
        """All readings of a UTC day that were recorded until then [ns], superseded ones too, some at a time."""
        return self._store.rows_of_day(day, known_at)

    def copy_history(self, directory: Path, carry: Callable[[Path, Path], None]) -> int:
        """Brings history's parts as they are now to another directory; the journal's entry up to which they go."""
        return self._store.parts.copy(directory, carry)

    def copy_catalog(self, path: Path) -> int:
        """Another file with the catalog as of now; the journal's entry up to which it goes, at least."""
        applied = self._catalog.applied_seq
        copy_database(self._catalog.path, path)
        return applied

    # Events

    def gone(self, after: int, page: list[Event], limit: int) -> list[Event]:
        """A page of the log behind `after`, with an event of the kind `gone` wherever events are."""
        return told(page, self._catalog.gaps, after, limit)

    def events(self, after: int, limit: int, node: int | None, kind: str | None, newest_first: bool) -> list[Event]:
        """Events behind `after` that are kept: from memory if they are new, else from the catalog."""
        recent = list(self._live.recent_events)
        if after >= self._live.last_event:
            return []
        after = max(after, self._catalog.expired)
        if recent and recent[0].seq <= after + 1:
            found = [e for e in recent if e.seq > after and node in (None, e.node) and kind in (None, e.kind)]
            return found[::-1][:limit] if newest_first else found[:limit]
        return self.events_then(None, None, after, limit, node, kind, newest_first)

    def events_then(
        self,
        time: int | None,
        known_at: int | None,
        after: int,
        limit: int,
        node: int | None,
        kind: str | None,
        newest_first: bool,
    ) -> list[Event]:
        """Events behind `after` that began until `time` [ns], among those recorded until `known_at` [ns]."""
        self._projector.catch_up(self._catalog)
        given = {"node = ?": node, "kind = ?": kind, "time <= ?": time, "recorded <= ?": known_at}
        conditions: dict[str, int | str] = {"seq > ?": max(after, self._catalog.expired)}
        conditions |= {where: value for where, value in given.items() if value is not None}
        order = "DESC" if newest_first else "ASC"
        return self._catalog.events(" AND ".join(conditions), list(conditions.values()), order, limit)

    def events_of(
        self,
        nodes: Sequence[int],
        limit: int,
        kind: str | None = None,
        time: int | None = None,
        known_at: int | None = None,
    ) -> dict[int, list[Event]]:
        """The newest events of each node that began until `time` [ns], among those recorded until `known_at` [ns]."""
        recent = list(self._live.recent_events)
        if time is None and known_at is None and recent and recent[0].seq <= self._catalog.expired + 1:
            newest = [event for event in reversed(recent) if kind in (None, event.kind)]
            return {node: [event for event in newest if event.node == node][:limit] for node in nodes}
        self._projector.catch_up(self._catalog)
        given = {"kind = ?": kind, "time <= ?": time, "recorded <= ?": known_at}
        conditions: dict[str, int | str] = {"seq > ?": self._catalog.expired}
        conditions |= {where: value for where, value in given.items() if value is not None}
        return self._catalog.events_of(nodes, " AND ".join(conditions), list(conditions.values()), limit)

    def told(self, identity: str) -> list[Event]:
        """All that was told of an identity, in order."""
        return self.told_of([identity])[identity]

    def told_of(self, identities: Sequence[str]) -> dict[str, list[Event]]:
        """The same of several identities, from one look at the log."""
        recent = list(self._live.recent_events)
        if self._catalog.last_event(END) + 1 < (recent[0].seq if recent else self._live.last_event + 1):
            self._projector.catch_up(self._catalog)
        told: dict[str, dict[int, Event]] = {identity: {} for identity in identities}
        for event in [*self._catalog.events_told(list(told)), *recent]:
            if event.identity in told:
                told[event.identity][event.seq] = event
        return {identity: list(events.values()) for identity, events in told.items()}

    def open_events(self, time: int | None, known_at: int | None) -> list[Event]:
        """Events that had begun and not ended at `time` [ns], by what was recorded until `known_at` [ns]."""
        self._projector.catch_up(self._catalog)
        last = self.last_event(known_at)
        where = "identity IS NOT NULL AND retracts IS NULL AND seq <= ? AND (replaced IS NULL OR replaced > ?)"
        if time is None:
            return self._catalog.events(f"{where} AND until IS NULL", (last, last))
        return self._catalog.events(f"{where} AND time <= ? AND (until IS NULL OR until > ?)", (last, last, time, time))

    def standing_events(self, kind: str, node: int | None, identity: str | None) -> list[Event]:
        """The newest event of each identity, but for those that were taken back."""
        self._projector.catch_up(self._catalog)
        given = {"kind = ?": kind, "node = ?": node, "identity = ?": identity}
        conditions = {where: value for where, value in given.items() if value is not None}
        where = " AND ".join([*conditions, "identity IS NOT NULL AND replaced IS NULL AND retracts IS NULL"])
        return self._catalog.events(where, list(conditions.values()))

    def last_event(self, known_at: int | None) -> int:
        """The number of the last event recorded until then [ns]."""
        if known_at is None:
            return self._live.last_event
        self._projector.catch_up(self._catalog)
        return self._catalog.last_event(known_at)

    # Dead letters

    def dead_letters(self, after: int, limit: int, pending_only: bool) -> list[DeadLetter]:
        """Dead letters with an id above `after`."""
        self._projector.catch_up(self._catalog)
        return self._catalog.dead_letters(after, limit, pending_only)

    def pending_dead_letters(self) -> int:
        """How many were neither replayed nor purged."""
        self._projector.catch_up(self._catalog)
        return self._catalog.pending_dead_letters()
