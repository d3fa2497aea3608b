"""Neo4j attached: its cost at 5,000 messages a second, catching up, bulk load; a transaction a reading beside it."""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import neo4j
import orjson
from figure import Figure, process_cpu
from neo4j_fixtures import Neo4jServer
from plant import plant
from plant_file import write_project
from under_test import Service

from iotsense.analytics.health import health_status
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.store_neo4j import Neo4jAddress, Neo4jGraph
from iotsense.twin.store_projection import GraphProjection
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

MACHINES = 1_000
PER_SECOND = 5_000
PERIOD_S = 0.01
SECONDS = 20.0
ROUNDS = 3
SIGNALS = 100_000
ATTACHED = "iotsense:\n  graph: {{url: '{url}'}}\n"


def run() -> list[Figure]:
    """Live ingest with and without Neo4j by turns; then catching up and bulk load, on the same server."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place, server(Path(place)) as graph:
        figures = live(Path(place), graph)
        empty(graph)
        return figures + bulk(Path(place), graph)


@contextmanager
def server(place: Path) -> Iterator[Neo4jServer]:
    """A Neo4j of the benchmark's own."""
    graph = Neo4jServer(place / "neo4j", optimised=True)
    graph.start()
    try:
        yield graph
    finally:
        graph.stop()


def empty(graph: Neo4jServer) -> None:
    """Removes all nodes."""
    with neo4j.GraphDatabase.driver(graph.url) as driver, driver.session(database="neo4j") as session:
        session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS").consume()


# Live


def live(place: Path, graph: Neo4jServer) -> list[Figure]:
    """CPU of the service with Neo4j by that without, and the longest delay with it; the medians of some rounds."""
    ratios: list[float] = []
    delays: dict[bool, list[float]] = {False: [], True: []}
    used = 0.0
    for number in range(ROUNDS):
        seconds = {}
        for attached in (False, True):
            directory = place / f"{number}{attached}"
            directory.mkdir()
            empty(graph)
            extra = ATTACHED.format(url=graph.url) if attached else ""
            ids = write_project(directory / "plant.yaml", MACHINES, extra)
            service = Service(directory / "data", directory / "plant.yaml")
            service.start()
            seconds[attached], slowest = asyncio.run(offer(service, ids, attached))
            delays[attached].append(slowest * 1000)
            service.stop()
        ratios.append(seconds[True] / seconds[False])
        used += seconds[True]
    note = f"{PER_SECOND:,} messages/s, {2 * MACHINES:,} signals, median of {ROUNDS}"
    without = f"without: {statistics.median(delays[False]):.0f} ms; median of {ROUNDS}"
    delay = statistics.median(delays[True])
    return [
        Figure("service CPU with Neo4j by without", statistics.median(ratios), "times", used, at_most=1.15, note=note),
        Figure("longest delay of a message with Neo4j", delay, "ms", used, at_most=100.0, note=without),
    ]


async def offer(service: Service, ids: list[str], attached: bool) -> tuple[float, float]:
    """CPU seconds of the service while it takes the messages, and the longest time until one was durable [s]."""
    limits = httpx.Limits(max_connections=50)
    async with httpx.AsyncClient(base_url=f"{service.url}/api/v1/iotsense", limits=limits, timeout=30) as client:
        await send(client, ids, 3.0)  # the first seconds are the interpreter's
        if attached:
            await holds(client)
        cpu = process_cpu(service.pid)
        slowest = await send(client, ids, SECONDS)
        return process_cpu(service.pid) - cpu, slowest


async def holds(client: httpx.AsyncClient) -> None:
    """Returns when the store runs."""
    for _ in range(600):
        if (await client.get("/stores")).json()["stores"][0]["state"] == "running":
            return
        await asyncio.sleep(0.1)
    raise SystemExit("Neo4j was not brought up to date within a minute")


async def send(client: httpx.AsyncClient, ids: list[str], seconds: float) -> float:
    """Sends at an even pace, whatever the answers; the longest time from a message's due time to its answer [s]."""
    tasks = []
    began = time.perf_counter()
    for step in range(int(seconds / PERIOD_S)):
        due = began + step * PERIOD_S
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(post(client, ids, due)))
    return max(await asyncio.gather(*tasks))


