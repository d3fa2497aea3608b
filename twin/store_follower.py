"""Brings the journal into a store of history, and keeps at it: whatever happens to the server, no reading waits for it.

What a store has not taken yet stays in the journal, as far as the journal's budget goes (`journal_budget`). What is
gone from there is a gap, which the store, the event log and /health tell.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from itertools import islice

from .backoff import Backoff
from .entry import Entry, EventDraft
from .errors import DamagedFileError, MissingExtraError, OverloadedError, StorageError, StoreError, StoreRefusedError
from .model import Event
from .plant_identity import plant_identity
from .store import Chunk, HistoryStore
from .store_chunk import read_chunk
from .store_names import position_name
from .store_status import StoreState, StoreStatus
from .times import now_ns
from .twin import Twin

log = logging.getLogger("iotsense.store")

GAP = "store_gap"
CHUNK_ROWS = 250_000
GATHER_S = 0.5
HOUSE_S = 60.0
RECORD_S = 1.0
REFUSED_S = 60.0
SLOW_S = 15.0
_MANY_ENTRIES = 10_000


class StoreFollower:
    """One store's task. `status` says how it is."""

    def __init__(self, twin: Twin, store: HistoryStore, type: str, backoff: Backoff | None = None) -> None:
        self.status = StoreStatus(store.name, type, store.address)
        self.store = store
        self.position = 0
        self._twin = twin
        self._name = position_name(type, store.address)
        self._backoff = backoff or Backoff()
        self._written = 0
        self._recorded = (0, 0.0)
        self._house_at = 0.0
        self._asked_at: float | None = None
        self.slow_s = SLOW_S

    async def run(self) -> None:
        """Follows until cancelled."""
        self.status.gaps = await asyncio.to_thread(self._known_gaps)
        self.position = self._twin.position(self._name)
        try:
            while True:
                self.status.connecting()
                await asyncio.sleep(await self._try())
        finally:
            await self._close()

    def refresh(self) -> StoreStatus:
        """The status with how far behind it is now, and for how long the server has been silent."""
        self.status.moved(self.position, self._twin.last_seq)
        silent = time.monotonic() - self._asked_at if self._asked_at is not None else 0.0
        if silent > self.slow_s and self.status.healthy:
            self.status.error = f"it has not answered for {silent:.0f} s"
        return self.status

    async def caught_up(self, seq: int, tell: Callable[[str, int, int], None]) -> None:
        """Returns when the store holds the journal up to entry `seq`; raises StoreRefusedError if it cannot be used."""
        began = self.position
        while self.position < seq or self.status.state not in (StoreState.RUNNING, StoreState.CATCHING_UP):
            if self.status.state is StoreState.FAILED:
                raise StoreRefusedError(self.status.error or "the store failed")
            tell("entries", max(0, self.position - began), seq - began)
            await asyncio.sleep(0.1)

    async def _try(self) -> float:
        """Follows until something goes wrong; how long to wait [s]."""
        try:
            await self._follow()
        except (StoreRefusedError, MissingExtraError) as error:
            log.error("store %s cannot be used: %s", self.store.name, error)
            self.status.failed(str(error))
            return REFUSED_S
        except (StoreError, StorageError) as error:
            if self.status.error != str(error):
                log.warning("store %s falls behind the journal, which keeps everything: %s", self.store.name, error)
            self.status.backoff(str(error))
        return self._backoff.next()

    async def _follow(self) -> None:
        identity = await asyncio.to_thread(plant_identity, self._twin.directory)
        known = await self.store.open(identity)
        self._written = self.position = self._twin.position(self._name) if known is None else known[0]
        if known is not None:
            await asyncio.to_thread(self._check_same_story, *known)
        while True:
            full = await self._step()
            self._backoff.reset()
            if full:
                self.status.catching_up()
            else:
                self.status.running()
                await self._rest()

    def _check_same_story(self, seq: int, recorded: int) -> None:
        """A data directory that was restored from a backup has other entries under the same numbers."""
        here = seq <= self._twin.last_seq
        if here and recorded and seq >= self._twin.first_seq:
            here = next(iter(self._twin.journal_entries(seq - 1))).recorded == recorded
        if not here:
            raise StoreRefusedError(
                f"it has entries up to {seq} that the journal does not have (up to {self._twin.last_seq}): the data"
                f" directory was restored from an older backup; name a new database, and `iotsense migrate` fills it"
            )

    async def _step(self) -> bool:
        """One chunk; whether it was full, so that there is more."""
        chunk = await self._next_chunk()
        if chunk is not None and (not chunk.empty or chunk.seq - self._written > _MANY_ENTRIES):
            self._asked_at = time.monotonic()
            try:
                await self.store.write(chunk)
            finally:
                self._asked_at = None
            self._written = chunk.seq
            self.status.written += len(chunk)
        if chunk is not None:
            self.position = chunk.seq
        await self._record_position()
        if time.monotonic() - self._house_at > HOUSE_S:
            await self._keep_house()
        return chunk is not None and len(chunk) >= CHUNK_ROWS

    async def _keep_house(self) -> None:
        """Somebody's long query may be in the way of upkeep: that is told, and tried again later; readings go on."""
        self._house_at = time.monotonic()
        try:
            await self.store.keep_house(now_ns(), 1.0)
            self.status.notes = []
        except StoreError as error:
            self.status.notes = [f"upkeep waits: {error}"]

    async def _rest(self) -> None:
        """Lets a chunk gather, then waits for an entry, or for the house."""
        await asyncio.sleep(GATHER_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HOUSE_S):
                await self._twin.wait_entries(self.position)

    async def _next_chunk(self) -> Chunk | None:
        """What is behind the position; what can no longer be read becomes a gap."""
        if self.position >= self._twin.last_seq:
            return None
        try:
            return await asyncio.to_thread(self._read)
        except DamagedFileError as damage:
            await self._skip(damage)
            return None

    def _read(self) -> Chunk:
        twin = self._twin
        return read_chunk(self._entries(), self._written, twin.graph, twin.labels, CHUNK_ROWS)

    def _entries(self) -> Iterator[Entry]:
        """The entries that can be read, up to the first that cannot; raises DamagedFileError if it is the first."""
        count = 0
        try:
            for entry in islice(self._twin.journal_entries(self.position), CHUNK_ROWS):
                yield entry
                count += 1
        except DamagedFileError:
            if not count:
                raise

    async def _skip(self, damage: DamagedFileError) -> None:
        # What was dropped ends where the journal begins; behind what is damaged nothing is read.
        begins = self._twin.first_seq - 1
        first, last = self.position + 1, begins if begins > self.position else self._twin.last_seq
        log.error("store %s will never have the entries %d to %d: %s", self.store.name, first, last, damage)
        await self.store.skip(first, last)
        self._written = self.position = last
        self.status.gaps.append((first, last))
        data = {"store": self.store.name, "address": self.store.address, "first": first, "last": last}
        draft = EventDraft(now_ns(), GAP, until=now_ns(), data=data, identity=f"{GAP}:{self._name}:{first}:{last}")
        await self._twin.record_async([draft], position=(self._name, last))

    async def gaps_filled(self) -> None:
        """Somebody has brought from the plant's own history what the journal no longer had: nothing is missing now."""
        events = await asyncio.to_thread(self._gap_events)
        drafts = [
            EventDraft(e.time, GAP, until=e.until, data=e.data, identity=e.identity, retracts=e.seq) for e in events
        ]
        if drafts:
            await self._twin.record_async(drafts)
        self.status.gaps = []

    def _known_gaps(self) -> list[tuple[int, int]]:
        return [(event.data["first"], event.data["last"]) for event in self._gap_events()]

    def _gap_events(self) -> list[Event]:
        """The gaps of this store that were not filled."""
        events = [e for e in self._twin.events(kind=GAP, limit=10_000) if e.data.get("address") == self.store.address]
        filled = {event.retracts for event in events}
        return [event for event in events if event.retracts is None and event.seq not in filled]

    async def _record_position(self, now: bool = False) -> None:
        """Tells the journal what it need not keep for us; only after something was written, for it is an entry too."""
        seq, at = self._recorded
        if self._written <= max(seq, self._twin.position(self._name)) or (not now and time.monotonic() - at < RECORD_S):
            return
        with contextlib.suppress(StorageError, OverloadedError):  # the next time will do
            await self._twin.record_async(position=(self._name, self._written))
            self._recorded = (self._written, time.monotonic())

    async def _close(self) -> None:
        await self._record_position(now=True)
        await self.store.close()
        self.status.stopped()
