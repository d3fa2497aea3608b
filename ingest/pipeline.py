"""The pipeline: messages in, one durable transaction after another out.

One task takes everything that waits (up to a group's size), makes one transaction of it, and acknowledges when that is
durable; while the disk works, the next group gathers. So a slow disk makes groups larger, not queues longer, and a
full buffer makes sources wait.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

from ..twin.counts import SourceShare
from ..twin.entry import DeadLetter
from ..twin.errors import IoTSenseError, OverloadedError, StorageError, StorageReadOnlyError
from ..twin.times import NS, now_ns
from ..twin.twin import Twin
from .binding import Binder
from .dead_letters import Redaction, message_of
from .discovery import Budget
from .gathering import Entry, Gathering, letters
from .held_letters import HeldLetters
from .ingest_config import IngestConfig
from .lane import Lanes
from .message import Message, Receipt
from .source_state import SourceCounters, SourceStatus

log = logging.getLogger("iotsense.ingest")
BUFFER_BYTES = 32 << 20
GROUP_BYTES = 256 << 10
GROUP_MESSAGES = 4096
_MESSAGE_BYTES = 128
_MEASUREMENT_BYTES = 96
_BACKOFF_S = 0.05


class Pipeline:
    """From messages to durable readings. All methods belong to the event loop on which `run` runs.

    buffer_bytes: how much may wait before sources have to; group_bytes: how much becomes one transaction, which bounds
    how long the event loop is busy at a stretch.
    """

    def __init__(
        self,
        twin: Twin,
        config: IngestConfig | None = None,
        *,
        buffer_bytes: int = BUFFER_BYTES,
        group_bytes: int = GROUP_BYTES,
    ) -> None:
        self._twin = twin
        self._buffer_bytes = buffer_bytes
        self._group_bytes = group_bytes
        self._pending: deque[Entry] = deque()
        self._pending_bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._held = HeldLetters(twin, self)
        self.counters: dict[str, SourceCounters] = {}
        self.config = config or IngestConfig()
        self._lanes = Lanes(self.config)
        self._binder = Binder(twin, self._lanes)
        self._budget = Budget(self.config.discovery_limit)
        self.configure(self.config)

    def configure(self, config: IngestConfig) -> None:
        """Another configuration, from the next group on."""
        self.config = config
        self._lanes = Lanes(config)
        self._binder.use(self._lanes)
        if config.discovery_limit != self._budget.limit:
            self._budget = Budget(config.discovery_limit)
        self._redaction = Redaction(config.secrets)

    def notices(self) -> list[str]:
        """What of the configuration this version cannot do; a line each."""
        return self._lanes.notices()

    @property
    def budget(self) -> Budget:
        """The ration of nodes that may be discovered."""
        return self._budget

    def attach(self, status: SourceStatus) -> None:
        """Counts a source's messages in its status, on from what the journal knows of the source."""
        status.counters = self._counters(status.name)

    # Taking messages

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Takes messages over; first waits while the buffer is full. Raises StorageReadOnlyError when closed."""
        while self._pending_bytes >= self._buffer_bytes and not self._closing:
            self._room.clear()
            await self._room.wait()
        self.offer(messages)

    def offer(self, messages: Iterable[Message]) -> bool:
        """Takes messages over at once; False if the source should pause until `room` returns."""
        self._require_open()
        for message in messages:
            self._enqueue(Entry(message))
        return self._pending_bytes < self._buffer_bytes

    async def room(self) -> None:
        """Returns when the buffer has room."""
        while self._pending_bytes >= self._buffer_bytes and not self._closing:
            self._room.clear()
            await self._room.wait()

    async def submit(self, message: Message) -> Receipt:
        """Takes a message and returns once it is durable.

        Raises OverloadedError if the buffer is full (nothing was taken), StorageError if it could not be stored.
        """
        self._require_open()
        if self._pending_bytes >= self._buffer_bytes:
            raise OverloadedError("more telemetry waits to be stored than the buffer holds")
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._enqueue(Entry(message, future=future))
        return await future

    def _require_open(self) -> None:
        if self._closing:
            raise StorageReadOnlyError("the service is stopping and takes no more readings")

    def _enqueue(self, entry: Entry) -> None:
        message = entry.message
        if not message.received:
            message.received = now_ns()
        entry.bytes = message.size or _estimate(message)
        entry.size = _MESSAGE_BYTES + entry.bytes
        if not entry.letter:
            counters = self._counters(message.source)
            counters.received += 1
            counters.received_bytes += entry.bytes
            counters.last_received = message.received
        self._pending.append(entry)
        self._pending_bytes += entry.size
        self._arrived.set()

    def _counters(self, source: str) -> SourceCounters:
        counters = self.counters.get(source)
        if counters is None:
            counters = self.counters[source] = SourceCounters.since(self._twin.counts_of(source))
        return counters

    @property
    def pending_bytes(self) -> int:
        """How much waits."""
        return self._pending_bytes

    # Running

    async def run(self) -> None:
        """Works until closed, and then until nothing waits."""
        tending = asyncio.create_task(self._held.tend())
        try:
            while True:
                while not self._pending:
                    if self._closing:
                        return
                    self._arrived.clear()
                    await self._arrived.wait()
                await self._flush(self._next_group())
        finally:
            self._closing = True
            tending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await tending
            self._refuse_pending()

    def start(self) -> None:
        """Runs in a task of its own."""
        self._task = asyncio.create_task(self.run(), name="pipeline")

    async def aclose(self) -> None:
        """Takes no more, makes durable what waits, and ends."""
        self._closing = True
        self._arrived.set()
        self._room.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _refuse_pending(self) -> None:
        stopped = StorageReadOnlyError("the service stopped before the message was stored")
        self._settle(list(self._pending), stopped)
        self._pending.clear()
        self._pending_bytes = 0

    def _next_group(self) -> list[Entry]:
        group: list[Entry] = []
        size = 0
        pending = self._pending
        while pending and size < self._group_bytes and len(group) < GROUP_MESSAGES:
            entry = pending.popleft()
            size += entry.size
            group.append(entry)
        return group

    async def _flush(self, group: list[Entry]) -> None:
        size = sum(entry.size for entry in group)
        out_of_order = [entry for entry in group if _is_out_of_order(entry)]
        if out_of_order:
            group = [entry for entry in group if not _is_out_of_order(entry)]
            self._settle(out_of_order, StorageReadOnlyError("a message before it was refused, and their order counts"))
        if group:
            await self._store_and_settle(group)
        self._pending_bytes -= size
        if self._pending_bytes < self._buffer_bytes:
            self._room.set()

    async def _store_and_settle(self, group: list[Entry]) -> None:
        error: IoTSenseError | None = None
        try:
            await self._store(group)
        except StorageError as refused:
            error = refused
        except asyncio.CancelledError:
            self._settle(group, StorageReadOnlyError("the service stopped while the message was being stored"))
            raise
        except Exception as failed:
            # The supervisor of the one task that stores: were it to die, every source would wait for ever.
            log.exception("a group of %d messages could not be stored", len(group))
            error = StorageReadOnlyError(f"storing failed: {failed!r}")
        self._settle(group, error)

    async def _store(self, group: list[Entry]) -> None:
        self._binder.refresh()
        config = self.config
        gathering = Gathering(
            self._twin, self._lanes, self._binder, int(config.max_ahead * NS), config.unbound == "create"
        )
        identities: dict[str, None] = {}
        for entry in group:
            if not self._seen(entry, identities):
                gathering.take(entry)
        if gathering.unsettled:
            await gathering.settle(self._budget)
        dead = letters(group, self._redaction)
        counts = gathering.tally.counts(group)
        if not counts.shares:
            return
        self._add_refused(counts.shares)
        batch = gathering.columns.batch() if len(gathering.columns) else None
        while True:
            try:
                await self._twin.append(batch, identities=list(identities), dead_letters=dead, counts=counts)
                break
            except OverloadedError:
                await asyncio.sleep(_BACKOFF_S)  # others fill the journal; ours waits like everybody's
        self._held.wrote(dead)

    def _seen(self, entry: Entry, identities: dict[str, None]) -> bool:
        identity = entry.message.identity
        if identity is None:
            return False
        entry.duplicate = identity in identities or self._twin.seen(identity)
        identities[identity] = None
        return entry.duplicate

    def _add_refused(self, shares: Iterable[SourceShare]) -> None:
        """What storage refused could not be journalled then; it is with the next that is not refused."""
        for share in shares:
            counters, durable = self._counters(share.source), self._twin.counts_of(share.source)
            share.refused = counters.refused - durable.refused
            share.unstored = counters.unstored - durable.unstored

    # Afterwards

    def _settle(self, group: Sequence[Entry], error: IoTSenseError | None) -> None:
        self._count(group, error)
        for entry in group:
            message, future = entry.message, entry.future
            if future is not None and not future.done():
                if error is None:
                    future.set_result(entry.receipt())
                else:
                    future.set_exception(error)
            try:
                if error is None:
                    if message.ack is not None:
                        message.ack()
                elif message.refuse is not None:
                    message.refuse(error)
            except Exception:
                # A source whose connection is gone must not keep the others from being told.
                log.exception("source %s could not be told what became of its message", message.source)

    def _count(self, group: Sequence[Entry], error: IoTSenseError | None) -> None:
        if error is None:
            for source in {entry.message.source for entry in group}:
                self._counters(source).follow(self._twin.counts_of(source))
            return
        for entry in group:
            if entry.message.order is not None:
                entry.message.order.refused = True
            counters = self._counters(entry.message.source)
            counters.refused += not entry.letter
            counters.unstored += entry.rows

    # Dead letters

    async def replay(self, dead_letters: Sequence[DeadLetter]) -> tuple[int, int]:
        """Takes dead letters in again; (how many went in whole, how many still cannot be used).

        Those that went in are marked as replayed. Raises StorageError if storage refuses.
        """
        outcome = await self.try_again(dead_letters)
        done = [letter.id for letter, receipt in outcome if receipt is not None and not receipt.dead_lettered]
        await asyncio.to_thread(self._twin.resolve_dead_letters, done, "replayed")
        self._held.resolved(done)
        return len(done), len(outcome) - len(done)

    async def try_again(self, dead_letters: Sequence[DeadLetter]) -> list[tuple[DeadLetter, Receipt | None]]:
        """Runs dead letters through the pipeline; None where the bytes cannot be a message any more."""
        self._require_open()
        waiting: list[tuple[DeadLetter, asyncio.Future[Receipt] | None]] = []
        for letter in dead_letters:
            await self.room()
            try:
                message = message_of(letter)
            except IoTSenseError:
                waiting.append((letter, None))
                continue
            future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
            self._enqueue(Entry(message, future=future, letter=True))
            waiting.append((letter, future))
        futures = [future for _, future in waiting if future is not None]
        await asyncio.gather(*futures, return_exceptions=True)
        return [(letter, future.result() if future is not None else None) for letter, future in waiting]

    def dead_letter_counts(self) -> Mapping[str, int]:
        """For /metrics: how many dead letters wait, how many of them for discovery, how many were given up."""
        return self._held.counts()


def _is_out_of_order(entry: Entry) -> bool:
    return entry.message.order is not None and entry.message.order.refused


def _estimate(message: Message) -> int:
    if message.payload is not None:
        return len(message.payload) + len(message.topic or "")
    measurements = sum(len(document.measurements) + 1 for document in message.documents)
    return (measurements + len(message.samples)) * _MEASUREMENT_BYTES
