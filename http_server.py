"""Serving the application over its two sockets, TCP and Unix, in the service's own event loop."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

log = logging.getLogger("iotsense.service")

GRACE_S = 5


class _Server(uvicorn.Server):
    """uvicorn, but signals are the service's business: it drains more than HTTP."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals alone."""
        yield


class HttpServer:
    """One application on several listening sockets."""

    def __init__(self, app: ASGIApp, sockets: Sequence[socket.socket]) -> None:
        self._sockets = list(sockets)
        config = uvicorn.Config(
            app,
            lifespan="off",
            http="httptools",
            ws="websockets-sansio",
            # State changes by the batch: compressing each would cost more time than it saves on any local network.
            ws_per_message_deflate=False,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_S,
            timeout_keep_alive=75,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Accepts connections when it returns."""
        self._task = asyncio.create_task(self._server.serve(sockets=self._sockets), name="http")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise RuntimeError("the HTTP server ended before it began")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Accepts no more, finishes what is under way (for at most 5 s), and closes the sockets."""
        if self._task is None:
            return
        self._server.should_exit = True
        await asyncio.wait([self._task])
        if self._task.exception() is not None:
            log.error("the HTTP server ended badly: %s", self._task.exception())

    @property
    def error(self) -> str | None:
        """Why it does not serve; None while it does."""
        if self._task is None or not self._task.done():
            return None
        return str(self._task.exception() or "it ended by itself")
