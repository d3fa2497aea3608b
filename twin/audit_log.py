"""The audit log of a data directory: records appended and made durable by groups, in a thread of its own.

`append` costs its caller nothing but the wait. What cannot be written is kept and tried again, in order, before
anything that comes later; as long as something is owed, `trouble` says why, and changes are to be refused.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from .audit_files import CURRENT, FOLDER, digest, earlier_name, find_end
from .audit_record import SERVICE, AuditDraft, chained
from .directory import storage_error
from .errors import StorageError, StorageReadOnlyError
from .segment import sync_directory
from .times import now_ns

log = logging.getLogger("iotsense.audit")

FILE_BYTES = 16 << 20
_GROUP = 1_000
_MOST_OWED = 10_000
_RETRY_S = 5.0
Listener = Callable[[AuditDraft, bytes], None]
"""Told of each record once it is durable, with its line; from the log's thread, which it must not hold up."""


class AuditLog:
    """The log; whoever owns the data directory is the only one who appends. Raises StorageError if it cannot be read.

    seq, head: number and hash of the last record. trouble: why records cannot be written. damage: what was wrong with
    the file at the start. recovered: what was done about a torn record. lost: records that were given up.
    """

    def __init__(self, data: Path, listeners: Sequence[Listener] = (), *, file_bytes: int = FILE_BYTES) -> None:
        self.path = data / FOLDER / CURRENT
        self.data = data
        self.trouble: str | None = None
        self.recovered: str | None = None
        self.lost = 0
        self._listeners = tuple(listeners)
        self._file_bytes = file_bytes
        end = find_end(data)
        self.seq, self.head, self.damage = end.seq, end.hash, end.damage
        self._size, self._first = end.size, end.first
        self._handle: int | None = None
        self._owed: deque[AuditDraft] = deque()
        self._waiting: deque[tuple[AuditDraft | None, Future[int]]] = deque()
        self._condition = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        if end.torn:
            self._recover(end.torn)

    def append(self, draft: AuditDraft | None) -> "Future[int]":
        """Its number, once it is durable; StorageError if it is not yet. None: only what is owed is tried again."""
        future: Future[int] = Future()
        with self._condition:
            if self._closing:
                future.set_exception(StorageReadOnlyError("the audit log is closed"))
                return future
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
                self._thread.start()
            self._waiting.append((draft, future))
            self._condition.notify()
        return future

    def close(self) -> None:
        """Writes what waits, and ends."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _run(self) -> None:
        while True:
            with self._condition:
                if not self._waiting and not self._closing:
                    self._condition.wait(_RETRY_S if self._owed else None)
                group = [self._waiting.popleft() for _ in range(min(_GROUP, len(self._waiting)))]
                ended = self._closing and not group
            if group or self._owed:
                self._settle(group)
            if ended:
                return

    def _settle(self, group: "Sequence[tuple[AuditDraft | None, Future[int]]]") -> None:
        drafts = [*self._owed, *(draft for draft, _ in group if draft is not None)]
        owed = len(self._owed)
        try:
            lines = self._write(drafts)
        except OSError as error:
            self._owe([draft for draft, _ in group if draft is not None], storage_error(error, self.path))
            for _, future in group:
                future.set_exception(storage_error(error, self.path))
            return
        if self.trouble is not None:
            log.warning("the audit log is written again, with the %d records that it was owed", owed)
        self.trouble = None
        self._owed.clear()
        seq = self.seq - len(drafts) + owed
        for draft, future in group:
            seq += draft is not None
            future.set_result(seq)
        for each, line in zip(drafts, lines, strict=True):
            for listener in self._listeners:
                listener(each, line)

    def _owe(self, drafts: Sequence[AuditDraft], error: StorageError) -> None:
        if self.trouble is None:
            log.error("the audit log cannot be written: %s; changes are refused until it can be", error)
        self.trouble = str(error)
        for draft in drafts:
            # What the file does not hold yet stands in the service's log at least.
            log.error("not in the audit log yet: %s", chained(draft, 0, "")[0].decode().strip())
            if len(self._owed) < _MOST_OWED:
                self._owed.append(draft)
            else:
                self.lost += 1

    def _write(self, drafts: Sequence[AuditDraft]) -> list[bytes]:
        """Appends them all or none. Raises OSError."""
        handle = self._opened()
        seq, head = self.seq, self.head
        lines = []
        for draft in drafts:
            seq += 1
            line, head = chained(draft, seq, head)
            lines.append(line)
        body = b"".join(lines)
        try:
            written = 0
            while written < len(body):
                written += os.pwrite(handle, body[written:], self._size + written)
            os.fsync(handle)
        except OSError:
            self._take_back(handle)
            raise
        self.seq, self.head = seq, head
        self._size += len(body)
        return lines

    def _take_back(self, handle: int) -> None:
        try:
            os.ftruncate(handle, self._size)
        except OSError:
            # The next attempt writes over it, at the same place.
            log.error("what was written of a record to %s cannot be taken back", self.path)

    def _opened(self) -> int:
        if self._handle is not None and self._size >= self._file_bytes:
            self._rotate()
        if self._handle is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(self._handle, self._size)  # what is torn goes
            sync_directory(self.path.parent)
            if self._size >= self._file_bytes:
                self._rotate()
                return self._opened()
        return self._handle

    def _rotate(self) -> None:
        assert self._handle is not None
        self.path.rename(self.path.with_name(earlier_name(self._first)))
        os.close(self._handle)
        self._handle, self._size, self._first = None, 0, self.seq + 1
        sync_directory(self.path.parent)

    def _recover(self, torn: bytes) -> None:
        """Cuts off a record that was not written to its end, and says so in the one that comes in its place."""
        told = f"{len(torn)} bytes of a record that was not written to its end were cut off, SHA-256 {digest(torn)}"
        log.warning("%s: %s", self.path, told)
        self.recovered = told
        self.append(AuditDraft(now_ns(), SERVICE, SERVICE, "recover audit log", detail=told))
