"""The query store: a DuckDB file with all readings; a projection of the journal."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from .batch import ReadingBatch
from .entry import Entry, EntryKind
from .errors import DamagedFileError, StorageError, StorageFullError, StorageReadOnlyError
from .history import Rows
from .state import StateColumns, blank

_SCHEMA = """
CREATE TABLE IF NOT EXISTS applied (seq BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS reading (signal INTEGER, time BIGINT, value DOUBLE, quality UTINYINT, recorded BIGINT);
"""


_DAY_NS = 86_400_000_000_000
_DAY = f"((time - ((time % {_DAY_NS}) + {_DAY_NS}) % {_DAY_NS}) // {_DAY_NS})"


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
    """Readings up to `applied_seq`. One thread writes, any reads, each with its own cursor."""

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
        # Rows as columns, a hundred times as fast as one by one.
        cursor.register("new_rows", columns)
        cursor.execute("INSERT INTO reading SELECT signal, time, value, quality, recorded FROM new_rows")
        cursor.unregister("new_rows")

    # Reading

    def rows(self, signal: int, start: int, end: int, known_at: int | None = None) -> Rows:
        """The readings of one signal in [start, end) [ns], recorded until `known_at` [ns] if given, in no order."""
        sql = "SELECT time, value, quality, recorded FROM reading WHERE signal = ? AND time >= ? AND time < ?"
        values = [signal, start, end]
        if known_at is not None:
            sql, values = f"{sql} AND recorded <= ?", [*values, known_at]
        with translated(self.path), self._cursor() as cursor:
            found = cursor.execute(sql, values).fetchnumpy()
        found["value"] = np.ma.filled(found["value"], np.nan)  # DuckDB stores NaN as NULL
        return Rows(*(np.ma.getdata(found[name]) for name in ("time", "value", "quality", "recorded")))

    def latest(self, time: int | None, known_at: int | None, signals: NDArray[np.int32]) -> StateColumns:
        """The newest reading of each signal up to `time` [ns] among those recorded until `known_at` [ns]."""
        conditions = [
            f"{column} <= {int(limit)}"
            for column, limit in (("time", time), ("recorded", known_at))
            if limit is not None
        ]
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        sql = (
            f"SELECT signal, time, value, quality FROM reading {where}"
            " QUALIFY row_number() OVER (PARTITION BY signal ORDER BY time DESC, recorded DESC) = 1"
        )
        with translated(self.path), self._cursor() as cursor:
            found = {name: np.ma.getdata(column) for name, column in cursor.execute(sql).fetchnumpy().items()}
        columns = blank(max(int(found["signal"].max(initial=-1)), int(signals.max(initial=-1))) + 1)
        columns.time[found["signal"]] = found["time"]
        columns.value[found["signal"]] = found["value"]
        columns.quality[found["signal"]] = found["quality"]
        return columns.take(signals)

    def count(self, signal: int | None = None) -> int:
        """How many recorded readings there are, superseded ones included."""
        where = "" if signal is None else f" WHERE signal = {int(signal)}"
        with translated(self.path), self._cursor() as cursor:
            row = cursor.execute(f"SELECT count(*) FROM reading{where}").fetchone()
        return int(row[0]) if row else 0

    def days(self, known_at: int) -> list[int]:
        """The UTC days of the readings that were recorded until then [ns]."""
        sql = f"SELECT DISTINCT {_DAY} AS day FROM reading WHERE recorded <= ? ORDER BY day"
        with translated(self.path), self._cursor() as cursor:
            return [int(row[0]) for row in cursor.execute(sql, [known_at]).fetchall()]

    def rows_of_day(self, day: int, known_at: int) -> dict[str, Any]:
        """The columns of all readings of a UTC day that were recorded until then [ns]."""
        sql = f"SELECT signal, time, value, quality, recorded FROM reading WHERE {_DAY} = ? AND recorded <= ?"
        with translated(self.path), self._cursor() as cursor:
            return dict(cursor.execute(sql, [day, known_at]).fetchnumpy())

    # Keeping house

    def reopen(self) -> None:
        """Begins again after a fatal error (DuckDB refuses even reads after one); raises StorageError."""
        with self._lock:
            with contextlib.suppress(duckdb.Error):
                self._database.close()
            try:
                self._database = self._connect(read_only=False)
            except StorageError:
                self._database = self._connect(read_only=True)
        self.applied_seq = self._applied()

    def size(self) -> int:
        """Bytes on the disk, the write-ahead log included."""
        files = (self.path, self.path.with_name(self.path.name + ".wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Brings the write-ahead log into the file and closes it."""
        with self._lock, contextlib.suppress(duckdb.Error):
            self._database.close()
