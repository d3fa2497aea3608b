"""The pipeline: messages in, one durable transaction after another out.

One task takes everything that waits (up to a group's size), makes one transaction of it, and acknowledges when that is
durable; while the disk works, the next group gathers. So a slow disk makes groups larger, not queues longer, and a
full buffer makes sources wait.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from ..twin.batch import ReadingBatch
from ..twin.counts import SourceShare
from ..twin.entry import DeadLetter
from ..twin.errors import IoTSenseError, OverloadedError, StorageError, StorageReadOnlyError
from ..twin.model import Signal
from ..twin.times import NS, now_ns
from ..twin.twin import Twin
from .binding import Address, Binder, Unbound, Undecided
from .dead_letters import Redaction, message_of
from .discovery import Budget
from .entry import Entry
from .explain import Explainer
from .feeds import Feeds
from .gathering import Gathering, letters
from .group_size import GROUP_BYTES, GroupSize
from .held_letters import HeldLetters
from .ingest_config import IngestConfig
from .lane import Lanes
from .message import Message, Receipt
from .points import Point
from .reporting import Reporter
from .source_state import SourceCounters, SourceStatus
from .targets import Target
from .traces import Traces

log = logging.getLogger("iotsense.ingest")
BUFFER_BYTES = 32 << 20
_MESSAGE_BYTES = 128
_BACKOFF_S = 0.05
_LOOK_S = 1.0


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
        self._size = GroupSize(group_bytes)
        self._pending: deque[Entry] = deque()
        self._pending_bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closing = False
        self._look_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._held = HeldLetters(twin, self)
        self.counters: dict[str, SourceCounters] = {}
        self.feeds = Feeds()
        self.config = config or IngestConfig()
        self._lanes = Lanes(self.config)
        self._binder = Binder(twin, self._lanes)
        self.traces = Traces()
        self.reporter = Reporter(twin, self.config.reporting)
        self._budget = Budget(self.config.discovery_limit)
        self.configure(self.config)

    def configure(self, config: IngestConfig) -> None:
        """Another configuration, from the next group on."""
        self.config = config
        self._lanes = Lanes(config)
        self._binder.use(self._lanes)
        self.reporter.use(config.reporting)
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

    def signal_at(self, source: str, point: Point) -> Signal | None:
        """The only signal that a point's readings are bound to, by the graph as it is now."""
        self._binder.refresh()
        found = self._binder.signals(self._lanes.of(source, None), Address.of(point))
        return found[0] if len(found) == 1 else None

    def target_at(self, source: str, point: Point, value: Any) -> Target | None:
        """How a point's readings become its signal's, `value` being one of them; None if they are not bound.

        Raises InvalidValueError if its unit does not fit the signal's.
        """
        self._binder.refresh()
        found = self._binder.bind(self._lanes.of(source, None), Address.of(point), value)
        return None if isinstance(found, Unbound | Undecided) else found

    def explainer(self) -> Explainer:
        """Tells the way of a value, by the configuration as it is now."""
        max_ahead = int(self.config.max_ahead * NS)
        return Explainer(self._twin, self._lanes, self._binder, self.reporter, self.traces, max_ahead)

    # Taking messages

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Takes messages over; first waits while the buffer is full. Raises StorageReadOnlyError when closed."""
        await self.room()
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
        entry.bytes = message.size or message.estimate
        entry.size = _MESSAGE_BYTES + entry.bytes
        if not entry.letter:
            counters = self._counters(message.source)
            counters.received += message.count
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
            while await self._something_to_do():
                await self._flush(self._next_group())
        finally:
            self._closing = True
            tending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await tending
            self._refuse_pending()

    async def _something_to_do(self) -> bool:
        """Waits for messages; False when closed and nothing is left."""
        loop = asyncio.get_running_loop()
        while True:
            ending = self._closing and not self._pending
            if self.reporter.waits and (ending or loop.time() >= self._look_at):
                self._look_at = loop.time() + _LOOK_S
                for source in await self.reporter.store_overdue(everything=ending):
                    self._counters(source).follow(self._twin.counts_of(source))
            if self._pending or self._closing:
                return bool(self._pending)
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._look_at if self.reporter.waits else None):
                    await self._arrived.wait()

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

    async def __aexit__(self, *raised: object) -> None:
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
        while pending and size < self._size.bytes and len(group) < self._size.messages:
            entry = pending.popleft()
            size += entry.size
            group.append(entry)
        return group

    async def _flush(self, group: list[Entry]) -> None:
        size = sum(entry.size for entry in group)
        out_of_order = [entry for entry in group if entry.is_out_of_order]
        if out_of_order:
            group = [entry for entry in group if not entry.is_out_of_order]
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
        self.reporter.refresh(self._binder.book)
        config = self.config
        gathering = Gathering(
            self._twin, self._lanes, self._binder, int(config.max_ahead * NS), config.unbound == "create"
        )
        identities: dict[str, None] = {}
        positions: dict[str, int] = {}
        for entry in group:
            if not self._seen(entry, identities, positions):
                begin = len(gathering.columns)
                gathering.take(entry)
                if entry.error is not None:
                    identities.pop(entry.message.identity or "", None)  # what was refused may come again, mended
                self.traces.took(entry, gathering.columns, begin)
        if gathering.unsettled:
            await gathering.settle(self._budget)
        dead = letters(group, self._redaction)
        batch = gathering.columns.batch() if len(gathering.columns) else None
        undo = None
        if batch is not None and self.reporter.active:
            batch, undo = self.reporter.decide(batch, gathering.tally)
        counts = gathering.tally.counts(group)
        if not counts.shares:
            return
        self._add_refused(counts.shares)
        try:
            seq = await self._append(
                batch, identities=list(identities), positions=positions, dead_letters=dead, counts=counts
            )
        except BaseException as error:
            if undo is not None:
                undo()
            self.traces.settled(None, None, error)
            raise
        self.traces.settled(batch, seq)
        self._held.wrote(dead)
        if batch is not None and len(batch):
            for source, newest in self.feeds.note(gathering.tally.runs, batch).items():
                self._counters(source).newest = newest

    async def _append(self, batch: ReadingBatch | None, **others: Any) -> int:
        while True:
            began = time.perf_counter()
            try:
                seq = await self._twin.append(batch, **others)
                self._size.committed(time.perf_counter() - began)
                return seq
            except OverloadedError:
                await asyncio.sleep(_BACKOFF_S)  # others fill the journal; ours waits like everybody's

    def _seen(self, entry: Entry, identities: dict[str, None], positions: dict[str, int]) -> bool:
        identity, position = entry.message.identity, entry.message.position
        if position is not None:
            name, number = position
            entry.duplicate = number <= (positions.get(name) or self._twin.position(name))
            if not entry.duplicate:
                positions[name] = number
        if identity is None or entry.duplicate:
            return entry.duplicate
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
        self._count_refused(group if error is not None else [entry for entry in group if entry.error is not None])
        if error is None:
            for source in {entry.message.source for entry in group}:
                self._counters(source).follow(self._twin.counts_of(source))
        for entry in group:
            entry.settle(error)

    def _count_refused(self, group: Sequence[Entry]) -> None:
        for entry in group:
            if entry.message.order is not None:
                entry.message.order.refused = True
            counters = self._counters(entry.message.source)
            counters.refused += 0 if entry.letter else entry.message.count
            counters.unstored += entry.read

    # Dead letters

    async def replay(self, dead_letters: Sequence[DeadLetter]) -> tuple[int, int]:
        """Takes dead letters in again; (how many went in whole, how many still cannot be used)."""
        return await self._held.replay(dead_letters)

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
