"""A siege with a fresh seed: whatever is sent, no 5xx, no hang, no growth, and others are served meanwhile."""

import os
import random
from pathlib import Path

import pytest
from hostile import besiege
from service_fixtures import process, write_plant

SECONDS = float(os.environ.get("HOSTILE_S", 90 if os.environ.get("CI") else 20))
WARM_UP_S = SECONDS / 2
"""Until what is bounded (dead letters, answers kept by key, compiled questions) is about full."""
GROWTH_MB = 150
"""Of a siege this short; `make bench ARGS=hostile` holds an hour to less."""


@pytest.mark.timeout(600)
async def test_a_siege(tmp_path: Path) -> None:
    seed = int(os.environ.get("HOSTILE_SEED", random.SystemRandom().randrange(2**32)))
    with process(tmp_path / "data", "-c", str(write_plant(tmp_path))) as running:
        await besiege(running.url, WARM_UP_S, seed + 1)
        before = resident(running.process.pid)
        siege = await besiege(running.url, SECONDS, seed)
        assert siege.failures == [], f"HOSTILE_SEED={seed}\n" + "\n".join(siege.failures[:5]) + running.log[-3000:]
        # uvicorn shows where it met text that is not UTF-8; nothing else may come to a trace.
        traces, known = running.log.count("Traceback"), running.log.count("Invalid UTF-8 sequence received")
        assert traces == known, f"HOSTILE_SEED={seed}\n{running.log[-5000:]}"
        assert siege.attacks > 50, siege
        grown = resident(running.process.pid) - before
        assert grown < GROWTH_MB, f"HOSTILE_SEED={seed}: it grew by {grown:.0f} MB in {siege.attacks} attacks"


def resident(pid: int) -> float:
    """Memory of a process [MB]."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
