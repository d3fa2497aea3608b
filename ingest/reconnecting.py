"""The life of a connection, whatever the protocol: tried, held, lost, tried again; or given up with a reason."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..twin.backoff import Backoff
from ..twin.errors import InvalidValueError, MissingExtraError, SourceError
from ..twin.times import NS, now_ns
from ..twin.twin import Twin
from .adapter import Deliver
from .configured import Configured
from .source_state import SourceStatus

# A connection that held this long [s] was a good one; the next attempt is made soon.
STEADY_S = 5.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an adapter may use of the service. directory: its own, for certificates and the like; the twin: to read."""

    directory: Path
    twin: Twin | None = None


class ReconnectingAdapter(ABC):
    """Derive, say the `protocol`, and give `attempt`."""

    protocol: ClassVar[str]

    def __init__(
        self, source: Configured, surroundings: Surroundings, address: str, backoff: Backoff | None = None
    ) -> None:
        self.name = source.name
        self.status = SourceStatus(source.name, self.protocol, address)
        self.log = logging.getLogger(f"iotsense.{self.protocol}")
        self._surroundings = surroundings
        self._backoff = backoff or Backoff()
        self._since: float | None = None

    @abstractmethod
    async def attempt(self, deliver: Deliver) -> None:
        """One connection from beginning to end: connects, calls `connected`, and delivers.

        Raises SourceError with the reason when it ends (another attempt follows); MissingExtraError or
        InvalidValueError if no further attempt can succeed before somebody changes something.
        """

    def connected(self) -> None:
        """The source is connected and readings come."""
        self._since = time.monotonic()
        self.status.running()

    async def run(self, deliver: Deliver) -> None:
        """Delivers what the source sends until cancelled."""
        try:
            while True:
                self.status.connecting()
                self._since = None
                await self._pause(await self._ended(deliver))
        except (MissingExtraError, InvalidValueError) as error:
            self.status.failed(str(error))
            self.log.error("source %s: %s", self.name, error)
        except asyncio.CancelledError:
            self.status.stopped()
            raise

    async def _ended(self, deliver: Deliver) -> str:
        """One attempt; why it ended."""
        try:
            await self.attempt(deliver)
        except (SourceError, OSError, TimeoutError) as error:
            return str(error) or type(error).__name__
        return "the connection ended"

    @property
    def steady(self) -> bool:
        """Whether the connection has held for a while."""
        return self._since is not None and time.monotonic() - self._since > STEADY_S

    async def _pause(self, reason: str) -> None:
        if self.steady:
            self._backoff.reset()
        wait = self._backoff.next()
        self.status.backoff(reason, now_ns() + round(wait * NS))
        self.log.warning("source %s: %s; next attempt in %.1f s", self.name, reason, wait)
        await asyncio.sleep(wait)
