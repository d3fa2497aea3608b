"""History in InfluxDB 2, against a real server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from database_fixtures import ORGANIZATION, TOKEN, InfluxDB
from history_store_contract import HistoryStoreContract, S, following, plant, until
from influxdb_client import InfluxDBClient

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.entry import EventDraft
from iotsense.twin.errors import StoreRefusedError
from iotsense.twin.influx_server import InfluxAddress
from iotsense.twin.store import HistoryStore
from iotsense.twin.store_influx import InfluxStore
from iotsense.twin.store_names import position_name
from iotsense.twin.store_status import StoreState
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

pytestmark = pytest.mark.needs("influxdb")


def make_store(server: InfluxDB, bucket: str | None = None, port: int | None = None, **retention: float) -> InfluxStore:
    """A store in a bucket of its own, or in one that is there."""
    url = f"http://127.0.0.1:{port or server.port}"
    address = InfluxAddress(url, bucket or server.bucket(), ORGANIZATION, lambda: TOKEN, retention)
    return InfluxStore("influxdb", address)


class TestContract(HistoryStoreContract):
    """The contract of all stores."""

    @pytest.fixture
    def server(self, influxdb_server: InfluxDB) -> Iterator[InfluxDB]:
        yield influxdb_server
        if influxdb_server.process is None:
            influxdb_server.start()

    @pytest.fixture
    def make(self, server: InfluxDB) -> Callable[[], HistoryStore]:
        return lambda: make_store(server)

    @pytest.fixture
    def make_same(self, server: InfluxDB) -> Callable[[HistoryStore], HistoryStore]:
        return lambda store: make_store(server, store.address.rpartition("/")[2])

    @pytest.fixture
    def make_through(self, server: InfluxDB) -> Callable[[int], HistoryStore]:
        return lambda port: make_store(server, port=port)

    @pytest.fixture
    def rewind(self):
        async def rewind(twin: Twin, store: InfluxStore) -> None:
            """As if we had died before any position was recorded: everything comes a second time."""
            twin.record(position=(position_name("influxdb", store.address), 0))

        return rewind


# What InfluxDB has of its own


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(plant, "test")
        yield twin


@pytest.fixture
def user(influxdb_server: InfluxDB) -> Iterator[InfluxDBClient]:
    """What somebody with a dashboard has."""
    with InfluxDBClient(influxdb_server.url, TOKEN, org=ORGANIZATION) as client:
        yield client


def flux(user: InfluxDBClient, query: str) -> list[dict]:
    return [record.values for table in user.query_api().query(query) for record in table.records]


async def test_its_points_are_for_people(twin: Twin, influxdb_server: InfluxDB, user: InfluxDBClient) -> None:
    store = make_store(influxdb_server)
    bucket = store.address.rpartition("/")[2]
    at = now_ns() // S * S - 10 * S
    sensor = twin.graph.find("line.s0").key
    status = twin.change(lambda edit: edit.add_signal(sensor, "status", labels=("stopped", 'run, "now"')), "test").index
    async with following(twin, store) as followed:
        twin.apply(ReadingBatch.of([0, 0, status], [at, at + S, at], [20.5, 21.5, 1.0], [192, 0, 192]))
        twin.apply(ReadingBatch.of([0], [at], [20.75]))
        twin.record([EventDraft(at, "inspection", sensor, at + S, {"by": 'Ada \\ "x"'}) for _ in range(2)])
        await followed.settled()
        head = f'from(bucket: "{bucket}") |> range(start: -1h)'
        wide = '|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'
        rows = flux(user, f'{head} |> filter(fn: (r) => r._measurement == "reading" and r.id == "line.s0") {wide}')
        found = [(r["value"], r["quality"], r["unit"]) for r in rows]
        assert found == [(20.75, 192, "celsius"), (21.5, 0, "celsius")]
        (text,) = flux(user, f'{head} |> filter(fn: (r) => r._field == "text")')
        assert text["_value"] == 'run, "now"' and text["id"] == "line.s0.status"
        rows = flux(user, f'{head} |> filter(fn: (r) => r._measurement == "reading_superseded") {wide}')
        assert [(r["value"], r["revision"]) for r in rows] == [(20.5, "1")]
        rows = flux(user, f'{head} |> filter(fn: (r) => r._measurement == "event" and r.kind == "inspection") {wide}')
        assert [r["node"] for r in rows] == ["line.s0"] * 2
        assert rows[0]["data"] == '{"by":"Ada \\\\ \\"x\\""}' and rows[0]["until"] == at + S


async def test_retention_is_the_buckets(twin: Twin, influxdb_server: InfluxDB, user: InfluxDBClient) -> None:
    store = make_store(influxdb_server, **{"raw": 7 * 86_400.0, "1m_aggregates": 90 * 86_400.0})
    bucket = store.address.rpartition("/")[2]
    now = now_ns()
    async with following(twin, store) as followed:
        # What is older than the bucket keeps is not taken, and holds nothing up.
        twin.apply(ReadingBatch.of([0, 0], [now - 30 * 86_400 * S, now - 1], [1.0, 2.0]))
        await followed.settled()
        assert (await store.rows(0, 0, now)).value.tolist() == [2.0]
    buckets = user.buckets_api()
    assert buckets.find_bucket_by_name(bucket).retention_rules[0].every_seconds == 7 * 86_400
    assert buckets.find_bucket_by_name(f"{bucket}_1m").retention_rules[0].every_seconds == 90 * 86_400


async def test_its_task_makes_the_rollups(twin: Twin, influxdb_server: InfluxDB, user: InfluxDBClient) -> None:
    store = make_store(influxdb_server, **{"1m_aggregates": 90 * 86_400.0})
    bucket = store.address.rpartition("/")[2]
    minute = 60 * S
    start = now_ns() // minute * minute - 5 * minute
    async with following(twin, store) as followed:
        twin.apply(ReadingBatch.of([0] * 3, [start, start + S, start + 2 * S], [1.0, 2.0, 6.0]))
        twin.apply(ReadingBatch.of([0], [start + 3 * S], [100.0], [0]))
        await followed.settled()
        tasks = user.tasks_api()
        (task,) = [task for task in tasks.find_tasks(limit=500) if task.name == f"{bucket}_1m"]
        tasks.run_manually(task.id)
        rolled = (
            f'from(bucket: "{bucket}_1m") |> range(start: -1h)'
            '|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'
            "|> filter(fn: (r) => exists r.usable)"
        )
        await until(lambda: flux(user, rolled), "the roll-ups")
        rows = flux(user, rolled)
        names = ("mean", "minimum", "maximum", "first", "last", "usable")
        assert [tuple(row[name] for name in names) for row in rows] == [(3.0, 1.0, 6.0, 1.0, 6.0, 3.0)]
        assert rows[0]["_time"].timestamp() * S == start and rows[0]["id"] == "line.s0"


async def test_it_goes_down_one_version_and_up_again(
    twin: Twin, influxdb_server: InfluxDB, user: InfluxDBClient
) -> None:
    store = make_store(influxdb_server, **{"1h_aggregates": 90 * 86_400.0})
    bucket = store.address.rpartition("/")[2]
    twin.apply(ReadingBatch.of([0], [now_ns()], [1.0]))
    async with following(twin, store) as followed:
        await followed.settled()

    def tasks() -> list[str]:
        return [t.name for t in user.tasks_api().find_tasks(limit=500) if t.name.startswith(bucket)]

    assert tasks() == [f"{bucket}_1h"]
    assert await store.downgrade() == 1 and tasks() == []
    assert '"version": 1' in user.buckets_api().find_bucket_by_name(bucket).description
    with pytest.raises(StoreRefusedError, match="nothing is older than version 1"):
        await store.downgrade()
    async with following(twin, store) as followed:
        await followed.settled()
        assert tasks() == [f"{bucket}_1h"]
        assert (await store.rows(0, 0, now_ns())).value.tolist() == [1.0]


async def test_a_wrong_token_is_told(twin: Twin, influxdb_server: InfluxDB) -> None:
    store = InfluxStore("influxdb", InfluxAddress(influxdb_server.url, "x", ORGANIZATION, lambda: "wrong"))
    async with following(twin, store) as followed:
        await until(lambda: followed.status.state is StoreState.FAILED, "failed")
        assert "401" in (followed.status.error or "") and "unauthorized" in (followed.status.error or "")
