"""The query store: a DuckDB file that answers questions about the past; a projection of the journal."""

import contextlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
from numpy.typing import NDArray

from .batch import ReadingBatch
from .entry import DeadLetter, Entry, EntryKind, Resolution
from .errors import DamagedFileError, StorageError, StorageFullError, StorageReadOnlyError
from .history import Rows
from .model import Event

_SCHEMA = """
CREATE TABLE IF NOT EXISTS applied (seq BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS reading (signal INTEGER, time BIGINT, value DOUBLE, quality UTINYINT, recorded BIGINT);
CREATE TABLE IF NOT EXISTS event (seq BIGINT, time BIGINT, until BIGINT, recorded BIGINT, kind VARCHAR, node BIGINT,
    identity VARCHAR, retracts BIGINT, data VARCHAR);
CREATE TABLE IF NOT EXISTS dead_letter (id BIGINT, time BIGINT, source VARCHAR, stage VARCHAR, reason VARCHAR,
    topic VARCHAR, metadata VARCHAR, payload BLOB, resolved VARCHAR);
"""
_NONE = np.iinfo(np.int64).min
_MISSING = dict.fromkeys(("until", "node", "retracts"), _NONE) | dict.fromkeys(("identity", "topic", "resolved"), "''")
_EVENT_COLUMNS = "seq, time, recorded, kind, node, until, data, identity, retracts"
_DEAD_LETTER_COLUMNS = "time, source, stage, reason, payload, topic, metadata, id, resolved"


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Lets only our own errors out of a block that uses DuckDB."""
    try:
        yield
    except duckdb.Error as error:
        raise _translate(error, path) from error


def _translate(error: duckdb.Error, path: Path) -> StorageError:
    text = str(error).splitlines()[0]
    if "No space left" in text or "disk is full" in text.lower():
        return StorageFullError(f"no room left to write {path}")
    if isinstance(error, duckdb.IOException) and ("Permission denied" in text or "Read-only" in text):
        return StorageReadOnlyError(f"cannot write {path}: {text}")
    return DamagedFileError(f"{path}: {text}")


class QueryStore:
    """Readings, events and dead letters up to `applied_seq`. One thread writes, any reads, each with its own cursor."""

    def __init__(self, path: Path, memory_limit: str) -> None:
        self.path = path
        self._memory_limit = memory_limit
        self._lock = threading.Lock()
        self._database = self._connect(read_only=False)
        self.applied_seq = self._applied()

    def _connect(self, read_only: bool) -> duckdb.DuckDBPyConnection:
        # DuckDB's own default is most of the machine's memory; the order of rows without ORDER BY is not needed.
        config: dict[str, Any] = {
            "memory_limit": self._memory_limit,
            "threads": 2,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "temp_directory": str(self.path.with_suffix(".tmp")),
        }
        with translated(self.path):
            database = duckdb.connect(str(self.path), read_only=read_only, config=config)
            if not read_only:
                database.execute(_SCHEMA)
            return database

    def _applied(self) -> int:
        with translated(self.path), self._cursor() as cursor:
            row = cursor.execute("SELECT max(seq) FROM applied").fetchone()
        return row[0] if row and row[0] is not None else 0

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._lock:
            cursor = self._database.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    # Writing

    def apply(self, entries: Sequence[Entry]) -> None:
        """Takes in entries of the journal as one transaction, with their position; raises StorageError."""
        if not entries:
            return
        with translated(self.path), self._cursor() as cursor:
            cursor.execute("BEGIN")
            self._insert_readings(cursor, entries)
            self._insert_events(cursor, entries)
            self._insert_dead_letters(cursor, entries)
            cursor.execute("DELETE FROM applied")
            cursor.execute("INSERT INTO applied VALUES (?)", [entries[-1].seq])
            cursor.execute("COMMIT")
        self.applied_seq = entries[-1].seq

    @staticmethod
    def _insert_readings(cursor: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> None:
        found = [entry for entry in entries if entry.kind is EntryKind.READINGS]
        if not found:
            return
        batch = ReadingBatch.concat([entry.value for entry in found])
        columns: dict[str, NDArray[Any]] = {
            "signal": batch.signal,
            "time": batch.time,
            "value": batch.value,
            "quality": batch.quality,
            "recorded": np.repeat([entry.recorded for entry in found], [len(entry.value) for entry in found]),
        }
        _insert(cursor, "reading", columns)

    @staticmethod
    def _insert_events(cursor: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> None:
        events: list[Event] = [e for entry in entries if entry.kind is EntryKind.EVENTS for e in entry.value]
        if not events:
            return
        columns: dict[str, NDArray[Any]] = {
            "seq": _integers(e.seq for e in events),
            "time": _integers(e.time for e in events),
            "until": _integers(e.until for e in events),
            "recorded": _integers(e.recorded for e in events),
            "kind": _texts(e.kind for e in events),
            "node": _integers(e.node for e in events),
            "identity": _texts(e.identity for e in events),
            "retracts": _integers(e.retracts for e in events),
            "data": _texts(_json(e.data) for e in events),
        }
        _insert(cursor, "event", columns)

    @staticmethod
    def _insert_dead_letters(cursor: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.kind is EntryKind.DEAD_LETTERS:
                letters: list[DeadLetter] = entry.value
                columns: dict[str, NDArray[Any]] = {
                    "id": _integers(d.id for d in letters),
                    "time": _integers(d.time for d in letters),
                    "source": _texts(d.source for d in letters),
                    "stage": _texts(d.stage for d in letters),
                    "reason": _texts(d.reason for d in letters),
                    "topic": _texts(d.topic for d in letters),
                    "metadata": _texts(_json(d.metadata) for d in letters),
                    "payload": np.array([d.payload for d in letters], dtype=object),
                    "resolved": _texts(d.resolved for d in letters),
                }
                _insert(cursor, "dead_letter", columns)
            elif entry.kind is EntryKind.RESOLVED:
                resolution: Resolution = entry.value
                cursor.execute(
                    "UPDATE dead_letter SET resolved = ? WHERE list_contains(?, id)", [resolution.how, resolution.ids]
                )
                cursor.execute("UPDATE dead_letter SET payload = '' WHERE resolved = 'purged'")

    # Reading

    def rows(self, signal: int, start: int, end: int, known_at: int | None = None) -> Rows:
        """The readings of one signal in [start, end) [ns], recorded until `known_at` [ns] if given, in no order."""
        sql = "SELECT time, value, quality, recorded FROM reading WHERE signal = ? AND time >= ? AND time < ?"
        values = [signal, start, end]
        if known_at is not None:
            sql, values = f"{sql} AND recorded <= ?", [*values, known_at]
        with translated(self.path), self._cursor() as cursor:
            found = cursor.execute(sql, values).fetchnumpy()
        return Rows(*(np.ma.getdata(found[name]) for name in ("time", "value", "quality", "recorded")))

    def count(self, signal: int | None = None) -> int:
        """How many recorded readings there are, superseded ones included."""
        where = "" if signal is None else f" WHERE signal = {int(signal)}"
        with translated(self.path), self._cursor() as cursor:
            row = cursor.execute(f"SELECT count(*) FROM reading{where}").fetchone()
        return int(row[0]) if row else 0

    def events(self, where: str, values: Sequence[object], order: str, limit: int) -> list[Event]:
        """Events that a condition over the columns chooses, by `seq` (`order` is ASC or DESC)."""
        sql = f"SELECT {_EVENT_COLUMNS} FROM event WHERE {where} ORDER BY seq {order} LIMIT {int(limit)}"
        with translated(self.path), self._cursor() as cursor:
            found = cursor.execute(sql, list(values)).fetchall()
        return [_event(*row) for row in found]

    def dead_letters(self, after: int, limit: int, pending_only: bool) -> list[DeadLetter]:
        """Dead letters by id, those that were not resolved or all."""
        pending = " AND resolved IS NULL" if pending_only else ""
        sql = f"SELECT {_DEAD_LETTER_COLUMNS} FROM dead_letter WHERE id > ?{pending} ORDER BY id LIMIT ?"
        with translated(self.path), self._cursor() as cursor:
            found = cursor.execute(sql, [after, limit]).fetchall()
        return [_dead_letter(*row) for row in found]

    def pending_dead_letters(self) -> int:
        """How many dead letters wait for somebody."""
        with translated(self.path), self._cursor() as cursor:
            row = cursor.execute("SELECT count(*) FROM dead_letter WHERE resolved IS NULL").fetchone()
        return int(row[0]) if row else 0

    # Keeping house

    def reopen(self, read_only: bool) -> None:
        """Begins again after a fatal error (DuckDB refuses even reads after one); raises StorageError."""
        with self._lock:
            with contextlib.suppress(duckdb.Error):
                self._database.close()
            self._database = self._connect(read_only)
        self.applied_seq = self._applied()

    def close(self) -> None:
        """Brings the write-ahead log into the file and closes it."""
        with self._lock, contextlib.suppress(duckdb.Error):
            self._database.close()


def _insert(cursor: duckdb.DuckDBPyConnection, table: str, columns: dict[str, NDArray[Any]]) -> None:
    """Rows as columns, a hundred times as fast as one by one. The least integer and "" stand for what is missing."""
    read = [f"nullif({name}, {_MISSING[name]})" if name in _MISSING else name for name in columns]
    cursor.register("new_rows", columns)
    cursor.execute(f"INSERT INTO {table} SELECT {', '.join(read)} FROM new_rows")
    cursor.unregister("new_rows")


def _integers(values: Iterable[int | None]) -> NDArray[np.int64]:
    return np.array([_NONE if value is None else value for value in values], dtype=np.int64)


def _texts(values: Iterable[str | None]) -> NDArray[np.object_]:
    # DuckDB infers a column's type from a sample of it; a column of nothing but texts leaves it no choice.
    return np.array([value or "" for value in values], dtype=object)


def _json(data: dict[str, Any]) -> str:
    return msgspec.json.encode(data).decode()


def _event(*row: Any) -> Event:
    seq, time, recorded, kind, node, until, data, identity, retracts = row
    return Event(seq, time, recorded, kind, node, until, msgspec.json.decode(data), identity, retracts)


def _dead_letter(*row: Any) -> DeadLetter:
    time, source, stage, reason, payload, topic, metadata, id, resolved = row
    return DeadLetter(time, source, stage, reason, payload, topic, msgspec.json.decode(metadata), id, resolved)
