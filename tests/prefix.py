"""A twin rebuilt from the journal's prefix: what the plant was at an instant, by what was known then."""

from pathlib import Path

import msgspec
import numpy as np

from iotsense.twin.command import COMMAND
from iotsense.twin.entry import Entry, EntryKind, Position, pack
from iotsense.twin.model import Event
from iotsense.twin.segment import Row, Segment
from iotsense.twin.times import parse_time
from iotsense.twin.twin import Twin

END = 1 << 62


def prefix_twin(twin: Twin, directory: Path, time: int | None, known_at: int | None) -> Twin:
    """A new twin of the entries that were recorded until `known_at`, with nothing in them that came after `time`."""
    time, known_at = (END if at is None else at for at in (time, known_at))
    entries = [entry for entry in twin.journal_entries(0) if entry.recorded <= known_at]
    rows = [_row(_until(entry, time)) for entry in entries]
    (directory / "journal").mkdir(parents=True)
    segment = Segment(directory / "journal" / f"{1:020d}.sqlite", 1)
    segment.open_writer()
    segment.append(rows, [])
    segment.close()
    rebuilt = Twin.open(directory)
    rebuilt.catch_up()
    # The numbers that are left out are not lost.
    rebuilt._catalog._writer.execute("DELETE FROM event_gap")
    rebuilt._catalog._look_at_gaps()
    return rebuilt


def _row(entry: Entry) -> Row:
    return Row(entry.seq, entry.recorded, entry.kind, pack(entry.kind, entry.value))


def _until(entry: Entry, time: int) -> Entry:
    """The entry without what came later; one of which nothing is left keeps its number."""
    match entry.kind:
        case EntryKind.READINGS:
            return entry._replace(value=entry.value.take(np.flatnonzero(entry.value.time <= time)))
        case EntryKind.EVENTS:
            found = [_not_ended(event, time) for event in entry.value if event.time <= time]
            return entry._replace(value=found) if found else _nothing(entry)
        case EntryKind.STRUCTURE if entry.recorded > time:
            return _nothing(entry)
    return entry


def _nothing(entry: Entry) -> Entry:
    return entry._replace(kind=EntryKind.POSITION, value=Position("prefix", 0))


def _not_ended(event: Event, time: int) -> Event:
    if event.until is not None and event.until > time:
        event = msgspec.structs.replace(event, until=None)
    if event.kind == COMMAND and "sent" in event.data and parse_time(event.data["sent"]) > time:
        event = msgspec.structs.replace(event, data={k: v for k, v in event.data.items() if k != "sent"})
    return event
