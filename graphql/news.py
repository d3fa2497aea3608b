"""Waiting for what the journal brings."""

import asyncio
from collections.abc import Callable

from ..twin.twin import Twin

# A quarter of a frame: soon enough for a person, and no look at every commit of readings.
PAUSE_S = 0.02


async def reached(twin: Twin, there: Callable[[], bool]) -> None:
    """Returns once something is there that an entry of the journal brings."""
    known = twin.last_seq
    while not there():
        await twin.wait_entries(known)
        known = twin.last_seq
        if not there():
            await asyncio.sleep(PAUSE_S)
