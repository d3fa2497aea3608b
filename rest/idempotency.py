"""Answers kept by the key of their requests (`Idempotency-Key`): what is sent again is answered again, not done again.

They are kept in memory, since keys' texts may be among them, and end with the process. What is in the journal under
its key (readings, reports, commands) needs none of this, and outlasts restarts.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from starlette.responses import Response, StreamingResponse

from ..twin.errors import ReusedKeyError

LIFE_S = 24 * 3600.0
MOST = 1000
MOST_BYTES = 16 << 20
REPLAYED = "Idempotent-Replayed"
_AROUND = 500
"""Bytes that an answer takes besides its body, about."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer, and the mark of the request that it answers; `until` is on the clock of `Answers`."""

    mark: bytes
    until: float
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def size(self) -> int:
        return len(self.body) + _AROUND

    def again(self) -> Response:
        answer = Response(self.body, self.status)
        answer.raw_headers = [*self.headers, (REPLAYED.lower().encode(), b"true")]
        return answer


class Answers:
    """The latest answers: at most `most` of them and `most_bytes`, each for LIFE_S, the oldest forgotten first."""

    def __init__(
        self, most: int = MOST, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._clock = clock
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._size = 0
        self._running: dict[Hashable, tuple[bytes, asyncio.Event]] = {}

    async def once(self, request: Hashable, mark: bytes, run: Callable[[], Awaitable[Response]]) -> Response:
        """What `run` answers, or has answered to the same request; while it does, others wait for it.

        mark: tells requests with the same key apart. Raises ReusedKeyError if they are not the same. What fails has
        changed nothing and is not kept, so that it can be corrected or tried again under its key.
        """
        while True:
            if (kept := self._known(request)) is not None:
                _require_same(mark, kept.mark)
                return kept.again()
            if request not in self._running:
                break
            under_way, ended = self._running[request]
            _require_same(mark, under_way)
            await ended.wait()
        ended = asyncio.Event()
        self._running[request] = mark, ended
        try:
            answer = await run()
            if answer.status_code < 300 and not isinstance(answer, StreamingResponse):
                self._keep(request, mark, answer)
            return answer
        finally:
            del self._running[request]
            ended.set()

    def _known(self, request: Hashable) -> _Kept | None:
        now = self._clock()
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._forget_oldest()
        return self._kept.get(request)

    def _keep(self, request: Hashable, mark: bytes, answer: Response) -> None:
        headers = list(answer.raw_headers)
        kept = _Kept(mark, self._clock() + LIFE_S, answer.status_code, headers, bytes(answer.body))
        self._kept[request] = kept
        self._size += kept.size
        while len(self._kept) > self._most or self._size > self._most_bytes:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        _, kept = self._kept.popitem(last=False)
        self._size -= kept.size


def _require_same(mark: bytes, other: bytes) -> None:
    if mark != other:
        raise ReusedKeyError("this Idempotency-Key was used for another request; take a new one for each")
