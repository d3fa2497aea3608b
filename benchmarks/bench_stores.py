"""Rows a second that external stores take, sustained: the whole way from the journal, 1 % late and 0.1 % corrected.

The control is what tutorials do: a statement, or a request, for each reading.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import psycopg
from database_fixtures import ORGANIZATION, PASSWORD, TOKEN, InfluxDB, PostgreSQL
from figure import Figure, clock
from plant import plant

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.influx_server import InfluxAddress
from iotsense.twin.store import HistoryStore
from iotsense.twin.store_follower import StoreFollower
from iotsense.twin.store_influx import InfluxStore
from iotsense.twin.store_postgres import PostgresAddress, PostgresStore
from iotsense.twin.times import NS, now_ns
from iotsense.twin.twin import Twin

SIGNALS = 10_000
ROWS = 3_000_000
COMMIT = 5_000
LATE, CORRECTED = 0.01, 0.001
SINGLE = 1_000


def drawn() -> Iterator[ReadingBatch]:
    """Ten minutes of all signals, drawn now."""
    draw = np.random.default_rng()
    span = 600 * NS
    start = now_ns() - span
    before: ReadingBatch | None = None
    for at in range(0, ROWS, COMMIT):
        signal = draw.integers(0, SIGNALS, COMMIT).astype(np.int32)
        when = start + ((at + np.arange(COMMIT)) * (span / ROWS)).astype(np.int64)
        when -= np.where(draw.random(COMMIT) < LATE, draw.integers(0, 60 * NS, COMMIT), 0)
        if before is not None:
            rows = np.flatnonzero(draw.random(COMMIT) < CORRECTED)
            signal[rows], when[rows] = before.signal[rows], before.time[rows]
        before = ReadingBatch.of(signal, when, draw.normal(50, 10, COMMIT).round(2))
        yield before


async def filled(store: HistoryStore, type: str) -> tuple[float, float]:
    """Rows a second from the journal into the store, and CPU seconds of ours."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as directory, Twin.open(Path(directory) / "d") as twin:
        twin.change(plant(SIGNALS), "benchmark")
        for batch in drawn():
            twin.apply(batch)
        twin.catch_up()
        follower = StoreFollower(twin, store, type)
        wanted = twin.last_seq
        with clock() as used:
            task = asyncio.create_task(follower.run())
            await _reached(follower, wanted)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return ROWS / used.wall, used.cpu


async def _reached(follower: StoreFollower, wanted: int) -> None:
    while follower.position < wanted:  # noqa: ASYNC110 - the follower tells nobody, and ten milliseconds are nothing here
        await asyncio.sleep(0.01)


def insert_each(server: PostgreSQL, database: str) -> float:
    """The control: readings a second, an INSERT for each."""
    with psycopg.connect(f"{server.url}/{database}", user="plant", password=PASSWORD, autocommit=True) as connection:
        connection.execute("CREATE TABLE one (signal integer, time timestamptz, value double precision)")
        began = time.perf_counter()
        for number in range(SINGLE):
            connection.execute("INSERT INTO one VALUES (%s, now(), %s)", [number % 100, 20.5 + number])
        return SINGLE / (time.perf_counter() - began)


def post_each(server: InfluxDB) -> float:
    """The control: readings a second, a request for each."""
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Token {TOKEN}"}) as http:
        began = time.perf_counter()
        for number in range(SINGLE):
            line = f"one,signal={number % 100} value={20.5 + number}"
            http.post("/api/v2/write", params={"org": ORGANIZATION, "bucket": "first"}, content=line).raise_for_status()
        return SINGLE / (time.perf_counter() - began)


def _figure(name: str, limit: float, fill: Callable[[], tuple[float, float]], control: float, way: str) -> Figure:
    speed, cpu = fill()
    note = f"{ROWS:,} rows of {SIGNALS:,} signals, 1 % late, 0.1 % corrected"
    return Figure(name, speed, "rows/s", cpu, at_least=limit, control=control, control_name=way, note=note)


def run() -> list[Figure]:
    """Both stores."""
    postgresql = PostgreSQL()
    postgresql.start()
    try:
        database = postgresql.database()
        address = PostgresAddress("127.0.0.1", postgresql.port, database, "plant", lambda: PASSWORD)
        store = PostgresStore("postgresql", address)
        control = insert_each(postgresql, database)
        first = _figure(
            "rows to PostgreSQL", 100_000, lambda: asyncio.run(filled(store, "postgresql")), control, "INSERT each"
        )
    finally:
        postgresql.remove()
    influxdb = InfluxDB()
    influxdb.start()
    try:
        influxdb.set_up()
        bucket = InfluxStore("influxdb", InfluxAddress(influxdb.url, "bench", ORGANIZATION, lambda: TOKEN))
        control = post_each(influxdb)
        second = _figure(
            "rows to InfluxDB", 150_000, lambda: asyncio.run(filled(bucket, "influxdb")), control, "a request each"
        )
    finally:
        influxdb.remove()
    return [first, second]


if __name__ == "__main__":
    for figure in run():
        print(figure.to_dict())
