"""The thread that brings the journal into the query store, about once a second, and writes checkpoints."""

import logging
import threading
import time
from collections.abc import Callable

from .entry import Entry, EntryKind
from .errors import DamagedFileError, StorageError
from .journal import Journal
from .query_store import QueryStore

log = logging.getLogger("iotsense.projector")

BATCH_ROWS = 500_000
RETRY_S = 5.0


class Projector:
    """Follows the journal; a store that fails is retried, and never slows a reading."""

    def __init__(self, journal: Journal, store: QueryStore, checkpoint: Callable[[], None], interval: float) -> None:
        self._journal = journal
        self._store = store
        self._checkpoint = checkpoint
        self._interval = interval
        self._condition = threading.Condition()
        self._closing = False
        self._asked = False
        self._thread = threading.Thread(target=self._run, name="projector", daemon=True)
        self.trouble: StorageError | None = None

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    def catch_up(self, timeout: float = 30.0) -> bool:
        """Waits until the store holds what is durable now; False if it does not within `timeout` [s]."""
        wanted = self._journal.last_seq
        deadline = time.monotonic() + timeout
        with self._condition:
            self._asked = True
            self._condition.notify_all()
            while self._store.applied_seq < wanted:
                if self.trouble is not None or not self._condition.wait(deadline - time.monotonic()):
                    return self._store.applied_seq >= wanted
        return True

    def _run(self) -> None:
        while not self._closing:
            try:
                more = self._project()
                self._checkpoint()
                self.trouble = None
            except (StorageError, OSError) as error:
                more = False
                self._recover(error)
            with self._condition:
                self._condition.notify_all()
                if not (self._closing or self._asked or more):
                    self._condition.wait(RETRY_S if self.trouble else self._interval)
                self._asked = False

    def _recover(self, error: StorageError | OSError) -> None:
        trouble = error if isinstance(error, StorageError) else StorageError(str(error))
        if type(trouble) is not type(self.trouble):
            log.warning("history falls behind the journal, which keeps everything: %s", trouble)
        self.trouble = trouble
        try:
            self._store.reopen(read_only=False)
        except StorageError:
            try:
                self._store.reopen(read_only=True)
            except StorageError as worse:
                log.debug("history cannot be read either: %s", worse)

    def _project(self) -> bool:
        """One transaction: what has come, or so much of it that memory stays bounded; whether there is more."""
        chunk: list[Entry] = []
        rows = 0
        for entry in self._journal.read(self._store.applied_seq):
            chunk.append(entry)
            rows += len(entry.value) if entry.kind is EntryKind.READINGS else 1
            if rows >= BATCH_ROWS:
                break
        if not chunk and self._store.applied_seq < self._journal.last_seq:
            raise DamagedFileError(f"the journal cannot be read behind entry {self._store.applied_seq}")
        self._store.apply(chunk)
        return rows >= BATCH_ROWS

    def close(self) -> None:
        """Projects what is left and stops."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        try:
            while self._project():
                pass
        except StorageError as error:
            log.warning("history is behind; it catches up at the next start: %s", error)
