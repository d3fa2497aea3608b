"""New devices over MQTT QoS 1 with `discovery_limit: off`, each a node of the graph; beside thingsboard-gateway."""

import json
import random
import secrets
import subprocess
import tempfile
import time
from pathlib import Path

import httpx
import thingsboard
from bench_mqtt import wait_subscribed
from figure import Figure, process_cpu
from plant_file import write_project
from under_test import Service, mosquitto

DEVICES = 5000
PEER_DEVICES = 500
SOURCES = """
sensor_ingestion:
  discovery_limit: off
  protocols:
    - name: mqtt
      broker: mqtt://127.0.0.1:{port}
      client_id: iotsense_benchmark
      topics:
        - pattern: sensors/+/temperature
          schema: {{device_id: $.deviceId, name: $.sensor, value: $.temp, timestamp: $.ts}}
"""


def run() -> list[Figure]:
    """The figure: timed from the connection until the last device is a node with a durable reading."""
    names = [f"d{secrets.token_hex(4)}" for _ in range(DEVICES)]
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place, mosquitto(Path(place)) as port:
        directory = Path(place)
        write_project(directory / "plant.yaml", 10, SOURCES.format(port=port))
        service = Service(directory / "data", directory / "plant.yaml")
        service.start()
        wait_subscribed(service)
        service.stop()
        publish(port, names)
        service.start()
        speed, cpu = _drain(service)
        _check(service, names)
        service.stop()
    peer = _peer([f"p{secrets.token_hex(4)}" for _ in range(PEER_DEVICES)])
    name = "new devices, discovery_limit off"
    return [Figure(name, speed, "devices/s", cpu, at_least=1000, control=peer, control_name="thingsboard-gateway")]


def publish(port: int, names: list[str]) -> None:
    """One message of each device, at QoS 1."""
    clock = int(time.time() * 1000)
    lines = "\n".join(
        json.dumps(
            {"deviceId": name, "sensor": "temperature", "temp": round(random.uniform(1, 99), 1), "ts": clock + i}
        )
        for i, name in enumerate(names)
    )
    topic = f"sensors/{random.randrange(1000)}/temperature"
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-l", "-t", topic]
    subprocess.run(command, input=lines.encode(), check=True)


def _drain(service: Service) -> tuple[float, float]:
    began, cpu = time.perf_counter(), process_cpu(service.pid)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if service.received() >= DEVICES:
            return DEVICES / (time.perf_counter() - began), process_cpu(service.pid) - cpu
        time.sleep(0.1)
    raise SystemExit(f"only {service.received()} of {DEVICES} devices were stored")


def _check(service: Service, names: list[str]) -> None:
    found: set[str] = set()
    query: dict[str, str] = {"origin": "discovered", "level": "component", "limit": "1000"}
    while True:
        page = httpx.get(f"{service.url}/api/v1/iotsense/nodes", params=query, timeout=60).json()
        found |= {node["id"].rpartition(".")[2] for node in page["nodes"]}
        if not page.get("next"):
            break
        query["after"] = str(page["next"])
    if missing := set(names) - found:
        raise SystemExit(f"{len(missing)} of {DEVICES} devices are no nodes")


def _peer(names: list[str]) -> float:
    """Devices a second of thingsboard-gateway, from the first message to the last value at its platform."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        first, second = Path(place) / "first", Path(place) / "second"
        first.mkdir()
        second.mkdir()
        with (
            mosquitto(first) as devices,
            mosquitto(second) as platform,
            thingsboard.gateway(Path(place), devices, platform) as gateway,
        ):
            before, began = gateway.platform.values, time.perf_counter()
            publish(devices, names)
            return len(names) / (gateway.platform.await_values(before + len(names), 120) - began)
