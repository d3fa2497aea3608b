"""Readings drawn at random, and what a question about them must be answered with, worked out row by row."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.entry import Entry, EntryKind
from iotsense.twin.history_rows import SignalRows
from iotsense.twin.history_store import HistoryStore
from iotsense.twin.history_tail import rows_of_entries
from iotsense.twin.state import NEVER

S = 1_000_000_000
DAY = 86_400 * S


def opened(directory: Path, **options: Any) -> HistoryStore:
    """A store at work."""
    store = HistoryStore(directory, **options)
    store.start()
    return store


def entry(seq: int, recorded: int, batch: ReadingBatch) -> Entry:
    """A journal entry of readings."""
    return Entry(seq, recorded, EntryKind.READINGS, batch)


def stream(
    generator: np.random.Generator, entries: int, rows: int, signals: int, days: int, late: float = 0.05
) -> list[Entry]:
    """Entries over some days: mostly in the order of time, some rows late by up to all of it, some corrections."""
    start = 19_000 * DAY + int(generator.integers(0, DAY))
    step = days * DAY // entries
    found = []
    for number in range(entries):
        now = start + number * step
        time = now - generator.integers(0, 2_000, rows) * 1_000_000
        is_late = generator.random(rows) < late
        time[is_late] -= generator.integers(0, number * step + 1, is_late.sum()) // 1_000_000 * 1_000_000
        if found and rows > 4:  # a row of before once more
            old = found[int(generator.integers(len(found)))].value
            again = generator.integers(len(old))
            signal = generator.integers(0, signals, rows).astype(np.int32)
            signal[0], time[0] = old.signal[again], old.time[again]
        else:
            signal = generator.integers(0, signals, rows).astype(np.int32)
        value = generator.normal(50, 10, rows)
        value = np.where(signal % 2, value.round(2), value)
        value[generator.random(rows) < 0.01] = np.nan
        quality = np.where(generator.random(rows) < 0.02, 0, 192).astype(np.uint8)
        recorded = now + int(generator.integers(0, 5 * S))
        if found:
            recorded = max(recorded, found[-1].recorded + 1)
        found.append(entry(number + 1, recorded, ReadingBatch.of(signal, time, value, quality)))
    return found


def all_rows(entries: list[Entry]) -> SignalRows:
    """The readings in the order of recording."""
    rows = rows_of_entries(entries)
    assert rows is not None
    return rows


def expected_latest(
    rows: SignalRows, time: int, known_at: int | None, signals: NDArray[np.int32]
) -> list[tuple[int, str, int]]:
    """Per signal time, value (as text, since NaN is not NaN) and quality."""
    answer = []
    for signal in signals.tolist():
        chosen = np.flatnonzero((rows.signal == signal) & (rows.time <= time))
        if known_at is not None:
            chosen = chosen[rows.recorded[chosen] <= known_at]
        best = max(chosen.tolist(), key=lambda row: (rows.time[row], rows.recorded[row], row), default=None)
        if best is None:
            answer.append((NEVER, "nan", 0))
        else:
            answer.append((int(rows.time[best]), repr(float(rows.value[best])), int(rows.quality[best])))
    return answer


def bits(value: NDArray[np.float64]) -> list[int]:
    """Values as the bits that they are."""
    found: list[int] = np.ascontiguousarray(value).view(np.uint64).tolist()
    return found
