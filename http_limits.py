"""Limits of HTTP connections, kept where the bytes come in: before there is a request that an application could refuse.

Nothing here costs a request a timer: `BoundedHttp` notes when it began to wait, and the server's tick asks all
connections whether that was too long ago (`look`).
"""

import resource
from itertools import chain
from typing import Any

import httptools
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from .rest import problem
from .rest.headers import CLOSED
from .rest.problem import Problem
from .tls_peer import tls_peer

WEBSOCKET_BYTES = 4 << 20
"""The largest message that a WebSocket takes."""
PING_S = 20.0
"""A WebSocket that has been quiet for so long is asked whether it is there, and closed if it says nothing as long."""


def connections_at_most() -> int:
    """Half of the files that this process may open; the other half is for the storage and the sources."""
    return min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol over httptools, for clients that may be anybody.

    HEAD_BYTES, HEADERS: of a request's head. HEADER_BYTES: of a line of one that opens a WebSocket; the library for
    them takes 8 KiB. PATIENCE_S: how long a request may take to come; its body gets a second more for each RATE bytes.
    CONNECTIONS: at once; what comes beyond is told so, and beyond twice as many is closed. None: any number.
    LINGER_S: how long a client that was refused may take to read why.
    """

    HEAD_BYTES = 64 << 10
    HEADERS = 100
    HEADER_BYTES = 8000
    PATIENCE_S = 30.0
    RATE = 1000
    LINGER_S = 1.0
    CONNECTIONS: int | None = connections_at_most()

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._begun = 0.0  # when the request that is coming began to; 0: none is
        self._in_head = True
        self._loose = 0  # bytes of it that are no body, since the last piece of one
        self._received = 0  # bytes of its body
        self._excess = False
        self._refused = False
        self._extensions: dict[str, Any] | None = None

    def connection_made(self, transport: Any) -> None:
        """asyncio."""
        super().connection_made(transport)
        self._begun = self.loop.time()
        if (peer := tls_peer(transport)) is not None:
            self._extensions = {"tls": peer}
        if self.CONNECTIONS is not None and len(self.connections) > self.CONNECTIONS:
            self._excess = True
            if len(self.connections) > 2 * self.CONNECTIONS:
                transport.abort()

    def data_received(self, data: bytes) -> None:
        """asyncio."""
        if self._refused:
            return
        if self._excess:
            self._refuse(problem.CONNECTIONS, "there are as many connections as are accepted", retry_after=5)
            return
        if not self._begun:
            self._begin()
        self._loose += len(data)
        super().data_received(data)
        if self._loose > self.HEAD_BYTES and self._begun:
            self._refuse_head()

    def on_message_begin(self) -> None:
        """httptools."""
        super().on_message_begin()
        if self._extensions is not None:
            self.scope["extensions"] = self._extensions
        if not self._begun:
            self._begin()
        self._loose = 0

    def on_headers_complete(self) -> None:
        """httptools."""
        size = len(self.url) + sum(map(len, chain.from_iterable(self.headers)))
        if len(self.headers) > self.HEADERS or size > self.HEAD_BYTES:
            self._refuse_head()
            raise _RefusedError
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """httptools."""
        self._loose = 0
        self._received += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """httptools."""
        self._begun = 0.0
        self._in_head = True
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """uvicorn."""
        if max(map(len, chain((self.url,), chain.from_iterable(self.headers)))) > self.HEADER_BYTES:
            self._refuse_head()
        else:
            super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """uvicorn: what came is not HTTP."""
        self._refuse(problem.NOT_HTTP, msg)

    def look(self, now: float, passed: float) -> None:
        """Gives up on a request that is too long in coming; `passed` is the time since the last look [s]."""
        if self.transport.is_closing():
            return
        if self._refused or self._excess:
            if now - self._begun > self.LINGER_S:
                self.transport.abort()
        elif not self._begun:
            return
        elif self._waits_for_us():
            self._begun += passed
        elif now - self._begun > self.PATIENCE_S + self._received / self.RATE:
            self._refuse(problem.TOO_SLOW, f"the request was not whole after {self.PATIENCE_S:g} s")

    def _begin(self) -> None:
        self._begun = self.loop.time()
        self._loose = self._received = 0

    def _waits_for_us(self) -> bool:
        if self.flow.read_paused:
            return True
        if self.cycle is None:
            return False
        # The next head may take as long as the answer before it; a body is not sent before we asked for it.
        return not self.cycle.response_complete if self._in_head else self.cycle.waiting_for_100_continue

    def _refuse_head(self) -> None:
        self._refuse(problem.HEAD, f"a head has at most {self.HEADERS} headers and {self.HEAD_BYTES} bytes")

    def _refuse(self, kind: Problem, detail: str, retry_after: int | None = None) -> None:
        """Answers, if no other answer is under way, and closes."""
        if self._refused:
            return
        self._refused = True
        self._begun = self.loop.time()
        self._unset_keepalive_if_required()
        cycle = self.cycle
        begun = cycle is not None and not cycle.response_complete
        # An answer to a body that is still coming is this one; one to the request before it must not be cut in two.
        if not begun or (not self._in_head and not cycle.response_started and not self.pipeline):
            self.transport.write(_answer(kind, detail, retry_after))
        if begun:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.transport.can_write_eof():
            # What closes with unread bytes in its buffer is reset, and the answer is lost: let the client close first.
            self.transport.write_eof()
        else:
            self.transport.close()


class UnixHttp(BoundedHttp):
    """The same for the socket in the data directory, which only its owner can open, and which must always be open."""

    CONNECTIONS = None


class _RefusedError(httptools.HttpParserError):
    """Stops the parser."""


def _answer(kind: Problem, detail: str, retry_after: int | None) -> bytes:
    body = msgspec.json.encode(problem.document(kind, detail))
    headers = [
        *CLOSED,
        (b"content-type", problem.MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    if retry_after is not None:
        headers.append((b"retry-after", b"%d" % retry_after))
    return STATUS_LINE[kind.status] + b"".join(b"%b: %b\r\n" % pair for pair in headers) + b"\r\n" + body
