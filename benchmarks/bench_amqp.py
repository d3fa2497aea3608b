"""AMQP from a real RabbitMQ: JSONPath, durable before acknowledgements by runs; librabbitmq sends the messages."""

import asyncio
import json
import random
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from figure import Figure, process_cpu
from plant_file import write_project
from under_test import Service

MESSAGES = 60_000
CONTROL = 5_000
MACHINES = 200
SOURCES = """
sensor_ingestion:
  protocols:
    - name: amqp
      url: {url}
      username: plant
      password: ${{AMQP_PASSWORD}}
      queues:
        - queue: bench
          schema: {{device_id: $.deviceId, name: $.sensor, value: $.temp, unit: $.unit, timestamp: $.ts}}
"""


def run() -> list[Figure]:
    """The figure: messages wait in a durable queue; timed from the first that is durable until the last is."""
    from database_fixtures import PASSWORD
    from rabbitmq_fixtures import RabbitMQ  # the tests' broker

    rabbit = RabbitMQ()
    rabbit.start()
    try:
        with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
            directory = Path(place)
            ids = write_project(directory / "plant.yaml", MACHINES, SOURCES.format(url=rabbit.address))
            service = Service(directory / "data", directory / "plant.yaml", {"AMQP_PASSWORD": PASSWORD})
            service.start()
            _wait(rabbit, "bench")
            service.stop()
            _publish(rabbit, "bench", ids, MESSAGES)
            service.start()
            speed, cpu = _drain(service)
            service.stop()
        asyncio.run(_declare(rabbit, "control"))
        _publish(rabbit, "control", ids, CONTROL)
        control = asyncio.run(_one_by_one(rabbit))
    finally:
        rabbit.remove()
    words, note = "aio-pika, a transaction and an ack a message", f"{cpu / MESSAGES * 1e6:.0f} µs CPU a message"
    name = "AMQP, JSONPath, durable before multiple acknowledgement"
    return [Figure(name, speed, "messages/s", cpu, 10_000, control=control, control_name=words, note=note)]


def _publish(rabbit: Any, queue: str, ids: list[str], count: int) -> None:
    from database_fixtures import PASSWORD

    clock = int(time.time() * 1000) - count
    lines = []
    for i in range(count):
        body = {"deviceId": random.choice(ids), "sensor": "temperature", "temp": round(random.uniform(15, 90), 1)}
        lines.append(json.dumps(body | {"unit": "celsius", "ts": clock + i}))
    login = ["-s", "127.0.0.1", "--port", str(rabbit.port), "--username", "plant", "--password", PASSWORD]
    command = ["amqp-publish", *login, "-r", queue, "-p", "-l"]
    subprocess.run(command, input="\n".join(lines).encode() + b"\n", check=True)


def _url(rabbit: Any) -> str:
    from urllib.parse import quote

    from database_fixtures import PASSWORD

    return f"amqp://plant:{quote(PASSWORD)}@127.0.0.1:{rabbit.port}/"


def _wait(rabbit: Any, queue: str) -> None:
    import aio_pika

    async def there() -> None:
        async with await aio_pika.connect(_url(rabbit)) as connection:
            for _ in range(100):
                channel = await connection.channel()
                try:
                    await channel.declare_queue(queue, passive=True)
                    return
                except aio_pika.exceptions.ChannelNotFoundEntity:
                    await asyncio.sleep(0.1)
            raise SystemExit("the service does not make its queue")

    asyncio.run(there())


async def _declare(rabbit: Any, queue: str) -> None:
    import aio_pika

    async with await aio_pika.connect(_url(rabbit)) as connection:
        await (await connection.channel()).declare_queue(queue, durable=True)


def _drain(service: Service) -> tuple[float, float]:
    """Messages a second, and CPU seconds of the whole process."""
    began, first = None, 0
    cpu = process_cpu(service.pid)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        count = service.received()
        now = time.perf_counter()
        if began is None and count > 0:
            began, first, cpu = now, count, process_cpu(service.pid)
        if count >= MESSAGES:
            if began is None or count != MESSAGES or first == count:
                raise SystemExit(f"{count} readings are stored instead of {MESSAGES}")
            spent = process_cpu(service.pid) - cpu
            return (count - first) / (now - began), spent * MESSAGES / (count - first)
        time.sleep(0.05)
    raise SystemExit(f"only {count} of {MESSAGES} messages were stored")


async def _one_by_one(rabbit: Any) -> float:
    """The control: aio-pika's own loop, json, a SQLite transaction and an acknowledgement each [messages/s]."""
    import aio_pika

    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        database = sqlite3.connect(Path(place) / "control.sqlite", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE reading (device TEXT, time INTEGER, value REAL)")
        async with await aio_pika.connect(_url(rabbit)) as connection:
            channel = await connection.channel()
            await channel.set_qos(1000)
            queue = await channel.declare_queue("control", durable=True)
            began, seen = time.perf_counter(), 0
            async with queue.iterator() as messages:
                async for message in messages:
                    data = json.loads(message.body)
                    row = (data["deviceId"], data["ts"], data["temp"])
                    database.execute("INSERT INTO reading VALUES (?, ?, ?)", row)
                    await message.ack()
                    seen += 1
                    if seen == CONTROL:
                        break
            speed = CONTROL / (time.perf_counter() - began)
        database.close()
    return speed
