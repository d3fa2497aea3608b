"""Takes over the events and dead letters of version 0.1, which kept them in a DuckDB file beside the readings."""

from pathlib import Path
from typing import Any

import duckdb
import msgspec

from .catalog import Catalog
from .duckdb_errors import translated
from .entry import DeadLetter, Entry, EntryKind
from .model import Event

_EVENTS = "SELECT seq, time, recorded, kind, node, until, data, identity, retracts FROM event ORDER BY seq"
_DEAD_LETTERS = """SELECT time, source, stage, reason, payload, topic, metadata, id, resolved FROM dead_letter
    ORDER BY id"""


def import_events(file: Path, catalog: Path) -> None:
    """Makes a catalog of what the file has, in one transaction; one that holds something is left as it is.

    Raises StorageError. Revisions are not in the file: those that the journal has no longer are not known.
    """
    with translated(file), duckdb.connect(str(file), config={"memory_limit": "256MB", "threads": 2}) as database:
        applied = database.execute("SELECT max(seq) FROM applied").fetchone()
        tables = {row[0] for row in database.execute("SELECT table_name FROM information_schema.tables").fetchall()}
        if applied is None or applied[0] is None or not {"event", "dead_letter"} <= tables:
            return
        events = [_event(*row) for row in database.execute(_EVENTS).fetchall()]
        letters = [_dead_letter(*row) for row in database.execute(_DEAD_LETTERS).fetchall()]
    store = Catalog(catalog)
    try:
        if store.applied_seq == 0:
            seq = int(applied[0])
            entries = [Entry(seq, 0, EntryKind.EVENTS, events), Entry(seq, 0, EntryKind.DEAD_LETTERS, letters)]
            store.apply(entries)
    finally:
        store.close()


def _event(*row: Any) -> Event:
    seq, time, recorded, kind, node, until, data, identity, retracts = row
    return Event(seq, time, recorded, kind, node, until, msgspec.json.decode(data), identity, retracts)


def _dead_letter(*row: Any) -> DeadLetter:
    time, source, stage, reason, payload, topic, metadata, id, resolved = row
    data = msgspec.json.decode(metadata)
    return DeadLetter(time, source, stage, reason, bytes(payload), topic, data, id, resolved)
