"""Twenty times `kill -9` at random moments under MQTT QoS 1 and HTTP load: acknowledged, lost, doubled."""

import asyncio
import os
import random
import sqlite3
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from bench_mqtt import SOURCES
from figure import Figure, clock
from plant_file import write_project
from under_test import Service, mosquitto

ROUNDS = 20
MACHINES = 50
SECONDS = (0.5, 3.0)


@dataclass
class Ledger:
    """What the senders know: the readings (machine, name, time [ms]) that were sent, and those acknowledged."""

    sent: set[tuple[str, str, int]] = field(default_factory=set)
    acknowledged: set[tuple[str, str, int]] = field(default_factory=set)


class Clock:
    """Times [ms] that never repeat."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = int(time.time() * 1000) - 3_600_000

    def tick(self) -> int:
        """The next one."""
        with self._lock:
            self._last += 1
            return self._last


def send_http(url: str, ids: list[str], clock: Clock, ledger: Ledger, stop: threading.Event) -> None:
    """Posts documents until told to stop; what fails is sent again with its key, as our client does."""
    with httpx.Client(base_url=url, timeout=5) as client:
        while not stop.is_set():
            id, stamp = random.choice(ids), clock.tick()
            body = {
                "device_id": id,
                "timestamp": stamp / 1000,
                "measurements": [{"name": "vibration_rms", "value": random.random()}],
            }
            reading = (id, "vibration_rms", stamp)
            ledger.sent.add(reading)
            key = {"Idempotency-Key": f"{id}-{stamp}"}
            while not stop.is_set():
                try:
                    if client.post("/api/v1/iotsense/telemetry", json=body, headers=key).status_code == 202:
                        ledger.acknowledged.add(reading)
                        break
                except httpx.TransportError:
                    time.sleep(0.02)


async def send_mqtt(port: int, ids: list[str], clock: Clock, ledger: Ledger, stop: threading.Event) -> None:
    """Publishes at QoS 1; the broker's PUBACK makes a message its and our service's responsibility."""
    import aiomqtt

    async with aiomqtt.Client("127.0.0.1", port) as client:
        while not stop.is_set():
            id, stamp = random.choice(ids), clock.tick()
            payload = f'{{"deviceId":"{id}","sensor":"temperature","temp":{random.uniform(60, 90):.1f},"ts":{stamp}}}'
            ledger.sent.add((id, "temperature", stamp))
            await client.publish("sensors/a/temperature", payload, qos=1)
            ledger.acknowledged.add((id, "temperature", stamp))


def run() -> list[Figure]:
    """Both counts."""
    with (
        tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place,
        mosquitto(Path(place)) as port,
        clock() as used,
    ):
        directory = Path(place)
        ids = write_project(directory / "plant.yaml", MACHINES, SOURCES.format(port=port))
        service = Service(directory / "data", directory / "plant.yaml")
        service.start()
        stop, ledger, times = threading.Event(), Ledger(), Clock()
        threads = [threading.Thread(target=send_http, args=(service.url, ids, times, ledger, stop)) for _ in range(4)]
        threads.append(threading.Thread(target=lambda: asyncio.run(send_mqtt(port, ids, times, ledger, stop))))
        for thread in threads:
            thread.start()
        for _ in range(ROUNDS):
            time.sleep(random.uniform(*SECONDS))
            service.kill()
            service.start()
        time.sleep(1)
        stop.set()
        for thread in threads:
            thread.join()
        lost, doubled = _compare(service, ids, ledger)
        service.stop()
        unsynced = _unsynced_loss(directory)
    note = f"{len(ledger.acknowledged):,} acknowledged in {ROUNDS} rounds"
    return [
        Figure(
            "acknowledged readings lost",
            lost,
            "",
            used.cpu,
            at_most=0,
            control=unsynced,
            control_name="acknowledged from memory",
            note=note,
        ),
        Figure("readings doubled in history", doubled, "", used.cpu, at_most=0, note=note),
    ]


def _compare(service: Service, ids: list[str], ledger: Ledger) -> tuple[int, int]:
    deadline = time.monotonic() + 60
    while True:
        stored = _history(service, ids)
        missing = ledger.acknowledged - set(stored)
        if not missing or time.monotonic() > deadline:
            break
        time.sleep(1)  # the broker still delivers what it has acknowledged
    strangers = set(stored) - ledger.sent
    if strangers:
        raise SystemExit(f"readings that nobody sent are stored: {sorted(strangers)[:3]}")
    return len(missing), len(stored) - len(set(stored))


def _history(service: Service, ids: list[str]) -> list[tuple[str, str, int]]:
    found = []
    with httpx.Client(base_url=f"{service.url}/api/v1/iotsense", timeout=60) as client:
        for id in ids:
            for name, suffix in (("temperature", "t"), ("vibration_rms", "v")):
                path = f"/signals/line.{id}.{id}_{suffix}/history"
                begin: str | None = "2000-01-01T00:00:00Z"
                while begin is not None:
                    answer = client.get(path, params={"from": begin})
                    answer.raise_for_status()
                    found += [(id, name, _milliseconds(time)) for time in answer.json()["time"]]
                    begin = answer.json().get("next")
    return found


def _milliseconds(text: str) -> int:
    from iotsense.twin.times import parse_time

    return parse_time(text) // 1_000_000


def _unsynced_loss(directory: Path) -> int:
    """The control: a process that acknowledges what it holds in memory and commits once a second, killed likewise."""
    lost = 0
    for _ in range(3):
        path = directory / f"control-{random.random()}.sqlite"
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            _acknowledge_early(path, writer)
        os.close(writer)
        time.sleep(random.uniform(1.2, 1.8))
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        acknowledged = b""
        while chunk := os.read(reader, 1 << 16):
            acknowledged += chunk
        os.close(reader)
        with sqlite3.connect(path) as database:
            (stored,) = database.execute("SELECT count(*) FROM reading").fetchone()
        database.close()
        lost += len(acknowledged) - stored
    return lost


def _acknowledge_early(path: Path, told: int) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE reading (value REAL)")
    database.commit()
    last = time.monotonic()
    while True:
        database.execute("INSERT INTO reading VALUES (1.0)")
        os.write(told, b"x")
        time.sleep(0.001)
        if time.monotonic() - last > 1:
            database.commit()
            last = time.monotonic()
