"""Questions about the past: the query store, and on top of it the entries that it does not hold yet."""

import numpy as np

from .entry import DeadLetter, EntryKind
from .errors import InvalidValueError
from .history import History, Rows, history_of
from .journal import Journal
from .live import Live
from .model import Event
from .projector import Projector
from .query_store import QueryStore


class Past:
    """History, events and dead letters; all of it blocks, none of it slows a reading."""

    def __init__(self, live: Live, journal: Journal, store: QueryStore, projector: Projector) -> None:
        self._live = live
        self._journal = journal
        self._store = store
        self._projector = projector

    def history(self, signal: int, start: int, end: int, points: int | None, known_at: int | None = None) -> History:
        """Readings of a signal in [start, end) [ns], as known at a time; raises InvalidValueError."""
        if end <= start:
            raise InvalidValueError("the end of a history must be after its start", "to")
        if points is not None and points < 1:
            raise InvalidValueError("a history has at least one point", "points")
        # The tail first: a row that moves into the store meanwhile is found twice, which does no harm.
        tail = self._tail(signal, start, end, known_at)
        stored = self._store.rows(signal, start, end, known_at)
        return history_of(_joined([stored, *tail]), start, end, points)

    def _tail(self, signal: int, start: int, end: int, known_at: int | None) -> list[Rows]:
        if self._journal.recent(self._store.applied_seq) is None:
            self._projector.catch_up()
        tail = []
        for entry in self._journal.read(self._store.applied_seq):
            if known_at is not None and entry.recorded > known_at:
                break
            if entry.kind is not EntryKind.READINGS:
                continue
            batch = entry.value
            rows = np.flatnonzero(batch.signal == signal)
            if len(rows):
                time = batch.time[rows]
                rows = rows[(time >= start) & (time < end)]
                recorded = np.full(len(rows), entry.recorded, dtype=np.int64)
                tail.append(Rows(batch.time[rows], batch.value[rows], batch.quality[rows], recorded))
        return tail

    def reading_count(self, signal: int | None) -> int:
        """Stored readings of one signal or of all."""
        self._projector.catch_up()
        return self._store.count(signal)

    def events(self, after: int, limit: int, node: int | None, kind: str | None, newest_first: bool) -> list[Event]:
        """Events behind `after`: from memory if they are new, else from the query store."""
        recent = list(self._live.recent_events)
        if after >= self._live.last_event:
            return []
        if recent and recent[0].seq <= after + 1:
            found = [e for e in recent if e.seq > after and node in (None, e.node) and kind in (None, e.kind)]
            return found[::-1][:limit] if newest_first else found[:limit]
        self._projector.catch_up()
        where, values = ["seq > ?"], [after]
        for column, value in (("node", node), ("kind", kind)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)  # type: ignore[arg-type]
        return self._store.events(" AND ".join(where), values, "DESC" if newest_first else "ASC", limit)

    def dead_letters(self, after: int, limit: int, pending_only: bool) -> list[DeadLetter]:
        """Dead letters with an id above `after`."""
        self._projector.catch_up()
        return self._store.dead_letters(after, limit, pending_only)

    def pending_dead_letters(self) -> int:
        """How many were neither replayed nor purged."""
        self._projector.catch_up()
        return self._store.pending_dead_letters()


def _joined(rows: list[Rows]) -> Rows:
    return Rows(
        np.concatenate([r.time for r in rows]),
        np.concatenate([r.value for r in rows]),
        np.concatenate([r.quality for r in rows]),
        np.concatenate([r.recorded for r in rows]),
    )
