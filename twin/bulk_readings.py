"""Readings in Parquet files: written a day at a time, read in the order of recording."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from .bulk_files import FileInfo, file_info, whole_file
from .duckdb_errors import translated
from .transfer import Readings, readings_of

WINDOW_ROWS = 500_000
_COLUMNS = "signal, time, value, quality, recorded"
_TABLE = "CREATE TEMP TABLE reading (signal INTEGER, time BIGINT, value DOUBLE, quality UTINYINT, recorded BIGINT)"


@contextlib.contextmanager
def database(scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory that spills to `scratch`; its errors come out as ours."""
    config: dict[str, Any] = {
        "memory_limit": "256MB",
        "threads": 2,
        "autoinstall_known_extensions": False,
        "temp_directory": str(scratch),
    }
    with translated(scratch), duckdb.connect(config=config) as connection:
        yield connection


def write_day(directory: Path, name: str, pieces: Iterable[Readings]) -> FileInfo:
    """Readings as a Parquet file, sorted by when they were recorded, so that each row group is a span of that."""
    with database(directory / ".spill") as connection, whole_file(directory / name) as path:
        connection.execute(_TABLE)
        for piece in pieces:
            connection.register("piece", piece._asdict())
            connection.execute(f"INSERT INTO reading SELECT {_COLUMNS} FROM piece")
            connection.unregister("piece")
        connection.execute(
            f"COPY (SELECT * FROM reading ORDER BY recorded, rowid) TO '{quoted(path)}' (FORMAT parquet,"
            " COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
        )
        row = connection.execute("SELECT count(*) FROM reading").fetchone()
    return file_info(directory, name, int(row[0]) if row else 0)


def row_count(path: Path, scratch: Path) -> int:
    """How many rows a Parquet file has."""
    with database(scratch) as connection:
        row = connection.execute(f"SELECT count(*) FROM '{quoted(path)}'").fetchone()
    return int(row[0]) if row else 0


def in_order_of_recording(paths: Sequence[Path], after: int, scratch: Path) -> Iterator[Readings]:
    """The readings of all files that were recorded after `after` [ns], in pieces that end between two instants."""
    if not paths:
        return
    names = ", ".join(f"'{quoted(path)}'" for path in paths)
    source = f"read_parquet([{names}], file_row_number=true)"
    with database(scratch) as connection:
        bounds = bounds_of_recording(connection, source, after)
        for low, high in zip([after, *bounds], bounds, strict=False):
            found = connection.execute(
                f"SELECT {_COLUMNS} FROM {source} WHERE recorded > ? AND recorded <= ?"
                " ORDER BY recorded, file_row_number",
                [low, high],
            ).fetchnumpy()
            yield readings_of(found)


def bounds_of_recording(connection: duckdb.DuckDBPyConnection, source: str, after: int) -> list[int]:
    """Instants between which there are about WINDOW_ROWS readings."""
    row = connection.execute(f"SELECT count(*), max(recorded) FROM {source} WHERE recorded > ?", [after]).fetchone()
    count, last = row or (0, None)
    if not count:
        return []
    shares = [step * WINDOW_ROWS / count for step in range(1, -(-count // WINDOW_ROWS))]
    bounds: list[int] = []
    if shares:
        sql = f"SELECT quantile_disc(recorded, {shares!r}) FROM {source} WHERE recorded > ?"
        bounds = (connection.execute(sql, [after]).fetchone() or ([],))[0]
    return sorted({*bounds, last})


def quoted(path: Path) -> str:
    """A path within an SQL text."""
    return str(path).replace("'", "''")
