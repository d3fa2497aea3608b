"""External stores in a running service: the section `iotsense.storage` as the specification writes it."""

import asyncio
import json
from pathlib import Path

import httpx
import psycopg
import pytest
from database_fixtures import PASSWORD, PostgreSQL
from history_store_contract import until
from neo4j_fixtures import Neo4jServer
from service_fixtures import API, PLANT, client, document, process, run_cli, service, write_plant

from iotsense.twin.store_config import history_store, storage_of, store_address
from iotsense.twin.store_influx import InfluxStore
from iotsense.twin.store_postgres import PostgresStore
from iotsense.twin.times import now_ns
from iotsense.twin.twin import StoreOptions, Twin

SPECIFICATION = """
iotsense:
  storage:
    type: "timescaledb"
    host: "timeseries.factory.local"
    database: "iotsense"
    retention:
      raw: "7d"
      1m_aggregates: "90d"
      1h_aggregates: "2y"
      1d_aggregates: "10y"
"""


def with_storage(text: str) -> str:
    return f"{PLANT}\niotsense:\n  storage:\n{text}"


def test_the_address_of_the_specification() -> None:
    from iotsense.twin.project import load_texts

    project, findings = load_texts({"config.yaml": SPECIFICATION.encode()})
    assert project is not None and not findings
    storage = storage_of(project.sections())
    assert store_address(storage) == "timeseries.factory.local:5432/iotsense"
    assert storage.retention["1h_aggregates"] == 2 * 365 * 86_400 and storage.journal.budget == 10_000_000_000


