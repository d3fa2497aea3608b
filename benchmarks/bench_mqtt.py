"""MQTT QoS 1 from a real mosquitto: JSONPath and unit conversion, durable before PUBACK; beside thingsboard-gateway."""

import random
import subprocess
import tempfile
import time
from pathlib import Path

import thingsboard
from figure import Figure, process_cpu
from plant_file import write_project
from under_test import Service, mosquitto

MESSAGES = 60_000  # mosquitto_pub loses what it reads beyond 65,535 lines
MACHINES = 200
PEER_MESSAGES = 20_000
PEER_DEVICES = 20
SOURCES = """
sensor_ingestion:
  protocols:
    - name: mqtt
      broker: mqtt://127.0.0.1:{port}
      client_id: iotsense_benchmark
      qos: 1
      topics:
        - pattern: sensors/+/temperature
          parser: json
          schema: {{device_id: $.deviceId, name: $.sensor, value: $.temp, unit: $.unit, timestamp: $.ts}}
normalization:
  rules:
    - source: sensors/+/temperature
      transforms:
        - {{type: unit_conversion, from_field: value, from_unit: fahrenheit, to_unit: celsius}}
"""


def run() -> list[Figure]:
    """The figure: messages wait in a persistent session; timed from the connection until the last one is durable."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place, mosquitto(Path(place)) as port:
        directory = Path(place)
        ids = write_project(directory / "plant.yaml", MACHINES, SOURCES.format(port=port))
        service = Service(directory / "data", directory / "plant.yaml")
        service.start()
        wait_subscribed(service)
        service.stop()
        _publish(port, ids)
        service.start()
        speed, cpu = _drain(service)
        service.stop()
    name = "MQTT QoS 1, JSONPath, unit conversion"
    peer, peer_cpu = _thingsboard()
    times = speed / peer
    note = f"CPU a message: {cpu / MESSAGES * 1e6:.0f} µs, thingsboard-gateway {peer_cpu * 1e6:.0f} µs"
    return [
        Figure(name, speed, "messages/s", cpu, at_least=40_000, control=_aiomqtt_one_by_one(),
               control_name="aiomqtt, a commit a message"),
        Figure(f"{name}, as a multiple of thingsboard-gateway's", times, "times", cpu, at_least=8, control=peer,
               control_name="thingsboard-gateway, messages/s", note=note),
    ]  # fmt: skip


def _thingsboard() -> tuple[float, float]:
    """Messages a second and CPU seconds a message of thingsboard-gateway, with devices that it knows already."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        first, second = Path(place) / "first", Path(place) / "second"
        first.mkdir()
        second.mkdir()
        with (
            mosquitto(first) as devices,
            mosquitto(second) as platform,
            thingsboard.gateway(Path(place), devices, platform) as gateway,
        ):
            names = [f"m{number}" for number in range(PEER_DEVICES)]
            before = gateway.platform.values
            _publish(devices, names, PEER_DEVICES * 10)
            gateway.platform.await_values(before + PEER_DEVICES * 10, 60)
            before, cpu, began = gateway.platform.values, gateway.cpu(), time.perf_counter()
            _publish(devices, names, PEER_MESSAGES)
            ended = gateway.platform.await_values(before + PEER_MESSAGES, 60)
            return PEER_MESSAGES / (ended - began), (gateway.cpu() - cpu) / PEER_MESSAGES


def _publish(port: int, ids: list[str], count: int = MESSAGES) -> None:
    clock = int(time.time() * 1000)
    lines = "\n".join(
        f'{{"deviceId":"{random.choice(ids)}","sensor":"temperature","temp":{random.uniform(60, 180):.1f},'
        f'"unit":"fahrenheit","ts":{clock + i}}}'
        for i in range(count)
    )
    topic = f"sensors/{random.randrange(1000)}/temperature"
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-l", "-t", topic]
    subprocess.run(command, input=lines.encode(), check=True)


def wait_subscribed(service: Service) -> None:
    """Returns when its MQTT source runs."""
    import httpx

    for _ in range(500):
        sources = httpx.get(f"{service.url}/api/v1/iotsense/sources").json()["sources"]
        if any(source["state"] == "running" for source in sources if "mqtt" in source["name"]):
            return
        time.sleep(0.02)
    raise SystemExit(f"the MQTT source does not run: {sources}")


def _drain(service: Service) -> tuple[float, float]:
    """Messages a second and CPU seconds, from the first count above zero to the last message."""
    began = None
    cpu = process_cpu(service.pid)
    first = 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        count = service.received()
        now = time.perf_counter()
        if began is None and count > 0:
            began, first = now, count
        if count >= MESSAGES:
            if began is None or count != MESSAGES:
                raise SystemExit(f"{count} readings are stored instead of {MESSAGES}")
            # All came before the second look: the time from the start of the process is the lower bound.
            span = now - began
            return (count - first) / span if count > first else count / 1e-3, process_cpu(service.pid) - cpu
        time.sleep(0.02)
    raise SystemExit(f"only {count} of {MESSAGES} messages were stored")


def _aiomqtt_one_by_one() -> float:
    """The control: aiomqtt's own loop, json, and a SQLite transaction a message [messages/s]."""
    import asyncio
    import json
    import sqlite3

    import aiomqtt

    async def drain(port: int, database: sqlite3.Connection, count: int) -> float:
        async with aiomqtt.Client("127.0.0.1", port, identifier="control", clean_session=False) as client:
            await client.subscribe("sensors/#", qos=1)
        _publish_some(port, count)
        began = time.perf_counter()
        async with aiomqtt.Client("127.0.0.1", port, identifier="control", clean_session=False) as client:
            seen = 0
            async for message in client.messages:
                data = json.loads(bytes(message.payload))  # type: ignore[arg-type]
                row = (data["deviceId"], data["ts"], (data["temp"] - 32) / 1.8)
                database.execute("INSERT INTO reading VALUES (?, ?, ?)", row)
                seen += 1
                if seen == count:
                    break
        return count / (time.perf_counter() - began)

    def _publish_some(port: int, count: int) -> None:
        lines = "\n".join(f'{{"deviceId":"m","temp":{i % 100},"ts":{i}}}' for i in range(count))
        command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-l", "-t", "sensors/1/t"]
        subprocess.run(command, input=lines.encode(), check=True)

    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place, mosquitto(Path(place)) as port:
        database = sqlite3.connect(Path(place) / "control.sqlite", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE reading (device TEXT, time INTEGER, value REAL)")
        speed = asyncio.run(drain(port, database, 10_000))
        database.close()
    return speed
