"""What breaks in the crash test, in turn: the service, its broker, its disk, its clock."""

import random
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crash_plant import Account, Plant, plant
from power_cut import build

SECONDS = (0.3, 2.5)


def kill_service(rounds: int) -> Account:
    """`kill -9` of the service at random moments."""
    with plant() as running:
        for _ in range(rounds):
            time.sleep(random.uniform(*SECONDS))
            running.check_counters()
            running.service.kill()
            running.service.start()
            running.check_counters()
        return _end(running, "`kill -9` of the service", rounds)


def kill_broker(rounds: int) -> Account:
    """`kill -9` of the MQTT broker: what it had acknowledged and not yet handed over is its own loss."""
    with plant() as running:
        for _ in range(rounds):
            time.sleep(random.uniform(*SECONDS))
            running.broker.kill()
            time.sleep(random.uniform(0, 1))
            running.broker.start()
            running.check_counters()
        return _end(running, "`kill -9` of the broker", rounds, without="mqtt")


def full_disk(rounds: int) -> Account:
    """A small disk that is filled by somebody else and gets room again."""
    with tempfile.TemporaryDirectory() as place, _tmpfs(Path(place), 96), plant(Path(place) / "data") as running:
        refused = 0
        for _ in range(rounds):
            time.sleep(random.uniform(*SECONDS))
            _fill(Path(place) / "filler")
            time.sleep(random.uniform(*SECONDS))
            running.check_counters()
            (Path(place) / "filler").unlink()
            time.sleep(0.5)
            running.check_counters()
        refused = sum(source["refused"] for source in running.sources().values())
        return _end(running, "disk full and back", rounds, note=f"{refused:,} messages were refused and sent again")


def clock_back(rounds: int) -> Account:
    """The service's clock goes back an hour, and forth; every other time it is killed then, too."""
    with tempfile.TemporaryDirectory() as place:
        library = build(Path(place), "shift_clock")
        shift = Path(place) / "shift"
        shift.write_bytes(struct.pack("<q", 0))
        with plant(environment={"LD_PRELOAD": str(library), "SHIFT_CLOCK": str(shift)}) as running:
            for number in range(rounds):
                time.sleep(random.uniform(*SECONDS))
                seconds = -3600 if number % 2 == 0 else 0
                _set(shift, seconds)
                if abs(running.clock() - time.time() - seconds) > 60:
                    raise SystemExit("the service's clock was not set")
                time.sleep(random.uniform(*SECONDS))
                if number % 4 > 1:  # once back, once forth
                    running.service.kill()
                    running.service.start()
                running.check_counters()
            return _end(running, "clock back an hour, and forth", rounds)


def _end(running: Plant, what: str, rounds: int, *, without: str | None = None, note: str = "") -> Account:
    time.sleep(1)
    running.stop_load()
    return running.account(what, rounds, without=without, note=note)


def _set(shift: Path, seconds: int) -> None:
    with shift.open("r+b") as file:  # the same file: it is mapped
        file.write(struct.pack("<q", seconds))


@contextmanager
def _tmpfs(place: Path, megabytes: int) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass  # it is full now
