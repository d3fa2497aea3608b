"""One resource of a CoAP server: its representations one after another, as it tells them or as it is asked."""

import asyncio
import random
from collections import deque
from typing import TYPE_CHECKING, Any

from ..twin.define_coap import CoapResource
from ..twin.errors import SourceError
from .coap import DEFAULT_MAX_AGE, failure, refusal

if TYPE_CHECKING:
    import aiocoap

MOST_NOTIFICATIONS = 1000
"""Notifications that wait to be taken; beyond them the observation is given up until they are."""
_AGAIN_S = 1.0
_VALID = 0x43  # 2.03


class ObservedResource:
    """`next` waits for the next representation. observed: whether the server tells of changes by itself.

    An observation is registered again when the last notification is no longer fresh (its Max-Age, or `interval`, has
    passed), when the server ends it, and when it is lost; that also brings what was missed. A server that does not
    observe is asked at `interval`, left out: when what it said is no longer fresh.
    """

    def __init__(self, context: "aiocoap.Context", endpoint: str, settings: CoapResource, timeout: float) -> None:
        self.path = settings.path
        self.observed = False
        self._context = context
        self._uri = endpoint.rstrip("/") + "/" + settings.path.lstrip("/")
        self._settings = settings
        self._timeout = timeout
        self._request: Any = None
        self._told: deque[aiocoap.Message | Exception] = deque()
        self._arrived = asyncio.Event()
        self._tag: bytes | None = None
        self._max_age = DEFAULT_MAX_AGE

    @property
    def interval(self) -> float:
        """How long its last representation is good for [s]."""
        return self._settings.interval if self._settings.interval is not None else max(1.0, self._max_age)

    async def next(self) -> "aiocoap.Message | None":
        """The next representation; None if it is the one that was remembered. Raises SourceError."""
        if self._request is None:
            return await self._ask(self._settings.observe)
        if not self._told:
            self._arrived.clear()
            try:
                # The slack of RFC 7641, 3.3.1, so that not all clients register again at once.
                async with asyncio.timeout(self.interval * (1.05 + 0.2 * random.random())):
                    await self._arrived.wait()
            except TimeoutError:
                self.close()
                return await self._ask(True)
        told = self._told.popleft()
        if isinstance(told, Exception):
            self.close()
            return await self._ask(True)
        return await self._whole(told)

    def remember(self, tag: bytes | None) -> None:
        """What was told under this tag is durable; asked again, the server need not repeat it."""
        self._tag = tag

    def ask_again(self) -> None:
        """What was told could not be stored: it is asked for anew, in a moment."""
        self._tag = None
        asyncio.get_running_loop().call_later(_AGAIN_S, self._on_end, SourceError("it could not be stored"))

    def close(self) -> None:
        """Ends the observation."""
        request, self._request = self._request, None
        self.observed = False
        self._told.clear()
        _cancel(request)

    async def _ask(self, observe: bool) -> "aiocoap.Message | None":
        import aiocoap

        self._told.clear()  # what an earlier request told at its end
        message = aiocoap.Message(code=aiocoap.GET, uri=self._uri, observe=0 if observe else None)
        if self._tag is not None:
            message.opt.etags = [self._tag]
        # Notifications are taken as they come: aiocoap's own iteration over them forgets those that nobody awaits.
        request = self._context.request(message, handle_blockwise=not observe)
        if observe:
            request.observation.register_callback(self._on_told, _suppress_deprecation=True)
            request.observation.register_errback(self._on_end, _suppress_deprecation=True)
        answer = await self._answer(request)
        if observe and answer.opt.observe is not None and answer.code.is_successful():
            self._request, self.observed = request, True
        return await self._whole(answer)

    async def _answer(self, request: Any) -> "aiocoap.Message":
        from aiocoap.error import Error

        try:
            async with asyncio.timeout(self._timeout):
                answer: aiocoap.Message = await request.response
                return answer
        except (Error, OSError, TimeoutError, RuntimeError) as error:
            _cancel(request)
            raise failure(error, self._uri.partition(":")[0]) from None

    async def _whole(self, answer: "aiocoap.Message") -> "aiocoap.Message | None":
        """A representation with all of its blocks; those after the first are asked for."""
        if answer.opt.block2 is not None and answer.opt.block2.more:
            import aiocoap

            answer = await self._answer(self._context.request(aiocoap.Message(code=aiocoap.GET, uri=self._uri)))
        if not answer.code.is_successful():
            self.close()
            raise refusal(answer)
        self._max_age = DEFAULT_MAX_AGE if answer.opt.max_age is None else float(answer.opt.max_age)
        return None if int(answer.code) == _VALID else answer

    def _on_told(self, answer: "aiocoap.Message") -> None:
        if len(self._told) < MOST_NOTIFICATIONS:
            self._told.append(answer)
            self._arrived.set()
        else:
            _cancel(self._request)
            self._on_end(SourceError("it tells more than is taken"))

    def _on_end(self, error: Exception) -> None:
        self._told.append(error)
        self._arrived.set()


def _cancel(request: Any) -> None:
    if request is not None and request.observation is not None and not request.observation.cancelled:
        request.observation.cancel()
