"""History in PostgreSQL, against a real server."""

import asyncio
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest
from database_fixtures import PASSWORD, PostgreSQL
from history_store_contract import (
    HistoryStoreContract,
    Oracle,
    S,
    check,
    disorder,
    following,
    plant,
    until,
)

from iotsense.twin.backup import backup, restore
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.entry import EventDraft
from iotsense.twin.errors import StoreError, StoreRefusedError
from iotsense.twin.postgres_copy import moment, nanoseconds
from iotsense.twin.postgres_schema import VERSION
from iotsense.twin.store import HistoryStore
from iotsense.twin.store_postgres import PostgresAddress, PostgresStore
from iotsense.twin.store_status import StoreState
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

DAY = 86_400 * S

pytestmark = pytest.mark.needs("postgresql")


def make_store(
    server: PostgreSQL, database: str | None = None, port: int | None = None, **retention: float
) -> PostgresStore:
    """A store in a database of its own, or in one that is there."""
    address = PostgresAddress(
        "127.0.0.1", port or server.port, database or server.database(), "plant", lambda: PASSWORD, retention=retention
    )
    return PostgresStore("postgresql", address)


def ask(server: PostgreSQL, store: PostgresStore, sql: str, *values: object) -> list[tuple]:
    """What somebody with psql would see."""
    database = store.address.rpartition("/")[2]
    with psycopg.connect(f"{server.url}/{database}", user="plant", password=PASSWORD, autocommit=True) as connection:
        found = connection.execute(sql.encode(), values)
        return found.fetchall() if found.description else []


async def query(server: PostgreSQL, store: PostgresStore, sql: str, *values: object) -> list[tuple]:
    """`ask` beside the event loop: what it waits for may be waiting for the loop."""
    return await asyncio.to_thread(ask, server, store, sql, *values)


class TestContract(HistoryStoreContract):
    """The contract of all stores."""

    @pytest.fixture
    def server(self, postgresql_server: PostgreSQL) -> Iterator[PostgreSQL]:
        yield postgresql_server
        if postgresql_server.process is None:
            postgresql_server.start()

    @pytest.fixture
    def make(self, server: PostgreSQL) -> Callable[[], HistoryStore]:
        return lambda: make_store(server)

    @pytest.fixture
    def make_same(self, server: PostgreSQL) -> Callable[[HistoryStore], HistoryStore]:
        return lambda store: make_store(server, store.address.rpartition("/")[2])

    @pytest.fixture
    def make_through(self, server: PostgreSQL) -> Callable[[int], HistoryStore]:
        return lambda port: make_store(server, port=port)

    @pytest.fixture
    def rewind(self, server: PostgreSQL):
        async def rewind(twin: Twin, store: PostgresStore) -> None:
            """The twin forgets how far the store has come; the database knows."""
            twin.record(position=(f"store:postgresql:{store.address}", 0))

        return rewind


# What PostgreSQL has of its own


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(plant, "test")
        yield twin


@pytest.fixture
def draw() -> random.Random:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


async def test_its_tables_are_for_people(twin: Twin, postgresql_server: PostgreSQL) -> None:
    store = make_store(postgresql_server)
    at = now_ns() // S * S
    sensor = twin.graph.find("line.s0").key
    status = twin.change(lambda edit: edit.add_signal(sensor, "status", labels=("stopped", "running")), "test").index
    async with following(twin, store) as followed:
        twin.apply(ReadingBatch.of([0, 0, status], [at, at + S, at], [20.5, 21.5, 1.0], [192, 0, 192]))
        twin.record([EventDraft(at, "inspection", sensor, at + S, {"by": "Ada", "odd": "\0"})])
        await followed.settled()
        sql = "SELECT id, value, unit, quality, text FROM iotsense.readings WHERE time >= %s ORDER BY id, time"
        assert await query(postgresql_server, store, sql, moment(at)) == [
            ("line.s0", 20.5, "celsius", "good", None),
            ("line.s0", 21.5, "celsius", "bad", None),
            ("line.s0.status", 1.0, None, "good", "running"),
        ]
        assert await query(postgresql_server, store, "SELECT id, value FROM iotsense.latest ORDER BY id") == [
            ("line.s0", 21.5),
            ("line.s0.status", 1.0),
        ]
        sql = "SELECT node_id, until - time, data->>'by' FROM iotsense.event WHERE kind = 'inspection'"
        assert await query(postgresql_server, store, sql) == [("line.s0", timedelta(seconds=1), "Ada")]
        twin.change(lambda edit: edit.update_node(sensor, id="line.renamed"), "test")
        twin.apply(ReadingBatch.of([0], [at + 2 * S], [22.0]))
        await followed.settled()
        assert await query(postgresql_server, store, "SELECT DISTINCT id FROM iotsense.readings ORDER BY 1") == [
            ("line.renamed",),
            ("line.renamed.status",),
        ]


