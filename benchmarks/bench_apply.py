"""`Twin.apply` over 10,000 signals, durable: batches of 1,000 and of 100, and with syncs that take 5 ms longer."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from figure import Figure, clock
from plant import batches, plant
from power_cut import build

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.twin import Twin

SIGNALS = 10_000
SECONDS = 8.0
CALLERS = 32
DELAY_US = 5_000
LIMITS = {1000: 500_000, 100: 200_000}


def rate(rows: int, callers: int) -> tuple[float, float]:
    """Readings a second that are durable when `apply` returns, and CPU seconds."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as directory, Twin.open(Path(directory) / "d") as twin:
        twin.change(plant(SIGNALS), "benchmark")
        drawn = batches(200, rows, SIGNALS)
        applied = [0] * callers
        with clock() as used:
            threads = [threading.Thread(target=_call, args=(twin, drawn, applied, number)) for number in range(callers)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        total = sum(applied) * rows
        # Counted in the store, so that nothing but readings that are there is measured.
        if twin.reading_count() != total:
            raise SystemExit(f"{total} readings were applied, {twin.reading_count()} are stored")
        return total / used.wall, used.cpu


def _call(twin: Twin, drawn: Sequence[ReadingBatch], applied: list[int], number: int) -> None:
    from time import monotonic

    end = monotonic() + SECONDS
    while monotonic() < end:
        twin.apply(drawn[applied[number] % len(drawn)])
        applied[number] += 1


def one_by_one() -> float:
    """The control: a transaction for each reading, as tutorials do it [readings/s]."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as directory:
        database = sqlite3.connect(Path(directory) / "control.sqlite", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE reading (signal INTEGER, time INTEGER, value REAL, quality INTEGER)")
        (batch,) = batches(1, 3000, SIGNALS)
        rows = zip(*(column.tolist() for column in (batch.signal, batch.time, batch.value, batch.quality)), strict=True)
        with clock() as used:
            for row in rows:
                database.execute("INSERT INTO reading VALUES (?, ?, ?, ?)", row)
        database.close()
        return len(batch) / used.wall


def slow_disk(rows: int, callers: int, delay_us: int) -> tuple[float, float]:
    """`rate` in a process whose every sync takes longer."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as directory:
        library = build(Path(directory))
        environment = os.environ | {
            "LD_PRELOAD": str(library),
            "IOTRACE_DIR": tempfile.gettempdir(),
            "IOTRACE_DELAY": str(delay_us),
        }
        command = [sys.executable, __file__, str(rows), str(callers)]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        speed, cpu = json.loads(done.stdout)
        return float(speed), float(cpu)


def run() -> list[Figure]:
    """All figures."""
    control = one_by_one()
    figures = []
    for rows, limit in LIMITS.items():
        speed, cpu = rate(rows, 1)
        what = f"Twin.apply, {rows} rows a batch"
        figures.append(
            Figure(what, speed, "readings/s", cpu, limit, control=control, control_name="one transaction a reading")
        )
        slowed, cpu = slow_disk(rows, CALLERS, DELAY_US)
        alone, _ = slow_disk(rows, 1, DELAY_US)
        figures.append(
            Figure(
                f"the same with syncs 5 ms longer and {CALLERS} callers, ratio to the line above",
                slowed / speed,
                "",
                cpu,
                0.5,
                control=alone / speed,
                control_name="one caller",
                note=f"{slowed:,.0f} readings/s",
            )
        )
    return figures


if __name__ == "__main__":
    print(json.dumps(rate(int(sys.argv[1]), int(sys.argv[2]))))
