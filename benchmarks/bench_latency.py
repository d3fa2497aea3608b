"""Reading in, GraphQL subscriber sees it: 5,000 readings a second by HTTP, with history queries running."""

import asyncio
import random
import tempfile
import time
from pathlib import Path

import httpx
import orjson
import websockets
from figure import Figure, process_cpu
from plant_file import write_project
from under_test import Service

MACHINES = 1_000
PER_SECOND = 5_000
PERIOD_S = 0.02
SECONDS = 15.0
QUERY = "subscription { state(maxHz: 60) { columns { value } } }"


class Plant:
    """Sends numbered readings, and remembers when each number went out."""

    def __init__(self, service: Service, ids: list[str]) -> None:
        self.service = service
        self.ids = ids
        self.sent: list[float] = []
        self.seen: dict[int, float] = {}

    def documents(self, count: int) -> bytes:
        """The next readings, one a document; the value is the reading's number."""
        now = time.time_ns() // 1_000_000
        numbers = range(len(self.sent), len(self.sent) + count)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000)) + f".{now % 1000:03d}Z"
        names = ("temperature", "vibration_rms")
        body = orjson.dumps(
            [
                {
                    "device_id": self.ids[n // 2 % len(self.ids)],
                    "timestamp": stamp,
                    "measurements": [{"name": names[n % 2], "value": n}],
                }
                for n in numbers
            ]
        )
        self.sent += [time.perf_counter()] * count
        return body

    async def send(self, client: httpx.AsyncClient, end: float) -> None:
        """Sends at an even pace; a late answer does not slow the plant down."""
        tasks: set[asyncio.Task[httpx.Response]] = set()
        due = time.perf_counter()
        while time.perf_counter() < end:
            body = self.documents(int(PER_SECOND * PERIOD_S))
            headers = {"content-type": "application/json"}
            task = asyncio.create_task(client.post("/telemetry", content=body, headers=headers))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            due += PERIOD_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        for answer in await asyncio.gather(*tasks):
            answer.raise_for_status()

    async def watch(self, ready: asyncio.Event) -> None:
        """The subscriber."""
        url = self.service.url.replace("http", "ws") + "/graphql"
        async with websockets.connect(url, subprotocols=["graphql-transport-ws"], max_size=None) as socket:  # type: ignore[list-item]
            await socket.send('{"type":"connection_init"}')
            await socket.recv()
            await socket.send(orjson.dumps({"id": "1", "type": "subscribe", "payload": {"query": QUERY}}).decode())
            await socket.recv()
            ready.set()
            async for text in socket:
                now = time.perf_counter()
                for value in orjson.loads(text)["payload"]["data"]["state"]["columns"]["value"]:
                    if value is not None:
                        self.seen.setdefault(int(value), now)

    async def ask_for_history(self, client: httpx.AsyncClient) -> None:
        """History queries one after another."""
        while True:
            id = random.choice(self.ids)
            answer = await client.get(f"/signals/line.{id}.{id}_t/history", params={"points": 500})
            answer.raise_for_status()


async def measure(service: Service, ids: list[str]) -> tuple[list[float], int]:
    """Sorted latencies [ms] of the readings that the subscriber saw, and how many were sent."""
    plant = Plant(service, ids)
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(base_url=f"{service.url}/api/v1/iotsense", limits=limits, timeout=30) as client:
        ready = asyncio.Event()
        others = [asyncio.create_task(plant.watch(ready)), asyncio.create_task(plant.ask_for_history(client))]
        await ready.wait()
        await plant.send(client, time.perf_counter() + SECONDS)
        await asyncio.sleep(0.5)
        for task in others:
            if task.done():
                task.result()
            task.cancel()
    latencies = sorted(
        (seen - plant.sent[number]) * 1000 for number, seen in plant.seen.items() if number < len(plant.sent)
    )
    return latencies, len(plant.sent)


def run() -> list[Figure]:
    """Median and 99th percentile; the control asks for the state once a second, as a polling client does."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        directory = Path(place)
        ids = write_project(directory / "plant.yaml", MACHINES)
        service = Service(directory / "data", directory / "plant.yaml")
        service.start()
        cpu = process_cpu(service.pid)
        latencies, sent = asyncio.run(measure(service, ids))
        used = process_cpu(service.pid) - cpu
        service.stop()
    if len(latencies) < 0.9 * sent:
        raise SystemExit(f"the subscriber saw {len(latencies)} of {sent} readings")
    p99 = latencies[int(len(latencies) * 0.99)]
    note = f"median {latencies[len(latencies) // 2]:.0f} ms, {len(latencies)} of {sent} seen"
    return [
        Figure(
            "reading in, subscriber sees it, p99",
            p99,
            "ms",
            used,
            at_most=100.0,
            control=990.0,
            control_name="polling once a second, by arithmetic",
            note=note,
        )
    ]
