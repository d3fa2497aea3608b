"""The newest readings, in memory, before they become a part: bounded columns in the order of recording."""

import numpy as np
from numpy.typing import NDArray

from .entry import Entry, EntryKind
from .history import Rows
from .history_raw import Found
from .history_rows import SignalRows

NEVER = np.iinfo(np.int64).min


class Tail:
    """Grows at its end only, up to `capacity` rows, so whoever took `rows` may read on. One thread adds.

    seq: the journal's last entry that it has taken in.
    """

    def __init__(self, capacity: int, seq: int) -> None:
        self._signal = np.empty(capacity, dtype=np.int32)
        self._time = np.empty(capacity, dtype=np.int64)
        self._value = np.empty(capacity, dtype=np.float64)
        self._quality = np.empty(capacity, dtype=np.uint8)
        self._recorded = np.empty(capacity, dtype=np.int64)
        self._count = 0
        self.seq = seq

    def __len__(self) -> int:
        return self._count

    def add(self, entry: Entry) -> bool:
        """Takes an entry in; False if there is no room for its readings."""
        if entry.kind is EntryKind.READINGS:
            batch = entry.value
            start, end = self._count, self._count + len(batch)
            if end > len(self._signal):
                return False
            self._signal[start:end] = batch.signal
            self._time[start:end] = batch.time
            self._value[start:end] = batch.value
            self._quality[start:end] = batch.quality
            self._recorded[start:end] = entry.recorded
            self._count = end
        self.seq = entry.seq
        return True

    def rows(self) -> SignalRows:
        """What has come so far; views."""
        n = self._count
        return SignalRows(self._signal[:n], self._time[:n], self._value[:n], self._quality[:n], self._recorded[:n])


def rows_of_entries(entries: list[Entry]) -> SignalRows | None:
    """The readings of journal entries as one; None if there are none."""
    found = [entry for entry in entries if entry.kind is EntryKind.READINGS]
    parts = [
        SignalRows(b.signal, b.time, b.value, b.quality, np.full(len(b), e.recorded, dtype=np.int64))
        for e in found
        for b in (e.value,)
    ]
    return SignalRows.concat(parts) if parts else None


def latest_in_tail(rows: SignalRows, time: int, known_at: int, signals: NDArray[np.int32]) -> Found:
    """Per signal the newest reading until `time` among those recorded until `known_at` [ns]; rows as recorded."""
    rows = rows.take(slice(0, int(np.searchsorted(rows.recorded, known_at, side="right"))))
    top = int(max(signals.max(initial=-1), rows.signal.max(initial=-1))) + 1
    newest = np.full(top, NEVER)
    candidates = np.flatnonzero(rows.time <= time)
    signal, times = rows.signal[candidates], rows.time[candidates]
    np.maximum.at(newest, signal, times)
    last = np.full(top, -1, dtype=np.int64)
    newest_rows = times == newest[signal]
    last[signal[newest_rows]] = candidates[newest_rows]  # of repeated indexes the last row stays: the last recorded
    row = last[signals]
    at = np.flatnonzero(row >= 0)
    row = row[at]
    return Found(at, rows.time[row], rows.value[row], rows.quality[row], rows.recorded[row])


def tail_rows(rows: SignalRows, signal: int, start: int, end: int, known_at: int | None) -> Rows:
    """The readings of one signal in [start, end) [ns] that were recorded until `known_at`."""
    if known_at is not None:
        rows = rows.take(slice(0, int(np.searchsorted(rows.recorded, known_at, side="right"))))
    chosen = np.flatnonzero(rows.signal == signal)
    time = rows.time[chosen]
    chosen = chosen[(time >= start) & (time < end)]
    return Rows(rows.time[chosen], rows.value[chosen], rows.quality[chosen], rows.recorded[chosen])
