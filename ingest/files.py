"""Loads CSV and Parquet files: columns to signals, in batches, and what cannot be used to the dead letters."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..twin.batch import ReadingBatch
from ..twin.counts import Counts, SourceShare
from ..twin.entry import DeadLetter
from ..twin.errors import AmbiguousIdError, InvalidValueError, NotFoundError
from ..twin.graph import Graph
from ..twin.model import Role, Signal
from ..twin.suggestion import nearest
from ..twin.times import NS, format_time, now_ns
from ..twin.twin import Twin
from .accounts import FILES
from .file_mapping import TIME_NAMES, FileMapping
from .file_rows import Rows, Table, open_table
from .file_times import ColumnClock
from .file_values import SignalColumn
from .ingest_config import MAX_AHEAD

BATCH_READINGS = 10_000
_IN_FLIGHT = 4
_MAX_LETTERS = 1000
_MAX_PROBLEMS = 10

Progress = Callable[[int, int, int], None]
"""Told after every piece: rows so far, bytes of the file behind them, bytes of the file."""


class Problem(msgspec.Struct, frozen=True):
    """A row that could not be used, or only in part."""

    line: int
    reason: str


class LoadReport(msgspec.Struct):
    """What became of a file.

    rows: data rows. readings: values stored. empty: cells without a value. bad_rows: rows of which something could not
    be used; `problems` are the first of them, `dead_letters` are kept of the first 1000. signals: readings by signal.
    ignored: columns that are no signal's. first, last: earliest and latest time. seconds: how long it took.
    """

    file: str
    rows: int = 0
    readings: int = 0
    empty: int = 0
    bad_rows: int = 0
    dead_letters: int = 0
    problems: list[Problem] = []
    signals: dict[str, int] = {}
    ignored: list[str] = []
    first: str | None = None
    last: str | None = None
    seconds: float = 0.0


def load_file(
    twin: Twin, path: Path, mapping: FileMapping, *, name: str | None = None, progress: Progress | None = None
) -> LoadReport:
    """Loads a CSV or Parquet file; blocks, so use a thread. All of it is durable when it returns.

    The same file may be loaded again: a reading of the same signal and time takes the place of the earlier one. `name`
    is what the file is called in the report and the dead letters. Whatever `progress` raises ends the load; what was
    stored stays. Raises InvalidValueError if the file or the mapping cannot be used, with all mistakes of the mapping,
    before anything is stored; StorageError.
    """
    began = time.monotonic()
    name = name or path.name
    load = _Load(twin, open_table(path, mapping, name), mapping, name)
    report = load.run(progress)
    report.seconds = round(time.monotonic() - began, 3)
    return report


class _Load:
    """One run over one file."""

    def __init__(self, twin: Twin, table: Table, mapping: FileMapping, name: str) -> None:
        self._twin = twin
        self._table = table
        self._source = f"file:{name}"
        self._columns = _bind(twin, table.names, mapping)
        bound = {column.name for column in self._columns}
        self._time = _time_column(table.names, mapping, bound)
        self._clock = ColumnClock(_zone(twin.graph, mapping, self._columns), mapping.format)
        self._latest = now_ns() + int(MAX_AHEAD * NS)
        self._pending: deque[Future[int]] = deque()
        ignored = [column for column in table.names if column not in bound and column != self._time]
        self._report = LoadReport(name, ignored=ignored, signals={}, problems=[])
        self._span: tuple[int, int] | None = None
        self._counts: dict[int, int] = {}

    def run(self, progress: Progress | None) -> LoadReport:
        report = self._report
        rows = max(1, BATCH_READINGS // len(self._columns))
        try:
            for piece, done in self._table.pieces(rows):
                self._take(piece)
                if progress is not None:
                    progress(report.rows, done, self._table.size)
        finally:
            self._drain(0)
        ids = {column.index: self._twin.graph.signal_id(column.signal) for column in self._columns}
        report.signals = {ids[index]: count for index, count in self._counts.items()}
        if self._span is not None:
            report.first, report.last = (format_time(moment) for moment in self._span)
        return report

    def _take(self, piece: Rows) -> None:
        bad = _Misfits(piece)
        times, valid = self._times(piece, bad)
        signals, moments, values = [], [], []
        for column in self._columns if piece.cells else ():
            found, wrong = column.values(piece.column(self._table.names.index(column.name)))
            bad.cells(wrong)
            present = ~np.isnan(found) & valid
            count = int(present.sum())
            self._counts[column.index] = self._counts.get(column.index, 0) + count
            self._report.empty += int(np.isnan(found).sum()) - len(wrong)
            signals.append(np.full(count, column.index, dtype=np.int32))
            moments.append(times[present])
            values.append(found[present])
        batch = None
        if signals:
            batch = ReadingBatch.of(np.concatenate(signals), np.concatenate(moments), np.concatenate(values))
            self._report.readings += len(batch)
            self._widen(batch)
        self._report.rows += len(piece.cells) + len(piece.torn)
        self._submit(batch, bad.letters(self._source, self._report))

    def _times(self, piece: Rows, bad: "_Misfits") -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        cells = piece.column(self._table.names.index(self._time))
        wrong = {row: "there is no time" for row, cell in enumerate(cells) if cell is None or cell == ""}
        if self._time in self._table.wall_clock or self._time in self._table.instant:
            times = np.array([0 if cell is None else cell for cell in cells], dtype=np.int64)
            if self._time in self._table.wall_clock:
                times = self._clock.wall_clock(times)
        else:
            times, unread = self._clock.read(cells)
            wrong = unread | wrong
        for row in np.flatnonzero(times > self._latest).tolist():
            wrong.setdefault(row, f"its time, {format_time(int(times[row]))}, is in the future")
        bad.rows(wrong, self._time)
        valid = np.ones(len(cells), dtype=bool)
        valid[list(wrong)] = False
        return times, valid

    def _widen(self, batch: ReadingBatch) -> None:
        if len(batch):
            low, high = int(batch.time.min()), int(batch.time.max())
            span = self._span or (low, high)
            self._span = min(low, span[0]), max(high, span[1])

    def _submit(self, batch: ReadingBatch | None, letters: Sequence[DeadLetter]) -> None:
        if (batch is not None and len(batch)) or letters:
            rows = 0 if batch is None else len(batch)
            counts = Counts([SourceShare(FILES, dead_lettered=len(letters))], [(0, rows)] if rows else [])
            self._pending.append(self._twin.submit(batch, dead_letters=letters, counts=counts))
            self._drain(_IN_FLIGHT)

    def _drain(self, to: int) -> None:
        while len(self._pending) > to:
            self._pending.popleft().result()


class _Misfits:
    """What of one piece cannot be used, by row."""

    def __init__(self, piece: Rows) -> None:
        self._piece = piece
        self._reasons: dict[int, list[str]] = {}

    def rows(self, wrong: dict[int, str], column: str) -> None:
        """Rows without a time; nothing of them is used."""
        for row, reason in wrong.items():
            self._reasons.setdefault(row, []).append(f"{column}: {reason}")

    def cells(self, wrong: dict[int, str]) -> None:
        """Cells that are no value; the rest of their rows is used."""
        for row, reason in wrong.items():
            self._reasons.setdefault(row, []).append(reason)

    def letters(self, source: str, report: LoadReport) -> list[DeadLetter]:
        """Counts them into the report. Their dead letters, as long as there is room for more."""
        piece = self._piece
        found = list(piece.torn)
        for row in sorted(self._reasons):
            text = ",".join("" if cell is None else str(cell) for cell in piece.cells[row])
            found.append((piece.lines[row], text, "; ".join(self._reasons[row])))
        letters = []
        for line, text, reason in sorted(found):
            report.bad_rows += 1
            if len(report.problems) < _MAX_PROBLEMS:
                report.problems.append(Problem(line, reason))
            if report.dead_letters < _MAX_LETTERS:
                report.dead_letters += 1
                payload = text.encode("utf-8", "replace")
                where = {"line": line, "file": report.file}
                letters.append(DeadLetter(now_ns(), source, "file", f"line {line}: {reason}", payload, None, where))
        return letters


# Binding


def _bind(twin: Twin, names: Sequence[str], mapping: FileMapping) -> list[SignalColumn]:
    """The columns that are signals'. Raises InvalidValueError with everything that is wrong."""
    wrong: list[str] = []
    columns: list[SignalColumn] = []
    wanted = mapping.columns or {name: name for name in names if name and _is_signal(twin.graph, name)}
    for name in wanted:
        given = mapping.column(name) if mapping.columns else None
        if name not in names:
            hint = nearest(name, tuple(names))
            known = f"did you mean {hint!r}?" if hint else f"there are {', '.join(names)}"
            wrong.append(f"there is no column {name!r}; {known}")
            continue
        try:
            signal = _signal(twin.graph, given.signal if given else name)
            unit = given.unit if given else None
            columns.append(SignalColumn(twin, signal.index, name, signal, unit, mapping.decimal))
        except (NotFoundError, InvalidValueError) as error:
            wrong.append(f"column {name!r}: {error}")
    for signal_index in {c.index for c in columns if sum(o.index == c.index for o in columns) > 1}:
        both = [column.name for column in columns if column.index == signal_index]
        wrong.append(f"the columns {', '.join(both)} are all mapped to one signal")
    if not wanted:
        wrong.append("no column is called like a signal: say --map COLUMN=SIGNAL; there are " + ", ".join(names))
    if wrong:
        raise InvalidValueError("; ".join(wrong), "map")
    return columns


