"""A part that is read: mapped into memory, checked where it is touched for the first time."""

import mmap
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .directory import storage_error
from .errors import DamagedFileError
from .history_encode import decode_floats, decode_integers
from .history_packing import MASKS, gather, packed_run, words
from .history_part_writer import CHECKED_BYTES, MAGIC, TRAILER, Description

Rows = NDArray[np.int64]


class Part:
    """An open part. `signal` (r,) are the signals that have a run, rising; run i has the rows row[i] to row[i + 1].

    Every method raises DamagedFileError that names the file and the range if a byte that it needs is altered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError | ValueError):
                raise DamagedFileError(f"{path}: the file is gone or empty") from error
            raise storage_error(error, path) from error
        self._description = _description(self._map, path)
        self.rows = self._description.rows
        self.kind = self._description.kind
        self._checksums = np.frombuffer(self._description.checksums, dtype="<u4")
        self._unchecked = np.ones(len(self._checksums), dtype=bool)
        self._words = words(self._map, len(self._map))
        at, kind, length = max(self._description.tables.values())
        self._data_end = at + length * np.dtype(kind).itemsize
        self._tables: dict[str, NDArray[Any]] = {}
        self.signal = self.table("signal")
        self.row = self.table("row").astype(np.int64)
        self._at = self.table("at").astype(np.int64)

    def table(self, name: str) -> NDArray[Any]:
        """One of the tables behind the runs."""
        if name not in self._tables:
            at, kind, length = self._description.tables[name]
            dtype = np.dtype(kind)
            self._check(at, at + length * dtype.itemsize)
            self._tables[name] = np.frombuffer(self._map, dtype, length, at)
        return self._tables[name]

    def has(self, table: str) -> bool:
        """Whether there is such a table."""
        return table in self._description.tables

    def find(self, signals: NDArray[np.int32]) -> tuple[NDArray[np.intp], Rows]:
        """Which of these signals have a run (their positions in `signals`), and the run of each."""
        if not len(self.signal):
            return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.int64)
        run = np.minimum(np.searchsorted(self.signal, signals), len(self.signal) - 1)
        found = np.flatnonzero(self.signal[run] == signals)
        return found, run[found]

    def run_of(self, signal: int) -> int | None:
        """The run of one signal."""
        run = int(np.searchsorted(self.signal, signal))
        return run if run < len(self.signal) and self.signal[run] == signal else None

    def count(self, signal: int) -> int:
        """How many rows a signal has."""
        run = self.run_of(signal)
        return 0 if run is None else int(self.row[run + 1] - self.row[run])

    # Single rows of many runs

    def check_runs(self, runs: Rows) -> None:
        """Checks all bytes of these runs; to be called before their rows are taken one by one."""
        if self._unchecked.any():
            ends = self._at[runs] + (self.row[runs + 1] - self.row[runs]) * self._bytes_a_row(runs)
            self._check_ranges(self._at[runs], ends)

    def check_rows(self, run: int, starts: Rows, ends: Rows) -> None:
        """Checks the bytes of some rows of a run, from `starts` to before `ends`."""
        if self._unchecked.any():
            first, last = [], []
            for column in self._description.columns:
                at, width = self._run_column(column, run)
                at -= int(self.row[run]) * width
                first.append(at + starts * width)
                last.append(at + ends * width)
            self._check_ranges(np.concatenate(first), np.concatenate(last))

    def integers(self, column: str, rows: Rows, runs: Rows) -> NDArray[np.int64]:
        """A column of whole numbers at some rows, each with the run that it is of."""
        codes = self._codes(column, rows, runs)
        return decode_integers(codes, self.table(f"{column}.base")[runs], self.table(f"{column}.unit")[runs])

    def floats(self, column: str, rows: Rows, runs: Rows) -> NDArray[np.float64]:
        """A floating-point column at some rows."""
        tables = (self.table(f"{column}.{name}")[runs] for name in ("base", "unit", "width"))
        return decode_floats(self._codes(column, rows, runs), *tables)

    def rows_until(self, column: str, limit: NDArray[np.int64], runs: Rows) -> Rows:
        """Per run the row behind the last one whose value is at most `limit`; the column must rise within a run."""
        base, unit = self.table(f"{column}.base")[runs], self.table(f"{column}.unit")[runs]
        none = limit < base
        # The distance of two signed numbers may only fit into an unsigned one.
        codes = (np.where(none, base, limit) - base).view(np.uint64) // unit.view(np.uint64)
        width = self.table(f"{column}.width")[runs]
        start = self._column_at(column, runs)
        low, high = np.zeros(len(runs), dtype=np.int64), self.row[runs + 1] - self.row[runs]
        mask = MASKS[width]
        for _ in range(int(high.max(initial=0)).bit_length()):
            middle = (low + high) >> 1
            inside = middle < high
            at_most = (self._words[start + np.where(inside, middle, 0) * width] & mask) <= codes
            low = np.where(inside & at_most, middle + 1, low)
            high = np.where(inside & ~at_most, middle, high)
        return self.row[runs] + np.where(none, 0, low)

    def _codes(self, column: str, rows: Rows, runs: Rows) -> NDArray[np.uint64]:
        width = self.table(f"{column}.width")[runs]
        address = self._column_at(column, runs) + (rows - self.row[runs]) * width
        return gather(self._words, address, width)

    def _column_at(self, column: str, runs: Rows) -> Rows:
        before = np.zeros(len(runs), dtype=np.int64)
        for name in self._description.columns:
            if name == column:
                break
            before += self.table(f"{name}.width")[runs]
        return self._at[runs] + before * (self.row[runs + 1] - self.row[runs])

    def _bytes_a_row(self, runs: Rows) -> Rows:
        widths = [self.table(f"{column}.width")[runs] for column in self._description.columns]
        total: Rows = np.sum(widths, axis=0, dtype=np.int64)
        return total

    # All rows of one run

    def run_integers(self, column: str, run: int, start: int, end: int) -> NDArray[np.int64]:
        """A column of whole numbers of the rows `start` to `end` (within the part) of one run."""
        codes = self._run_codes(column, run, start, end)
        return decode_integers(codes, self.table(f"{column}.base")[run], self.table(f"{column}.unit")[run])

    def run_floats(self, column: str, run: int, start: int, end: int) -> NDArray[np.float64]:
        """A floating-point column of those rows."""
        tables = (self.table(f"{column}.{name}")[run : run + 1] for name in ("base", "unit", "width"))
        return decode_floats(self._run_codes(column, run, start, end), *tables)

    def integers_of_run(self, column: str, run: int, rows: Rows) -> NDArray[np.int64]:
        """A column of whole numbers at some rows of one run; their bytes must have been checked."""
        codes = self._codes_of_run(column, run, rows)
        return decode_integers(codes, self.table(f"{column}.base")[run], self.table(f"{column}.unit")[run])

    def floats_of_run(self, column: str, run: int, rows: Rows) -> NDArray[np.float64]:
        """A floating-point column at some rows of one run; their bytes must have been checked."""
        tables = (self.table(f"{column}.{name}")[run : run + 1] for name in ("base", "unit", "width"))
        return decode_floats(self._codes_of_run(column, run, rows), *tables)

    def _codes_of_run(self, column: str, run: int, rows: Rows) -> NDArray[np.uint64]:
        at, width = self._run_column(column, run)
        if width == 0:
            return np.zeros(len(rows), dtype=np.uint64)
        return gather(self._words, (at - int(self.row[run]) * width) + rows * width, width)

    def _run_column(self, column: str, run: int) -> tuple[int, int]:
        """Where a column of a run begins, and how many bytes a row it has."""
        at, count = int(self._at[run]), int(self.row[run + 1] - self.row[run])
        for name in self._description.columns:
            width = int(self.table(f"{name}.width")[run])
            if name == column:
                return at, width
            at += count * width
        raise KeyError(column)

    def _run_codes(self, column: str, run: int, start: int, end: int) -> NDArray[np.uint64]:
        at, width = self._run_column(column, run)
        address = at + (start - int(self.row[run])) * width
        self._check(address, address + (end - start) * width)
        return packed_run(self._map, address, width, end - start)

    # Checking

    def _check(self, start: int, end: int) -> None:
        first, last = start // CHECKED_BYTES, -(-end // CHECKED_BYTES)
        for block in np.flatnonzero(self._unchecked[first:last]) + first:
            self._check_block(int(block))

    def _check_ranges(self, starts: Rows, ends: Rows) -> None:
        touched = np.zeros(len(self._checksums) + 1, dtype=np.int64)
        filled = ends > starts
        np.add.at(touched, starts[filled] // CHECKED_BYTES, 1)
        np.add.at(touched, -(-ends[filled] // CHECKED_BYTES), -1)
        for block in np.flatnonzero((np.cumsum(touched)[:-1] > 0) & self._unchecked):
            self._check_block(int(block))

    def _check_block(self, block: int) -> None:
        start = block * CHECKED_BYTES
        end = min(start + CHECKED_BYTES, self._data_end)
        if zlib.crc32(memoryview(self._map)[start:end]) != self._checksums[block]:
            raise DamagedFileError(f"{self.path}: the bytes {start} to {end - 1} fail their checksum")
        self._unchecked[block] = False

    def check_all(self) -> None:
        """Checks every byte."""
        self._check(0, self._data_end)


def _description(content: mmap.mmap, path: Path) -> Description:
    size = len(content)
    if size < TRAILER.size:
        raise DamagedFileError(f"{path}: the file is shorter than its end")
    length, crc, magic = TRAILER.unpack_from(content, size - TRAILER.size)
    start = size - TRAILER.size - length
    if magic != MAGIC or start < 0 or zlib.crc32(content[start : size - TRAILER.size]) != crc:
        raise DamagedFileError(f"{path}: the bytes {max(start, 0)} to {size - 1}, its description, are altered or torn")
    return msgspec.msgpack.decode(content[start : size - TRAILER.size], type=Description)
