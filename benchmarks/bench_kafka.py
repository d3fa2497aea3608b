"""Kafka from a real broker: JSONPath records, durable before the commit; Kafka's own console producer sends them."""

import asyncio
import json
import random
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import httpx
from figure import Figure, process_cpu
from plant_file import write_project
from under_test import Service

RECORDS = 600_000
CONTROL = 5_000
MACHINES = 200
SOURCES = """
sensor_ingestion:
  protocols:
    - name: kafka
      bootstrap_servers: ["{broker}"]
      group_id: {group}
      topics:
        - topic: {topic}
          schema: {{device_id: $.deviceId, name: $.sensor, value: $.temp, unit: $.unit, timestamp: $.ts}}
"""


def run() -> list[Figure]:
    """The figure: records wait in four partitions; timed from the first that is durable until the last is."""
    from kafka_fixtures import Kafka, KafkaPeer  # the tests' broker

    kafka = Kafka()
    kafka.start()
    peer = KafkaPeer(kafka.address)
    topic = peer.topic(partitions=4)
    peer.close()
    try:
        with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
            directory = Path(place)
            source = SOURCES.format(broker=kafka.address, topic=topic, group=f"g{uuid4().hex[:8]}")
            ids = write_project(directory / "plant.yaml", MACHINES, source)
            _produce(kafka, topic, ids, RECORDS)
            service = Service(directory / "data", directory / "plant.yaml")
            service.start()
            speed, cpu = _drain(service)
            committed = asyncio.run(_committed(kafka.address, topic, source))
            service.stop()
        control = asyncio.run(_one_by_one(kafka.address, topic))
    finally:
        kafka.remove()
    if committed != RECORDS:
        raise SystemExit(f"{committed} of {RECORDS} records are committed")
    name = "Kafka, JSONPath, keys, durable before the commit"
    words = "aiokafka, a transaction and a commit a record"
    note = f"{cpu / RECORDS * 1e6:.1f} µs CPU a record"
    return [Figure(name, speed, "records/s", cpu, 100_000, control=control, control_name=words, note=note)]


def _java(kafka: object, *arguments: str, **options: object) -> None:
    command = ["java", "-Xmx512m", "-cp", kafka._jars, *arguments]  # type: ignore[attr-defined]
    subprocess.run(command, check=True, capture_output=True, **options)  # type: ignore[call-overload]


def _produce(kafka: object, topic: str, ids: list[str], count: int) -> None:
    clock = int(time.time() * 1000) - count
    lines = []
    for i in range(count):
        machine = random.choice(ids)
        body = {"deviceId": machine, "sensor": "temperature", "temp": round(random.uniform(15, 90), 1)}
        lines.append(f"{machine}|{json.dumps(body | {'unit': 'celsius', 'ts': clock + i})}\n")
    where = ["--bootstrap-server", kafka.address, "--topic", topic]  # type: ignore[attr-defined]
    keyed = ["--property", "parse.key=true", "--property", "key.separator=|", "--batch-size", "65536"]
    _java(kafka, "kafka.tools.ConsoleProducer", *where, *keyed, input="".join(lines).encode())


def _drain(service: Service) -> tuple[float, float]:
    """Records a second, and CPU seconds of the whole process."""
    began, first = None, 0
    cpu = process_cpu(service.pid)
    deadline = time.monotonic() + 120
    with httpx.Client():
        while time.monotonic() < deadline:
            count = service.received()
            now = time.perf_counter()
            if began is None and count > 0:
                began, first, cpu = now, count, process_cpu(service.pid)
            if count >= RECORDS:
                if began is None or count != RECORDS or first == count:
                    raise SystemExit(f"{count} readings are stored instead of {RECORDS}")
                # What came before the first look did not cost the time that is measured.
                spent = process_cpu(service.pid) - cpu
                return (count - first) / (now - began), spent * RECORDS / (count - first)
            time.sleep(0.05)
    raise SystemExit(f"only {count} of {RECORDS} records were stored")


async def _committed(broker: str, topic: str, source: str) -> int:
    from aiokafka.admin import AIOKafkaAdminClient

    group = source.partition("group_id: ")[2].split()[0]
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        for _ in range(100):
            offsets = await admin.list_consumer_group_offsets(group)
            total = sum(each.offset for partition, each in offsets.items() if partition.topic == topic)
            if total >= RECORDS:
                return total
            await asyncio.sleep(0.05)
        return total
    finally:
        await admin.close()


async def _one_by_one(broker: str, topic: str) -> float:
    """The control: aiokafka's own loop, json, a SQLite transaction and a commit for each record [records/s]."""
    from aiokafka import AIOKafkaConsumer

    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        database = sqlite3.connect(Path(place) / "control.sqlite", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE reading (device TEXT, time INTEGER, value REAL)")
        options = {"group_id": uuid4().hex, "enable_auto_commit": False, "auto_offset_reset": "earliest"}
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=broker, **options)
        await consumer.start()
        try:
            await consumer.getone()
            began = time.perf_counter()
            for _ in range(CONTROL):
                record = await consumer.getone()
                data = json.loads(record.value)
                database.execute("INSERT INTO reading VALUES (?, ?, ?)", (data["deviceId"], data["ts"], data["temp"]))
                await consumer.commit()
            return CONTROL / (time.perf_counter() - began)
        finally:
            await consumer.stop()
            database.close()
