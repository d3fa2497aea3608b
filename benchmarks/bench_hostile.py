"""An hour of hostile input (HOSTILE_S seconds) while somebody else works: no 5xx, no hang, no growth."""

import asyncio
import contextlib
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from bench_graphql import plain_strawberry
from figure import Figure, process_cpu, resident_mb
from hostile import Siege, besiege
from service_fixtures import API, document, write_plant
from under_test import Service

SECONDS = float(os.environ.get("HOSTILE_S", 3600))
# What is bounded (caches, labels, dead letters, buffers) is about full after five minutes; before, it grows.
WARM_UP_S = min(300.0, SECONDS)
CONTROL_S = 60.0
GROWN_MB = 50.0
WAITED_S = 5.0
LOOKS_S = 1.0


@dataclass
class Watch:
    """The service's memory [MB] from look to look, and how long somebody with ordinary requests waited [s]."""

    memory: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def grown(self) -> float:
        """Between the first and the last tenth of it [MB]."""
        tenth = max(1, len(self.memory) // 10)
        return statistics.median(self.memory[-tenth:]) - statistics.median(self.memory[:tenth])


def run() -> list[Figure]:
    """The figures; the control is a GraphQL server without any limits under the same siege."""
    seed = int(os.environ.get("HOSTILE_SEED", random.SystemRandom().randrange(2**32)))
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        directory = Path(place)
        control = _control(directory, seed)
        service = Service(directory / "data", write_plant(directory))
        service.start()
        asyncio.run(besiege(service.url, WARM_UP_S, seed + 1))
        cpu = process_cpu(service.pid)
        with _watched(service) as watch:
            siege = asyncio.run(besiege(service.url, SECONDS, seed))
        cpu = process_cpu(service.pid) - cpu
        service.stop()
        unforeseen = _unforeseen((directory / "service.log").read_text(errors="replace"))
    for each in [*siege.failures, *watch.refused][:20]:
        print(each)
    return _figures(siege, watch, unforeseen, control, cpu)


def _figures(siege: Siege, watch: Watch, unforeseen: int, control: int, cpu: float) -> list[Figure]:
    hangs = sum("no answer in" in each for each in siege.failures)
    note = f"{siege.attacks:,} attacks in {SECONDS:g} s, seed {siege.seed}"
    longest = f"{len(watch.waited):,} requests, the median waited {1000 * statistics.median(watch.waited):.1f} ms"
    slowest = f"the longest attack took {siege.longest:.1f} s ({siege.longest_attack})"
    most = f"{watch.memory[0]:.0f} MB at first, {max(watch.memory):.0f} MB at most"
    failures = len(siege.failures) - hangs
    beside = {"control": control, "control_name": f"plain Strawberry, within {CONTROL_S:g} s"}
    return [
        Figure("attacks answered with 5xx, or deadly", failures, "", cpu, at_most=0, note=note, **beside),
        Figure("attacks without an answer", hangs, "", cpu, at_most=0, note=slowest),
        Figure("failures in the log that nobody foresaw", unforeseen, "", cpu, at_most=0),
        Figure("memory, grown from the first tenth to the last", watch.grown, "MB", cpu, at_most=GROWN_MB, note=most),
        Figure("others: requests refused", len(watch.refused), "", cpu, at_most=0),
        Figure("others: the longest wait", max(watch.waited), "s", cpu, at_most=WAITED_S, note=longest),
    ]  # fmt: skip


def _unforeseen(log: str) -> int:
    """Traces in the log, but for uvicorn's: it shows where it met text that is not UTF-8."""
    return log.count("Traceback") - log.count("Invalid UTF-8 sequence received")


@contextlib.contextmanager
def _watched(service: Service) -> Iterator[Watch]:
    """Sends a reading and asks for the state, again and again, and looks at the memory."""
    watch, end = Watch(), threading.Event()

    def work() -> None:
        with httpx.Client(base_url=service.url, timeout=30) as http:
            while not end.wait(LOOKS_S):
                watch.memory.append(resident_mb(service.pid))
                _work(http, watch)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield watch
    finally:
        end.set()
        thread.join()


def _work(http: httpx.Client, watch: Watch) -> None:
    reading = document("conveyor", "speed", round(random.random(), 3))
    for method, path, body in (("POST", "telemetry", reading), ("GET", "twins/line_1/state", None)):
        began = time.perf_counter()
        try:
            status = http.request(method, f"{API}/{path}", json=body).status_code
        except httpx.HTTPError as error:
            status = 0
            watch.refused.append(f"others: {method} {path}: {error!r}")
        watch.waited.append(time.perf_counter() - began)
        if status >= 400:
            watch.refused.append(f"others: {method} {path}: {status}")


def _control(directory: Path, seed: int) -> int:
    """What the siege finds at a server that bounds nothing: 5xx, and attacks without an answer."""
    nodes = [{"id": f"n{i}", "name": f"n{i}", "level": "component", "type": "t", "shortId": f"n{i}"} for i in range(10)]
    with plain_strawberry(nodes, directory) as url:
        siege = asyncio.run(besiege(url, CONTROL_S, seed))
    return sum("is not alive" not in each for each in siege.failures)  # it has no /livez
