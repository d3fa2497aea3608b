"""Twenty times `kill -9` at random moments under MQTT QoS 1 and HTTP load: lost, doubled, gaps, counters."""

import os
import random
import sqlite3
import tempfile
import time
from pathlib import Path

from crash_scenarios import kill_service
from figure import Figure, clock

ROUNDS = 20


def run() -> list[Figure]:
    """What must be zero; `make crash-test` breaks other things, too."""
    with clock() as used:
        account = kill_service(ROUNDS)
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        unsynced = _unsynced_loss(Path(place))
    note = f"{account.acknowledged:,} acknowledged in {ROUNDS} rounds"
    cpu = used.cpu
    control = "acknowledged from memory"
    return [
        Figure(
            "acknowledged readings lost",
            account.lost,
            "",
            cpu,
            at_most=0,
            control=unsynced,
            control_name=control,
            note=note,
        ),
        Figure("readings doubled in history", account.doubled, "", cpu, at_most=0, note=note),
        Figure("gaps and repetitions of events", account.event_gaps, "", cpu, at_most=0, note=note),
        Figure("counters that do not add up", account.unbalanced, "", cpu, at_most=0, note=note),
    ]


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
