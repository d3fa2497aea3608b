"""The twin of a plant on a data directory: what it is, what it was, and the one way to change it."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .as_of import AsOf
from .batch import ReadingBatch
from .catalog import Catalog
from .collector import collector_paused
from .counts import Counts, SourceCounts
from .data_format import bring_up_to_date
from .directory import DataDirectory
from .entry import DeadLetter, Entry, EntryKind, EventDraft, Resolution
from .errors import StorageError
from .event_retention import EventRetention
from .graph import Graph
from .graph_edit import GraphEdit
from .history import History
from .history_policy import FollowedPolicy
from .history_repair import repair
from .history_report import StorageReport
from .history_store import HistoryStore
from .journal import Journal
from .live import Live
from .model import Event
from .parts import identity_hash, identity_hashes, reading_parts, record_parts, stale_drafts, structure_parts
from .past import Past
from .projection import Projection
from .projector import Projector
from .recovery import open_or_renew, recover
from .remarks import AnomalyRemarks
from .reports import Reports
from .scenarios import Scenarios
from .state import TwinState
from .state_subscription import StateSubscription
from .store_options import StoreOptions as StoreOptions
from .times import NS, now_ns
from .transfer import Transfer
from .upkeep import Upkeep

T = TypeVar("T")
IDENTITY_NS = 24 * 3600 * NS


class Twin:
    """Graph, state, history and events over one journal. All methods may be called from any thread.

    `revisions` has the structure as it was, `scenarios` the plant's forks, `remarks` what is said about anomalies.
    """

    def __init__(self, directory: DataDirectory, options: StoreOptions) -> None:
        bring_up_to_date(directory)
        self._directory = directory
        self._live = Live()
        self._structure = threading.Lock()
        self._journal = Journal(directory.journal, self._live, options.segment_bytes)
        self._upkeep = Upkeep(self._live, self._journal, directory, options.journal_retention)
        self._store = HistoryStore(
            directory.history, options.tail_rows, policy=FollowedPolicy(lambda: self._live.graph)
        )
        self._catalog = open_or_renew(directory.catalog, Catalog)
        self._stores: tuple[Projection, ...] = (self._catalog, self._store)
        self.damage = recover(self._live, self._journal, self._upkeep.checkpoints, self._stores)
        self.damage += repair(self._store.parts, self._journal)
        self.budget = self._upkeep.budget
        self._journal.start()
        self._store.start()
        self._upkeep.duties.append(EventRetention(self._live, self._catalog).look)
        self._projector = Projector(self._journal, self._stores, self._upkeep.look, options.projection_interval)
        self._past = Past(self._live, self._journal, self._store, self._catalog, self._projector)
        self.revisions = self._past.revisions
        self.scenarios = Scenarios(self._live, self._journal, self._past)
        self._projector.start()
        self.transfer = Transfer(directory, self._live, self._journal, self._past)
        self.reports = Reports(self, self._past)
        self.remarks = AnomalyRemarks(self)
        directory.keep_reserve()

    @classmethod
    def open(cls, directory: Path | str, options: StoreOptions | None = None) -> "Twin":
        """Opens or makes a data directory, and takes up where the last process stopped, however it stopped.

        Raises DirectoryInUseError if another process has it; StorageError if it cannot be used at all. Where reading
        is possible and writing is not, it opens, and `trouble` says why writes are refused.
        """
        data = DataDirectory(Path(directory))
        try:
            return cls(data, options or StoreOptions())
        except StorageError:
            if not data.release_reserve():
                data.close()
                raise
        except BaseException:
            data.close()
            raise
        try:
            return cls(data, options or StoreOptions())
        except BaseException:
            data.close()
            raise

    def close(self) -> None:
        """Makes everything that was accepted durable and projected, and gives the directory back."""
        self._journal.stop()
        self._projector.close()
        if self._journal.damage is None:
            self._upkeep.save_checkpoint()
        self._journal.close()
        for store in self._stores:
            store.close()
        self._directory.close()

    def __enter__(self) -> "Twin":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What it is

    @property
    def directory(self) -> Path:
        """The data directory."""
        return self._directory.path

    @property
    def graph(self) -> Graph:
        """The structure now; an immutable value, so hold on to it for as long as one answer takes."""
        return self._live.graph

    @property
    def state(self) -> TwinState:
        """The latest reading of every signal."""
        return self._live.state

    @property
    def last_seq(self) -> int:
        """The number of the journal's last durable entry."""
        return self._journal.last_seq

    @property
    def first_seq(self) -> int:
        """The number of the journal's first entry."""
        return self._journal.first_seq

    @property
    def last_event_seq(self) -> int:
        """The number of the last event."""
        return self._live.last_event

    @property
    def trouble(self) -> str | None:
        """Why writes are refused, or would have been a moment ago; None if all is well."""
        trouble = self._journal.damage or self._journal.trouble or self.budget.refusal
        return str(trouble) if trouble else None

    @property
    def history_trouble(self) -> str | None:
        """Why history lags behind the journal; None if all is well."""
        trouble = self._projector.trouble or self._store.trouble or self._store.upkeep.trouble
        return str(trouble) if trouble else None

    @property
    def writable(self) -> bool:
        """Whether the last write succeeded."""
        return self.trouble is None

    # Writing

    def apply(self, batch: ReadingBatch) -> int:
        """Takes in readings; they are durable when it returns. The number of their journal entry.

        Raises StorageError (nothing was kept), OverloadedError (nothing was accepted).
        """
        self.budget.check()
        return self._journal.write(reading_parts(batch))

    def submit(
        self,
        batch: ReadingBatch | None = None,
        *,
        identities: Sequence[str] = (),
        dead_letters: Sequence[DeadLetter] = (),
        counts: Counts | None = None,
    ) -> "Future[int]":
        """Readings, the messages that they came in, what could not be used, and whose it is, as one transaction."""
        self.budget.check()
        return self._journal.submit(reading_parts(batch, dead_letters, counts), identity_hashes(identities))

    async def append(
        self,
        batch: ReadingBatch | None = None,
        *,
        identities: Sequence[str] = (),
        positions: Mapping[str, int] | None = None,
        dead_letters: Sequence[DeadLetter] = (),
        counts: Counts | None = None,
    ) -> int:
        """`submit` for coroutines: returns when it is durable. positions: how far sources (SOURCE_PREFIX) were read."""
        self.budget.check()
        parts = reading_parts(batch, dead_letters, counts, positions)
        return await self._journal.append(parts, identity_hashes(identities))

    def change(self, build: Callable[[GraphEdit], T], author: str) -> T:
        """One revision of the structure: what `build` asks of the edit happens whole or, if it raises, not at all.

        Returns what `build` returns, once the change is durable and `graph` shows it. They run one after another.
        """
        with self._structure, collector_paused():
            edit, before = GraphEdit(self.graph, author), self.graph
            result = build(edit)
            change = edit.change()
            if change is not None:
                self._live.foreseen = (change, replace(edit.graph, revision=change.revision))
                self._journal.write(structure_parts(change, before))
            return result

    async def change_async(self, build: Callable[[GraphEdit], T], author: str) -> T:
        """`change` for coroutines."""
        return await asyncio.to_thread(self.change, build, author)

    def record(
        self,
        drafts: Sequence[EventDraft] = (),
        batch: ReadingBatch | None = None,
        position: tuple[str, int] | None = None,
        identities: Sequence[str] = (),
    ) -> int:
        """Events, derived readings, and how far their author has read the journal, as one transaction."""
        return self._journal.write(record_parts(drafts, batch, position), identity_hashes(identities))

    async def record_async(
        self,
        drafts: Sequence[EventDraft] = (),
        batch: ReadingBatch | None = None,
        position: tuple[str, int] | None = None,
    ) -> int:
        """`record` for coroutines."""
        return await self._journal.append(record_parts(drafts, batch, position))

    def mark_stale(self, silent: Sequence[tuple[int, int]]) -> int:
        """Signals (index) that have been silent since (time of the last reading [ns]): an event each, state uncertain.

        Whoever marks them ends the event (`open_event`, amended with `until`) when they speak again.
        """
        return self.record(stale_drafts(self.graph, silent))

    # Labels and identities

    def label_code(self, signal: int, text: str) -> float:
        """The code of a text or boolean value; raises InvalidValueError when the signal has 256 texts already."""
        return float(self._live.labels.code(signal, text))

    def label(self, signal: int, code: float) -> str | None:
        """The text behind a code; None for a numeric signal."""
        return self._live.labels.text(signal, code)

    def labels(self, signal: int) -> tuple[str, ...]:
        """A signal's texts by code; empty for a numeric signal."""
        return self._live.labels.texts(signal)

    def seen(self, identity: str) -> bool:
        """Whether a message of this identity became durable within the last 24 hours, restarts included."""
        return self._journal.has_identity(identity_hash(identity), now_ns() - IDENTITY_NS)

    # The past

    def as_of(self, time: int | None = None, known_at: int | None = None, scenario: str | None = None) -> AsOf:
        """Graph and state together as of a world time [ns], by what was recorded until `known_at` [ns].

        Live without any of them, and then it does not block; all else blocks.
        """
        return self._past.as_of(time, known_at, scenario)

    async def as_of_async(
        self, time: int | None = None, known_at: int | None = None, scenario: str | None = None
    ) -> AsOf:
        """`as_of` for coroutines; all that the view would block for is done already."""
        if time is None and known_at is None and scenario is None:
            return self.as_of()
        return await asyncio.to_thread(lambda: self.as_of(time, known_at, scenario).prepared())

    def history(
        self, signal: int, start: int, end: int, points: int | None = None, known_at: int | None = None
    ) -> History:
        """Readings of a signal in [start, end) [ns], at most `points` rows, as known at `known_at` [ns]; blocks."""
        return self._past.history(signal, start, end, points, known_at)

    @property
    def whole_from(self) -> int:
        """From when on [ns] all readings are kept; of those before there are only aggregates, or some."""
        return self._past.whole_from

    def reading_count(self, signal: int | None = None) -> int:
        """How many readings are stored, of one signal or of all; superseded ones are included."""
        return self._past.reading_count(signal)

    def events(
        self,
        after: int = 0,
        limit: int = 1000,
        *,
        node: int | None = None,
        kind: str | None = None,
        newest_first: bool = False,
    ) -> list[Event]:
        """Events numbered above `after`, in order, or the newest of them first; blocks if they are old."""
        return self._past.events(after, limit, node, kind, newest_first)

    def open_events(self, kind: str, node: int | None = None) -> list[Event]:
        """Events that have begun and not ended, such as open anomalies."""
        found = (event for event in tuple(self._live.open_events.values()) if event.kind == kind)
        return [event for event in found if node is None or event.node == node]

    def open_event(self, identity: str) -> Event | None:
        """The open event of this identity."""
        return self._live.open_events.get(identity)

    def standing_events(self, kind: str, *, node: int | None = None, identity: str | None = None) -> list[Event]:
        """The newest event of each identity, but for those that were taken back; blocks."""
        return self._past.standing_events(kind, node, identity)

    def is_stale(self, signal: int) -> bool:
        """Whether the signal has been silent for longer than its `expected_interval`."""
        return signal in self._live.stale

    def dead_letters(self, *, after: int = 0, limit: int = 100, pending_only: bool = True) -> list[DeadLetter]:
        """Dead letters with an id above `after`; blocks."""
        return self._past.dead_letters(after, limit, pending_only)

    def pending_dead_letters(self) -> int:
        """How many dead letters wait for somebody; blocks."""
        return self._past.pending_dead_letters()

    def resolve_dead_letters(self, ids: Sequence[int], how: str) -> int:
        """Marks dead letters as `replayed` or `purged`; purging forgets their bytes. Their number."""
        if ids:
            self._journal.write([(EntryKind.RESOLVED, Resolution(list(ids), how))])
        return len(ids)

    # Following

    def journal_entries(self, after: int) -> Iterator[Entry]:
        """The durable entries behind `after`, in order, up to the last one."""
        return self._journal.read(after)

    async def wait_entries(self, after: int) -> None:
        """Returns once there is an entry behind `after`."""
        await self._journal.wait_beyond(after)

    def position(self, name: str) -> int:
        """How far the reader `name` of the journal has come; 0 if it never told."""
        return self._live.positions.get(name, 0)

    def subscribe_state(self, signals: NDArray[np.int32] | None = None) -> StateSubscription:
        """Follows the state of some signals, or of all, from now on."""
        return StateSubscription(self.state, self._journal, self._live.labels, signals)

    # Keeping house

    def sizes(self) -> dict[str, int]:
        """Bytes on the disk, by part."""
        return {"journal": self._journal.size(), "history": self._store.size(), "catalog": self._catalog.size()}

    def storage_report(self) -> StorageReport:
        """What storage takes by kind, and what the configured retention will need; blocks."""
        return self._store.report({name: size for name, size in self.sizes().items() if name != "history"})

    def counts(self) -> dict[str, int]:
        """Numbers for /metrics: entries, readings and events so far, entries that history lags behind."""
        return {
            "entries": self.last_seq,
            "readings": self._live.readings,
            "events": self.last_event_seq,
            "history_lag_entries": self.last_seq - self._projector.applied_seq,
            "nodes": len(self.graph),
            "signals": len(self.graph.signal_map),
        }

    def source_counts(self) -> dict[str, SourceCounts]:
        """What became of all messages and readings since the data directory was made, by source, as of one instant."""
        return self._live.source_counts()

    def counts_of(self, source: str) -> SourceCounts:
        """The same of one source."""
        return self._live.counts_of(source)

    def catch_up(self) -> bool:
        """Returns when history holds what is durable now; False if it cannot be written."""
        return self._projector.catch_up()
