"""The newest entries of the journal, kept in memory for those who follow it closely."""

import threading
from collections import deque
from collections.abc import Sequence

from .entry import Entry

RECENT_BYTES = 32 << 20


class RecentEntries:
    """A window that ends with the last durable entry; bounded in bytes, the oldest go first."""

    def __init__(self, budget: int = RECENT_BYTES) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self._groups: deque[tuple[Sequence[Entry], int]] = deque()
        self._size = 0
        self._last = 0

    def begin(self, last_seq: int) -> None:
        """Nothing is in memory yet; the files end with this entry."""
        self._last = last_seq

    def extend(self, entries: Sequence[Entry], size: int) -> None:
        """Adds what was just committed: `size` bytes."""
        if not entries:
            return
        with self._lock:
            self._groups.append((entries, size))
            self._size += size
            self._last = entries[-1].seq
            while self._size > self._budget and len(self._groups) > 1:
                self._size -= self._groups.popleft()[1]

    def after(self, seq: int) -> list[Entry] | None:
        """All entries behind `seq`, or None if some of them are no longer here."""
        with self._lock:
            if seq >= self._last:
                return []
            found: list[Sequence[Entry]] = []
            for entries, _ in reversed(self._groups):
                found.append(entries)
                if entries[0].seq <= seq + 1:
                    break
            else:
                return None
        return [entry for entries in reversed(found) for entry in entries if entry.seq > seq]
