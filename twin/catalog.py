"""The catalog: a SQLite file with all events, dead letters and revisions; a projection of the journal."""

import contextlib
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from .changes import StructureChange, touched
from .entry import DeadLetter, Entry, EntryKind, Resolution
from .errors import DamagedFileError, InvalidValueError, NotFoundError
from .event_gap import EventGap
from .model import Event
from .segment import translated
from .times import now_ns

_SCHEMA = """
CREATE TABLE IF NOT EXISTS applied (seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, recorded INTEGER NOT NULL,
    kind TEXT NOT NULL, node INTEGER, until INTEGER, data BLOB NOT NULL, identity TEXT, retracts INTEGER,
    replaced INTEGER, checksum INTEGER);
CREATE INDEX IF NOT EXISTS event_by_recorded ON event (recorded);
CREATE INDEX IF NOT EXISTS event_by_kind ON event (kind, seq);
CREATE INDEX IF NOT EXISTS event_by_node ON event (node, seq);
CREATE INDEX IF NOT EXISTS event_by_identity ON event (identity) WHERE identity IS NOT NULL;
CREATE TABLE IF NOT EXISTS event_gap (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, since INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS dead_letter (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, source TEXT NOT NULL,
    stage TEXT NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL, topic TEXT, metadata BLOB NOT NULL,
    resolved TEXT);
CREATE INDEX IF NOT EXISTS dead_letter_pending ON dead_letter (id) WHERE resolved IS NULL;
CREATE TABLE IF NOT EXISTS revision (number INTEGER PRIMARY KEY, recorded INTEGER NOT NULL, change BLOB NOT NULL,
    checksum INTEGER);
CREATE TABLE IF NOT EXISTS touched (node INTEGER, revision INTEGER, PRIMARY KEY (node, revision)) WITHOUT ROWID;
"""
_EVENT = "seq, time, recorded, kind, node, until, data, identity, retracts"
_REVISION = "number, recorded, change"
_DEAD_LETTER = "time, source, stage, reason, payload, topic, metadata, id, resolved"
_MOST_TERMS = 200  # of one statement: SQLite takes 500
_encode = msgspec.json.encode
_pack = msgspec.msgpack.encode
_decode = msgspec.json.decode
_changes = msgspec.msgpack.Decoder(StructureChange)


def checksum(row: Sequence[object]) -> int:
    """The CRC-32 of a row's values: SQLite itself notices an altered page, but not an altered value."""
    return zlib.crc32(_pack(tuple(row)))


