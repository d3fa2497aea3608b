"""The thread that brings the journal into its projections, about once a second, and has the directory looked after."""

import logging
import threading
from collections.abc import Callable, Sequence

from .entry import Entry, EntryKind
from .errors import DamagedFileError, StorageError
from .journal import Journal
from .projection import Projection

log = logging.getLogger("iotsense.projector")

BATCH_ROWS = 500_000
RETRY_S = 5.0


class Projector:
    """Follows the journal; a store that fails is retried, never slows a reading, and holds up no other store."""

    def __init__(
        self, journal: Journal, stores: Sequence[Projection], upkeep: Callable[[int], None], interval: float
    ) -> None:
        self._journal = journal
        self._stores = stores
        self._upkeep = upkeep
        self._interval = interval
        self._condition = threading.Condition()
        self._closing = False
        self._locks = {id(store): threading.Lock() for store in stores}
        self._troubles: dict[Projection, StorageError] = {}
        self._thread = threading.Thread(target=self._run, name="projector", daemon=True)

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    @property
    def applied_seq(self) -> int:
        """The last entry that all stores hold."""
        return min(store.applied_seq for store in self._stores)

    @property
    def trouble(self) -> StorageError | None:
        """Why a store is behind; None if all is well."""
        return next(iter(tuple(self._troubles.values())), None)

    def catch_up(self, *stores: Projection) -> bool:
        """Brings stores (all, unless named) up to what is durable now; False if one cannot be written. Blocks."""
        wanted = self._journal.last_seq
        for store in stores or self._stores:
            # Whoever asks does the work himself, so that no store waits for another's.
            while store.applied_seq < wanted:
                self._try(store)
                if store in self._troubles:
                    return False
        return True

    def _run(self) -> None:
        while not self._closing:
            more = sum(self._try(store) for store in self._stores)
            try:
                self._upkeep(min(store.durable_seq for store in self._stores))
            except OSError as error:
                log.warning("the data directory could not be looked after: %s", error)
            with self._condition:
                if not (self._closing or more):
                    self._condition.wait(RETRY_S if self._troubles else self._interval)

    def _try(self, store: Projection) -> bool:
        """Whether there is more for the store."""
        with self._locks[id(store)]:
            try:
                more = self._project(store)
                self._troubles.pop(store, None)
                return more
            except (StorageError, OSError) as error:
                self._recover(store, error)
                return False

    def _recover(self, store: Projection, error: StorageError | OSError) -> None:
        trouble = error if isinstance(error, StorageError) else StorageError(str(error))
        if type(trouble) is not type(self._troubles.get(store)):
            log.warning("history falls behind the journal, which keeps everything: %s", trouble)
        self._troubles[store] = trouble
        try:
            store.reopen()
        except StorageError as worse:
            log.debug("history cannot be read either: %s", worse)

    def _project(self, store: Projection) -> bool:
        """One transaction: what has come, or so much of it that memory stays bounded; whether there is more."""
        chunk: list[Entry] = []
        rows = 0
        for entry in self._journal.read(store.applied_seq):
            chunk.append(entry)
            rows += len(entry.value) if entry.kind is EntryKind.READINGS else 1
            if rows >= BATCH_ROWS:
                break
        if not chunk and store.applied_seq < self._journal.last_seq:
            raise DamagedFileError(f"the journal cannot be read behind entry {store.applied_seq}")
        store.apply(chunk)
        return rows >= BATCH_ROWS

    def close(self) -> None:
        """Projects what is left and stops."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        for store in self._stores:
            try:
                while self._project(store):
                    pass
            except StorageError as error:
                log.warning("history is behind; it catches up at the next start: %s", error)
