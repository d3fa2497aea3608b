"""`GET .../state` of a twin with 1,000 signals."""

import statistics
import tempfile
import time
from pathlib import Path

import httpx
from figure import Figure, process_cpu
from plant_file import write_project
from under_test import Service

MACHINES = 500
ROUNDS = 300


def run() -> list[Figure]:
    """Median and 99th percentile of a request over the socket, each with new values before it."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        directory = Path(place)
        ids = write_project(directory / "plant.yaml", MACHINES)
        service = Service(directory / "data", directory / "plant.yaml")
        service.start()
        with httpx.Client(base_url=f"{service.url}/api/v1/iotsense") as client:
            times, cpu = [], process_cpu(service.pid)
            for i in range(ROUNDS):
                documents = [
                    {
                        "device_id": id,
                        "timestamp": time.time_ns() / 1e9,
                        "measurements": [{"name": n, "value": i + k} for n in ("temperature", "vibration_rms")],
                    }
                    for k, id in enumerate(ids)
                ]
                client.post("/telemetry", json=documents).raise_for_status()
                began = time.perf_counter()
                answer = client.get("/twins/line/state")
                times.append((time.perf_counter() - began) * 1000)
                state = {component["id"]: component["state"] for component in answer.json()["components"]}
                if any(state[id]["temperature"] != i + k for k, id in enumerate(ids)):
                    raise SystemExit("the state is not what was sent")
            used = process_cpu(service.pid) - cpu
        service.stop()
    times.sort()
    p99 = times[int(len(times) * 0.99)]
    return [
        Figure(
            "GET state, 1,000 signals, median",
            statistics.median(times),
            "ms",
            used,
            at_most=5.0,
            note=f"p99 {p99:.1f} ms",
        )
    ]
