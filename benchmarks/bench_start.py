"""A start after `kill -9` with 10,000 nodes and 50 million readings stored, and the memory that it takes."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from figure import Figure, process_cpu, resident_mb
from plant import batches, plant
from under_test import Service

from iotsense.twin.twin import Twin

SENSORS = 9_000
PER_COMPONENT = 9
READINGS = 50_000_000
ROWS = 20_000


def fill(directory: str, readings: int) -> None:
    """Stores readings, tells, and waits to be killed."""
    twin = Twin.open(directory)
    twin.change(plant(SENSORS, PER_COMPONENT), "benchmark")
    drawn = batches(500, ROWS, SENSORS)
    step = int(drawn[-1].time[-1] - drawn[0].time[0]) + 1_000
    for i in range(readings // ROWS):
        batch = drawn[i % len(drawn)]
        batch.time[:] += 0 if i < len(drawn) else step
        twin.apply(batch)
    print(json.dumps({"nodes": len(twin.graph), "readings": twin.counts()["readings"]}), flush=True)
    sys.stdin.read()


def run() -> list[Figure]:
    """Both figures; the control reads the whole journal, as a start without checkpoints must."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as directory:
        data = Path(directory) / "data"
        command = [sys.executable, __file__, str(data), str(READINGS)]
        filler = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert filler.stdout is not None
        stored = json.loads(filler.stdout.readline())
        filler.kill()
        filler.wait()
        if stored["readings"] != READINGS or stored["nodes"] < 10_000:
            raise SystemExit(f"the plant was not filled: {stored}")
        service = Service(data)
        seconds = service.start()
        resident, cpu = resident_mb(service.pid), process_cpu(service.pid)
        # The service adds the health of each component to what was stored.
        if not READINGS <= service.readings() <= READINGS + stored["nodes"]:
            raise SystemExit(f"{service.readings()} readings are there instead of {READINGS}")
        service.kill()
        for checkpoint in (data / "checkpoints").iterdir():
            checkpoint.unlink()
        for segment in sorted((data / "journal").glob("*.sqlite*")):
            _forget_snapshot(segment)
        without = service.start()
        service.kill()
    return [
        Figure("start after kill -9", seconds, "s", cpu, at_most=3.0, control=without, control_name="no checkpoint"),
        Figure("resident memory then", resident, "MB", cpu, at_most=350.0),
    ]


def _forget_snapshot(segment: Path) -> None:
    import sqlite3

    if segment.suffix == ".sqlite":
        with sqlite3.connect(segment) as file:
            file.execute("UPDATE entry SET kind = 7, payload = ? WHERE kind = 8", (_POSITION,))
        file.close()


def _position() -> bytes:
    from iotsense.twin.entry import EntryKind, Position, pack

    return pack(EntryKind.POSITION, Position("benchmark", 0))


_POSITION = _position()

if __name__ == "__main__":
    fill(sys.argv[1], int(sys.argv[2]))
