"""External stores that are killed in the crash test: the plant must not notice, and the copy must be whole then."""

import csv
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, Protocol

import crash_plant
import httpx
from crash_ledger import Key
from crash_plant import Account, Plant, plant
from crash_reader import SUFFIX, history, milliseconds
from database_fixtures import ORGANIZATION, PASSWORD, TOKEN, InfluxDB, PostgreSQL
from neo4j_fixtures import Neo4jServer

SECONDS = (0.3, 2.5)
AWAY_S = (0.0, 2.0)
NAMES = {suffix: name for name, suffix in SUFFIX.items()}
STORAGE = """
iotsense:
  storage: {{type: {type}, host: 127.0.0.1, port: {port}, database: {database}}}
"""
GRAPH = """
iotsense:
  graph: {{url: "{url}"}}
"""


class Server(Protocol):
    """What can be killed and brought back."""

    def start(self) -> None: ...
    def kill(self) -> None: ...


def kill_postgresql(rounds: int) -> Account:
    """`kill -9` of PostgreSQL while it is filled."""
    server = PostgreSQL()
    try:
        server.start()
        database = server.database()
        extra = STORAGE.format(type="postgresql", port=server.port, database=database)
        secrets = {"IOTSENSE_STORAGE_USERNAME": "plant", "IOTSENSE_STORAGE_PASSWORD": PASSWORD}
        return _killed("PostgreSQL", server, (extra, secrets), rounds, lambda: _in_postgresql(server, database), dict)
    finally:
        server.remove()


def kill_influxdb(rounds: int) -> Account:
    """`kill -9` of InfluxDB while it is filled."""
    server = InfluxDB()
    try:
        server.start()
        server.set_up()
        bucket = server.bucket()
        extra = STORAGE.format(type="influxdb", port=server.port, database=bucket)
        secrets = {"INFLUX_TOKEN": TOKEN, "INFLUX_ORG": ORGANIZATION}
        return _killed("InfluxDB", server, (extra, secrets), rounds, lambda: _in_influxdb(server, bucket), dict)
    finally:
        server.remove()


def kill_neo4j(rounds: int) -> Account:
    """`kill -9` of Neo4j while the latest values are written to its nodes."""
    with tempfile.TemporaryDirectory(prefix="iotsense-crash-") as place:
        server = Neo4jServer(Path(place))
        try:
            server.start()
            extra = GRAPH.format(url=server.url)
            return _killed("Neo4j", server, (extra, {}), rounds, lambda: _in_neo4j(server), _latest)
        finally:
            server.kill()


def _killed(
    name: str,
    server: Server,
    given: tuple[str, Mapping[str, str]],
    rounds: int,
    read: Callable[[], dict[Key, float]],
    expected_of: Callable[[dict[Key, float]], dict[Key, float]],
) -> Account:
    extra, environment = given
    with plant(environment=environment, extra=extra) as running:
        for _ in range(rounds):
            time.sleep(random.uniform(*SECONDS))
            server.kill()
            time.sleep(random.uniform(*AWAY_S))
            running.check_counters()
            server.start()
            running.check_counters()
        time.sleep(1)
        running.stop_load()
        account = running.account(f"`kill -9` of {name}", rounds)
        copied, differing = _compare(running, read, expected_of)
    what = "nodes with the latest value" if name == "Neo4j" else "readings"
    return replace(account, lost=account.lost + differing, note=f"{copied:,} {what} in {name}, {differing} differ")


def _compare(
    running: Plant, read: Callable[[], dict[Key, float]], expected_of: Callable[[dict[Key, float]], dict[Key, float]]
) -> tuple[int, int]:
    """How many readings the copy has once it has caught up, and how many are not as they are in history."""
    expected = expected_of(history(running.service.url, running.machines)[0])
    deadline = time.monotonic() + crash_plant.SETTLE_S
    while True:
        found = read()
        differing = sum(found.get(key) != expected.get(key) for key in found.keys() | expected.keys())
        if not differing or time.monotonic() > deadline:
            return len(found), differing
        time.sleep(1)


def _latest(found: dict[Key, float]) -> dict[Key, float]:
    newest: dict[tuple[str, str], Key] = {}
    for key in found:
        newest[key[:2]] = max(key, newest.get(key[:2], key), key=lambda each: each.stamp)
    return {key: found[key] for key in newest.values()}


def _key(id: str, stamp: int) -> Key | None:
    """The key of a reading of `line.MACHINE.MACHINE_t`; None for what no sender sent, such as a health."""
    machine, _, suffix = id.rpartition(".")[2].rpartition("_")
    return Key(machine, NAMES[suffix], stamp) if suffix in NAMES and id.startswith("line.") else None


def _keyed(rows: list[tuple[str, int, Any]]) -> dict[Key, float]:
    return {key: float(value) for id, stamp, value in rows if (key := _key(id, stamp)) is not None}


def _in_postgresql(server: PostgreSQL, database: str) -> dict[Key, float]:
    import psycopg

    with psycopg.connect(f"{server.url}/{database}", user="plant", password=PASSWORD) as connection:
        sql = "SELECT id, round(extract(epoch FROM time) * 1000)::bigint, value FROM iotsense.readings"
        try:
            return _keyed(connection.execute(sql).fetchall())
        except psycopg.errors.UndefinedTable:
            return {}  # it was killed before anything came of it


def _in_influxdb(server: InfluxDB, bucket: str) -> dict[Key, float]:
    query = (
        f'from(bucket: "{bucket}") |> range(start: 0) |> filter(fn: (r) => r._measurement == "reading"'
        ' and r._field == "value") |> keep(columns: ["id", "_time", "_value"])'
    )
    headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/vnd.flux", "Accept": "application/csv"}
    address = f"{server.url}/api/v2/query"
    answer = httpx.post(address, params={"org": ORGANIZATION}, headers=headers, content=query, timeout=120)
    if answer.status_code == 404:
        return {}  # it was killed before anything came of it
    rows = csv.DictReader(StringIO(answer.raise_for_status().text.replace("\r\n", "\n")))
    # Each table of the answer begins with its header again.
    found = [row for row in rows if row["_time"] not in (None, "_time")]
    return _keyed([(row["id"], milliseconds(row["_time"]), row["_value"]) for row in found])


def _in_neo4j(server: Neo4jServer) -> dict[Key, float]:
    import neo4j

    query = "MATCH (s:Sensor) WHERE s.value IS NOT NULL RETURN s.id, s.time.epochMillis, s.value"
    with neo4j.GraphDatabase.driver(server.url, notifications_min_severity="OFF") as driver:
        return _keyed([tuple(record) for record in driver.execute_query(query).records])
