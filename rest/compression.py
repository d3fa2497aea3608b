"""Answers in gzip for clients that take it: JSON, CSV and other text that is long enough to be worth it.

Only answers that are there as a whole are compressed. What comes piece by piece (events, progress, exports) would wait
in the compressor, and what is compressed already (Parquet, images) would only cost time.
"""

import asyncio
import gzip

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .answer import gzipped_tag
from .body import header

LEAST = 1024
"""Bytes. What is shorter fits into one packet either way."""
LEVEL = 5
_INLINE = 64 << 10
"""Bytes that are compressed on the event loop; more of them would hold up readings."""
_MEDIA = (b"application/json", b"application/problem+json", b"application/yaml", b"text/")
_NEVER = (b"text/event-stream",)


class Compression:
    """Passes requests on, and compresses what is answered to those that accept gzip."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wanted = accepts_gzip(header(scope, b"accept-encoding"))
        await self._app(scope, receive, _Answer(send, wanted).send)


class _Answer:
    """One answer on its way: its start waits for its body, if that is to be compressed."""

    __slots__ = ("_send", "_start", "_wanted")

    def __init__(self, send: Send, wanted: bool) -> None:
        self._send = send
        self._wanted = wanted
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        start, self._start = self._start, None
        if message["type"] == "http.response.start" and _compressible(message["headers"]):
            # Whoever keeps answers for others has to know, even if this one is plain.
            _vary(message["headers"])
            if self._wanted and message["status"] == 200:
                self._start = message
                return
        elif start is not None:
            body = message.get("body", b"")
            if not message.get("more_body") and len(body) >= LEAST:
                message = await _compress(start, message, body)
            await self._send(start)
        await self._send(message)


async def _compress(start: Message, message: Message, body: bytes) -> Message:
    small = await asyncio.to_thread(_gzip, body) if len(body) > _INLINE else _gzip(body)
    headers = MutableHeaders(raw=start["headers"])
    headers["Content-Encoding"] = "gzip"
    headers["Content-Length"] = str(len(small))
    if (tag := headers.get("etag")) is not None:
        headers["ETag"] = gzipped_tag(tag)
    return {**message, "body": small}


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, LEVEL, mtime=0)


def _compressible(headers: list[tuple[bytes, bytes]]) -> bool:
    # All answers pass here: one look at the bytes takes a third of the time of a mapping of headers.
    media = length = b""
    for name, value in headers:
        if name == b"content-length":
            length = value
        elif name == b"content-type":
            media = value
        elif name == b"content-encoding":
            return False
    return len(length) >= 4 and int(length) >= LEAST and media.startswith(_MEDIA) and not media.startswith(_NEVER)


def _vary(headers: list[tuple[bytes, bytes]]) -> None:
    for place, (name, value) in enumerate(headers):
        if name == b"vary":
            headers[place] = name, value + b", Accept-Encoding"
            return
    headers.append((b"vary", b"Accept-Encoding"))


def accepts_gzip(accepted: bytes) -> bool:
    """Whether a header `Accept-Encoding` allows gzip (RFC 9110, section 12.5.3); not if it is empty."""
    if not accepted:
        return False
    weights: dict[bytes, float] = {}
    for part in accepted.lower().split(b","):
        name, _, weight = part.partition(b";")
        try:
            weights[name.strip()] = float(weight.strip().removeprefix(b"q=") or 1)
        except ValueError:
            weights[name.strip()] = 0.0
    return weights.get(b"gzip", weights.get(b"*", 0.0)) > 0
