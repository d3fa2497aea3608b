"""Serving the application over its two sockets, TCP and Unix, in the service's own event loop."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from .http_limits import PING_S, WEBSOCKET_BYTES, BoundedHttp, UnixHttp
from .tls_peer import TlsWebSocket

log = logging.getLogger("iotsense.service")

GRACE_S = 5


class _Server(uvicorn.Server):
    """uvicorn, but signals are the service's business: it drains more than HTTP. Gives up on slow requests."""

    _looked: float | None = None

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            passed, self._looked = now - (self._looked or now), now
            for connection in list(self.server_state.connections):
                if isinstance(connection, BoundedHttp):
                    connection.look(now, passed)
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals alone."""
        yield


class HttpServer:
    """One application on two listening sockets; `tls` is for the one of TCP."""

    def __init__(
        self, app: ASGIApp, tcp: socket.socket, unix: socket.socket, tls: ssl.SSLContext | None = None
    ) -> None:
        self._servers = [(_server(app, BoundedHttp, tls), tcp), (_server(app, UnixHttp, None), unix)]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Accepts connections when it returns."""
        self._tasks = [
            asyncio.create_task(server.serve(sockets=[listener]), name="http") for server, listener in self._servers
        ]
        while not all(server.started for server, _ in self._servers):
            if ended := next((task for task in self._tasks if task.done()), None):
                ended.result()
                raise RuntimeError("the HTTP server ended before it began")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Accepts no more, finishes what is under way (for at most 5 s), and closes the sockets."""
        if not self._tasks:
            return
        for server, _ in self._servers:
            server.should_exit = True
        await asyncio.wait(self._tasks)
        for task in self._tasks:
            if task.exception() is not None:
                log.error("the HTTP server ended badly: %s", task.exception())

    @property
    def error(self) -> str | None:
        """Why it does not serve; None while it does."""
        ended = next((task for task in self._tasks if task.done()), None)
        return None if ended is None else str(ended.exception() or "it ended by itself")


def _server(app: ASGIApp, protocol: type[BoundedHttp], tls: ssl.SSLContext | None) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            http=protocol,
            ws=TlsWebSocket,
            # State changes by the batch: compressing each would cost more time than it saves on any local network.
            ws_per_message_deflate=False,
            ws_max_size=WEBSOCKET_BYTES,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_S,
            timeout_keep_alive=75,
            ssl_context_factory=None if tls is None else lambda config, default: tls,
        )
    )