class Catalog:
    """Events, dead letters and revisions up to `applied_seq`. One thread writes, any reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self.gaps: tuple[EventGap, ...] = ()
        self._open()

    def _open(self) -> None:
        with translated(self.path):
            self._writer = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            try:
                self._writer.execute("PRAGMA journal_mode=WAL")
                # The journal is dropped once this file has what it holds, so this file must have it for good.
                self._writer.execute("PRAGMA synchronous=FULL")
                self._writer.executescript(_SCHEMA)
                self._writer.execute("SELECT event.checksum, revision.checksum FROM event, revision LIMIT 0")
                self._reader = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
                self.applied_seq = int(self._ask("SELECT coalesce(max(seq), 0) FROM applied")[0][0])
                self._look_at_gaps()
            except BaseException:
                self._writer.close()
                raise

    @property
    def durable_seq(self) -> int:
        """The last entry that is needed no more."""
        return self.applied_seq

    # Writing

    def apply(self, entries: Sequence[Entry]) -> None:
        """Takes in entries of the journal as one transaction, with their position; raises StorageError."""
        if not entries:
            return
        with translated(self.path), self._transaction():
            for entry in entries:
                self._apply(entry)
            self._writer.execute("DELETE FROM applied")
            self._writer.execute("INSERT INTO applied VALUES (?)", (entries[-1].seq,))
        self._look_at_gaps()
        self.applied_seq = entries[-1].seq

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._writer.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
                raise

    def _apply(self, entry: Entry) -> None:
        match entry.kind:
            case EntryKind.EVENTS:
                self._add_events(entry.value)
            case EntryKind.STRUCTURE:
                self._add_revision(entry.value, entry.recorded)
            case EntryKind.DEAD_LETTERS:
                self._add_dead_letters(entry.value)
            case EntryKind.RESOLVED:
                self._resolve(entry.value)

    def _add_events(self, events: Sequence[Event]) -> None:
        if not events:
            return
        last = self._last_number()
        if events[0].seq > last + 1:
            # The journal no longer had them when this file was made anew from it.
            gap = EventGap(last + 1, events[0].seq - 1, events[0].recorded)
            self._writer.execute("INSERT INTO event_gap VALUES (?, ?, ?)", gap)
        for e in events:
            if e.identity is not None:
                # An amended event is told from the one that counts without looking for later ones.
                self._writer.execute(
                    "UPDATE event SET replaced = ? WHERE identity = ? AND replaced IS NULL", (e.seq, e.identity)
                )
            row = (e.seq, e.time, e.recorded, e.kind, e.node, e.until, _encode(e.data), e.identity, e.retracts)
            sql = f"INSERT INTO event ({_EVENT}, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            self._writer.execute(sql, (*row, checksum(row)))

    def _last_number(self) -> int:
        sql = "SELECT max(coalesce((SELECT max(seq) FROM event), 0), coalesce((SELECT max(last) FROM event_gap), 0))"
        return int(self._writer.execute(sql).fetchone()[0])

    def expire(self, recorded: int) -> None:
        """Forgets the events that were recorded before then [ns], and remembers which; raises StorageError.

        Those that have not ended are told of no longer, but kept for the questions that ask what is open.
        """
        last = self.last_event(recorded - 1)
        if last <= self.expired:
            return
        with translated(self.path), self._transaction():
            self._writer.execute(
                "DELETE FROM event WHERE seq <= ? AND NOT (identity IS NOT NULL AND retracts IS NULL"
                " AND replaced IS NULL AND until IS NULL)"
                # What is said about something that has not ended is kept as long as that.
                " AND NOT (kind = 'anomaly_remarks' AND replaced IS NULL AND identity IN (SELECT 'remarks:' || identity"
                " FROM event WHERE identity IS NOT NULL AND retracts IS NULL AND replaced IS NULL AND until IS NULL))",
                (last,),
            )
            self._writer.execute("DELETE FROM event_gap WHERE last <= ?", (last,))
            self._writer.execute("INSERT INTO event_gap VALUES (1, ?, ?)", (last, now_ns()))
        self._look_at_gaps()

    def _look_at_gaps(self) -> None:
        found = self._ask("SELECT first, last, since FROM event_gap ORDER BY first")
        self.gaps = tuple(EventGap(*row) for row in found)

    @property
    def expired(self) -> int:
        """The number up to which all events are gone; 0 if none is."""
        gaps = self.gaps
        return gaps[0].last if gaps and gaps[0].first == 1 else 0

    def _add_revision(self, change: StructureChange, recorded: int) -> None:
        row = (change.revision, recorded, msgspec.msgpack.encode(change))
        self._writer.execute("INSERT INTO revision VALUES (?, ?, ?, ?)", (*row, checksum(row)))
        nodes = ((key, change.revision) for key in touched(change))
        self._writer.executemany("INSERT OR IGNORE INTO touched VALUES (?, ?)", nodes)

    def _add_dead_letters(self, letters: Iterable[DeadLetter]) -> None:
        rows = (
            (d.time, d.source, d.stage, d.reason, d.payload, d.topic, _encode(d.metadata), d.id, d.resolved)
            for d in letters
        )
        self._writer.executemany(f"INSERT INTO dead_letter ({_DEAD_LETTER}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _resolve(self, resolution: Resolution) -> None:
        rows = [(resolution.how, id) for id in resolution.ids]
        self._writer.executemany("UPDATE dead_letter SET resolved = ? WHERE id = ?", rows)
        if resolution.how == "purged":
            self._writer.executemany("UPDATE dead_letter SET payload = x'' WHERE id = ?", [(id,) for _, id in rows])

    # Reading

    def _ask(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        with self._reading, translated(self.path):
            try:
                return self._reader.execute(sql, values).fetchall()
            except OverflowError:
                raise InvalidValueError("a number is larger than 64 bits") from None

    def events(self, where: str, values: Sequence[object], order: str = "ASC", limit: int = -1) -> list[Event]:
        """Events that a condition over the columns chooses, by `seq` (`order` is ASC or DESC)."""
        sql = f"SELECT {_EVENT}, checksum FROM event WHERE {where} ORDER BY seq {order} LIMIT ?"
        return [_event(*row) for row in self._whole("event", self._ask(sql, (*values, limit)))]

    def events_of(
        self, nodes: Sequence[int], where: str, values: Sequence[object], limit: int
    ) -> dict[int, list[Event]]:
        """The newest events of each node that a condition chooses, the newest first; one question for many nodes."""
        one = f"SELECT {_EVENT}, checksum FROM event WHERE node = ? AND {where} ORDER BY seq DESC LIMIT ?"
        found: dict[int, list[Event]] = {node: [] for node in nodes}
        wanted = list(found)
        for start in range(0, len(wanted), _MOST_TERMS):
            terms = wanted[start : start + _MOST_TERMS]
            sql = " UNION ALL ".join([f"SELECT * FROM ({one})"] * len(terms))
            given = [value for node in terms for value in (node, *values, limit)]
            for row in self._whole("event", self._ask(sql, given)):
                event = _event(*row)
                if event.node is not None:
                    found[event.node].append(event)
        return found

    def events_told(self, identities: Sequence[str]) -> list[Event]:
        """All events of several identities, by `seq` within each piece of the question."""
        found: list[Event] = []
        for start in range(0, len(identities), _MOST_TERMS):
            some = identities[start : start + _MOST_TERMS]
            found += self.events(f"identity IN ({', '.join('?' * len(some))})", some)
        return found

    def last_event(self, known_at: int) -> int:
        """The number of the last event recorded until `known_at` [ns]; 0 if there was none."""
        # `recorded` rises with the number, so its index leads straight there.
        found = self._ask(
            "SELECT seq FROM event WHERE recorded <= ? ORDER BY recorded DESC, seq DESC LIMIT 1", (known_at,)
        )
        return int(found[0][0]) if found else 0

    def revision_at(self, recorded: int) -> int:
        """The newest revision recorded until then [ns]; 0 if there was none."""
        found = self._ask("SELECT coalesce(max(number), 0) FROM revision WHERE recorded <= ?", (recorded,))
        return int(found[0][0])

    def revisions(self, after: int = 0, until: int = 1 << 62) -> list[tuple[int, StructureChange]]:
        """The changes behind a revision up to another, in order, each with when it was recorded [ns]."""
        sql = f"SELECT {_REVISION}, checksum FROM revision WHERE number > ? AND number <= ? ORDER BY number"
        rows = self._whole("revision", self._ask(sql, (after, until)))
        return [(recorded, _changes.decode(change)) for _, recorded, change in rows]

    def first_revision(self) -> int | None:
        """The oldest revision that is known; None if none is."""
        number = self._ask("SELECT min(number) FROM revision")[0][0]
        return None if number is None else int(number)

    def change(self, revision: int) -> StructureChange:
        """The change that made a revision; raises NotFoundError."""
        found = self.revisions(revision - 1, revision)
        if not found:
            raise NotFoundError(f"revision {revision} is not known")
        return found[0][1]

    def revisions_of(self, node: int) -> list[int]:
        """The revisions that touched a node (by key), in order."""
        return [row[0] for row in self._ask("SELECT revision FROM touched WHERE node = ? ORDER BY revision", (node,))]

    def dead_letters(self, after: int, limit: int, pending_only: bool) -> list[DeadLetter]:
        """Dead letters by id, those that were not resolved or all."""
        pending = " AND resolved IS NULL" if pending_only else ""
        sql = f"SELECT {_DEAD_LETTER} FROM dead_letter WHERE id > ?{pending} ORDER BY id LIMIT ?"
        return [_dead_letter(*row) for row in self._ask(sql, (after, limit))]

    def pending_dead_letters(self) -> int:
        """How many dead letters wait for somebody."""
        return int(self._ask("SELECT count(*) FROM dead_letter WHERE resolved IS NULL")[0][0])

    def _whole(self, what: str, rows: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
        """The rows without their checksums; raises DamagedFileError if a byte of one is altered."""
        for *row, known in rows:
            if known != checksum(row):
                raise DamagedFileError(f"{self.path}: {what} {row[0]} fails its checksum")
            yield tuple(row)

    # Keeping house

    def size(self) -> int:
        """Bytes on the disk, the write-ahead log included."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def reopen(self) -> None:
        """Begins again after an error; raises StorageError."""
        self.close()
        self._open()

    def close(self) -> None:
        """Brings the write-ahead log into the file and closes it."""
        with self._reading, contextlib.suppress(sqlite3.Error):
            self._reader.close()
            self._writer.close()


def _event(*row: Any) -> Event:
    seq, time, recorded, kind, node, until, data, identity, retracts = row
    return Event(seq, time, recorded, kind, node, until, _decode(data), identity, retracts)


def _dead_letter(*row: Any) -> DeadLetter:
    time, source, stage, reason, payload, topic, metadata, id, resolved = row
    return DeadLetter(time, source, stage, reason, payload, topic, _decode(metadata), id, resolved)