async def post(client: httpx.AsyncClient, ids: list[str], due: float) -> float:
    now = time.time_ns() // 1_000_000
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000)) + f".{now % 1000:03d}Z"
    names = ("temperature", "vibration_rms")
    body = orjson.dumps(
        [
            {
                "device_id": random.choice(ids),
                "timestamp": stamp,
                "measurements": [{"name": random.choice(names), "value": random.gauss(50, 10)}],
            }
            for _ in range(int(PER_SECOND * PERIOD_S))
        ]
    )
    answer = await client.post("/telemetry", content=body, headers={"content-type": "application/json"})
    answer.raise_for_status()
    return time.perf_counter() - due


# Catching up and bulk load


def bulk(place: Path, graph: Neo4jServer) -> list[Figure]:
    """A plant of 100,000 sensors into an empty database, and then all of them at once after an outage."""
    warm_up(place, graph)
    with Twin.open(place / "bulk") as twin:
        twin.change(plant(SIGNALS), "benchmark")
        rows = len(twin.graph) * 2 - 1 + sum(1 for _ in twin.graph.relationships())
        loaded, load_cpu = asyncio.run(follow(twin, graph))
        readings(twin)
        caught, catch_cpu = asyncio.run(follow(twin, graph))
        there = shown(graph)
    if there != SIGNALS:
        raise SystemExit(f"{there} of {SIGNALS} sensors show a value")
    note = f"{rows:,} nodes and relationships, from the start of the connection"
    return [
        Figure("bulk load", rows / loaded, "nodes + relationships/s", load_cpu, at_least=15_000, note=note),
        Figure(
            "catching up, all nodes dirty",
            SIGNALS / caught,
            "nodes/s",
            catch_cpu,
            at_least=20_000,
            control=one_by_one(graph),
            control_name="a transaction a reading",
        ),
    ]


def warm_up(place: Path, graph: Neo4jServer) -> None:
    """A database server runs for months; one that was started a minute ago is still being compiled."""
    for number in range(3):
        with Twin.open(place / f"warm{number}") as twin:
            twin.change(plant(10_000), "benchmark")
            asyncio.run(follow(twin, graph))
            readings(twin, 10_000)
            asyncio.run(follow(twin, graph))
        empty(graph)


def readings(twin: Twin, signals: int = SIGNALS) -> None:
    """A reading of every signal."""
    values = [random.gauss(50, 10) for _ in range(signals)]
    twin.apply(ReadingBatch.of(range(signals), [now_ns()] * signals, values))


async def follow(twin: Twin, graph: Neo4jServer) -> tuple[float, float]:
    """Seconds and CPU seconds from connecting until the database shows all that the twin has."""
    projection = GraphProjection(twin, Neo4jGraph(Neo4jAddress(graph.url)), health_status)
    began, cpu = time.perf_counter(), time.process_time()
    task = asyncio.create_task(projection.run())
    while True:
        if projection.settled:
            break
        await asyncio.sleep(0.01)
    took = time.perf_counter() - began, time.process_time() - cpu
    task.cancel()
    await asyncio.wait([task])
    return took


def shown(graph: Neo4jServer) -> int:
    """How many sensors show a value."""
    with neo4j.GraphDatabase.driver(graph.url) as driver:
        text = "MATCH (s:Sensor) WHERE s.value IS NOT NULL RETURN count(s)"
        return int(driver.execute_query(text, database_="neo4j").records[0][0])


def one_by_one(graph: Neo4jServer) -> float:
    """The control: a transaction a reading, as tutorials do it [nodes/s]."""
    text = "MATCH (s:Sensor {key: $key}) SET s.value = $value"
    with neo4j.GraphDatabase.driver(graph.url) as driver:
        keys = [
            row[0] for row in driver.execute_query("MATCH (s:Sensor) RETURN s.key LIMIT 1000", database_="neo4j")[0]
        ]
        began = time.perf_counter()
        with driver.session(database="neo4j") as session:
            for key in keys:
                session.execute_write(lambda tx, key=key: tx.run(text, key=key, value=random.random()).consume())
        return len(keys) / (time.perf_counter() - began)
