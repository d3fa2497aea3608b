"""When a polled source is asked: at a fixed pace, and never twice at once."""

import asyncio

from .source_state import SourceStatus


class Pace:
    """Ticks of a fixed `interval` [s]; `stretched` counts those that were left out because a round took too long.

    status: of the source whose `stretched` they are counted in, too.

    A round that is late does not shift those after it, and what was missed is not made up for: the next tick is the
    next multiple of the interval.
    """

    def __init__(self, interval: float, status: SourceStatus | None = None) -> None:
        self._status = status
        self.interval = interval
        self.stretched = 0
        self._next: float | None = None

    async def tick(self) -> None:
        """Waits for the next tick; the first is now."""
        now = asyncio.get_running_loop().time()
        if self._next is None:
            self._next = now
        behind = now - self._next
        if behind >= self.interval:
            missed = int(behind // self.interval)
            self.stretched += missed
            if self._status is not None:
                self._status.stretched += missed
            self._next += missed * self.interval
        await asyncio.sleep(max(0.0, self._next - now))
        self._next += self.interval