async def test_the_position_is_of_the_same_transaction(twin: Twin, postgresql_server: PostgreSQL) -> None:
    """A transaction that fails at its last statement leaves no row behind, and the next one brings all of them."""
    store = make_store(postgresql_server)
    at = now_ns()
    async with following(twin, store) as followed:
        twin.apply(ReadingBatch.of([0], [at], [1.0]))
        await followed.settled()
        await query(
            postgresql_server,
            store,
            "ALTER TABLE iotsense.position ADD CONSTRAINT stop CHECK (seq <= " + str(twin.last_seq) + ")",
        )
        twin.apply(ReadingBatch.of([0, 0], [at + 1000, at], [2.0, 3.0]))
        await until(lambda: followed.status.state is StoreState.BACKOFF, "backoff")
        assert await query(postgresql_server, store, "SELECT value FROM iotsense.reading") == [(1.0,)]
        assert await query(postgresql_server, store, "SELECT count(*) FROM iotsense.reading_superseded") == [(0,)]
        await query(postgresql_server, store, "ALTER TABLE iotsense.position DROP CONSTRAINT stop")
        await followed.settled()
        assert await query(postgresql_server, store, "SELECT value FROM iotsense.reading ORDER BY 1") == [
            (2.0,),
            (3.0,),
        ]
        assert await query(postgresql_server, store, "SELECT value FROM iotsense.reading_superseded") == [(1.0,)]


async def test_old_and_future_readings_find_a_place(twin: Twin, postgresql_server: PostgreSQL) -> None:
    store = make_store(postgresql_server)
    now = now_ns()
    times = [S, now - 30 * DAY, now, now + 5 * DAY]
    async with following(twin, store) as followed:
        twin.apply(ReadingBatch.of([0] * 4, times, [1.0, 2.0, 3.0, 4.0]))
        await followed.settled()
        assert (await store.rows(0, 0, now + 6 * DAY)).value.tolist() == [1.0, 2.0, 3.0, 4.0]
        assert await query(postgresql_server, store, "SELECT value FROM iotsense.reading_other ORDER BY 1") == [
            (1.0,),
            (4.0,),
        ]
        # Four days later the day that was too far away gets its partition.
        await store._writer.partitions.cover(store._connection, np.array([now + 5 * DAY]), now + 4 * DAY)
        assert await query(postgresql_server, store, "SELECT value FROM iotsense.reading_other") == [(1.0,)]
        assert (await store.rows(0, 0, now + 6 * DAY)).value.tolist() == [1.0, 2.0, 3.0, 4.0]


async def test_a_long_query_is_in_nobodys_way(twin: Twin, postgresql_server: PostgreSQL) -> None:
    """Somebody reads all partitions for hours: upkeep waits and says so, readings go on."""
    store = make_store(postgresql_server, raw=2 * 86_400.0)
    now = now_ns()
    database = store.address.rpartition("/")[2]
    twin.apply(ReadingBatch.of([0, 0], [now - DAY, now], [1.0, 2.0]))
    async with following(twin, store) as followed:
        await followed.settled()
        with psycopg.connect(f"{postgresql_server.url}/{database}", user="plant", password=PASSWORD) as reader:
            await asyncio.to_thread(reader.execute, "SELECT count(*) FROM iotsense.reading")
            with pytest.raises(StoreError, match="lock timeout"):
                await store.keep_house(now + 2 * DAY, 1.0)
            followed.follower._house_at = -1e9
            twin.apply(ReadingBatch.of([0], [now + S], [3.0]))
            await followed.settled()
            assert followed.status.error is None
        await store.keep_house(now + 2 * DAY, 1.0)
        assert (await store.rows(0, 0, now + 2 * S)).value.tolist() == [2.0, 3.0]


