"""Answers kept by the key of their requests: what is asked again is answered again, not done again.

They are kept in memory, since keys' texts may be among them, and end with the process. What is in the journal under
its key (readings, reports, commands) needs none of this, and outlasts restarts.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, NamedTuple, TypeVar

from .errors import InvalidValueError, ReusedKeyError

LIFE_S = 24 * 3600.0
LONGEST_KEY = 255
MOST = 1000
MOST_BYTES = 16 << 20
_AROUND = 500
"""Bytes that an answer takes besides what it says, about."""

T = TypeVar("T")


class Kept(NamedTuple):
    """What is kept of an answer, and how many bytes that is, about."""

    answer: Any
    size: int


class Given(NamedTuple):
    """An answer; `again` says that it was given to an earlier request with the same key: then it is what was kept."""

    answer: Any
    again: bool


class _Entry(NamedTuple):
    """`mark` is that of the request that is answered; `until` is on the clock of `KeptAnswers`."""

    mark: bytes
    until: float
    kept: Kept


class KeptAnswers:
    """The latest answers: at most `most` of them and `most_bytes`, each for LIFE_S, the oldest forgotten first."""

    def __init__(
        self, most: int = MOST, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._clock = clock
        self._kept: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._size = 0
        self._running: dict[Hashable, tuple[bytes, asyncio.Event]] = {}

    async def once(
        self, request: Hashable, mark: bytes, run: Callable[[], Awaitable[T]], keep: Callable[[T], Kept | None]
    ) -> Given:
        """What `run` answers, or what is kept of its answer to the same request; while it runs, others wait for it.

        mark: tells requests with the same key apart. keep: what is to be kept of an answer; None is nothing. Raises
        ReusedKeyError if they are not the same. What fails has changed nothing and is not kept, so that it can be
        corrected or tried again under its key.
        """
        while True:
            if (entry := self._known(request)) is not None:
                _require_same(mark, entry.mark)
                return Given(entry.kept.answer, True)
            if request not in self._running:
                break
            under_way, ended = self._running[request]
            _require_same(mark, under_way)
            await ended.wait()
        ended = asyncio.Event()
        self._running[request] = mark, ended
        try:
            answer = await run()
            if (kept := keep(answer)) is not None:
                self._keep(request, mark, kept)
            return Given(answer, False)
        finally:
            del self._running[request]
            ended.set()

    def _known(self, request: Hashable) -> _Entry | None:
        now = self._clock()
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._forget_oldest()
        return self._kept.get(request)

    def _keep(self, request: Hashable, mark: bytes, kept: Kept) -> None:
        self._kept[request] = _Entry(mark, self._clock() + LIFE_S, kept)
        self._size += kept.size + _AROUND
        while len(self._kept) > self._most or self._size > self._most_bytes:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        _, entry = self._kept.popitem(last=False)
        self._size -= entry.kept.size + _AROUND


def check_key(key: str, subject: str, place: str) -> None:
    """Raises InvalidValueError for a client's key that is none; `subject` is what it is called, `place` where it is."""
    if not 1 <= len(key) <= LONGEST_KEY:
        raise InvalidValueError(f"{subject} has 1 to {LONGEST_KEY} characters, not {len(key)}", place)


def _require_same(mark: bytes, other: bytes) -> None:
    if mark != other:
        raise ReusedKeyError("this idempotency key was used for another request; take a new one for each")
