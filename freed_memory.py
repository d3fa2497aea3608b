"""Gives the system back what the C library keeps of freed memory after large messages.

glibc lets go of freed memory at the end of a heap only, and keeps whole heaps for each thread below one block that is
in use still: after a minute of large messages that is several times what the service needs. Other C libraries return it
by themselves, and there is nothing to do.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

EVERY_S = 2.0
GROWN_MB = 32
"""So much more than it last was in use is worth a look: some 20 ms of a thread, which ordinary work never causes."""

_STATM = Path("/proc/self/statm")


async def give_back() -> None:
    """Looks again and again, for as long as the service runs."""
    trim, least = trimming(), resident_mb()
    while True:
        await asyncio.sleep(EVERY_S)
        now = resident_mb()
        if trim is not None and now > least + GROWN_MB:
            await asyncio.to_thread(trim)
            least = resident_mb()
        least = min(least, now)


def trimming() -> Callable[[], object] | None:
    """What returns freed memory to the system; None where the C library has no such call."""
    try:
        function = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None
    return lambda: function(0)


def resident_mb() -> float:
    """Memory of this process [MB]; 0 where the system does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0.0
