"""Torn and flipped bytes in each file of a data directory: what is then missing must be told, never left out."""

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from crash_plant import Account, plant

LOOK = Path(__file__).with_name("crash_look.py")
SECONDS = (6, 9)
FILES_OF_A_KIND = 3
HARMS = ("flipped", "torn")


def damage(rounds: int) -> Account:
    """A plant is killed in the midst of its load; then each file is damaged in a copy, at so many random places."""
    with tempfile.TemporaryDirectory(prefix="iotsense-damage-") as place:
        data, ledgers, shown = _killed(Path(place))
        whole = _look(_copy(data, Path(place) / "whole"))
        if whole["told"]:
            raise SystemExit(f"the undamaged directory is not well: {whole['told']}")
        told: Counter[str] = Counter()
        silent: list[str] = []
        looks = gaps = 0
        for file in _files(data):
            for number in range(rounds):
                harmed = _copy(data, Path(place) / "harmed")
                what = _harm(harmed / file, HARMS[number % len(HARMS)])
                found = _look(harmed)
                looks += 1
                missing, holes = _missing(whole, found)
                told[str(file.parent)] += bool(found["told"])
                if (missing or holes) and not found["told"]:
                    silent.append(f"{file} {what}: {missing} readings, {holes} events")
                    gaps += holes
        for line in silent:
            print(f"SILENT: {line}", file=sys.stderr)
    readings = sum(len(pairs) for pairs in whole["readings"].values())
    return Account(
        "torn or flipped bytes in each file",
        looks,
        sum(len(ledger.sent) for ledger in ledgers),
        sum(ledger.corrections() for ledger in ledgers),
        sum(len(ledger.acknowledged) for ledger in ledgers),
        readings,
        shown,
        len(silent),
        0,
        gaps,
        0,
        f"{sum(told.values())} times it was told, else all was there; lost: silently",
    )


def _killed(place: Path) -> tuple[Path, list[Any], int]:
    data = place / "data"
    with plant(data) as running:
        for _ in range(2):
            time.sleep(random.uniform(*SECONDS) / 2)
            running.service.kill()
            if _ == 0:
                running.service.start()
        shown = len(running.states.seen) + len(running.events.seen)
        return _copy(data, place / "killed"), list(running.ledger.values()), shown


def _copy(data: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    return Path(shutil.copytree(data, to, ignore=shutil.ignore_patterns("*.sock")))


def _files(data: Path) -> list[Path]:
    """Each file that holds something; of many of a kind in a folder, a few by chance."""
    kinds: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in sorted(data.rglob("*")):
        if path.is_file() and path.stat().st_size and path.name != "reserve":
            kinds[path.parent, path.suffix].append(path.relative_to(data))
    return [file for files in kinds.values() for file in random.sample(files, min(FILES_OF_A_KIND, len(files)))]


def _harm(file: Path, how: str) -> str:
    content = bytearray(file.read_bytes())
    at = random.randrange(len(content))
    if how == "flipped":
        content[at] ^= 1 << random.randrange(8)
    else:
        del content[at:]
    file.write_bytes(content)
    return f"{how} at {at} of {len(content)}"


def _look(directory: Path) -> dict[str, Any]:
    done = subprocess.run([sys.executable, LOOK, directory], capture_output=True, text=True, timeout=120)
    if done.returncode:
        # Ending with an error is telling, too, if only somebody can read it; a library that kills the process is not.
        return {"readings": {}, "events": {}, "told": [] if done.returncode < 0 else [done.stderr[-500:]]}
    return dict(json.loads(done.stdout))


def _missing(whole: dict[str, Any], found: dict[str, Any]) -> tuple[int, int]:
    readings = 0
    for signal, pairs in whole["readings"].items():
        there = dict(map(tuple, found["readings"].get(signal, [])))
        readings += sum(there.get(time) != value for time, value in pairs)
    return readings, sum(found["events"].get(seq) != event for seq, event in whole["events"].items())
