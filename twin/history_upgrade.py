"""Takes over the readings of version 0.1, which kept them in a DuckDB file."""

from collections.abc import Iterator
from pathlib import Path

import duckdb

from .bulk_readings import bounds_of_recording
from .duckdb_errors import translated
from .errors import DamagedFileError
from .history_flush import write_parts
from .history_parts import Parts
from .history_raw_writer import PartInfo
from .history_rows import SignalRows
from .transfer import readings_of

BACKUP = "plant.duckdb.v1"


def import_readings(file: Path, history: Path) -> None:
    """Makes parts of all readings of the file, all at once: a crash before the end leaves none. Raises StorageError."""
    parts = Parts(history)
    if parts.manifest.applied_seq > 0:
        return  # a crash came between this and the note that it is done
    written: list[PartInfo] = []
    with translated(file), duckdb.connect(str(file), config={"memory_limit": "256MB", "threads": 2}) as database:
        row = database.execute("SELECT max(seq) FROM applied").fetchone()
        if row is None or row[0] is None:
            raise DamagedFileError(f"{file}: it does not say up to where it holds the journal")
        try:
            for rows in _windows(database):
                written += write_parts(rows, history, parts.new_name)
        except BaseException:
            for info in written:
                (history / info.name).unlink(missing_ok=True)
            raise
    parts.replace([], written, applied_seq=int(row[0]))


def _windows(database: duckdb.DuckDBPyConnection) -> Iterator[SignalRows]:
    """All readings in the order of recording."""
    first = -(1 << 62)
    bounds = bounds_of_recording(database, "reading", first)
    for low, high in zip([first, *bounds], bounds, strict=False):
        found = database.execute(
            "SELECT signal, time, value, quality, recorded FROM reading WHERE recorded > ? AND recorded <= ?"
            " ORDER BY recorded, rowid",
            [low, high],
        ).fetchnumpy()
        yield SignalRows(*readings_of(found))
