"""PostgreSQL's logical replication, from a real server: rows become readings and nodes, each change once."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from adapter_contract import ConnectionContract, Store, running, until
from database_fixtures import PASSWORD, PostgreSQL
from ingest_fixtures import running as pipeline_running
from ingest_fixtures import twin_of

from iotsense.ingest.configured import Configured, configured_sources
from iotsense.ingest.pipeline import Pipeline
from iotsense.ingest.postgres_cdc import PostgresAdapter
from iotsense.ingest.postgres_stream import PostgresStream
from iotsense.ingest.reconnecting import Surroundings
from iotsense.ingest.source_state import SourceState
from iotsense.twin.backoff import Backoff
from iotsense.twin.define_project import Project
from iotsense.twin.errors import SourceError
from iotsense.twin.times import parse_time
from iotsense.twin.twin import Twin

pytestmark = [pytest.mark.needs("postgresql")]

WIDE = {
    "table": "reading",
    "signals": {"device_id": "$.machine", "timestamp": "$.at", "columns": [{"column": "speed", "unit": "m/s"}, "on"]},
}
MACHINES = {
    "table": "machine",
    "nodes": {"id": "$.id", "parent": "production_line_1", "name": "$.label", "type": "$.kind"},
}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    server = PostgreSQL("wal_level=logical", "max_replication_slots=60", "max_wal_senders=20")
    server.start()
    yield server
    server.remove()


@pytest.fixture(autouse=True)
def _passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_PASSWORD", PASSWORD)
    monkeypatch.setenv("PG_WRONG", "not the password")


class Database:
    """A database of the server, with a table of readings and one of machines."""

    def __init__(self, server: PostgreSQL) -> None:
        self.server = server
        self.name = server.database()
        self.slot = f"s{uuid4().hex[:12]}"
        self.number = 0
        self.run(
            "CREATE TABLE reading (machine text, at timestamptz, speed numeric, on_ boolean, note text)",
            "ALTER TABLE reading REPLICA IDENTITY FULL",
            'ALTER TABLE reading RENAME COLUMN on_ TO "on"',
            "CREATE TABLE machine (id text PRIMARY KEY, label text, kind text, serial int, tags text[])",
        )

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """In one transaction; the rows of the last."""
        url = f"{self.server.url}/{self.name}"
        with psycopg.connect(url, user="plant", password=PASSWORD) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    async def soon(self, *statements: str) -> list[tuple[Any, ...]]:
        return await asyncio.to_thread(self.run, *statements)

    @property
    def slots(self) -> str:
        return f"FROM pg_replication_slots WHERE slot_name = '{self.slot}'"

    def start(self) -> None:
        self.server.start()

    def kill(self) -> None:
        self.server.kill()

    def section(self, *tables: dict[str, Any], **fields: Any) -> dict[str, Any]:
        given = {
            "name": "postgresql",
            "url": f"{self.server.url}/{self.name}",
            "username": "plant",
            "password": "${PG_PASSWORD}",
            "slot": self.slot,
            "tables": list(tables or (WIDE, MACHINES)),
            "status_interval": "50ms",
        }
        return {"sensor_ingestion": {"protocols": [given | fields]}}

    def source(self, *tables: dict[str, Any], **fields: Any) -> Configured:
        (source,) = configured_sources(Project.model_validate(self.section(*tables, **fields)))
        return source


@pytest.fixture
def database(server: PostgreSQL) -> Iterator[Database]:
    database = Database(server)
    yield database
    if server.process is None:
        server.start()
    for _ in range(100):
        with suppress(psycopg.Error):
            database.run(f"SELECT pg_drop_replication_slot(slot_name) {database.slots}")
            break


def adapter_for(source: Configured, twin: Twin | None = None) -> PostgresAdapter:
    return PostgresAdapter(source, Surroundings(Path("unused"), twin), Backoff(0.05, 0.2))


class TestContract(ConnectionContract):
    """Every adapter's promises."""

    @pytest.fixture
    def peer(self, database: Database) -> Database:
        return database

    @pytest.fixture
    def adapter(self, database: Database) -> PostgresAdapter:
        return adapter_for(database.source())

    async def give(self, peer: Database, number: int) -> None:
        await peer.soon(f"INSERT INTO reading VALUES ('m', now(), {number}, NULL)")

    def taken(self, store: Store) -> list[int]:
        return [int(sample.value) for message in store.messages for sample in message.samples]

    async def flood(self, peer: Database) -> None:
        await peer.soon("INSERT INTO reading SELECT 'm', now(), i, NULL FROM generate_series(1, 50000) AS i")