ROLLED = {"1m_aggregates": 90 * 86_400.0, "1h_aggregates": 730 * 86_400.0, "1d_aggregates": 3650 * 86_400.0}


def rolled(oracle: Oracle, width: int, until: int) -> dict[tuple[int, int], tuple]:
    """The roll-ups of all readings, worked out one by one."""
    buckets: dict[tuple[int, int], list[tuple[float, int]]] = {}
    for (signal, at), versions in sorted(oracle.versions.items()):
        if at // width * width + width <= until:
            value, quality, _ = versions[max(versions)]
            buckets.setdefault((signal, at // width * width), []).append((value, quality))
    found = {}
    for key, rows in buckets.items():
        good = [value for value, quality in rows if quality >= 64]
        few = (min(good), max(good), good[0], good[-1], round(sum(good) / len(good), 6)) if good else (None,) * 5
        found[key] = (len(rows), len(good), *few)
    return found


async def stored_rollups(server: PostgreSQL, store: PostgresStore, tier: str) -> dict[tuple[int, int], tuple]:
    sql = f"SELECT signal, time, count, usable, minimum, maximum, first, last, mean FROM iotsense.reading_{tier}"
    rows = await query(server, store, sql)
    return {(s, nanoseconds(t)): (*few, None if mean is None else round(mean, 6)) for s, t, *few, mean in rows}


async def test_rollups_are_what_the_readings_say_late_ones_too(
    twin: Twin, postgresql_server: PostgreSQL, draw: random.Random
) -> None:
    store = make_store(postgresql_server, **ROLLED)
    now = now_ns()
    start = now - 3 * DAY
    async with following(twin, store) as followed:
        for batch in disorder(draw, start, 40, odd=0.0):
            twin.apply(batch)
        await followed.settled()
        await store.keep_house(now, 20.0)
        for batch in disorder(draw, start, 20, odd=0.0):
            twin.apply(batch)  # into hours that have their roll-ups already
        twin.apply(ReadingBatch.of([0] * 60, now - DAY + np.arange(60) * 3 * S, np.arange(60.0)))
        await followed.settled()
        await store.keep_house(now, 20.0)
        oracle = Oracle(twin)
        for tier, width in (("1m", 60 * S), ("1h", 3600 * S), ("1d", DAY)):
            settled = (now - 120 * S) // width * width
            assert await stored_rollups(postgresql_server, store, tier) == rolled(oracle, width, settled), tier


async def test_readings_go_after_their_rollups_are_made(twin: Twin, postgresql_server: PostgreSQL) -> None:
    store = make_store(postgresql_server, raw=2 * 86_400.0, **ROLLED)
    now = now_ns()
    times = np.array([now - 20 * DAY, now - 3 * DAY, now - DAY, now])
    twin.apply(ReadingBatch.of([0] * 4, times, [1.0, 2.0, 3.0, 4.0]))
    twin.apply(ReadingBatch.of([0], times[:1], [1.5]))
    async with following(twin, store) as followed:
        await followed.settled()
        await store.keep_house(now, 20.0)
        assert (await store.rows(0, 0, now + S)).value.tolist() == [3.0, 4.0]
        assert await query(postgresql_server, store, "SELECT count(*) FROM iotsense.reading_superseded") == [(0,)]
        sql = "SELECT last FROM iotsense.reading_1h ORDER BY time"
        assert await query(postgresql_server, store, sql) == [(1.5,), (2.0,), (3.0,)]
        tables = await query(postgresql_server, store, "SELECT count(*) FROM pg_inherits")
        # What comes later than that is added to what the roll-ups have, and goes too.
        twin.apply(ReadingBatch.of([0], [now - 20 * DAY + 1], [9.0]))
        await followed.settled()
        await store.keep_house(now, 20.0)
        await store.keep_house(now, 20.0)
        sql = "SELECT count, minimum, maximum FROM iotsense.reading_1h ORDER BY time"
        assert await query(postgresql_server, store, sql) == [(2, 1.5, 9.0), (1, 2.0, 2.0), (1, 3.0, 3.0)]
        assert (await store.rows(0, 0, now + S)).value.tolist() == [3.0, 4.0]
        assert await query(postgresql_server, store, "SELECT count(*) FROM pg_inherits") == tables


async def test_tables_go_down_one_version_and_up_again(
    twin: Twin, postgresql_server: PostgreSQL, draw: random.Random
) -> None:
    store = make_store(postgresql_server, **ROLLED)
    now = now_ns()
    async with following(twin, store) as followed:
        for batch in disorder(draw, now - DAY, 20, odd=0.0):
            twin.apply(batch)
        await followed.settled()
        await store.keep_house(now, 20.0)
        before = await stored_rollups(postgresql_server, store, "1m")
    assert before and await store.downgrade() == 1
    assert await query(postgresql_server, store, "SELECT version FROM iotsense.meta") == [(1,)]
    assert await query(postgresql_server, store, "SELECT to_regclass('iotsense.reading_1m')::text") == [(None,)]
    kept = await query(postgresql_server, store, "SELECT seq > 0 FROM iotsense_backup_2.position")
    assert kept == [(True,)]
    with pytest.raises(StoreRefusedError, match="nothing is older than version 1"):
        await store.downgrade()
    async with following(twin, store) as followed:
        await followed.settled()
        await until(lambda: followed.status.state is StoreState.RUNNING, "running")
        await store.keep_house(now, 20.0)
        assert await query(postgresql_server, store, "SELECT version FROM iotsense.meta") == [(VERSION,)]
        assert await query(postgresql_server, store, "SELECT count(*) FROM iotsense_backup_1.meta") == [(1,)]
        assert await stored_rollups(postgresql_server, store, "1m") == before
        await check(twin, store, draw, now - DAY)


async def test_tables_of_a_newer_version_are_left_alone(twin: Twin, postgresql_server: PostgreSQL) -> None:
    store = make_store(postgresql_server)
    async with following(twin, store) as followed:
        await until(lambda: followed.status.state is StoreState.RUNNING, "running")
    await query(postgresql_server, store, "UPDATE iotsense.meta SET version = 99")
    async with following(twin, store) as followed:
        await until(lambda: followed.status.state is StoreState.FAILED, "failed")
        assert "version 99" in (followed.status.error or "")


@pytest.mark.parametrize(
    ("change", "words"),
    [({"password": "wrong"}, "password authentication failed"), ({"database": "nowhere"}, "does not exist")],
)
async def test_what_somebody_has_to_put_right_is_told(
    twin: Twin, postgresql_server: PostgreSQL, change: dict[str, str], words: str
) -> None:
    given = {"database": "postgres", "password": PASSWORD} | change
    port, password = postgresql_server.port, given["password"]
    address = PostgresAddress("127.0.0.1", port, given["database"], "plant", lambda: password)
    store = PostgresStore("postgresql", address)
    async with following(twin, store) as followed:
        await until(lambda: followed.status.state is StoreState.FAILED, "failed")
        assert words in (followed.status.error or "") and "wrong" not in (followed.status.error or "")


async def test_a_plant_that_was_restored_leaves_the_newer_database_alone(
    twin: Twin, postgresql_server: PostgreSQL, tmp_path: Path
) -> None:
    store = make_store(postgresql_server)
    now = now_ns()
    async with following(twin, store) as followed:
        twin.apply(ReadingBatch.of([0], [now], [1.0]))
        await followed.settled()
        await asyncio.to_thread(backup, twin, tmp_path / "backup")
        twin.apply(ReadingBatch.of([0], [now + S], [2.0]))
        await followed.settled()
    restore(tmp_path / "backup", tmp_path / "restored")
    with Twin.open(tmp_path / "restored") as again:
        async with following(again, store) as followed:
            await until(lambda: followed.status.state is StoreState.FAILED, "failed")
            assert "restored from an older backup" in (followed.status.error or "")
        for number in range(20):  # beyond the number that the database has come to, by another way
            again.apply(ReadingBatch.of([0], [now + number * S], [3.0]))
        async with following(again, store) as followed:
            await until(lambda: followed.status.state is StoreState.FAILED, "failed")
            assert "restored from an older backup" in (followed.status.error or "")
            assert (await store.rows(0, now, now + 9 * S)).value.tolist() == [1.0, 2.0]
