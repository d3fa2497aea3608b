"""State to front ends: a binary stream to 50 clients, a GraphQL subscription, a thousand clients that hear nothing."""

import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from figure import Figure, process_cpu, resident_mb
from under_test import Service

HERE = Path(__file__).parent
MACHINES, SENSORS = 100, 100
HZ = 10
SECONDS = 10
CLIENTS = 50
IDLE = 1_000
FILES = 8_192


class Feed:
    """Readings of all signals of some machines, HZ times a second, by HTTP; each value is when it was sent."""

    def __init__(self, url: str, machines: int, base: float) -> None:
        self._url, self._base, self._machines = url, base, machines
        self.late = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Feed":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client() as http:
            due = time.monotonic()
            while not self._stop.is_set():
                self._send(http)
                due += 1 / HZ
                self.late = max(self.late, time.monotonic() - due)
                time.sleep(max(0.0, due - time.monotonic()))

    def _send(self, http: httpx.Client) -> None:
        # One text for all machines: making it must not take the time that is measured.
        value = f"{time.monotonic() - self._base:.6f}"
        measured = ",".join(f'{{"name":"s{i}","value":{value}}}' for i in range(SENSORS))
        body = ",".join(f'{{"device_id":"m{i}","measurements":[{measured}]}}' for i in range(self._machines))
        http.post(
            f"{self._url}/api/v1/iotsense/telemetry", content=f"[{body}]", headers={"Content-Type": "application/json"}
        ).raise_for_status()


@contextlib.contextmanager
def clients(url: str, count: int, base: float, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """Clients that have their first state."""
    command = [sys.executable, str(HERE / "stream_clients.py"), url, str(count), str(base), *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SystemExit("the clients ended before they had their first state")
        yield process
    finally:
        process.kill()
        process.wait()


def measured(process: "subprocess.Popen[str]", service: Service) -> tuple[dict[str, Any], float]:
    """What the clients measured in SECONDS, and the service's CPU seconds in them."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    cpu = process_cpu(service.pid)
    time.sleep(SECONDS)
    cpu = process_cpu(service.pid) - cpu
    process.stdin.write("\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline()), cpu


def write_plant(path: Path) -> None:
    """A line of 100 machines with 100 sensors each."""
    text = "digital_twins:\n  - name: line\n    type: assembly_line\n    components:\n"
    for machine in range(MACHINES):
        sensors = "".join(
            f"          - {{id: m{machine}_s{i}, name: s{i}, type: t, unit: celsius}}\n" for i in range(SENSORS)
        )
        text += f"      - id: m{machine}\n        type: motor\n        sensors:\n{sensors}"
    path.write_text(text)


def streamed(service: Service, machines: int, count: int, *options: str) -> tuple[float, float, float, float]:
    """p99 [s] from sending to the client, cores of the service, cores without any client, readings/s to each client."""
    base = time.monotonic()
    with Feed(service.url, machines, base):
        time.sleep(2)
        cpu = process_cpu(service.pid)
        time.sleep(4)
        alone = (process_cpu(service.pid) - cpu) / 4
        with clients(service.url, count, base, *options) as process:
            time.sleep(1)
            found, cpu = measured(process, service)
    latencies = found["latencies"]
    if len(latencies) < HZ * SECONDS * count * 0.9:
        raise SystemExit(f"only {len(latencies)} frames came to {count} clients in {SECONDS} s")
    return latencies[int(0.99 * len(latencies))], cpu / SECONDS, alone, found["readings"] / SECONDS / count


def run() -> list[Figure]:
    """The figures."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, FILES), hard))
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as directory:
        place = Path(directory)
        write_plant(place / "plant.yaml")
        service = Service(place / "data", place / "plant.yaml")
        service.start()
        cpu, before = process_cpu(service.pid), resident_mb(service.pid)
        machines = [f"line.m{i}" for i in range(MACHINES)]
        with clients(service.url, IDLE, 0.0, "--apart", "--nodes", *machines):
            opened = process_cpu(service.pid) - cpu
            cpu = process_cpu(service.pid)
            time.sleep(SECONDS)
            idle_cpu, memory = process_cpu(service.pid) - cpu, resident_mb(service.pid) - before
        p99, cores, alone, each = streamed(service, MACHINES, CLIENTS)
        nodes = [f"line.m{i}" for i in range(10)]
        of_graphql = graphql(service, nodes)
        service.stop()
    what = f"{MACHINES * SENSORS:,} signals at {HZ} Hz to {CLIENTS} clients"
    return [
        Figure(
            f"binary stream, {what}: the service", cores, "cores", cores * SECONDS, at_most=1,
            note=f"{each:,.0f} readings/s to each", control=alone, control_name="taking the readings in, no client",
        ),
        Figure(f"binary stream, {what}: sending to client, p99", 1000 * p99, "ms", cores * SECONDS, at_most=100),
        *of_graphql,
        Figure(
            f"memory of {IDLE:,} idle subscribers of 100 signals each", memory, "MB", opened + idle_cpu, at_most=100,
            note=f"{idle_cpu / SECONDS:.2f} cores while idle",
        ),
    ]  # fmt: skip


def graphql(service: Service, nodes: list[str]) -> list[Figure]:
    """A subscription to 1,000 signals."""
    p99, cores, alone, each = streamed(service, len(nodes), 1, "--graphql", "--nodes", *nodes)
    what = f"GraphQL subscription, {len(nodes) * SENSORS:,} signals at {HZ} Hz"
    return [
        Figure(
            f"{what}: the service", cores, "cores", cores * SECONDS, at_most=0.5,
            note=f"{each:,.0f} readings/s", control=alone, control_name="taking the readings in, no client",
        ),
        Figure(f"{what}: sending to client, p99", 1000 * p99, "ms", cores * SECONDS, at_most=100),
    ]  # fmt: skip