class Plant:
    """A pipeline on a twin, with the database as its source."""

    def __init__(self, pipeline: Pipeline, source: Configured) -> None:
        self.pipeline = pipeline
        self.source = source
        self.twin = twin_of(pipeline)
        self.adapter = adapter_for(source, self.twin)

    @asynccontextmanager
    async def connected(self, wait: bool = True):
        self.adapter = adapter_for(self.source, self.twin)
        self.pipeline.attach(self.adapter.status)
        async with running(self.adapter, self.pipeline, wait):  # type: ignore[arg-type]
            yield self

    @property
    def stored(self) -> int:
        return self.pipeline.counters["postgresql"].stored

    def history(self, device: str, name: str = "speed") -> list[float]:
        graph = self.twin.graph
        signal = graph.find_signal(f"{device}.{name}")
        self.twin.catch_up()
        return self.twin.history(signal.index, 0, 2**62).value.tolist()

    def node(self, id: str):
        return self.twin.graph.find(f"production_line_1.{id}")


@asynccontextmanager
async def plant(tmp_path: Path, database: Database, *tables: dict[str, Any], **fields: Any):
    async with pipeline_running(tmp_path, **database.section(*tables, **fields)) as pipeline:
        yield Plant(pipeline, database.source(*tables, **fields))


def insert(values: Sequence[float], machine: str = "conveyor_1", start: int = 0) -> str:
    rows = ", ".join(
        f"('{machine}', timestamptz '2026-01-15 10:30:00+00' + interval '{start + n} s', {value}, true)"
        for n, value in enumerate(values)
    )
    return f"INSERT INTO reading VALUES {rows}"


async def test_rows_become_readings(tmp_path: Path, database: Database) -> None:
    async with plant(tmp_path, database) as here, here.connected():
        await database.soon(insert([1.5, 2.25]), insert([1.0], "other"))
        await database.soon("UPDATE reading SET speed = 7 WHERE machine = 'other'", "DELETE FROM reading")
        await until(lambda: here.stored == 8)
        signal = here.twin.graph.find_signal("production_line_1.conveyor_1.conv1_speed")
        reading = here.twin.state.read(signal.index)
        assert reading is not None
        assert (reading.value, reading.time) == (2.25, parse_time("2026-01-15T10:30:01Z"))
        assert here.history("conveyor_1.conv1_speed", "value") == [1.5, 2.25]
        assert here.history("other.speed", "value") == [7.0]  # a correction of the same time


async def test_the_rows_that_are_there_and_the_changes_behind_them(tmp_path: Path, database: Database) -> None:
    """Each of them once, while somebody goes on writing."""
    database.run(insert(range(5000)))
    writing = True

    async def write() -> None:
        start = 5000
        while writing:
            await database.soon(insert([start], start=start))
            start += 1
        database.number = start

    async with plant(tmp_path, database, WIDE) as here:
        task = asyncio.create_task(write())
        async with here.connected():
            await asyncio.sleep(0.3)
            writing = False
            await task
            await until(lambda: here.stored == 2 * database.number)
        assert here.history("conveyor_1.conv1_speed", "value") == list(map(float, range(database.number)))


