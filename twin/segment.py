"""One file of the journal: a SQLite database that is appended to, sealed, read, and dropped as a whole."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .errors import DamagedFileError, StorageError, StorageFullError, StorageReadOnlyError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (seq INTEGER PRIMARY KEY, recorded INTEGER NOT NULL, kind INTEGER NOT NULL,
    payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS identity (hash BLOB PRIMARY KEY, recorded INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seal (last INTEGER NOT NULL, count INTEGER NOT NULL);
"""


class Row(NamedTuple):
    """A row of the table `entry`."""

    seq: int
    recorded: int
    kind: int
    payload: bytes


def translate(error: sqlite3.Error, path: Path) -> StorageError:
    """SQLite's errors in our words."""
    text = str(error)
    if "full" in text:
        return StorageFullError(f"no room left to write {path}")
    if "readonly" in text or "unable to open" in text or "disk I/O" in text:
        return StorageReadOnlyError(f"cannot write {path}: {text}")
    return DamagedFileError(f"{path}: {text}")


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Lets only our own errors out of a block that uses SQLite."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error


def copy_database(source: Path, target: Path) -> None:
    """A database as of one moment, durable, while others write it; raises StorageError."""
    closing, uri = contextlib.closing, f"{source.resolve().as_uri()}?mode=rw"  # never makes what is not there
    with translated(target), closing(sqlite3.connect(uri, uri=True)) as file, closing(sqlite3.connect(target)) as copy:
        copy.execute("PRAGMA synchronous=FULL")
        file.backup(copy)
        # As its own file, so that nothing of it stands in a log beside it.
        copy.execute("PRAGMA journal_mode=DELETE")


class Segment:
    """The entries from `first` on. One thread at a time appends; any reads, over a connection of its own.

    `written` is about how many bytes it holds.
    """

    def __init__(self, path: Path, first: int) -> None:
        self.path = path
        self.first = first
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._reading = threading.Lock()
        self.written = 0

    def open_writer(self) -> None:
        """Opens the file for appending, makes it if need be, and makes its directory entry durable."""
        with translated(self.path):
            writer = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            try:
                # 8 KB pages: a commit of 100 readings fills a quarter of one, a commit of 1,000 three.
                writer.execute("PRAGMA page_size=8192")
                writer.execute("PRAGMA journal_mode=WAL")
                # FULL: a commit has returned only after its sync; with NORMAL the last commits die with the power.
                writer.execute("PRAGMA synchronous=FULL")
                # 4 MB: writing over a short log is quicker than growing a long one, and a start replays less.
                writer.execute("PRAGMA wal_autocheckpoint=512")
                writer.executescript(_SCHEMA)
            except sqlite3.Error:
                writer.close()
                raise
        self._writer = writer
        self.written = self.size()
        sync_directory(self.path.parent)

    @property
    def writable(self) -> bool:
        """Whether it is open for appending."""
        return self._writer is not None

    def append(self, rows: Sequence[Row], identities: Sequence[tuple[bytes, int]]) -> None:
        """All rows durably or none; raises StorageFullError, StorageReadOnlyError, DamagedFileError."""
        writer = self._writer
        assert writer is not None
        try:
            writer.execute("BEGIN IMMEDIATE")
            writer.executemany("INSERT INTO entry VALUES (?, ?, ?, ?)", rows)
            if identities:
                writer.executemany("INSERT OR REPLACE INTO identity VALUES (?, ?)", identities)
            writer.execute("COMMIT")
            self.written += sum(len(row.payload) for row in rows)
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                if writer.in_transaction:
                    writer.execute("ROLLBACK")
            raise translate(error, self.path) from error

    def seal(self) -> None:
        """Writes down how many entries there are, so that a shorter file is recognised, and closes the file."""
        assert self._writer is not None
        last, count = self.extent()
        with translated(self.path):
            self._writer.execute("INSERT INTO seal VALUES (?, ?)", (last, count))
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.close_writer()

    def extent(self) -> tuple[int, int]:
        """The last entry's number (`first - 1` if there is none) and the number of entries."""
        if not self._query("SELECT 1 FROM sqlite_master WHERE name = 'seal'"):
            return self.first - 1, 0  # a crash came while the file was made
        last, count = self._query("SELECT max(seq), count(*) FROM entry")[0]
        return (self.first - 1 if last is None else last), count

    def empty(self) -> bool:
        """Whether nothing was ever written; a file that cannot be read is damaged, not empty."""
        try:
            return self.extent()[1] == 0
        except DamagedFileError:
            return False

    def check(self, next_first: int | None) -> int:
        """The last entry's number; raises DamagedFileError that names the range if entries are missing."""
        last, count = self.extent()
        sealed = self._query("SELECT last, count FROM seal") if count else []
        expected = next_first - 1 if next_first is not None else last
        if sealed:
            expected = max(expected, sealed[0][0])
        if last != expected or count != last - self.first + 1:
            first_missing = self.first + count if count != last - self.first + 1 else last + 1
            raise DamagedFileError(f"{self.path}: entries are missing between {first_missing} and {expected}")
        return last

    def rows(self, after: int, limit: int) -> list[Row]:
        """At most `limit` rows behind the entry `after`, in order."""
        found = self._query("SELECT * FROM entry WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
        return [Row(*row) for row in found]

    def last_recorded(self) -> int:
        """When the last entry was recorded [ns]; 0 if there is none."""
        if self.empty():
            return 0
        found = self._query("SELECT recorded FROM entry ORDER BY seq DESC LIMIT 1")
        return int(found[0][0])

    def has_identity(self, hash: bytes, since: int) -> bool:
        """Whether a message of this identity was journalled here at `since` [ns] or later."""
        return bool(self._query("SELECT 1 FROM identity WHERE hash = ? AND recorded >= ?", (hash, since)))

    def _query(self, sql: str, values: tuple[object, ...] = ()) -> list[Any]:
        with self._reading, translated(self.path):
            if self._reader is None:
                self._reader = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            return self._reader.execute(sql, values).fetchall()

    def copy(self, path: Path) -> None:
        """Another file with what is durable now, while this one is written; raises StorageError."""
        copy_database(self.path, path)

    def size(self) -> int:
        """Bytes on the disk, the write-ahead log included."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close_writer(self) -> None:
        """No more appending."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def close(self) -> None:
        """Closes all connections; a last one that closes brings the write-ahead log into the file."""
        with self._reading:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
        self.close_writer()

    def drop(self) -> None:
        """Removes the file for good."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Makes new and renamed files of a directory survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
