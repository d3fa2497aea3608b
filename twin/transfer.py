"""What moving a twin as a whole needs: all of its readings, and a journal that takes over what another recorded."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .changes import StructureChange
from .directory import DataDirectory
from .entry import EntryKind, NewLabel, Position
from .graph import Graph
from .journal import Journal, RecordedPart
from .live import Live
from .model import Event
from .past import Past

PAGE = 1000


class Readings(NamedTuple):
    """Recorded readings as columns of equal length `(n,)`; superseded ones are among them. Times in ns."""

    signal: NDArray[np.int32]
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]
    recorded: NDArray[np.int64]


class Moment(NamedTuple):
    """An instant of the journal: what was recorded until then [ns], and the graph as of then."""

    recorded: int
    graph: Graph
    last_event: int


class Transfer:
    """The twin's side of bulk export, import and backup."""

    def __init__(self, directory: DataDirectory, live: Live, journal: Journal, past: Past) -> None:
        self._directory = directory
        self._live = live
        self._journal = journal
        self._past = past
        if self.marker.exists():
            self.reserve(self.marker.read_text())

    # Out

    def moment(self) -> Moment:
        """What is durable now."""
        with self._live.lock:
            return Moment(self._live.recorded, self._live.graph, self._live.last_event)

    def changes(self, revision: int) -> list[tuple[int, StructureChange]]:
        """The revisions up to one that are known, in order, each with when it was recorded [ns]."""
        return self._past.revisions.changes(0, revision)

    def graph(self, revision: int) -> Graph:
        """The graph of a revision."""
        return self._past.revisions.graph(revision)

    def labels(self, known_at: int) -> Iterator[tuple[int, NewLabel]]:
        """The texts of text and boolean signals, of those that are gone, too, and since when each is known [ns]."""
        texts, since = self._live.labels.dump(), self._live.labels.dump_since()
        for signal, known in sorted(texts.items()):
            for code, (text, recorded) in enumerate(zip(known, since.get(signal, ()), strict=False)):
                if recorded <= known_at:
                    yield recorded, NewLabel(signal, code, text)

    def events(self, until: int) -> Iterator[Event]:
        """All events up to a number."""
        after = 0
        while after < until and (page := self._past.events(after, PAGE, None, None, False)):
            yield from (event for event in page if event.seq <= until)
            after = page[-1].seq

    def days(self, known_at: int) -> list[int]:
        """The UTC days (since the epoch) for which there are readings that were recorded until then [ns]."""
        return self._past.reading_days(known_at)

    def readings(self, day: int, known_at: int) -> Iterator[Readings]:
        """All readings of a UTC day that were recorded until then, in pieces of bounded size and in no order."""
        for rows in self._past.readings_of_day(day, known_at):
            yield Readings(rows.signal, rows.time, rows.value, rows.quality, rows.recorded)

    def copy_history(self, directory: Path, carry: Callable[[Path, Path], None]) -> int:
        """Brings history's parts as they are now to another directory; the journal's entry up to which they go."""
        return self._past.copy_history(directory, carry)

    def copy_catalog(self, path: Path) -> int:
        """Another file with events, dead letters and revisions; the journal's entry up to which it goes."""
        return self._past.copy_catalog(path)

    def copy_journal(self, directory: Path, carry: Callable[[Path, Path], None]) -> list[Path]:
        """Other files with all that is durable now, one a segment, in order; `carry` brings over the sealed ones."""
        copies = []
        segments = self._journal.segments
        for segment in segments:
            copy = directory / segment.path.name
            log = segment.path.with_name(f"{segment.path.name}-wal")
            if segment is segments[-1] or (log.exists() and log.stat().st_size):
                segment.copy(copy)
            else:
                carry(segment.path, copy)
            copies.append(copy)
        return copies

    # In

    @property
    def empty(self) -> bool:
        """Whether nothing was ever recorded."""
        return self._journal.last_seq == 0

    @property
    def recorded(self) -> int:
        """When the last entry was recorded [ns]."""
        return self._live.recorded

    @property
    def marker(self) -> Path:
        """A file that is there for as long as an import has the journal to itself; restarts included."""
        return self._directory.path / "importing"

    def reserve(self, why: str | None) -> None:
        """Refuses all writes but `take_over`, for this reason; or takes them again."""
        self._journal.reserved = why

    def take_over(self, entries: Sequence[RecordedPart]) -> int:
        """Appends what another journal recorded, with its times, as one transaction; see `Journal.take_over`."""
        return self._journal.take_over(entries)

    def conclude(self, readers: Sequence[str]) -> None:
        """Readers of the journal need not read what is there: what they would conclude has been taken over, too."""
        seq = self._journal.last_seq
        parts: list[RecordedPart] = [(self._live.recorded, EntryKind.POSITION, Position(name, seq)) for name in readers]
        self._journal.take_over(parts)


def readings_of(found: dict[str, Any]) -> Readings:
    """Columns as DuckDB returns them; NULL stands for NaN."""
    return Readings(
        np.ma.getdata(found["signal"]).astype(np.int32),
        np.ma.getdata(found["time"]).astype(np.int64),
        np.ma.filled(np.ma.asarray(found["value"], dtype=np.float64), np.nan),
        np.ma.getdata(found["quality"]).astype(np.uint8),
        np.ma.getdata(found["recorded"]).astype(np.int64),
    )
