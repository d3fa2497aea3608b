"""REST: the state of a twin of 50 signals, of which all change ten times a second, and unchanged (304)."""

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
from bench_http import requests
from figure import Figure, process_cpu
from plant_file import write_project
from under_test import Service

MACHINES = 25
CONNECTIONS = 4
SECONDS = 6
HZ = 10


def run() -> list[Figure]:
    """The figures."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        directory = Path(place)
        ids = write_project(directory / "plant.yaml", MACHINES)
        service = Service(directory / "data", directory / "plant.yaml")
        service.start()
        with httpx.Client() as http:
            send(service, ids, 1.5, http)
        url = f"{service.url}/api/v1/iotsense/twins/line/state"
        answer = httpx.get(url)
        shown = sum(len(component["state"]) for component in answer.json()["components"])
        if shown != 2 * MACHINES:
            raise SystemExit(f"{shown} signals are shown")
        unchanged = ["-H", f"If-None-Match: {answer.headers['ETag']}"]
        if httpx.get(url, headers={"If-None-Match": answer.headers["ETag"]}).status_code != 304:
            raise SystemExit("what is unchanged is not told so")
        nothing = rate(f"{service.url}/ping")
        cpu = process_cpu(service.pid)
        with changing(service, ids):
            whole = rate(url)
        whole_cpu, cpu = process_cpu(service.pid) - cpu, process_cpu(service.pid)
        same = rate(url, *unchanged)
        same_cpu = process_cpu(service.pid) - cpu
        service.stop()
    what = f"state of a twin of {2 * MACHINES} signals"
    control = {"control": nothing, "control_name": "GET /ping, requests/s"}
    return [
        Figure(
            f"{what} that change {HZ} times a second",
            whole,
            "requests/s",
            whole_cpu,
            at_least=5_000,
            note=f"{len(answer.content):,} bytes",
            **control,
        ),
        Figure(f"{what}, unchanged (304)", same, "requests/s", same_cpu, at_least=8_000, **control),
    ]


def send(service: Service, ids: list[str], value: float, http: httpx.Client) -> None:
    """A reading of each signal."""
    measured = [{"name": name, "value": value} for name in ("temperature", "vibration_rms")]
    documents = [{"device_id": id, "measurements": measured} for id in ids]
    answer = http.post(f"{service.url}/api/v1/iotsense/telemetry", json=documents).json()
    if answer["accepted"] != 2 * len(ids):
        raise SystemExit(f"the readings were not taken: {answer}")


@contextlib.contextmanager
def changing(service: Service, ids: list[str]) -> Iterator[None]:
    """Readings of all signals HZ times a second meanwhile."""
    stop = threading.Event()

    def feed() -> None:
        with httpx.Client() as http:
            value = 0.25
            while not stop.wait(1 / HZ):
                send(service, ids, value := value + 0.5, http)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def rate(url: str, *options: str) -> float:
    """Answers a second."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", *options, url]
    return requests(command)[1]
