"""Events and readings of a bulk import by ids, piece by piece; a piece that is stored already is left out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from .batch import ReadingBatch
from .bulk_files import checksum
from .bulk_readings import database, quoted, row_count
from .bulk_report import BadRow, BulkReport, Misfits
from .bulk_rows import EventRow, ReadingRow, moment
from .bulk_source import Placed
from .bulk_values import Values
from .entry import EventDraft
from .errors import InvalidValueError, IoTSenseError
from .twin import Twin

STRUCTURE = "structure"
EVENTS = 1_000
READINGS = 20_000
Progress = Callable[[int], None]


class Series:
    """Stores pieces under an identity each, so that an import that was killed goes on behind the last whole one."""

    def __init__(self, twin: Twin, values: Values, misfits: Misfits, report: BulkReport) -> None:
        self._twin = twin
        self._values = values
        self._misfits = misfits
        self._report = report
        self._numbers: dict[int, int] = {}
        self._seen = 0

    def events(self, path: Path, rows: Iterable[Placed], progress: Progress) -> None:
        """Takes in the events among the rows of a file, but those that tell of revisions: here they are others."""
        found = (placed for placed in rows if isinstance(placed.row, EventRow) and placed.row.kind != STRUCTURE)
        for identity, piece in _pieces(path, found, EVENTS):
            # The drafts are made again for a piece that is stored, for events behind it may retract its events.
            drafts = list(self._drafts(piece))
            if not self._stored(identity):
                self._twin.record([draft for draft, _ in drafts], identities=[identity])
                self._count("events", len(drafts))
            self._remember(drafts)
            progress(len(piece))

    def _drafts(self, piece: Sequence[Placed]) -> Iterator[tuple[EventDraft, int | None]]:
        for placed in piece:
            try:
                assert isinstance(placed.row, EventRow)
                yield self._draft(placed.row), placed.row.seq
            except IoTSenseError as error:
                self._misfits.add(BadRow(placed.file, placed.line, str(error)))

    def _draft(self, row: EventRow) -> EventDraft:
        node = None if row.node is None else self._twin.graph.find(row.node).key
        retracts = None
        if row.retracts is not None:
            retracts = self._numbers.get(row.retracts)
            if retracts is None:
                raise InvalidValueError(f"it retracts event {row.retracts}, which is not among the rows before it")
        until = None if row.until is None else moment(row.until)
        return EventDraft(moment(row.time), row.kind, node, until, row.data, row.identity, retracts)

    def _remember(self, drafts: Sequence[tuple[EventDraft, int | None]]) -> None:
        """Which number here an event of the rows has: rows that retract it name it by its number there."""
        waiting = [(draft, seq) for draft, seq in drafts if seq is not None]
        while waiting and (page := self._twin.events(self._seen)):
            for event in page:
                self._seen = event.seq
                same = (event.time, event.kind, event.node, event.until, event.identity)
                draft, seq = waiting[0]
                if same == (draft.time, draft.kind, draft.node, draft.until, draft.identity):
                    self._numbers[seq] = event.seq
                    waiting.pop(0)
                    if not waiting:
                        break

    def reading_rows(self, path: Path, rows: Iterable[Placed], progress: Progress) -> None:
        """Takes in the readings among the rows of a file of JSON Lines."""
        found = (placed for placed in rows if isinstance(placed.row, ReadingRow))
        for identity, piece in _pieces(path, found, READINGS):
            given = [
                (p.line, p.row.signal, p.row.time, p.row.value, p.row.quality)
                for p in piece
                if isinstance(p.row, ReadingRow)
            ]
            if not self._stored(identity):
                self._store(identity, path.name, given)
            progress(len(piece))

    def parquet(self, path: Path, scratch: Path, progress: Progress) -> None:
        """Takes in the readings of a Parquet file: columns `signal` (id or index), `time`, `value` and `quality`."""
        digest = checksum(path)
        with database(scratch) as connection:
            columns = _columns(connection, path)
            total = row_count(path, scratch)
            for start in range(0, total, READINGS):
                identity = f"bulk:{digest}:{start}"
                if not self._stored(identity):
                    sql = (
                        f"SELECT file_row_number + 1, {columns} FROM read_parquet('{quoted(path)}',"
                        " file_row_number=true) WHERE file_row_number >= ? AND file_row_number < ?"
                        " ORDER BY file_row_number"
                    )
                    self._store(identity, path.name, connection.execute(sql, [start, start + READINGS]).fetchall())
                progress(min(READINGS, total - start))

    def _store(self, identity: str, file: str, rows: Sequence[tuple[Any, ...]]) -> None:
        signals, times, values, qualities = [], [], [], []
        for line, signal, time, value, quality in rows:
            try:
                number = float("nan") if value is None else self._values.value(signal, value)
                when = self._values.time(moment(time))
                index = self._values.signal(signal).index
                if not 0 <= quality <= 255:
                    raise InvalidValueError(f"{quality} is no quality between 0 and 255", "quality")
            except IoTSenseError as error:
                self._misfits.add(BadRow(file, line, str(error)))
                continue
            signals.append(index)
            times.append(when)
            values.append(number)
            qualities.append(quality)
        batch = ReadingBatch.of(signals, times, values, qualities) if signals else None
        self._twin.submit(batch, identities=[identity]).result()
        self._count("readings", len(signals))

    def _stored(self, identity: str) -> bool:
        stored = self._twin.seen(identity)
        self._report.skipped += stored
        return stored

    def _count(self, kind: str, rows: int) -> None:
        self._report.rows[kind] = self._report.rows.get(kind, 0) + rows


def _pieces(path: Path, rows: Iterator[Placed], size: int) -> Iterator[tuple[str, list[Placed]]]:
    """Pieces of a file, each with what it is known by: the file's checksum, the rows and the piece's number.

    A retraction begins a piece, for it needs the number that the event before it got.
    """
    digest = checksum(path)
    piece: list[Placed] = []
    number = 0
    for placed in rows:
        retracts = isinstance(placed.row, EventRow) and placed.row.retracts is not None
        if piece and (len(piece) == size or retracts):
            yield f"bulk:{digest}:{type(placed.row).__name__}:{number}", piece
            piece, number = [], number + 1
        piece.append(placed)
    if piece:
        yield f"bulk:{digest}:{type(piece[0].row).__name__}:{number}", piece


def _columns(connection: duckdb.DuckDBPyConnection, path: Path) -> str:
    """What is to be selected of a Parquet file; raises InvalidValueError if a column is missing."""
    described = connection.execute(f"DESCRIBE SELECT * FROM '{quoted(path)}'").fetchall()
    types = {name: kind for name, kind, *_ in described}
    if missing := [name for name in ("signal", "time", "value") if name not in types]:
        raise InvalidValueError(f"{path.name} has no column {', '.join(missing)}", "file")
    time = "epoch_ns(time)" if types["time"].startswith("TIMESTAMP") else "time"
    return f"signal, {time}, value, {'quality' if 'quality' in types else '192'}"
