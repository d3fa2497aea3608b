"""What our CoAP server does with a request. Only the adapter imports this: it needs aiocoap."""

import asyncio
from collections.abc import Iterable

import aiocoap
from aiocoap import error as coap
from aiocoap import resource
from aiocoap.blockwise import Block1Spool
from aiocoap.numbers import ContentFormat

from ..twin.errors import IoTSenseError
from ..twin.times import now_ns
from .adapter import Deliver
from .coap import media_type
from .message import Message, Receipt
from .topics import TopicMatcher

MOST_WAITING = 512
MOST_WAITING_BYTES = 8 << 20
"""Requests (and bytes of theirs) that may wait to be durable; further ones are asked to come again."""
MOST_UPLOADS = 64
"""Bodies of which some blocks have come."""
LARGEST = 1 << 20
"""The largest body that blocks may add up to [bytes]."""
RETRY_S = 5
_WELL_KNOWN = (".well-known", "core")


class Uploads(Block1Spool):  # type: ignore[misc]
    """Bodies that come in blocks. aiocoap's own keeps them for minutes after they are whole, and as many as come."""

    def feed_and_take(self, request: aiocoap.Message) -> aiocoap.Message:
        """The whole request; raises what asks for the next block, or ServiceUnavailable (5.03) for one too many."""
        block, kept = request.opt.block1, self._assemblies._items
        if block is not None and block.more and block.block_number == 0 and len(kept) >= MOST_UPLOADS:
            raise coap.ServiceUnavailable("too many uploads are under way")
        whole = super().feed_and_take(request)
        for key in [key for key, body in kept.items() if body is whole]:
            del kept[key]
        return whole


class Inbox(resource.Resource):  # type: ignore[misc]
    """All paths of our server. source: whose messages they become; paths: those that are configured, `+` for any level.

    2.04 when the readings are durable, 4.00 with the reasons if some cannot be used, 5.03 with Max-Age if there is no
    room. A message that is sent again is answered as the first time: aiocoap knows its id for 247 s.
    """

    def __init__(self, source: str, paths: Iterable[str], deliver: Deliver) -> None:
        super().__init__()
        self._block1 = Uploads()
        self._source = source
        self._paths = list(paths)
        self._configured: TopicMatcher[str] = TopicMatcher((path.strip("/"), path) for path in self._paths)
        self._deliver = deliver
        self.waiting = 0
        self._waiting_bytes = 0

    async def needs_blockwise_assembly(self, request: aiocoap.Message) -> bool:
        """Whether blocks are put together; raises RequestEntityTooLarge (4.13) before they become too much."""
        block = request.opt.block1
        end = len(request.payload) if block is None else block.start + len(request.payload)
        if max(end, request.opt.size1 or 0) > LARGEST:
            raise coap.RequestEntityTooLarge(f"at most {LARGEST} bytes are taken at a time")
        return True

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        """Takes readings."""
        size = len(request.payload)
        if self.waiting >= MOST_WAITING or self._waiting_bytes + size > MOST_WAITING_BYTES:
            return _later("more readings wait to be stored than there is room for")
        self.waiting += 1
        self._waiting_bytes += size
        try:
            receipt = await self._take(request)
        except IoTSenseError as error:
            return _later(str(error))
        finally:
            self.waiting -= 1
            self._waiting_bytes -= size
        if receipt.dead_lettered:
            words = f"{receipt.accepted} stored, {receipt.dead_lettered} not: {'; '.join(receipt.reasons)}"
            return aiocoap.Message(code=aiocoap.BAD_REQUEST, payload=words.encode()[:1024])
        return aiocoap.Message(code=aiocoap.CHANGED)

    render_put = render_post

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        """What there is (RFC 6690); readings are asked for by REST and GraphQL."""
        if tuple(request.opt.uri_path) != _WELL_KNOWN:
            raise coap.MethodNotAllowed("readings are taken here by POST, not given")
        links = ",".join(f'</{path.strip("/")}>;rt="iotsense.telemetry"' for path in self._paths or ["/"])
        return aiocoap.Message(payload=links.encode(), content_format=ContentFormat.LINKFORMAT)

    async def _take(self, request: aiocoap.Message) -> Receipt:
        """What became of it, once that is durable. Raises IoTSenseError if it could not be stored."""
        durable: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()

        def told(receipt: Receipt) -> None:
            if not durable.done():
                durable.set_result(receipt)

        def refuse(error: IoTSenseError) -> None:
            if not durable.done():
                durable.set_exception(error)

        path = "/".join(request.opt.uri_path)
        message = Message(
            self._source,
            payload=bytes(request.payload),
            topic=path or None,
            via=self._configured.match(path) or f"/{path}",
            content_type=media_type(request.opt.content_format),
            received=now_ns(),
            told=told,
            refuse=refuse,
        )
        await self._deliver([message])
        return await durable


def _later(words: str) -> aiocoap.Message:
    return aiocoap.Message(code=aiocoap.SERVICE_UNAVAILABLE, max_age=RETRY_S, payload=words.encode())
