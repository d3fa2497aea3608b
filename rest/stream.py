"""The state stream of front ends, a WebSocket: a table of signals, their state, then what changed. docs/stream.md.

Readings wait nowhere: a frame is made of the newest state once the one before it is written, so a slow client skips
what lies between and costs no memory.
"""

import asyncio
import logging
from contextlib import suppress

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..twin.access import NOBODY, acting_for
from ..twin.access import Scope as Permission
from ..twin.errors import IoTSenseError, OverloadedError, UnauthenticatedError
from ..twin.times import format_time, now_ns
from . import problem
from .authentication import REFUSED, SLOW_DOWN
from .context import Context
from .endpoint import PREFIX
from .stream_feed import Feed
from .stream_messages import Authorize, Message, Ping, Resnapshot, Subscribe, Unsubscribe, encoded, message

log = logging.getLogger("iotsense.rest")

PATH = f"{PREFIX}/stream"
FORMATS = ("binary", "json")
PROVE_S = 10.0
"""How long a client may be nobody."""
MAX_MESSAGE = 4 << 20
_TOO_BIG = 1009
_UNFORESEEN = 1011


class StreamRoute:
    """The WebSocket at PATH; `?format=json` for its JSON twin."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await _Connection(self._context, WebSocket(scope, receive, send)).run()


class _Connection:
    """One client: it says what it wants, and one task at a time feeds it."""

    def __init__(self, context: Context, socket: WebSocket) -> None:
        self._context = context
        self._socket = socket
        self._principal = acting_for(socket.scope)
        self._format = socket.query_params.get("format", FORMATS[0])
        self._feed: asyncio.Task[None] | None = None
        self._wanted: Subscribe | None = None
        self._subscription = 0

    async def run(self) -> None:
        """Until the client goes."""
        await self._socket.accept()
        try:
            if self._format not in FORMATS:
                detail = f"there is no format {self._format[:40]!r}; there are {' and '.join(FORMATS)}"
                await self._tell_problem(problem.document(problem.INVALID, detail))
                await self._socket.close(1008)
                return
            await self._tell({"type": "hello", "version": 1, "format": self._format})
            await self._listen()
        except WebSocketDisconnect:
            pass
        finally:
            await self._stop_feed()

    async def _listen(self) -> None:
        while True:
            try:
                received = await asyncio.wait_for(self._socket.receive(), PROVE_S if self._nobody else None)
            except TimeoutError:
                await self._socket.close(REFUSED)
                return
            if received["type"] == "websocket.disconnect":
                return
            text = received.get("text") or received.get("bytes") or ""
            if len(text) > MAX_MESSAGE:
                await self._socket.close(_TOO_BIG)
                return
            try:
                await self._hear(message(text))
            except (UnauthenticatedError, OverloadedError) as error:
                await self._tell_problem(problem.members(error))
                await self._socket.close(REFUSED if isinstance(error, UnauthenticatedError) else SLOW_DOWN)
                return
            except IoTSenseError as error:
                await self._tell_problem(problem.members(error))

    @property
    def _nobody(self) -> bool:
        return self._principal is NOBODY

    async def _hear(self, heard: Message) -> None:
        match heard:
            case Authorize(authorization):
                address = self._socket.client.host if self._socket.client else ""
                self._principal = await self._context.proven_by(authorization, address)
                await self._stop_feed()
            case Ping(id):
                await self._tell({"type": "pong", "id": id, "timeNs": str(now_ns())})
            case Unsubscribe():
                await self._stop_feed()
                self._wanted = None
            case Subscribe():
                await self._start_feed(heard)
            case Resnapshot() if self._wanted is not None:
                await self._start_feed(self._wanted)
            case Resnapshot():
                pass

    async def _start_feed(self, wanted: Subscribe) -> None:
        principal = self._principal

        def allowed() -> None:
            principal.require(Permission.PLANT_READ)

        allowed()
        twin, number = self._context.seen_by(principal).twin, self._subscription + 1
        feed = Feed(twin, wanted, number, self._format == "json", allowed)
        # What is asked for is there: from here on the former subscription is over.
        await self._stop_feed()
        self._wanted, self._subscription = wanted, number
        self._feed = asyncio.create_task(self._feed_safely(feed), name="stream")

    async def _feed_safely(self, feed: Feed) -> None:
        try:
            await feed.run(self._socket)
        except (WebSocketDisconnect, asyncio.CancelledError):
            raise
        except IoTSenseError as error:  # the key is good no more
            with suppress(WebSocketDisconnect, RuntimeError):
                await self._tell_problem(problem.members(error))
                await self._socket.close(REFUSED)
        except Exception as error:  # one stream must not end in silence
            log.error("a state stream failed", exc_info=error)
            with suppress(WebSocketDisconnect, RuntimeError):
                await self._socket.close(_UNFORESEEN)

    async def _stop_feed(self) -> None:
        if self._feed is not None:
            self._feed.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect):
                await self._feed
            self._feed = None

    async def _tell(self, document: dict[str, object]) -> None:
        await self._socket.send_text(encoded({**document, "time": format_time(now_ns())}))

    async def _tell_problem(self, document: dict[str, object]) -> None:
        await self._tell({"type": "error", "problem": document})
