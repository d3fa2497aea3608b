"""Chunks of the journal for stores that hold history: which value is valid, and which was superseded by which."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from .batch import ReadingBatch
from .entry import Entry, EntryKind
from .graph import Graph
from .model import Event
from .store import Chunk, Recorded

CHUNK_ROWS = 100_000


def read_chunk(
    entries: Iterable[Entry],
    after: int,
    graph: Graph,
    texts: Callable[[int], Sequence[str]],
    rows: int = CHUNK_ROWS,
) -> Chunk:
    """The next entries, until they hold so many rows."""
    batches: list[Recorded] = []
    events: list[Event] = []
    seq, recorded, count = after, 0, 0
    for entry in entries:
        seq, recorded = entry.seq, entry.recorded
        if entry.kind is EntryKind.READINGS:
            batches.append(_recorded(entry.value, entry.recorded))
            count += len(entry.value)
        elif entry.kind is EntryKind.EVENTS:
            events += entry.value
            count += len(entry.value)
        if count >= rows:
            break
    current, first_recorded, superseded, superseded_at = _versions(Recorded.concat(batches))
    return Chunk(after, seq, recorded, current, first_recorded, superseded, superseded_at, events, graph, texts)


def _recorded(batch: ReadingBatch, recorded: int) -> Recorded:
    return Recorded(batch.signal, batch.time, batch.value, batch.quality, np.full(len(batch), recorded, dtype=np.int64))


def _versions(rows: Recorded) -> tuple[Recorded, NDArray[np.int64], Recorded, NDArray[np.int64]]:
    """The valid rows, when their (signal, time) was first spoken of, the rows that they superseded, and when."""
    rows = last_of_each_commit(rows)
    same_key = _same_key(rows)
    if not len(rows):
        return rows, rows.recorded, rows, rows.recorded
    last, first = np.append(~same_key, True), np.append(True, ~same_key)
    gone = np.flatnonzero(~last)
    return rows.take(last), rows.recorded[first], rows.take(gone), rows.recorded[gone + 1]


def last_of_each_commit(rows: Recorded) -> Recorded:
    """In the order of signal, time and recording; of two rows of one commit the first was never to be seen."""
    rows = rows.take(np.lexsort((rows.recorded, rows.time, rows.signal)))
    same = _same_key(rows) & (rows.recorded[1:] == rows.recorded[:-1])
    return rows.take(np.append(~same, True)) if same.any() else rows


def _same_key(rows: Recorded) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (rows.signal[1:] == rows.signal[:-1]) & (rows.time[1:] == rows.time[:-1])
    return same


def newest_known(rows: Sequence[Recorded]) -> Recorded:
    """All rows in the order of (signal, time), of each the last recorded."""
    every = Recorded.concat(rows)
    every = every.take(np.lexsort((every.recorded, every.time, every.signal)))
    return every.take(np.append(~_same_key(every), True)) if len(every) else every


def newest_of_each(rows: Sequence[Recorded]) -> Recorded:
    """Of each signal the row with the newest time; by index."""
    every = newest_known(rows)
    return every.take(np.append(every.signal[1:] != every.signal[:-1], True)) if len(every) else every
