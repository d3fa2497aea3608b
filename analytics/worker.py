"""Blocking work beside the event loop."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from ..twin.errors import OverloadedError, StorageError
from ..twin.twin import Twin

T = TypeVar("T")
# Looking 50 times a second costs little and is soon enough; looking after every commit would cost a processor.
PAUSE_S = 0.02
LONGEST_BACKOFF_S = 10.0


class Reader(Protocol):
    """Reads the journal behind `position` in steps, and says in `trouble` why it cannot write."""

    twin: Twin
    position: int
    trouble: str | None

    def step(self) -> int:
        """Does a piece of work; 0 if there was none. Raises StorageError, OverloadedError."""


async def follow_journal(reader: Reader) -> None:
    """Steps until cancelled; writes that are refused are tried again with growing pauses."""
    failures = 0
    while True:
        try:
            worked = await to_the_end(reader.step)
            reader.trouble, failures = None, 0
        except (StorageError, OverloadedError) as error:
            failures += 1
            reader.trouble = str(error)
            await asyncio.sleep(min(LONGEST_BACKOFF_S, 0.1 * 2**failures))
            continue
        if not worked:
            await reader.twin.wait_entries(reader.position)
        await asyncio.sleep(PAUSE_S)


async def to_the_end(work: Callable[[], T]) -> T:
    """Runs `work` in a thread; if cancelled meanwhile, waits for it, so that nothing is written after that."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
