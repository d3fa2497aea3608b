"""Fills a store with what the plant has of old, and proves that both have the same.

The journal brings a store up to now, as far back as it goes; the plant's own history goes further. Day by day both are
compared by count and checksum, superseded values included, and what is different is copied. So a migration that was
killed goes on by being started again: what is there is found equal.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from .errors import StoreError
from .store import HistoryStore, Recorded
from .store_chunk import last_of_each_commit
from .store_digest import Digest, digest
from .store_follower import StoreFollower
from .times import NS, now_ns
from .twin import Twin

DAY_NS = 86_400 * NS
WINDOW_ROWS = 200_000
EVENTS = 5_000

Tell = Callable[[str, int, int], None]
"""What is being done, how much of it is done, out of how much."""


@dataclass(slots=True)
class MigrationReport:
    """What the plant has and what the store has, as far as both keep it, and how much of it had to be copied."""

    store: str
    plant: Digest = field(default_factory=Digest)
    copy: Digest = field(default_factory=Digest)
    copied: int = 0
    events: int = 0
    days: int = 0

    @property
    def equal(self) -> bool:
        """Whether the counts and checksums are the same."""
        return self.plant == self.copy

    def as_dict(self) -> dict[str, Any]:
        """For people and programs."""
        return {
            "store": self.store,
            "equal": self.equal,
            "readings": self.plant.count,
            "checksum": f"{self.plant.checksum:016x}",
            "readings_in_store": self.copy.count,
            "checksum_in_store": f"{self.copy.checksum:016x}",
            "copied": self.copied,
            "events": self.events,
            "days": self.days,
        }


class Migration:
    """One store; its follower runs meanwhile."""

    def __init__(self, twin: Twin, follower: StoreFollower, tell: Tell) -> None:
        self._twin = twin
        self._follower = follower
        self._store: HistoryStore = follower.store
        self._raw = follower.store.raw_retention
        self._tell = tell
        self._report = MigrationReport(follower.store.name)

    async def run(self) -> MigrationReport:
        """Raises StoreError if the store fails, or is not equal after all."""
        known_at = self._twin.transfer.recorded
        last_event = self._twin.last_event_seq
        await self._follower.caught_up(self._twin.last_seq, self._tell)
        # An hour more than what the store is about to forget, so that nothing goes while both are compared.
        oldest = now_ns() - round(self._raw * NS) + 3600 * NS if self._raw is not None else np.iinfo(np.int64).min
        days = await asyncio.to_thread(self._twin.transfer.days, known_at)
        days = [day for day in days if (day + 1) * DAY_NS > oldest]
        for number, day in enumerate(days):
            self._tell("days", number, len(days))
            await self._day(day, known_at, oldest)
        self._tell("days", len(days), len(days))
        await self._events(last_event)
        self._report.days = len(days)
        if not self._report.equal:
            raise StoreError(
                f"{self._store.name} is not equal to the plant after all: {self._report.copy} instead of"
                f" {self._report.plant}"
            )
        await self._follower.gaps_filled()
        return self._report

    async def _day(self, day: int, known_at: int, oldest: int) -> None:
        plant = await asyncio.to_thread(self._digest_of_day, day, known_at, oldest)
        copy = await self._digest_of_copy(day, known_at, oldest, plant.count)
        if copy != plant:
            await self._copy_day(day, known_at, oldest)
            copy = await self._digest_of_copy(day, known_at, oldest, plant.count)
        self._report.plant += plant
        self._report.copy += copy

    def _rows(self, day: int, known_at: int, oldest: int) -> Iterator[Recorded]:
        for found in self._twin.transfer.readings(day, known_at):
            rows = Recorded(found.signal, found.time, found.value, found.quality, found.recorded)
            yield last_of_each_commit(rows.take(rows.time >= oldest))

    def _digest_of_day(self, day: int, known_at: int, oldest: int) -> Digest:
        return sum((digest(rows) for rows in self._rows(day, known_at, oldest)), Digest())

    async def _digest_of_copy(self, day: int, known_at: int, oldest: int, expected: int) -> Digest:
        total = Digest()
        windows = max(1, -(-expected // WINDOW_ROWS))
        edges = [day * DAY_NS + DAY_NS * number // windows for number in range(windows + 1)]
        for start, end in pairwise(edges):
            if end > oldest:
                total += digest(await self._store.versions(max(start, oldest), end, known_at))
        return total

    async def _copy_day(self, day: int, known_at: int, oldest: int) -> None:
        pieces = self._rows(day, known_at, oldest)
        while (rows := await asyncio.to_thread(next, pieces, None)) is not None:
            for at in range(0, len(rows), WINDOW_ROWS):
                part = rows.take(slice(at, at + WINDOW_ROWS))
                await self._store.merge(part, self._twin.graph, self._twin.labels)
                self._report.copied += len(part)

    async def _events(self, last: int) -> None:
        """All of them again: those that are there stay as they are."""
        after = 0
        while after < last:
            page = await asyncio.to_thread(self._twin.events, after, EVENTS)
            page = [event for event in page if event.seq <= last]
            if not page:
                break
            await self._store.merge_events(page, self._twin.graph)
            after = page[-1].seq
            self._report.events += len(page)
            self._tell("events", after, last)
