"""The examples of docs/stores.md: the configuration is valid, each query runs and finds what it is about."""

import asyncio
import re
from pathlib import Path

import psycopg
import pytest
import yaml
from database_fixtures import ORGANIZATION, PASSWORD, TOKEN, InfluxDB, PostgreSQL
from history_store_contract import following
from influxdb_client import InfluxDBClient
from service_fixtures import PLANT

from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.define_project import Project
from iotsense.twin.entry import EventDraft
from iotsense.twin.influx_server import InfluxAddress
from iotsense.twin.plan import plan
from iotsense.twin.store_influx import InfluxStore
from iotsense.twin.store_postgres import PostgresAddress, PostgresStore
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

PAGE = (Path(__file__).parent.parent / "docs" / "stores.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
S = 1_000_000_000


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_the_yaml_is_valid(text: str) -> None:
    Project.model_validate(yaml.safe_load(text))


def fill(twin: Twin) -> None:
    """Two hours of a signal, a correction, and an anomaly."""
    project = Project.model_validate(yaml.safe_load(PLANT))
    apply_plan(plan(project, twin.graph, twin.state), twin)
    speed = twin.graph.find_signal("line_1.conveyor.c_speed")
    assert speed.index == 0
    now = now_ns()
    times = [now - minute * 60 * S for minute in range(120, 0, -1)]
    twin.apply(ReadingBatch.of([0] * 120, times, [1.5] * 120))
    twin.apply(ReadingBatch.of([0], times[:1], [2.5]))
    twin.record([EventDraft(now - 60 * S, "anomaly", speed.node, data={"severity": "warning"}, identity="a")])


@pytest.mark.needs("postgresql")
async def test_the_sql_runs_and_finds_something(tmp_path: Path, postgresql_server: PostgreSQL) -> None:
    assert len(blocks("sql")) == 6
    database = postgresql_server.database()
    retention = {"1h_aggregates": 1e9}
    address = PostgresAddress(
        "127.0.0.1", postgresql_server.port, database, "plant", lambda: PASSWORD, False, retention
    )
    store = PostgresStore("postgresql", address)
    with Twin.open(tmp_path / "data") as twin:
        fill(twin)
        async with following(twin, store) as followed:
            await followed.settled()
            await store.keep_house(now_ns(), 20.0)
            # Beside the event loop: what a query waits for may be waiting for the loop.
            await asyncio.to_thread(_ask_all, f"{postgresql_server.url}/{database}")


def _ask_all(url: str) -> None:
    with psycopg.connect(url, user="plant", password=PASSWORD) as connection:
        for sql in blocks("sql"):
            assert connection.execute(sql.encode()).fetchall(), sql


@pytest.mark.needs("influxdb")
async def test_the_flux_runs_and_finds_something(tmp_path: Path, influxdb_server: InfluxDB) -> None:
    assert len(blocks("flux")) == 2
    bucket = influxdb_server.bucket()
    store = InfluxStore("influxdb", InfluxAddress(influxdb_server.url, bucket, ORGANIZATION, lambda: TOKEN))
    with Twin.open(tmp_path / "data") as twin:
        fill(twin)
        async with following(twin, store) as followed:
            await followed.settled()
            with InfluxDBClient(influxdb_server.url, TOKEN, org=ORGANIZATION) as user:
                for flux in blocks("flux"):
                    assert user.query_api().query(flux.replace('"iotsense"', f'"{bucket}"')), flux
