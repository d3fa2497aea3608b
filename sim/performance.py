"""The line lives, and its machines tell of it: each by its protocol, all of the same moments."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Protocol

from ..twin.times import now_ns
from .bottling_line import BottlingLine
from .wiring import Moment

TICK_S = 0.25
_MS = 1_000_000


class Speaker(Protocol):
    """What tells of the line to whoever listens."""

    async def say(self, moment: Moment) -> None:
        """Tells of a moment; returns when it has been told. Raises SourceError."""


class Performance:
    """Lets the line live, `speed` times as fast as the clock. How often its machines speak does not depend on that.

    A speaker that is slow slows the line, it loses nothing.
    """

    def __init__(self, line: BottlingLine, speed: float = 1.0, speakers: Sequence[Speaker] = ()) -> None:
        self.line = line
        self.speed = speed
        self.speakers = speakers
        self._last = 0

    def moment(self, tick: int) -> Moment:
        """What the sensors show now."""
        # Milliseconds, never twice the same: two readings of one sensor with one time would count as one.
        self._last = max(now_ns() // _MS, self._last + 1)
        return Moment(self._last * _MS, tick, dict(self.line.readings()))

    async def run(self, until: asyncio.Event) -> None:
        """Speaks until the event is set. Raises SourceError."""
        loop = asyncio.get_running_loop()
        due, tick = loop.time(), 0
        while not until.is_set():
            self.line.advance((tick + 1) * TICK_S * self.speed - self.line.time)
            moment = self.moment(tick)
            await asyncio.gather(*(speaker.say(moment) for speaker in self.speakers))
            tick += 1
            due = max(due + TICK_S, loop.time() - TICK_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), max(0.0, due - loop.time()))
