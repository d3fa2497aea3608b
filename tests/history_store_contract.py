"""What every store of history does, whatever the database: one class of tests that each backend passes.

A test module derives from `HistoryStoreContract` and says how a store is made. What a store has to answer is worked out
here from the journal alone, row by row, in the plainest Python there is.
"""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from relay import Relay

from iotsense.twin.backoff import Backoff
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.entry import EntryKind, EventDraft
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level
from iotsense.twin.store import HistoryReader, HistoryStore, Recorded
from iotsense.twin.store_embedded import UNTOLD, EmbeddedHistory
from iotsense.twin.store_follower import StoreFollower
from iotsense.twin.store_migration import Migration
from iotsense.twin.store_status import StoreState
from iotsense.twin.times import now_ns
from iotsense.twin.twin import StoreOptions, Twin

PATIENCE = 60.0
S = 1_000_000_000
SIGNALS = 5
NOT_A_NUMBER = -1e9
ODD = (math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e300)
Version = tuple[float, int, int]
"""value, quality, recorded"""


def plant(edit: GraphEdit) -> None:
    """A line with SIGNALS sensors."""
    line = edit.add_node(id="line", level=Level.LINE)
    for number in range(SIGNALS):
        sensor = edit.add_node(id=f"line.s{number}", level=Level.SENSOR, parent=line.key, type="temperature")
        edit.add_signal(sensor.key, unit="celsius")


class Oracle:
    """All that was ever recorded, from the journal."""

    def __init__(self, twin: Twin) -> None:
        self.versions: dict[tuple[int, int], dict[int, Version]] = {}
        for entry in twin.journal_entries(twin.first_seq - 1):
            if entry.kind is EntryKind.READINGS:
                batch = entry.value
                columns = (batch.signal, batch.time, batch.value, batch.quality)
                for signal, at, value, quality in zip(*(c.tolist() for c in columns), strict=True):
                    # By `recorded`: of two in one commit the later stays.
                    version = (comparable(value), quality, entry.recorded)
                    self.versions.setdefault((signal, at), {})[entry.recorded] = version

    @property
    def moments(self) -> set[int]:
        """When something was recorded."""
        return {recorded for versions in self.versions.values() for recorded in versions}

    def rows(self, signal: int, start: int, end: int, known_at: int | None) -> list[tuple[int, Version]]:
        found = []
        for (index, at), versions in sorted(self.versions.items()):
            if index == signal and start <= at < end:
                known = [v for recorded, v in sorted(versions.items()) if known_at is None or recorded <= known_at]
                found += [(at, known[-1])] if known else []
        return found

    def latest(self, at: int, known_at: int | None) -> list[tuple[int, int, Version]]:
        signals = sorted({signal for signal, _ in self.versions})
        newest = [(signal, self.rows(signal, 0, at + 1, known_at)) for signal in signals]
        return [(signal, *rows[-1]) for signal, rows in newest if rows]


def comparable(value: float) -> float:
    """Not a number stands for itself here."""
    return NOT_A_NUMBER if math.isnan(value) else value


def listed(found: Recorded) -> list[tuple[int, Version]]:
    columns = (found.time, found.value, found.quality, found.recorded)
    return [(at, (comparable(value), q, r)) for at, value, q, r in zip(*(c.tolist() for c in columns), strict=True)]


def listed_with_signal(found: Recorded) -> list[tuple[int, int, Version]]:
    return [(signal, *row) for signal, row in zip(found.signal.tolist(), listed(found), strict=True)]


def disorder(draw: random.Random, start: int, commits: int, odd: float = 0.1) -> Iterator[ReadingBatch]:
    """Batches in which readings are late, corrected, doubled, bad, and closer together than a microsecond."""
    seen: list[tuple[int, int]] = []
    for number in range(commits):
        rows = []
        for _ in range(draw.randint(1, 30)):
            kind = draw.random()
            if kind < 0.2 and seen:
                signal, at = draw.choice(seen)
            elif kind < 0.4:
                signal, at = draw.randrange(SIGNALS), start + draw.randint(-3600, number + 1) * S + draw.randint(0, 5)
            else:
                signal, at = draw.randrange(SIGNALS), start + number * S + draw.randint(0, S)
            seen.append((signal, at))
            value = draw.choice(ODD) if draw.random() < odd else round(draw.gauss(20, 5), 2)
            rows.append((signal, at, value, draw.choice((192, 192, 192, 64, 0))))
        yield ReadingBatch.of(*(list(column) for column in zip(*rows, strict=True)))


