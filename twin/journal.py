"""The journal: everything, in the order in which we learned it. It is the only truth; all else is projected from it.

One thread writes at a time: the journal's own, or a caller who waits anyway and finds nobody at it. Whoever submits
while a commit is under way is taken along by the next one (group commit), so a slow disk makes commits larger, not the
queue longer. An entry is shown to readers only after it is durable.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from .end_mark import EndMark
from .entry import Entry, EntryKind, pack, unpack
from .errors import ConflictError, DamagedFileError, OverloadedError, StorageError, StorageReadOnlyError
from .group_commit import Group, Submission, call, merge, resolve, size_of
from .group_commit import Part as Part
from .recent import RecentEntries
from .segment import Row, Segment, sync_directory
from .times import now_ns

RecordedPart = tuple[int, EntryKind, Any]
SEGMENT_BYTES = 256 << 20
PENDING_BYTES = 64 << 20
GROUP_BYTES = 256 << 10
_READ_ROWS = 64
GATHER_S = 0.002


class Owner(Protocol):
    """Who is asked and told while the journal's thread commits."""

    def number(self, parts: Sequence[Part], recorded: int) -> list[Part]:
        """Gives drafts their numbers; may be called again for the same parts if a commit fails."""

    def committed(self, entries: Sequence[Entry]) -> None:
        """The entries are durable; called in order, before those who submitted them are told."""

    def snapshot(self) -> bytes:
        """All that a reader needs who begins behind the last committed entry."""