@pytest.mark.parametrize(
    ("section", "address", "username", "secret"),
    [
        ({"type": "postgresql", "host": "db"}, "db:5432/iotsense", "ada", "p"),
        ({"type": "postgresql", "url": "postgresql://eve@db:6000/plant"}, "db:6000/plant", "ada", "p"),
        ({"type": "postgresql", "host": "db", "username": "bob", "password": "${P}"}, "db:5432/iotsense", "bob", "own"),
        ({"type": "influxdb", "url": "https://influx"}, "influx:8086/iotsense", None, "t"),
        ({"type": "influxdb", "host": "influx", "database": "b", "token": "${P}"}, "influx:8086/b", None, "own"),
    ],
)
def test_what_is_left_out_comes_from_the_environment(
    section: dict, address: str, username: str | None, secret: str
) -> None:
    variables = {"USERNAME": "ada", "PASSWORD": "p", "TOKEN": "t"}
    env = {f"IOTSENSE_STORAGE_{name}": value for name, value in variables.items()} | {"P": "own"}
    storage = storage_of({"iotsense": {"storage": section}})
    store = history_store(storage, env)
    assert store.address == store_address(storage) == address
    if isinstance(store, PostgresStore):
        assert (store._address.username, store._address.password()) == (username, secret)
    else:
        assert isinstance(store, InfluxStore) and store._address.token() == secret
        assert store._address.url.startswith("https:") == section.get("url", "").startswith("https:")


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"type": "influxdb", "url": "postgresql://db/x"}, "begins with http://"),
        ({"type": "postgresql", "host": "db", "journal": {"budget": "10"}}, "such as 512MB"),
        ({"type": "postgresql"}, "needs a `host` or a `url`"),
    ],
)
def test_what_cannot_be_is_told(section: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        storage_of({"iotsense": {"storage": section}})


@pytest.mark.needs("postgresql")
async def test_it_follows_what_is_applied(
    tmp_path: Path, postgresql_server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOTSENSE_STORAGE_USERNAME", "plant")
    monkeypatch.setenv("IOTSENSE_STORAGE_PASSWORD", PASSWORD)
    database = postgresql_server.database()
    where = (
        f"    type: timescaledb\n    host: 127.0.0.1\n    port: {postgresql_server.port}\n    database: {database}\n"
    )
    async with (
        service(tmp_path / "data", write_plant(tmp_path, with_storage(where))) as running,
        client(running) as http,
    ):
        assert not any("storage" in notice for notice in running.notices)
        await http.post(f"{API}/telemetry", json=document("conveyor", "speed", 1.5))
        await http.post(f"{API}/telemetry", json=document("conveyor", "status", "running"))
        (status,) = running.context.stores()
        wanted = running.twin.last_seq
        await until(lambda: running.context.stores()[0].position >= wanted, "the store's position")
        await until(lambda: str(status.state) == "running", "running")
        url = f"{postgresql_server.url}/{database}"
        assert await asyncio.to_thread(_readings, url) == [
            ("line_1.conveyor.c_speed", 1.5, "m/s", None),
            ("line_1.conveyor.c_status", 1.0, None, "running"),
        ]
        await until(lambda: running.context.stores()[0].lag_entries == 0, "no lag")
        await until(lambda: running.twin.budget.report() is not None, "the budget")
        report = (await http.get("/health")).json()
        (told,) = report["stores"]
        assert told["type"] == "timescaledb" and told["state"] == "running" and told["written"] > 1
        budget = report["storage"]["journal_budget"]
        assert budget["budget_bytes"] == 10_000_000_000 and budget["when_full"] == "drop_oldest"
        assert "iotsense_journal_budget_left_bytes " in (await http.get("/metrics")).text
        assert 0 < budget["left_bytes"] <= budget["budget_bytes"]
        # Taken out of the definition, it is gone, and holds nothing.
        running.twin.change(lambda edit: edit.set_definition({}), "test")
        await running.follow()
        await until(lambda: running.twin.budget.report() is None, "no budget")
        report = (await http.get("/health")).json()
        assert report["stores"] == [] and report["storage"]["journal_budget"] is None


def _readings(url: str) -> list[tuple]:
    with psycopg.connect(url, user="plant", password=PASSWORD) as connection:
        sql = "SELECT id, value, unit, text FROM iotsense.readings WHERE name <> 'health' ORDER BY id"
        return connection.execute(sql).fetchall()


async def test_a_secret_that_is_missing_is_told(tmp_path: Path) -> None:
    where = "    type: postgresql\n    host: 127.0.0.1\n    password: ${NO_SUCH_VARIABLE_HERE}\n"
    async with (
        service(tmp_path / "data", write_plant(tmp_path, with_storage(where))) as running,
        client(running) as http,
    ):
        await until(lambda: str(running.context.stores()[0].state) == "failed", "failed")
        report = (await http.get("/health")).json()
        assert report["status"] == "degraded"
        assert any("NO_SUCH_VARIABLE_HERE is not set" in reason for reason in report["reasons"])
        accepted = await http.post(f"{API}/telemetry", json=document("conveyor", "speed", 1.5))
        assert accepted.status_code < 300


def store_definition(when_full: str, budget: str = "2MB") -> dict:
    journal = {"budget": budget, "when_full": when_full}
    return {"iotsense": {"storage": {"type": "postgresql", "host": "127.0.0.1", "port": 1, "journal": journal}}}


SMALL = StoreOptions(segment_bytes=100_000, journal_retention=0, projection_interval=0.01)


def fill(twin: Twin, rows: int) -> None:
    from history_store_contract import plant

    from iotsense.twin.batch import ReadingBatch

    if "line" not in twin.graph:
        twin.change(plant, "test")
    for number in range(rows):
        twin.apply(ReadingBatch.of([0] * 50, now_ns() + number, [1.0] * 50))


async def test_beyond_the_budget_readings_are_refused(tmp_path: Path) -> None:
    from iotsense.twin.errors import StorageFullError

    with Twin.open(tmp_path / "data", SMALL) as twin:
        twin.change(lambda edit: edit.set_definition(store_definition("refuse")), "test")
        with pytest.raises(StorageFullError, match=r"budget of 2 MB is used up, because store:postgresql:127.0.0.1:1"):
            while True:
                fill(twin, 20)
                await asyncio.sleep(0.02)
        assert twin.trouble and "budget" in twin.trouble
        report = twin.budget.report()
        assert report is not None and report["left_bytes"] == 0 and report["when_full"] == "refuse"
        # What the plant concludes and how far stores have come is still written, or nothing could ever get better.
        twin.record(position=("store:postgresql:127.0.0.1:1/iotsense", twin.last_seq))
        await until(lambda: twin.trouble is None, "writing")
        fill(twin, 1)


async def test_beyond_the_budget_the_oldest_is_dropped(tmp_path: Path) -> None:
    with Twin.open(tmp_path / "data", SMALL) as twin:
        twin.change(lambda edit: edit.set_definition(store_definition("drop_oldest")), "test")
        fill(twin, 100)
        twin.catch_up()
        twin._upkeep.drop_old(twin._projector.applied_seq)
        assert (
            len(twin._journal.segments) > 1 and twin.first_seq == 1
        )  # within the budget the store's part is kept, although all else has passed it
        while twin._journal.size() < 4_000_000 and twin.first_seq == 1:
            fill(twin, 50)
        twin.catch_up()
        twin._upkeep.drop_old(twin._projector.applied_seq)
        assert twin.first_seq > 1 and 1_000_000 < twin._journal.size() < 3_000_000
        assert twin.trouble is None


async def test_a_store_that_was_taken_out_holds_nothing(tmp_path: Path) -> None:
    with Twin.open(tmp_path / "data", SMALL) as twin:
        twin.change(lambda edit: edit.set_definition(store_definition("refuse", "10GB")), "test")
        twin.record(position=("store:postgresql:127.0.0.1:1/iotsense", 1))
        fill(twin, 100)
        twin.catch_up()
        twin._upkeep.drop_old(twin._projector.applied_seq)
        assert twin.first_seq == 1
        twin.change(lambda edit: edit.set_definition({}), "test")
        fill(twin, 1)
        twin.catch_up()
        twin._upkeep.drop_old(twin._projector.applied_seq)
        assert twin.first_seq > 1


@pytest.mark.timeout(600)  # many processes, one after another
@pytest.mark.needs("postgresql")
def test_migrate_and_downgrade_from_the_command_line(tmp_path: Path, postgresql_server: PostgreSQL) -> None:
    database = postgresql_server.database()
    where = f"    type: postgresql\n    host: 127.0.0.1\n    port: {postgresql_server.port}\n    database: {database}\n"
    plant = write_plant(tmp_path, with_storage(where))
    secrets = {"IOTSENSE_STORAGE_USERNAME": "plant", "IOTSENSE_STORAGE_PASSWORD": PASSWORD}
    data = tmp_path / "data"
    with process(data, "-c", str(plant), environment=secrets) as running:
        for number in range(3):
            sent = document("conveyor", "speed", number, f"2026-01-0{number + 1}T10:00:00Z")
            httpx.post(f"{running.url}{API}/telemetry", json=sent).raise_for_status()
        done = run_cli("migrate", "--to", "timescaledb", "--data", "data", "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        (report,) = json.loads(done.stdout)
        assert report["equal"] and report["readings"] >= 3 and report["checksum"] == report["checksum_in_store"]
        text = run_cli("migrate", "--to", "postgresql", "--data", "data", cwd=tmp_path).stdout
        assert text.startswith("postgresql: ") and ", 0 of them copied, " in text and text.endswith(", equal\n")
        missing = run_cli("migrate", "--to", "neo4j", "--data", "data", cwd=tmp_path)
        assert missing.returncode == 1 and "no store called 'neo4j' is attached" in missing.stderr
        held = run_cli("downgrade", "--data", "data", cwd=tmp_path)
        assert held.returncode == 4 and "is in use by process" in held.stderr
        running.terminate()
    done = run_cli("downgrade", "--data", "data", cwd=tmp_path, **secrets)
    assert done.stdout == f"postgresql at 127.0.0.1:{postgresql_server.port}/{database} has tables of version 1 now\n"
    assert run_cli("downgrade", "--data", "data", cwd=tmp_path, **secrets).returncode == 1


@pytest.mark.timeout(600)
@pytest.mark.needs("postgresql", "neo4j")
async def test_migrate_to_a_graph_and_a_history_database(
    tmp_path: Path, postgresql_server: PostgreSQL, neo4j: Neo4jServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOTSENSE_STORAGE_USERNAME", "plant")
    monkeypatch.setenv("IOTSENSE_STORAGE_PASSWORD", PASSWORD)
    database = postgresql_server.database()
    where = f"    type: postgresql\n    host: 127.0.0.1\n    port: {postgresql_server.port}\n    database: {database}\n"
    plant = write_plant(tmp_path, f"{with_storage(where)}\n  graph: {{type: neo4j, url: '{neo4j.url}'}}\n")
    async with service(tmp_path / "data", plant) as running, client(running) as http:
        await http.post(f"{API}/telemetry", json=document("conveyor", "speed", 1.5))
        ends = []
        for name in ("neo4j", "postgresql"):
            async with http.stream("POST", f"{API}/stores/{name}/migrate") as answer:
                lines = [json.loads(line) async for line in answer.aiter_lines()]
            assert all("progress" in line for line in lines[:-1])
            ends.append(lines[-1]["report"])
        assert ends[0]["equal"] and ends[0]["nodes"] == len(running.twin.graph) and ends[0]["relationships"] == 1
        assert ends[1]["equal"] and ends[1]["readings"] > 0
