"""Where readings are kept: parts on the disk and, in memory, what has come since; a projection of the journal."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .entry import Entry
from .errors import StorageError
from .history import History, Rows
from .history_flush import write_parts
from .history_gather import gathered
from .history_latest import latest
from .history_parts import DAY_NS, Parts, View
from .history_policy import Policy
from .history_question import Span, history, precision, rows_of
from .history_raw_writer import RAW
from .history_report import StorageReport, report
from .history_rows import SignalRows
from .history_tail import Tail
from .history_upkeep import QUIET_S, Upkeep
from .state import StateColumns
from .times import now_ns

log = logging.getLogger("iotsense.history")

TAIL_ROWS = 1 << 20
TAIL_S = 600.0
RETRY_S = 5.0


class HistoryStore:
    """Readings up to `applied_seq`; those up to `durable_seq` are on the disk, the journal has the others.

    One thread applies, any reads. When `tail_rows` readings are in memory, or the oldest of them is `tail_s` [s] old,
    a thread of its own makes parts of them, while the next ones gather.
    """

    def __init__(
        self,
        directory: Path,
        tail_rows: int = TAIL_ROWS,
        tail_s: float = TAIL_S,
        quiet_s: float = QUIET_S,
        policy: Callable[[], Policy] = Policy,
        now: Callable[[], int] = now_ns,
    ) -> None:
        self.path = directory
        self.parts = Parts(directory)
        self.upkeep = Upkeep(self.parts, policy, quiet_s, now)
        self._policy, self._now = policy, now
        self.trouble: StorageError | None = None
        self._tail_rows, self._tail_s = tail_rows, tail_s
        self._condition = threading.Condition(self.parts.lock)
        self._active = Tail(tail_rows, self.parts.manifest.applied_seq)
        self._frozen: Tail | None = None
        self._began = time.monotonic()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def start(self) -> None:
        """Begins to write parts and to keep them in order."""
        self._thread.start()
        self.upkeep.start()

    # Writing

    @property
    def applied_seq(self) -> int:
        """The journal's last entry that questions are answered from."""
        return self._active.seq

    @applied_seq.setter
    def applied_seq(self, seq: int) -> None:
        """Goes on behind entries that the journal no longer has."""
        with self._condition:
            self._active.seq = seq

    @property
    def durable_seq(self) -> int:
        """The last entry that is needed no more."""
        return self.parts.manifest.applied_seq

    def apply(self, entries: Sequence[Entry]) -> None:
        """Takes in the entries behind `applied_seq`; raises StorageError while the disk takes no more parts."""
        for entry in entries:
            with self._condition:
                if not self._active.add(entry):
                    self._freeze(len(entry.value))
                    self._active.add(entry)
        with self._condition:
            if time.monotonic() - self._began > self._tail_s and self._frozen is None:
                self._freeze(0)

    def flush(self) -> None:
        """Returns when everything that was applied is on the disk; raises StorageError."""
        with self._condition:
            self._freeze(0)
            self._wait_for_room()

    def _freeze(self, needed: int) -> None:
        """The tail is handed over to be written, and another begins; waits for the one before."""
        self._wait_for_room()
        if self._active.seq > self.durable_seq:
            self._frozen = self._active
            self._active = Tail(max(self._tail_rows, needed), self._frozen.seq)
            self._condition.notify_all()
        elif needed > self._tail_rows:
            self._active = Tail(needed, self._active.seq)
        self._began = time.monotonic()

    def _wait_for_room(self) -> None:
        while self._frozen is not None:
            if self.trouble is not None:
                raise self.trouble
            self._condition.wait()

    def _run(self) -> None:
        while True:
            with self._condition:
                while self._frozen is None and not self._closing:
                    self._condition.wait()
                frozen = self._frozen
            if frozen is None:
                return
            self._try_to_write(frozen)
            with self._condition:
                if self.trouble is not None:
                    if self._closing:
                        return
                    self._condition.wait(RETRY_S)

    def _try_to_write(self, tail: Tail) -> None:
        try:
            written = write_parts(tail.rows(), self.parts.directory, self.parts.new_name)
            self.parts.replace([], written, applied_seq=tail.seq, at_once=self._written)
            self.upkeep.told(written)
        except StorageError as error:
            self._fail(error)
        except Exception as error:  # this thread is the only one that makes room: it must not end
            log.exception("history cannot be written")
            self._fail(StorageError(f"history cannot be written: {error!r}"))

    def _written(self) -> None:
        with self._condition:
            self._frozen, self.trouble = None, None
            self._condition.notify_all()

    def _fail(self, error: StorageError) -> None:
        with self._condition:
            if type(error) is not type(self.trouble):
                log.warning("history falls behind the journal, which keeps everything: %s", error)
            self.trouble = error
            self._condition.notify_all()

    # Reading

    def latest(
        self,
        time: int | None,
        known_at: int | None,
        signals: NDArray[np.int32],
        newer: SignalRows | None = None,
    ) -> StateColumns:
        """Per signal the newest reading until `time` among those recorded until `known_at` [ns], superseding heeded.

        Columns as long as `signals`, `seq` is 0. `newer`: readings that are not applied yet, in the order of recording.
        """
        with self._reading(newer) as (view, tails):
            return latest(view, tails, time, known_at, signals)

    def rows(
        self, signal: int, start: int, end: int, known_at: int | None = None, newer: SignalRows | None = None
    ) -> Rows:
        """The recorded readings of one signal in [start, end) [ns], superseded ones too, in no order."""
        with self._reading(newer) as (view, tails):
            return rows_of(view, tails, Span(signal, start, end, None, known_at))

    def history(
        self,
        signal: int,
        start: int,
        end: int,
        points: int | None = None,
        known_at: int | None = None,
        newer: SignalRows | None = None,
        until: int | None = None,
    ) -> History:
        """Readings of one signal in [start, end) [ns] without superseded ones; more than `points` become buckets.

        `until` leaves out what is later, though buckets divide the whole span.
        """
        return self.histories([signal], start, end, points, known_at, newer, until)[0]

    def histories(
        self,
        signals: Sequence[int],
        start: int,
        end: int,
        points: int | None = None,
        known_at: int | None = None,
        newer: SignalRows | None = None,
        until: int | None = None,
    ) -> list[History]:
        """The same of several signals, in their order, all from one state of the files."""
        with self._reading(newer) as (view, tails):
            spans = (Span(signal, start, end, points, known_at, until) for signal in signals)
            return [history(view, tails, self._policy, span) for span in spans]

    @property
    def whole_from(self) -> int:
        """From when on [ns] all readings are here; of those before only tiers, or some."""
        return self.parts.manifest.raw_gone * DAY_NS

    def precision(self, time: int) -> float | None:
        """How exact the state as of `time` [ns] is [s]; None if every reading of then is still here."""
        with self.parts.reading() as view:
            return precision(view, time)

    def count(self, signal: int | None = None) -> int:
        """How many applied readings there are, superseded ones included."""
        with self._reading(None) as (view, tails):
            if signal is None:
                return sum(info.rows for info in view.of_kind(RAW)) + sum(map(len, tails))
            total = sum(int(np.count_nonzero(rows.signal == signal)) for rows in tails)
            return total + sum(view.open(info).count(signal) for info in view.of_kind(RAW))

    def days(self, known_at: int) -> list[int]:
        """The UTC days (since the epoch) of the applied readings that were recorded until then [ns]."""
        with self._reading(None) as (view, tails):
            found = {info.day for info in view.of_kind(RAW) if info.min_recorded <= known_at}
            for rows in tails:
                found.update(np.unique(rows.time[rows.recorded <= known_at] // DAY_NS).tolist())
            return sorted(found)

    def rows_of_day(self, day: int, known_at: int) -> Iterator[SignalRows]:
        """The readings of a UTC day that were recorded until then [ns], superseded ones too, some at a time."""
        with self._reading(None) as (view, tails):
            view.refuse_lost(RAW, day * DAY_NS, (day + 1) * DAY_NS - 1)
            for info in view.by_day.get((RAW, day), []):
                for rows in gathered([view.open(info)], lambda: False):
                    yield rows.take(rows.recorded <= known_at)
            for rows in tails:
                yield rows.take((rows.time // DAY_NS == day) & (rows.recorded <= known_at))

    @contextlib.contextmanager
    def _reading(self, newer: SignalRows | None) -> Iterator[tuple[View, list[SignalRows]]]:
        with contextlib.ExitStack() as stack:
            with self._condition:
                view = stack.enter_context(self.parts.reading())
                held = [tail.rows() for tail in (self._frozen, self._active) if tail is not None]
            tails = [rows for rows in (*held, newer) if rows is not None and len(rows)]
            yield view, tails

    # Keeping house

    def size(self) -> int:
        """Bytes on the disk."""
        return self.parts.size()

    def report(self, others: dict[str, int]) -> StorageReport:
        """What history takes, and will need; `others` are the bytes of other files."""
        with self._reading(None) as (view, tails):
            return report(view, sum(map(len, tails)), self._policy(), self._now(), others)

    def reopen(self) -> None:
        """Nothing is to be opened again: a write that failed is tried again by itself."""

    def close(self) -> None:
        """Brings to the disk what is in memory, as far as it takes it; the journal has the rest."""
        try:
            if self._thread.is_alive():
                self.flush()
        except StorageError as error:
            log.warning("history is behind; it catches up at the next start: %s", error)
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self.upkeep.close()
        self.parts.files.close()