class Journal:
    """Segments in a directory, and the thread that appends to the last of them."""

    def __init__(self, directory: Path, owner: Owner, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.directory = directory
        self._owner = owner
        self._segment_bytes = segment_bytes
        self._pending: deque[Submission] = deque()
        self._pending_bytes = 0
        self._wake = threading.Condition()
        self._turn = threading.Lock()
        self._last_commit = (0, 0.0)
        self._closing = False
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._recent = RecentEntries()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self.trouble: StorageError | None = None
        self.damage: DamagedFileError | None = None
        self.reserved: str | None = None
        self.end = EndMark(directory)
        self.segments: list[Segment] = []
        self.last_seq = 0
        self._last_recorded = 0
        self._open_segments()

    # Opening

    def _open_segments(self) -> None:
        self.directory.mkdir(exist_ok=True)
        sync_directory(self.directory.parent)
        self.segments = [Segment(path, int(path.stem)) for path in sorted(self.directory.glob("*.sqlite"))]
        if len(self.segments) > 1 and self.segments[-1].empty():
            self.segments.pop().drop()  # a crash came between making the file and its first entry
        self.segments = self.segments or [self._segment(1)]
        if self.segments[-1].empty():
            self.segments[-1].open_writer()  # new, or a crash came while it was made
        for segment, after in zip(self.segments, [*self.segments[1:], None], strict=True):
            try:
                self.last_seq = segment.check(after.first if after else None)
            except DamagedFileError as damage:
                self.damage = self.damage or damage
                self.last_seq = max(self.last_seq, after.first - 1 if after else 0)
        self._recent.begin(self.last_seq)
        if self.damage is None:
            self._last_recorded = max(segment.last_recorded() for segment in self.segments[-2:])

    def _segment(self, first: int) -> Segment:
        return Segment(self.directory / f"{first:020d}.sqlite", first)

    def start(self) -> None:
        """Begins to write; entries are numbered on from the last one in the files."""
        if self.damage is None:
            try:
                if not self.segments[-1].writable:
                    self.segments[-1].open_writer()
                self.end.open(self.last_seq)
            except StorageError as trouble:
                self.trouble = trouble
        self._thread.start()

    # Writing

    def submit(self, parts: Sequence[Part], identities: Sequence[bytes] = ()) -> "Future[int]":
        """Appends parts as one transaction; the future gives the last entry's number once it is durable.

        Raises OverloadedError at once if too much waits already. The future raises StorageError.
        """
        future: Future[int] = Future()
        self._enqueue(Submission(parts, identities, size_of(parts), None, future))
        self._call_writer()
        return future

    def write(self, parts: Sequence[Part], identities: Sequence[bytes] = ()) -> int:
        """Appends parts as one transaction, and returns its last entry's number when it is durable."""
        future: Future[int] = Future()
        self._enqueue(Submission(parts, identities, size_of(parts), None, future))
        # Handing over to another thread and back costs as much as the commit; who finds nobody at it commits himself.
        if self._turn.acquire(blocking=False):
            try:
                while not future.done() and (group := self._next_group()):
                    self._try_commit(group)
            finally:
                self._turn.release()
        if self._pending or not future.done():
            self._call_writer()
        return future.result()

    async def append(self, parts: Sequence[Part], identities: Sequence[bytes] = ()) -> int:
        """The same for coroutines: returns when the parts are durable."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        self._enqueue(Submission(parts, identities, size_of(parts), loop, future))
        self._call_writer()
        return await future

    def _enqueue(self, submission: Submission) -> None:
        with self._wake:
            if self._closing:
                raise StorageReadOnlyError("the journal is closed")
            if self.damage is not None:
                raise StorageReadOnlyError(f"writes are refused because of damage: {self.damage}")
            if self.reserved is not None:
                raise OverloadedError(f"nothing was accepted: {self.reserved}")
            if self._pending_bytes > PENDING_BYTES:
                raise OverloadedError("the journal cannot keep up; nothing was accepted")
            self._pending.append(submission)
            self._pending_bytes += submission.size

    def _call_writer(self) -> None:
        with self._wake:
            self._wake.notify()

    def _run(self) -> None:
        while self._wait_for_work():
            with self._turn:
                while group := self._next_group():
                    self._try_commit(group)

    def _wait_for_work(self) -> bool:
        with self._wake:
            while not self._pending and not self._closing:
                self._wake.wait()
            return bool(self._pending)

    def _next_group(self) -> Group | None:
        self._gather()
        with self._wake:
            group = Group()
            while self._pending and group.size < GROUP_BYTES:
                submission = self._pending.popleft()
                group.submissions.append(submission)
                group.size += submission.size
            self._pending_bytes -= group.size
            return group if group.submissions else None

    def _gather(self) -> None:
        """Callers who were just told come back in a moment: a short wait lets all of them share the next commit."""
        callers, took = self._last_commit
        if callers > 1:
            deadline = time.monotonic() + min(GATHER_S, took / 2)
            with contextlib.suppress(OSError):  # a sleep may fail while the clock is set; the wait is only a courtesy
                while 0 < len(self._pending) < callers and time.monotonic() < deadline:
                    time.sleep(0.0001)

    def _try_commit(self, group: Group) -> None:
        began = time.monotonic()
        try:
            self._commit(group)
        except StorageError as error:
            self.trouble = error
            self._settle(group, error)
        except Exception as error:
            # The supervisor of the writing: were an error to escape, every other caller would wait for ever.
            self.trouble = StorageReadOnlyError(f"the journal failed: {error!r}")
            self.trouble.__cause__ = error
            self._settle(group, self.trouble)
        self._last_commit = (len(group.submissions), time.monotonic() - began)

    def _commit(self, group: Group) -> None:
        segment = self._segment_for_writing()
        recorded = max(now_ns(), self._last_recorded + 1)
        merged = merge(part for submission in group.submissions for part in submission.parts)
        parts = self._owner.number(merged, recorded)
        entries = [Entry(self.last_seq + 1 + i, recorded + i, kind, value) for i, (kind, value) in enumerate(parts)]
        identities = [(hash, recorded) for submission in group.submissions for hash in submission.identities]
        self._append(segment, entries, identities)
        self._settle(group, None)
        self._tell_waiting()

    def _append(self, segment: Segment, entries: Sequence[Entry], identities: Sequence[tuple[bytes, int]]) -> None:
        rows = [Row(e.seq, e.recorded, e.kind, pack(e.kind, e.value)) for e in entries]
        segment.append(rows, identities)
        self.trouble = None
        self._recent.extend(entries, sum(len(row.payload) for row in rows))
        self._owner.committed(entries)
        if entries:
            # Last: whoever sees the new number finds the entries absorbed.
            self._last_recorded = entries[-1].recorded
            self.last_seq = entries[-1].seq
            self.end.write(self.last_seq)

    def take_over(self, entries: Sequence[RecordedPart]) -> int:
        """Appends what another journal recorded, with the times at which it did, as one transaction.

        It may be the only writer for as long as it likes (`reserved`). The last entry's number. Raises ConflictError if
        something was to be recorded before the last entry that is here.
        """
        with self._turn:
            if self.damage is not None or self._closing:
                raise StorageReadOnlyError(f"writes are refused: {self.damage or 'the journal is closed'}")
            times = [self._last_recorded, *(recorded for recorded, _, _ in entries)]
            if any(later < earlier for earlier, later in pairwise(times)):
                raise ConflictError("an entry would be recorded before those that are here already")
            segment = self._segment_for_writing()
            first = self.last_seq + 1
            self._append(segment, [Entry(first + i, *entry) for i, entry in enumerate(entries)], [])
        self._tell_waiting()
        return self.last_seq

    def _segment_for_writing(self) -> Segment:
        last = self.segments[-1]
        if not last.writable:
            last.open_writer()
        elif last.written > self._segment_bytes:
            return self._roll(last)
        return last

    def _roll(self, last: Segment) -> Segment:
        # A segment begins with a snapshot, so that those before it can be dropped.
        new = self._segment(self.last_seq + 1)
        new.open_writer()
        snapshot = Entry(self.last_seq + 1, self._last_recorded, EntryKind.SNAPSHOT, self._owner.snapshot())
        new.append([Row(*snapshot[:3], pack(snapshot.kind, snapshot.value))], [])
        last.seal()
        self.segments = [*self.segments, new]
        self._recent.extend([snapshot], len(snapshot.value))
        self._owner.committed([snapshot])
        self._last_recorded, self.last_seq = snapshot.recorded, snapshot.seq
        return new

    def _settle(self, group: Group, error: StorageError | None) -> None:
        seq = self.last_seq
        by_loop: dict[asyncio.AbstractEventLoop, list[Submission]] = {}
        for submission in group.submissions:
            if submission.loop is not None:
                by_loop.setdefault(submission.loop, []).append(submission)
            else:
                resolve((submission,), seq, error)
        for loop, submissions in by_loop.items():
            call(loop, resolve, submissions, seq, error)

    # Reading

    def read(self, after: int) -> Iterator[Entry]:
        """The durable entries behind `after`, in order; raises DamagedFileError at one that is altered or gone."""
        while after < self.last_seq:
            entries = self._recent.after(after)
            if entries is None:
                entries = self.read_from_files(after)
            if not entries:
                return
            yield from entries
            after = entries[-1].seq

    def recent(self, after: int) -> list[Entry] | None:
        """The entries behind `after` if all of them are still in memory."""
        return self._recent.after(after)

    @property
    def first_seq(self) -> int:
        """The first entry that is still there, or will be."""
        return self.segments[0].first

    def read_from_files(self, after: int) -> list[Entry]:
        """Some of the entries behind `after`, from the disk; raises DamagedFileError."""
        segments = self.segments
        if after + 1 < segments[0].first:
            raise DamagedFileError(f"the journal no longer has the entries {after + 1} to {segments[0].first - 1}")
        segment = next(s for s in reversed(segments) if s.first <= after + 1)
        found: list[Entry] = []
        for seq, recorded, kind, payload in segment.rows(after, _READ_ROWS):
            if seq != after + 1 + len(found):
                raise DamagedFileError(f"{segment.path}: the entries {after + 1 + len(found)} to {seq - 1} are gone")
            try:
                found.append(Entry(seq, recorded, EntryKind(kind), unpack(EntryKind(kind), payload)))
            except DamagedFileError as damage:
                raise DamagedFileError(f"{segment.path}: entry {seq}: {damage}") from damage
        return found

    def has_identity(self, hash: bytes, since: int) -> bool:
        """Whether a message of this identity was journalled at `since` [ns] or later."""
        return any(segment.has_identity(hash, since) for segment in reversed(self.segments))

    async def wait_beyond(self, seq: int) -> None:
        """Returns once an entry behind `seq` is durable."""
        waiter = (asyncio.get_running_loop(), asyncio.Event())
        self._waiting.add(waiter)
        try:
            while self.last_seq <= seq:
                await waiter[1].wait()
                waiter[1].clear()
        finally:
            self._waiting.discard(waiter)

    def _tell_waiting(self) -> None:
        for loop, event in tuple(self._waiting):
            call(loop, event.set)

    # Keeping house

    def drop_before(self, seq: int, recorded: int) -> int:
        """Removes whole segments whose entries are all before both; returns how many."""
        dropped = 0
        while len(self.segments) > 1 and self.segments[1].first <= seq:
            if self.segments[0].last_recorded() >= recorded:
                break
            first, self.segments = self.segments[0], self.segments[1:]
            first.drop()
            dropped += 1
        return dropped

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(segment.size() for segment in self.segments)

    def bytes_after(self, seq: int) -> int:
        """Bytes on the disk that the entries behind `seq` take; within a segment it is an estimate."""
        segments, total = self.segments, 0.0
        for segment, last in zip(segments, [*(s.first - 1 for s in segments[1:]), self.last_seq], strict=True):
            if last > seq:
                total += segment.size() * (last - max(seq, segment.first - 1)) / (last - segment.first + 1)
        return round(total)

    def last_bytes(self, size: int) -> int:
        """The position behind which the last segments take no more than `size` bytes; the newest counts in any case."""
        first = self.last_seq
        for segment in reversed(self.segments):
            size -= segment.size()
            if size < 0 and first < self.last_seq:
                break
            first = segment.first - 1
        return first

    def stop(self) -> None:
        """Writes what waits; nothing more is accepted, everything can still be read."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()
        with self._turn:
            pass  # a caller who commits himself is let finish

    def close(self) -> None:
        """Stops, and closes the files."""
        self.stop()
        for segment in self.segments:
            segment.close()
        self.end.close()
