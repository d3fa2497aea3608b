"""What was freed goes back to the system, although blocks between are in use."""

import asyncio
import ctypes

import pytest

from iotsense import freed_memory
from iotsense.freed_memory import give_back, resident_mb, trimming

BLOCK = 100_000  # below what the C library gets from the system for itself alone
COUNT = 2_000


@pytest.mark.skipif(trimming() is None, reason="this C library returns memory by itself")
async def test_freed_memory_goes_back_to_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freed_memory, "EVERY_S", 0.05)
    trim = trimming()
    assert trim is not None
    trim()  # what earlier tests have left would be used again, and nothing would grow
    task = asyncio.create_task(give_back())
    await asyncio.sleep(0.01)
    before = resident_mb()
    blocks = [ctypes.create_string_buffer(b"x" * BLOCK) for _ in range(COUNT)]
    kept = blocks[::50]
    held = resident_mb()
    del blocks
    for _ in range(100):
        await asyncio.sleep(0.05)
        if resident_mb() < before + freed_memory.GROWN_MB:
            break
    task.cancel()
    assert held > before + 150
    assert resident_mb() < before + freed_memory.GROWN_MB
    assert len(kept) == COUNT // 50
