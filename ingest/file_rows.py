"""Rows out of CSV and Parquet files, in bounded pieces, each row with the line that it came from."""

import csv
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..twin.errors import InvalidValueError
from .file_mapping import FileMapping

DELIMITERS = ",;\t|"
_NUMERIC = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "DOUBLE")


@dataclass(slots=True)
class Rows:
    """A piece of a file. `lines`: where each row is. `cells`: rows of values. `torn`: (line, text, reason)."""

    lines: list[int] = field(default_factory=list)
    cells: list[Any] = field(default_factory=list)
    torn: list[tuple[int, str, str]] = field(default_factory=list)

    def column(self, index: int) -> list[Any]:
        """The cells of a column."""
        return [row[index] for row in self.cells]


class Table(Protocol):
    """A file as columns. `wall_clock` and `instant` name columns of times that are ns already."""

    names: list[str]
    wall_clock: set[str]
    instant: set[str]
    size: int

    def pieces(self, rows: int) -> Iterator[tuple[Rows, int]]:
        """Pieces of at most so many rows, with how many bytes of the file are behind them."""


def open_table(path: Path, mapping: FileMapping, name: str) -> Table:
    """A CSV or Parquet file, told apart by its first bytes; people know it as `name`. Raises InvalidValueError."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise InvalidValueError(f"{name} cannot be read: {error.strerror}") from None
    return ParquetTable(path, name) if magic == b"PAR1" else CsvTable(path, mapping, name)


class CsvTable:
    """A CSV file with a header; `line` is the one on which a row ends, counted from 1."""

    def __init__(self, path: Path, mapping: FileMapping, name: str) -> None:
        self._path = path
        self._name = name
        self._encoding = "utf-8-sig" if mapping.encoding.lower() in ("utf-8", "utf8") else mapping.encoding
        self.size = path.stat().st_size
        self.wall_clock: set[str] = set()
        self.instant: set[str] = set()
        with self._open() as file:
            header = self._decoded(lambda: next((line for line in file if line.strip()), ""))
        self._delimiter = mapping.delimiter or max(DELIMITERS, key=header.count)
        self.names = [name.strip() for name in next(csv.reader([header], delimiter=self._delimiter), [])]
        if not any(self.names):
            raise InvalidValueError(f"{name} is empty: a line with the names of the columns is expected")
        twice = sorted({name for name in self.names if name and self.names.count(name) > 1})
        if twice:
            raise InvalidValueError(f"{name} has several columns called {', '.join(twice)}")

    def pieces(self, rows: int) -> Iterator[tuple[Rows, int]]:
        """Pieces of at most so many rows. Raises InvalidValueError if the encoding is another."""
        with self._open() as file:
            rows_of_file = _rows(csv.reader(file, delimiter=self._delimiter))
            next(rows_of_file, None)  # the header
            while True:
                piece = self._decoded(lambda: self._piece(rows_of_file, rows))
                yield piece, file.buffer.raw.tell()  # type: ignore[attr-defined]
                if len(piece.cells) + len(piece.torn) < rows:
                    return

    def _piece(self, rows_of_file: "Iterator[tuple[int, list[str] | str]]", rows: int) -> Rows:
        width = len(self.names)
        piece = Rows()
        for line, row in itertools.islice(rows_of_file, rows):
            if len(row) == width and isinstance(row, list):
                piece.lines.append(line)
                piece.cells.append(row)
            elif isinstance(row, str):
                piece.torn.append((line, "", row))
            else:
                reason = f"{len(row)} cells, where the header has {width}"
                piece.torn.append((line, self._delimiter.join(row), reason))
        return piece

    def _open(self) -> io.TextIOWrapper:
        try:
            return self._path.open(encoding=self._encoding, newline="")
        except LookupError:
            raise InvalidValueError(f"{self._encoding!r} is no encoding", "encoding") from None

    def _decoded(self, read: Any) -> Any:
        try:
            return read()
        except UnicodeDecodeError:
            encoding = self._encoding.removesuffix("-sig")
            raise InvalidValueError(f"{self._name} is not {encoding}: say its --encoding, such as cp1252") from None


def _rows(reader: Any) -> Iterator[tuple[int, list[str] | str]]:
    """Lines and rows that are not empty; instead of a broken one, why it is broken."""
    while True:
        try:
            for row in reader:
                if row:
                    yield reader.line_num, row
            return
        except csv.Error as error:
            yield reader.line_num, str(error)


class ParquetTable:
    """A Parquet file, read by DuckDB; `line` is the row, counted from 1."""

    def __init__(self, path: Path, name: str) -> None:
        import duckdb

        self._path = path
        self._name = name
        self.size = path.stat().st_size
        self._error = duckdb.Error
        self._connection = duckdb.connect()
        try:
            self._connection.execute("SET memory_limit = '256MB'; SET threads = 1; SET preserve_insertion_order = true")
            found = self._connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
            count = self._connection.execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchone()
        except duckdb.Error as error:
            self._connection.close()
            raise self._unreadable(error) from None
        self._types = {str(name): str(kind) for name, kind, *_ in found}
        self._count = int(count[0]) if count else 0
        self.names = list(self._types)
        self.instant = {name for name, kind in self._types.items() if kind == "TIMESTAMP WITH TIME ZONE"}
        self.wall_clock = {
            name for name, kind in self._types.items() if kind.startswith(("TIMESTAMP", "DATE"))
        } - self.instant

    def pieces(self, rows: int) -> Iterator[tuple[Rows, int]]:
        """Pieces of at most so many rows."""
        columns = ", ".join(self._expression(name, kind) for name, kind in self._types.items())
        at = 0
        try:
            result = self._connection.execute(f"SELECT {columns} FROM read_parquet(?)", [str(self._path)])
            while cells := result.fetchmany(rows):
                lines = list(range(at + 1, at + len(cells) + 1))
                at += len(cells)
                yield Rows(lines, cells), self.size * at // max(self._count, 1)
        except self._error as error:
            raise self._unreadable(error) from None
        finally:
            self._connection.close()

    def _expression(self, name: str, kind: str) -> str:
        quoted = '"' + name.replace('"', '""') + '"'
        if name in self.instant:
            return f"epoch_ns({quoted})"
        if name in self.wall_clock:
            # A cast to TIMESTAMP would cut what TIMESTAMP_NS has.
            return f"epoch_ns({quoted if kind == 'TIMESTAMP_NS' else quoted + '::TIMESTAMP'})"
        if kind.startswith(("DECIMAL", "FLOAT", "HUGEINT", "UHUGEINT")):
            return f"{quoted}::DOUBLE"
        return quoted if kind in (*_NUMERIC, "BOOLEAN") else f"{quoted}::VARCHAR"

    def _unreadable(self, error: Exception) -> InvalidValueError:
        reason = str(error).splitlines()[0].replace(str(self._path), self._name)
        return InvalidValueError(f"{self._name} is no Parquet file that can be read: {reason}")
