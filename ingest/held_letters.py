"""Dead letters that look after themselves: those that wait for discovery go in in their turn, too many are given up."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..twin.entry import DeadLetter
from ..twin.errors import IoTSenseError
from ..twin.twin import Twin
from .dead_letters import MAX_PENDING
from .gathering import DISCOVERY

if TYPE_CHECKING:
    from .pipeline import Pipeline

log = logging.getLogger("iotsense.ingest")
INTERVAL_S = 2.0
_PAGE = 1000
_RECOUNT_ROUNDS = 5


class HeldLetters:
    """Counts what waits, and looks after it every few seconds.

    At most `limit` dead letters wait: beyond that the oldest lose their bytes (they stay in the list as purged), for
    one wrong device may send its mistake a thousand times a second.
    """

    def __init__(self, twin: Twin, pipeline: "Pipeline", limit: int = MAX_PENDING) -> None:
        self._twin = twin
        self._pipeline = pipeline
        self.limit = limit
        self.interval = INTERVAL_S
        self._pending = 0
        self._written = 0
        self._rounds = 0
        self._discovery = 0
        self._first_discovery = 0
        self._given_up = 0

    def wrote(self, letters: Sequence[DeadLetter]) -> None:
        """These became durable."""
        self._pending += len(letters)
        self._written += len(letters)
        self._discovery += sum(letter.stage == DISCOVERY for letter in letters)

    def resolved(self, ids: Sequence[int]) -> None:
        """These wait no more."""
        self._pending = max(0, self._pending - len(ids))

    async def replay(self, letters: Sequence[DeadLetter]) -> tuple[int, int]:
        """Takes dead letters in again; (how many went in whole, how many still cannot be used).

        Those that went in are marked as replayed. Raises StorageError if storage refuses.
        """
        outcome = await self._pipeline.try_again(letters)
        done = [letter.id for letter, receipt in outcome if receipt is not None and not receipt.dead_lettered]
        await asyncio.to_thread(self._twin.resolve_dead_letters, done, "replayed")
        self.resolved(done)
        return len(done), len(outcome) - len(done)

    def counts(self) -> Mapping[str, int]:
        """How many wait, how many of them for discovery, how many were given up since the start."""
        return {"pending": self._pending, "discovery": self._discovery, "given_up": self._given_up}

    async def tend(self) -> None:
        """Until cancelled."""
        with contextlib.suppress(IoTSenseError):
            await self._recount()
            self._discovery += 1 if self._pending else 0  # the first round finds out whether there are any
        while True:
            await asyncio.sleep(self.interval)
            try:
                await self._tend_once()
            except IoTSenseError as error:
                log.warning("the dead letters cannot be looked after now: %s", error)
            except Exception:
                # The supervisor of this task: a mistake here must not end what keeps the list bounded.
                log.exception("looking after the dead letters failed")

    async def _recount(self) -> None:
        """Others purge dead letters too. What is written meanwhile may count twice, until the next time."""
        written = self._written
        found = await asyncio.to_thread(self._twin.pending_dead_letters)
        self._pending = found + self._written - written

    async def _tend_once(self) -> None:
        self._rounds += 1
        if self._pending and (self._rounds % _RECOUNT_ROUNDS == 0 or self._pending > self.limit):
            await self._recount()
        if self._discovery and self._pipeline.budget.left() > 0:
            await self._replay_discoveries()
        if self._pending > self.limit:
            await self._give_up(self._pending - self.limit)

    async def _replay_discoveries(self) -> None:
        """Takes in again what waited for the ration of new nodes, the oldest first, as far as the ration reaches."""
        waiting = -self._discovery  # what is written meanwhile is counted once more, which does no harm
        after = self._first_discovery
        first: int | None = None
        while page := await asyncio.to_thread(self._twin.dead_letters, after=after, limit=_PAGE):
            after = page[-1].id
            held = [letter for letter in page if letter.stage == DISCOVERY]
            if held and self._pipeline.budget.left() > 0:
                _, again = await self.replay(held)
                waiting += again
            else:
                waiting += len(held)
                again = len(held)
            if again and first is None:
                first = held[0].id - 1
        self._discovery += waiting
        self._first_discovery = after if first is None else first

    async def _give_up(self, surplus: int) -> None:
        while surplus > 0:
            page = await asyncio.to_thread(self._twin.dead_letters, limit=min(surplus, _PAGE))
            if not page:
                return
            ids = [letter.id for letter in page]
            await asyncio.to_thread(self._twin.resolve_dead_letters, ids, "purged")
            self.resolved(ids)
            self._given_up += len(ids)
            surplus -= len(ids)
            log.warning("more than %d dead letters wait; the oldest %d were given up", self.limit, len(ids))