def _is_signal(graph: Graph, id: str) -> bool:
    try:
        return graph.find_signal(id).role is Role.MEASURED
    except (NotFoundError, AmbiguousIdError):
        return False


def _signal(graph: Graph, id: str) -> Signal:
    signal = graph.find_signal(id)
    if signal.role not in (Role.MEASURED, Role.DESIRED):
        raise InvalidValueError(f"{id} is {signal.role}: it is not for a file to set")
    return signal


def _time_column(names: Sequence[str], mapping: FileMapping, bound: set[str]) -> str:
    if mapping.time is not None:
        if mapping.time not in names:
            raise InvalidValueError(f"there is no column {mapping.time!r}; there are {', '.join(names)}", "time")
        return mapping.time
    free = [name for name in names if name not in bound]
    named = [name for name in free if name.strip().lower() in TIME_NAMES]
    if not free:
        raise InvalidValueError("there is no column left for the time: say --time COLUMN", "time")
    return (named or free)[0]


def _zone(graph: Graph, mapping: FileMapping, columns: Sequence[SignalColumn]) -> ZoneInfo | None:
    """The zone of naive times: the mapping's, else that of the site above the signals."""
    if mapping.timezone is not None:
        return ZoneInfo(mapping.timezone)
    for column in columns:
        for node in (graph.node(column.signal.node), *graph.ancestors(column.signal.node)):
            if zone := node.properties.get("timezone"):
                return ZoneInfo(zone)
    return None