async def test_it_goes_on_where_the_journal_ends(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with plant(tmp_path, database, WIDE) as here:
        with monkeypatch.context() as crash:
            crash.setattr("iotsense.ingest.postgres_stream.PostgresStream.tell", lambda self: None)
            async with here.connected():
                await database.soon(insert([1, 2, 3]))
                await until(lambda: here.stored == 6)
            # The server was told nothing, as after a crash: it would send all of it again.
            (confirmed,) = database.run(f"SELECT confirmed_flush_lsn < pg_current_wal_lsn() {database.slots}")
            assert confirmed == (True,)
        await database.soon(insert([4], start=3))
        async with here.connected():
            await until(lambda: here.stored == 8)
            await asyncio.sleep(0.2)
        assert here.stored == 8
        assert here.pipeline.counters["postgresql"].duplicate == 0
        assert here.history("conveyor_1.conv1_speed", "value") == [1, 2, 3, 4]


async def test_a_connection_that_breaks_before_a_transaction_is_handed_over(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive, broken = PostgresStream.receive, []

    async def receive_rubbish(self: PostgresStream) -> list[bytes]:
        messages = await receive(self)
        if not broken and any(message[:1] == b"C" for message in messages):
            broken.append(True)
            messages.append(b"?")
        return messages

    monkeypatch.setattr(PostgresStream, "receive", receive_rubbish)
    async with plant(tmp_path, database, WIDE) as here, here.connected():
        await database.soon(insert([1]))
        await until(lambda: here.adapter.status.connects == 2)
        await until(lambda: here.stored == 2)
    assert broken


async def test_the_position_moves_on_only_between_transactions(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sign of life in the middle of one names a position behind it."""
    monkeypatch.setattr("iotsense.ingest.postgres_cdc._IDLE_S", 0.0)
    receive, held = PostgresStream.receive, []

    async def receive_the_beginning(self: PostgresStream) -> list[bytes]:
        if not held:
            messages = await receive(self)
            if any(message[:1] == b"B" for message in messages):
                first = next(i for i, message in enumerate(messages) if message[:1] == b"B")
                held.extend(messages[first + 1 :])
                self.heard = self.durable + 10**6
                return messages[: first + 1]
            return messages
        await asyncio.sleep(0.1)
        raise SourceError("the connection broke")

    async with plant(tmp_path, database, WIDE) as here:
        with monkeypatch.context() as crash:
            crash.setattr(PostgresStream, "receive", receive_the_beginning)
            async with here.connected():
                await database.soon(insert([1]))
                await until(lambda: here.adapter.status.state is SourceState.BACKOFF)
        async with here.connected():
            await until(lambda: here.stored == 2)


async def test_the_server_may_forget_what_is_durable(tmp_path: Path, database: Database) -> None:
    async with plant(tmp_path, database, WIDE) as here, here.connected():
        await database.soon(insert([1]))
        (before,) = database.run("SELECT pg_current_wal_lsn()::text")
        await until(lambda: here.stored == 2)

        def confirmed() -> bool:
            (row,) = database.run(f"SELECT confirmed_flush_lsn >= '{before[0]}' {database.slots}")
            return bool(row[0])

        await until(confirmed)


async def test_a_transaction_larger_than_a_piece(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotsense.ingest.postgres_cdc._MOST_ROWS", 1000)
    async with plant(tmp_path, database, WIDE) as here:
        async with here.connected():
            await database.soon(insert(range(3500)))
            await until(lambda: here.stored == 7000)
            assert here.adapter._piece == 0
        async with here.connected():
            await database.soon(insert([1], start=4000))
            await until(lambda: here.stored == 7002)
        assert here.history("conveyor_1.conv1_speed", "value")[:3500] == list(map(float, range(3500)))


async def test_a_table_of_machines_becomes_nodes(tmp_path: Path, database: Database) -> None:
    database.run("INSERT INTO machine VALUES ('press 1', 'Press one', 'press', 17, '{a,\"b c\",NULL}')")
    async with plant(tmp_path, database) as here, here.connected():
        node = here.node("press_1")
        assert (node.name, node.type) == ("Press one", "press")
        assert {"serial": 17, "tags": ["a", "b c", None], "source": "press 1"}.items() <= node.properties.items()
        revision = here.twin.graph.revision
        await database.soon("UPDATE machine SET label = 'The press', serial = 18")
        await until(lambda: here.node("press_1").name == "The press")
        assert here.node("press_1").key == node.key
        assert here.twin.graph.revision == revision + 1
        # Readings of the machine are its own.
        await database.soon(insert([3], "press 1"))
        await until(lambda: here.stored == 2)
        assert here.history("production_line_1.press_1.speed", "value") == [3.0]
        # Its id changes; it stays the same node.
        await database.soon("UPDATE machine SET id = 'press 2'")
        await until(lambda: "production_line_1.press_2" in here.twin.graph)
        assert here.node("press_2").key == node.key
        await database.soon("DELETE FROM machine")
        await until(lambda: "deleted" in here.node("press_2").properties)
        await database.soon("INSERT INTO machine VALUES ('press 2', 'Back', 'press', 19)")
        await until(lambda: "deleted" not in here.node("press_2").properties)
        assert here.node("press_2").key == node.key
        await database.soon("TRUNCATE machine")
        await until(lambda: "deleted" in here.node("press_2").properties)


async def test_a_deleted_machine_may_go(tmp_path: Path, database: Database) -> None:
    nodes = {"table": "machine", "nodes": MACHINES["nodes"] | {"on_delete": "remove", "properties": ["serial"]}}
    async with plant(tmp_path, database, WIDE, nodes) as here, here.connected():
        await database.soon("INSERT INTO machine VALUES ('m1', NULL, NULL, 5)", insert([3], "m1"))
        await until(lambda: here.stored == 2)
        assert here.node("m1").properties.keys() == {"serial", "row"}
        await database.soon("DELETE FROM machine")
        await until(lambda: "production_line_1.m1" not in here.twin.graph)


async def test_large_values_that_do_not_change(tmp_path: Path, database: Database) -> None:
    """TOAST: the server does not send them again."""
    nodes = {"table": "machine", "nodes": MACHINES["nodes"] | {"properties": ["label", "serial"]}}
    database.run("ALTER TABLE machine ALTER label SET STORAGE EXTERNAL")
    async with plant(tmp_path, database, nodes) as here, here.connected():
        await database.soon("INSERT INTO machine VALUES ('m1', repeat('x', 10000), 'press', 1)")
        await until(lambda: "production_line_1.m1" in here.twin.graph)
        await database.soon("UPDATE machine SET serial = 2")
        await until(lambda: here.node("m1").properties.get("serial") == 2)
        assert here.node("m1").properties["label"] == "x" * 10000


@pytest.mark.parametrize(("identity", "stored"), [("DEFAULT", 3), ("FULL", 2)])
async def test_only_what_changed(tmp_path: Path, database: Database, identity: str, stored: int) -> None:
    database.run(
        "CREATE TABLE wide (id text PRIMARY KEY, at timestamptz, speed float8, note text)",
        f"ALTER TABLE wide REPLICA IDENTITY {identity}",
        "INSERT INTO wide VALUES ('conveyor_1', now(), 1.5, 'x')",
    )
    columns = [{"column": "speed", "unit": "m/s"}, {"column": "power", "name": "conv1_power", "unit": "kW"}]
    database.run("ALTER TABLE wide ADD power float8 DEFAULT 3")
    wanted = {"table": "wide", "signals": {"device_id": "$.id", "columns": columns, "only_changed": True}}
    async with plant(tmp_path, database, wanted, snapshot="never") as here, here.connected():
        await database.soon("UPDATE wide SET speed = 2.5")
        await until(lambda: here.stored)
        await database.soon("UPDATE wide SET speed = 3.5")
        await until(lambda: here.stored == (2 if identity == "FULL" else 4))


async def test_a_narrow_table_and_its_types(tmp_path: Path, database: Database) -> None:
    database.run("CREATE TABLE tag (m text, tag text, v numeric, u text, q int, at timestamp)")
    narrow = {
        "device_id": "$.m",
        "name": "$.tag",
        "value": "$.v",
        "unit": "$.u",
        "quality": "$.q",
        "timestamp": "$.at",
    }
    wanted = {"table": "tag", "signals": narrow}
    async with plant(tmp_path, database, wanted, timezone="Europe/Berlin") as here, here.connected():
        await database.soon(
            "INSERT INTO tag VALUES ('conveyor_1', 'speed', 3.6, 'km/h', 192, '2026-01-15 11:30:00'),"
            " ('conveyor_1', 'speed', 'NaN', 'km/h', 0, '2026-01-15 11:30:01'),"
            " ('conveyor_1', 'speed', NULL, 'm/s', 0, now())"
        )
        await until(lambda: here.stored == 2)
        signal = here.twin.graph.find_signal("production_line_1.conveyor_1.conv1_speed")
        here.twin.catch_up()
        history = here.twin.history(signal.index, 0, 2**62)
        assert history.value.tolist()[0] == pytest.approx(1.0)
        assert history.time.tolist()[0] == parse_time("2026-01-15T10:30:00Z")
        assert history.quality.tolist() == [192, 0]


async def test_the_table_changes_while_it_is_followed(tmp_path: Path, database: Database) -> None:
    async with plant(tmp_path, database, WIDE) as here, here.connected():
        await database.soon(insert([1]))
        await until(lambda: here.stored == 2)
        await database.soon("ALTER TABLE reading ADD COLUMN extra int DEFAULT 5", insert([2], start=1))
        await until(lambda: here.stored == 4)
        await database.soon("ALTER TABLE reading RENAME COLUMN machine TO equipment", insert([3], start=2))
        await until(lambda: here.pipeline.counters["postgresql"].dead_lettered == 1)
        (letter,) = here.twin.dead_letters()
        assert "the row has no column machine; it has equipment, at" in letter.reason
        assert b'"speed":3.0' in letter.payload
        assert letter.topic == "public.reading"
        await database.soon("ALTER TABLE reading RENAME COLUMN equipment TO machine", insert([4], start=3))
        await until(lambda: here.stored == 6)


async def test_a_row_that_cannot_be_a_node(tmp_path: Path, database: Database) -> None:
    nodes = {"table": "machine", "nodes": MACHINES["nodes"] | {"parent": "$.kind"}}
    async with plant(tmp_path, database, nodes) as here, here.connected():
        await database.soon("INSERT INTO machine VALUES ('m1', NULL, 'nowhere'), ('m2', NULL, 'production_line_1')")
        await until(lambda: here.pipeline.counters["postgresql"].dead_lettered == 1)
        (letter,) = here.twin.dead_letters()
        assert letter.reason == "there is no node nowhere for the row to stand below"
        assert here.node("m2")


async def _fails(source: Configured, words: str, twin: Twin | None = None) -> None:
    adapter = adapter_for(source, twin)
    async with running(adapter, Store(), wait=False):
        await until(lambda: adapter.status.state in (SourceState.BACKOFF, SourceState.FAILED))
        assert re.search(words, str(adapter.status.error)), adapter.status.error


async def test_it_says_what_is_wrong(database: Database) -> None:
    await _fails(database.source(password="${PG_WRONG}"), "check username and password, and pg_hba.conf")
    await _fails(database.source(WIDE | {"table": "nothing"}), "no table public.nothing: make it, or correct")
    await _fails(
        database.source(create=False), 'no publication iotsense: CREATE PUBLICATION iotsense FOR TABLE "public"'
    )
    database.run("CREATE PUBLICATION iotsense FOR TABLE machine")
    await _fails(database.source(create=False), "the publication iotsense lacks public.reading: ALTER PUBLICATION")
    database.run("ALTER PUBLICATION iotsense ADD TABLE reading")
    await _fails(database.source(create=False), "no slot .*: say `create: true`, or at the server SELECT pg_create")


async def test_a_server_without_logical_replication(postgresql_server: PostgreSQL) -> None:
    await _fails(Database(postgresql_server).source(), "wal_level of the server is replica: set `wal_level = logical`")


async def test_a_slot_that_is_gone_or_taken(tmp_path: Path, database: Database) -> None:
    async with plant(tmp_path, database, WIDE) as here:
        async with here.connected():
            await database.soon(insert([1]))
            await until(lambda: here.stored == 2)
            await _fails(here.source, "is active for PID .*another service reads this slot", here.twin)
        database.run(f"SELECT pg_drop_replication_slot('{database.slot}')")
        await _fails(
            here.source, "is gone at the server, and with it the changes since .*choose another `slot`", here.twin
        )


async def test_a_first_look_that_was_cut_short(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.run(insert(range(10)))
    async with plant(tmp_path, database, WIDE) as here:
        with monkeypatch.context() as crash:

            def broken(*_: Any) -> Any:
                raise OSError("the power failed")

            crash.setattr("iotsense.ingest.postgres_cdc.snapshot", broken)
            async with here.connected(wait=False):
                await until(lambda: here.adapter.status.state is SourceState.BACKOFF)
        assert here.stored == 0
        async with here.connected():
            await until(lambda: here.stored == 20)
        assert here.history("conveyor_1.conv1_speed", "value") == list(map(float, range(10)))


async def test_following_a_table_without_a_key_does_not_forbid_to_update_it(tmp_path: Path, database: Database) -> None:
    database.run("CREATE TABLE plain (machine text, at timestamptz, speed float8)")
    async with plant(tmp_path, database, WIDE | {"table": "plain"}, MACHINES) as here, here.connected():
        await database.soon("INSERT INTO plain VALUES ('conveyor_1', now(), 1)", "UPDATE plain SET speed = 5")
        await database.soon("INSERT INTO machine VALUES ('m1')", "UPDATE machine SET serial = 1")
        await until(lambda: here.stored == 1 and "production_line_1.m1" in here.twin.graph)
        await until(lambda: here.node("m1").properties.get("serial") == 1)
    rows = database.run("SELECT pubname, tablename FROM pg_publication_tables ORDER BY 1")
    assert rows == [("iotsense", "machine"), ("iotsense_inserts", "plain")]
