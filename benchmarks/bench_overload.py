"""Ten times what the store takes, for a minute, then `kill -9`: memory is bounded, nothing acknowledged is lost."""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from figure import Figure, process_cpu, resident_mb
from overload_senders import HttpSender, MqttSender, Sender
from plant_file import write_project
from under_test import Service, mosquitto

from iotsense.twin.twin import Twin

SPAN_S = 60.0
CONTROL_S = 30.0
SYNC_S = 4.0  # what every sync of the journal takes longer (tests/iotrace.c): a slow store
MACHINES = 4
MOST_MB = 160.0
SOURCES = """
sensor_ingestion:
  protocols:
    - name: mqtt
      broker: mqtt://127.0.0.1:{port}
      client_id: iotsense_overload
      topics:
        - pattern: o/+
          schema: {{device_id: "${{topic.split('/')[1]}}", name: temperature, value: $.v, timestamp: $.t}}
"""


@dataclass
class Observed:
    """What was seen of the service while it was overloaded."""

    idle_mb: float = 0.0
    most_mb: float = 0.0
    most_waiting: int = 0
    stored: list[tuple[float, int]] = field(default_factory=list)

    @property
    def grown(self) -> float:
        """Memory at its most, above the idle service [MB]."""
        return self.most_mb - self.idle_mb

    @property
    def taken(self) -> float:
        """Readings that the store took a second, once it was busy."""
        (began, first), (ended, last) = self.stored[len(self.stored) // 6], self.stored[-1]
        return (last - first) / (ended - began)


def run() -> list[Figure]:
    """The figures of both protocols; the control acknowledges what it holds in memory, as most clients do."""
    from power_cut import build

    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place, mosquitto(Path(place)) as port:
        slow = build(Path(place))
        figures = []
        control = _control(Path(place) / "control", slow, port)
        for name, make in (("MQTT", _mqtt), ("HTTP", _http)):
            directory = Path(place) / name
            directory.mkdir()
            figures += _overload(name, directory, slow, port, make, control)
        return figures


def _mqtt(service: Service, ids: list[str], port: int) -> Sender:
    from bench_mqtt import wait_subscribed

    wait_subscribed(service)
    return MqttSender(ids, port)


def _http(service: Service, ids: list[str], port: int) -> Sender:
    return HttpSender(ids, service.url)


def _overload(
    name: str, directory: Path, slow: Path, port: int, make: Callable[..., Sender], control: tuple[float, int]
) -> list[Figure]:
    ids = write_project(directory / "plant.yaml", MACHINES, SOURCES.format(port=port))
    data = directory / "data"
    trace = {"LD_PRELOAD": str(slow), "IOTRACE_DIR": str(data / "journal"), "IOTRACE_DELAY": str(int(SYNC_S * 1e6))}
    service = Service(data, directory / "plant.yaml", trace)
    service.start(timeout=300)
    sender = make(service, ids, port)
    cpu = process_cpu(service.pid)
    with _observed(service) as seen:
        sender.send(SPAN_S)
    cpu = process_cpu(service.pid) - cpu
    service.kill()
    sender.close()
    service = Service(data, directory / "plant.yaml")
    service.start()
    lost = sender.acknowledged - _kept(service, sender, ids)
    grown, lost_by_control = control
    times = sender.offered / SPAN_S / seen.taken
    note = f"{sender.offered:,} offered, {sender.acknowledged:,} acknowledged, {seen.taken:,.0f}/s stored, then kill -9"
    held = sender.offered - seen.stored[-1][1]
    return [
        Figure(f"{name}: load, as a multiple of what the store takes", times, "times", cpu, at_least=10, note=note),
        Figure(f"{name}: memory at its most, above the idle service", seen.grown, "MB", cpu, at_most=MOST_MB,
               control=grown, control_name=f"a queue in memory, after {CONTROL_S:g} s"),
        Figure(f"{name}: acknowledged readings lost", lost, "", cpu, at_most=0, control=lost_by_control,
               control_name="a queue in memory"),
        Figure(f"{name}: readings held back: refused, unanswered, or kept by the broker", held, "", cpu, at_least=1,
               note=f"{seen.most_waiting:,} messages waited in the service at most"),
    ]  # fmt: skip


@contextmanager
def _observed(service: Service) -> Iterator[Observed]:
    """Looks at the service twice a second; what it says of itself may be slow to come, its memory is the system's."""
    seen, end = Observed(resident_mb(service.pid), resident_mb(service.pid)), threading.Event()

    def look() -> None:
        with httpx.Client(timeout=20) as client:
            while not end.wait(0.5):
                seen.most_mb = max(seen.most_mb, resident_mb(service.pid))
                try:
                    answer = client.get(f"{service.url}/api/v1/iotsense/sources")
                except httpx.HTTPError:
                    continue
                sources: list[dict[str, Any]] = answer.json()["sources"]
                seen.most_waiting = max(seen.most_waiting, *(source["waiting"] for source in sources))
                seen.stored.append((time.monotonic(), sum(source["stored"] for source in sources)))

    thread = threading.Thread(target=look)
    thread.start()
    yield seen
    end.set()
    thread.join()


def _kept(service: Service, sender: Sender, ids: list[str]) -> int:
    """How many of the acknowledged readings are in history, once what others keep has come."""
    before, deadline = -1, time.monotonic() + 240
    while time.monotonic() < deadline:
        count = service.received()
        if count == before and (count >= sender.in_the_end or not sender.is_kept_elsewhere):
            break
        before = count
        time.sleep(2)
    service.stop()
    kept = 0
    with Twin.open(service.data) as twin:
        for id, times in sender.times.items():
            signal = twin.graph.find_signal(f"{id}_t")
            found = twin.history(signal.index, 0, 2**62).time
            kept += int(np.isin(np.array(times, np.int64), found).sum())
    assert set(sender.times) <= set(ids)
    return kept


def _control(directory: Path, slow: Path, port: int) -> tuple[float, int]:
    """A subscriber that queues in memory: memory grown [MB], and messages lost that it had acknowledged."""
    import sqlite3
    import subprocess
    import sys

    directory.mkdir()
    program = Path(__file__).with_name("overload_control.py")
    trace = {"LD_PRELOAD": str(slow), "IOTRACE_DIR": str(directory), "IOTRACE_DELAY": str(int(SYNC_S * 1e6))}
    process = subprocess.Popen(
        [sys.executable, str(program), str(port), str(directory / "control.sqlite")],
        stdout=subprocess.PIPE, env=os.environ | trace,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    idle = resident_mb(process.pid)
    sender = MqttSender(["control"], port)
    sender.send(CONTROL_S)
    time.sleep(1)
    grown = resident_mb(process.pid) - idle
    process.kill()
    process.wait()
    process.stdout.close()
    sender.close()
    with sqlite3.connect(directory / "control.sqlite") as database:
        (stored,) = database.execute("SELECT count(*) FROM reading").fetchone()
    database.close()
    return grown, sender.acknowledged - stored