async def until(condition, what: str = "it") -> None:
    """Waits until it holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came true"
        await asyncio.sleep(0.02)


def _stop_after(days: int):
    """Tells nobody, and ends it all when the day of that number is about to be compared."""

    def tell(what: str, done: int, total: int) -> None:
        if what == "days" and done == days - 1:
            raise KeyboardInterrupt

    return tell


class Following:
    """A twin with a follower that brings it into a store."""

    def __init__(self, twin: Twin, follower: StoreFollower) -> None:
        self.twin = twin
        self.follower = follower
        self.store = follower.store
        self.status = follower.status

    async def settled(self) -> None:
        """Returns once the store holds all that is durable now."""
        wanted = self.twin.last_seq
        await until(lambda: self.follower.position >= wanted, f"the store ({self.status.error}) at entry {wanted}")


@asynccontextmanager
async def following(twin: Twin, store: HistoryStore) -> AsyncIterator[Following]:
    """The follower runs in a task of its own."""
    follower = StoreFollower(twin, store, store.name, Backoff(0.05, 0.2))
    task = asyncio.create_task(follower.run())
    try:
        yield Following(twin, follower)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def check(twin: Twin, reader: HistoryReader, draw: random.Random, start: int) -> None:
    """The store answers as the journal says, now and at random moments."""
    oracle = Oracle(twin)
    moments = sorted(oracle.moments)
    for known_at in (None, moments[0] - 1, *draw.sample(moments, min(4, len(moments)))):
        for signal in range(SIGNALS):
            begin, end = sorted((start + draw.randint(-3700, 200) * S, start + draw.randint(-3700, 200) * S + 3))
            for a, b in ((start - 4000 * S, start + 4000 * S), (begin, end + 1)):
                found = await reader.rows(signal, a, b, known_at)
                expected = oracle.rows(signal, a, b, known_at)
                if isinstance(reader, EmbeddedHistory):
                    expected = [(time, (*version[:2], UNTOLD)) for time, version in expected]
                assert listed(found) == expected, (signal, a, b, known_at)
        at = start + draw.randint(-3700 * S, 100 * S)
        found = await reader.latest(at, known_at)
        newest = oracle.latest(at, known_at)
        if isinstance(reader, EmbeddedHistory):
            newest = [(signal, time, (*version[:2], UNTOLD)) for signal, time, version in newest]
        assert listed_with_signal(found) == newest


class HistoryContract:
    """What every history answers, the embedded one too: give `reader` and `settle`."""

    @pytest.fixture
    def start(self) -> int:
        """Where the readings lie [ns]: lately, so that no retention has anything to say."""
        return now_ns() // S * S - 300 * S

    @pytest.fixture
    def draw(self) -> random.Random:
        """Drawn anew at each run; the seed is printed where a test fails."""
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        return random.Random(seed)

    @pytest.fixture
    def twin(self, tmp_path: Path) -> Iterator[Twin]:
        with Twin.open(tmp_path / "data", StoreOptions(segment_bytes=20_000)) as twin:
            twin.change(plant, "test")
            yield twin

    async def test_late_and_corrected_readings_at_any_instant(
        self, twin: Twin, start: int, draw: random.Random, attached
    ) -> None:
        async with attached(twin) as (reader, settle):
            for batch in disorder(draw, start, 20):
                twin.apply(batch)
            await settle()
            for batch in disorder(draw, start, 20):
                twin.apply(batch)
            await settle()
            await check(twin, reader, draw, start)

    async def test_a_correction_leaves_the_first_value_to_who_asks_for_then(
        self, twin: Twin, start: int, attached
    ) -> None:
        async with attached(twin) as (reader, settle):
            twin.apply(ReadingBatch.of([0], [start], [1.5]))
            await settle()
            before = now_ns()
            twin.apply(ReadingBatch.of([0], [start], [2.5]))
            await settle()
            assert (await reader.rows(0, start, start + 1)).value.tolist() == [2.5]
            assert (await reader.rows(0, start, start + 1, before)).value.tolist() == [1.5]
            assert (await reader.latest(start, before)).value.tolist() == [1.5]
            assert (await reader.latest(start, 0)).value.tolist() == []

    async def test_only_the_signals_that_are_asked_for(self, twin: Twin, start: int, attached) -> None:
        async with attached(twin) as (reader, settle):
            twin.apply(ReadingBatch.of([0, 1, 2], start, [1.0, 2.0, 3.0]))
            await settle()
            found = await reader.latest(now_ns(), signals=np.array([2, 0, 4], dtype=np.int32))
            assert found.signal.tolist() == [0, 2] and found.value.tolist() == [1.0, 3.0]

    async def test_history_survives_a_new_name(self, twin: Twin, start: int, attached) -> None:
        async with attached(twin) as (reader, settle):
            twin.apply(ReadingBatch.of([0], [start], [1.0]))
            await settle()
            key = twin.graph.find("line.s0").key
            twin.change(lambda edit: edit.update_node(key, id="line.renamed"), "test")
            twin.apply(ReadingBatch.of([0], [start + S], [2.0]))
            await settle()
            assert (await reader.rows(0, start, start + 2 * S)).value.tolist() == [1.0, 2.0]
            twin.apply(ReadingBatch.of([0], [start], [1.25]))
            await settle()
            assert (await reader.rows(0, start, start + 2 * S)).value.tolist() == [1.25, 2.0]


class HistoryStoreContract(HistoryContract):
    """What every external store does. Give `server` (kill, start), `make` (a store in a place of its own), `make_same`
    (another one for a store's place), `make_through` (a store that is reached over another port), and `rewind` (as if
    we had died before the position was recorded)."""

    @pytest.fixture
    def store(self, make) -> HistoryStore:
        """One store in a database of its own."""
        return make()

    @pytest.fixture
    def attached(self, store: HistoryStore):
        @asynccontextmanager
        async def attach(twin: Twin):
            async with following(twin, store) as followed:
                yield store, followed.settled

        return attach

    async def test_it_takes_up_where_it_stopped(
        self, start: int, draw: random.Random, store: HistoryStore, tmp_path: Path
    ) -> None:
        batches = list(disorder(draw, start, 30))
        options = StoreOptions(segment_bytes=20_000)
        with Twin.open(tmp_path / "data", options) as twin:
            twin.change(plant, "test")
            async with following(twin, store) as followed:
                for batch in batches[:10]:
                    twin.apply(batch)
                await followed.settled()
            for batch in batches[10:20]:
                twin.apply(batch)
        with Twin.open(tmp_path / "data", options) as again:
            async with following(again, store) as followed:
                for batch in batches[20:]:
                    again.apply(batch)
                await followed.settled()
                assert followed.status.gaps == []
                await check(again, store, draw, start)

    async def test_what_comes_twice_changes_nothing(
        self, twin: Twin, start: int, draw: random.Random, store: HistoryStore, rewind
    ) -> None:
        for batch in disorder(draw, start, 20):
            twin.apply(batch)
        async with following(twin, store) as followed:
            await followed.settled()
        await rewind(twin, store)
        async with following(twin, store) as followed:
            twin.apply(ReadingBatch.of([0], [start + 100 * S], [1.0]))
            await followed.settled()
            await check(twin, store, draw, start)

    async def test_a_server_that_dies_is_caught_up_with(
        self, twin: Twin, start: int, draw: random.Random, store: HistoryStore, server
    ) -> None:
        batches = list(disorder(draw, start, 30))
        async with following(twin, store) as followed:
            for batch in batches[:10]:
                twin.apply(batch)
            await followed.settled()
            server.kill()
            for batch in batches[10:]:
                twin.apply(batch)
            await until(lambda: followed.status.state is StoreState.BACKOFF, "backoff")
            assert followed.status.error and not followed.status.healthy
            assert followed.follower.refresh().lag_entries > 0
            server.start()
            await followed.settled()
            await until(lambda: followed.status.state is StoreState.RUNNING, "running")
            assert followed.status.error is None and followed.status.gaps == []
            await check(twin, store, draw, start)

    async def test_a_slow_server_slows_no_reading(
        self, twin: Twin, start: int, draw: random.Random, make_through, server
    ) -> None:
        with Relay(server.port) as relay:
            store = make_through(relay.port)
            async with following(twin, store) as followed:
                twin.apply(ReadingBatch.of([0], [start], [1.0]))
                await followed.settled()
                relay.delay = 1.0
                began = time.monotonic()
                for batch in disorder(draw, start, 30):
                    await asyncio.to_thread(twin.apply, batch)
                took = time.monotonic() - began
                # Had they waited for the store's answers, each would have taken a second.
                assert took < 15 and followed.follower.position < twin.last_seq
                followed.follower.slow_s = 0.5
                await until(lambda: "has not answered for" in (followed.follower.refresh().error or ""), "a word of it")
                relay.delay = 0.0
                await followed.settled()
                await until(lambda: followed.follower.refresh().error is None, "all is well")
                await check(twin, store, draw, start)

    async def test_a_server_that_is_away_at_the_start(
        self, twin: Twin, start: int, draw: random.Random, store: HistoryStore, server
    ) -> None:
        server.kill()
        async with following(twin, store) as followed:
            for batch in disorder(draw, start, 10):
                twin.apply(batch)
            await until(lambda: followed.status.state is StoreState.BACKOFF, "backoff")
            server.start()
            await followed.settled()
            await check(twin, store, draw, start)

    async def test_what_the_journal_has_dropped_is_a_gap_that_everybody_is_told(
        self, start: int, draw: random.Random, store: HistoryStore, tmp_path: Path
    ) -> None:
        options = StoreOptions(segment_bytes=20_000)
        with Twin.open(tmp_path / "data", options) as twin:
            twin.change(plant, "test")
            async with following(twin, store) as followed:
                twin.apply(ReadingBatch.of([0], [start], [1.0]))
                await followed.settled()
                reached = followed.follower.position
            for batch in disorder(draw, start, 200):
                twin.apply(batch)
            assert twin._journal.drop_before(twin.last_seq, now_ns())  # as retention does after a long outage
        # Opened anew, so that what was dropped is not in memory either.
        with Twin.open(tmp_path / "data", options) as twin:
            assert twin.first_seq > reached + 1
            async with following(twin, store) as followed:
                await followed.settled()
                ((first, last),) = followed.status.gaps
                assert first <= reached + 1 and last == twin.first_seq - 1
            (event,) = twin.events(kind="store_gap")
            assert event.data["first"] == first and event.data["last"] == last
            async with following(twin, store) as followed:
                await followed.settled()
                assert followed.status.gaps == [(first, last)]  # a restart does not forget it
                versions = Oracle(twin).rows(0, 0, now_ns(), None)
                found = {at: version[0] for at, version in listed(await store.rows(0, 0, now_ns()))}
                assert found == {start: 1.0} | {at: version[0] for at, version in versions}

    async def test_a_migration_fills_what_the_journal_no_longer_has(
        self, start: int, draw: random.Random, store: HistoryStore, make, tmp_path: Path
    ) -> None:
        options = StoreOptions(segment_bytes=20_000)
        told: list[tuple[str, int, int]] = []
        with Twin.open(tmp_path / "data", options) as twin:
            twin.change(plant, "test")
            for batch in disorder(draw, start - 86_400 * S, 150, odd=0.0):
                twin.apply(batch)
            for batch in disorder(draw, start, 60, odd=0.0):
                twin.apply(batch)
            twin.record([EventDraft(start, "inspection", None, start + S)])
            oracle = Oracle(twin)
            twin.catch_up()
        with Twin.open(tmp_path / "data", options) as twin:
            twin._journal.drop_before(twin.last_seq - 30, now_ns())
        with Twin.open(tmp_path / "data", options) as twin:
            assert twin.first_seq > 10
            async with following(twin, store) as followed:
                await followed.settled()
                assert followed.status.gaps
                readings = sum(len(versions) for versions in oracle.versions.values())
                stopped = Migration(twin, followed.follower, _stop_after(2))
                with pytest.raises(KeyboardInterrupt):
                    await stopped.run()  # killed after the first day
                report = await Migration(twin, followed.follower, lambda *told_: told.append(told_)).run()
                assert report.equal and report.plant.count == readings
                assert 0 < report.copied < readings  # the first day was not copied a second time
                # The last event tells that the gap was filled.
                assert ("days", report.days, report.days) in told and report.events == twin.last_event_seq - 1
                for known_at in (None, start, *draw.sample(sorted(oracle.moments), 3)):
                    for signal in range(SIGNALS):
                        found = await store.rows(signal, 0, now_ns() + 10**12, known_at)
                        assert listed(found) == oracle.rows(signal, 0, now_ns() + 10**12, known_at)
                # Once more, there is nothing to do.
                again = await Migration(twin, followed.follower, lambda *_: None).run()
                assert again.equal and again.copied == 0
                assert followed.status.gaps == []
            async with following(twin, store) as followed:
                await until(lambda: followed.status.healthy, f"the store to be used again ({followed.status.error})")
                await followed.settled()
                assert followed.status.gaps == []

    async def test_the_history_of_another_plant_is_left_alone(
        self, twin: Twin, start: int, store: HistoryStore, make_same, tmp_path: Path
    ) -> None:
        twin.apply(ReadingBatch.of([0], [start], [1.0]))
        async with following(twin, store) as followed:
            await followed.settled()
            with Twin.open(tmp_path / "other") as other:
                async with following(other, make_same(store)) as stranger:
                    await until(lambda: stranger.status.state is StoreState.FAILED, "failed")
                    assert "another plant" in (stranger.status.error or "")
            assert (await store.rows(0, start, start + 1)).value.tolist() == [1.0]
