"""A document as a stream of server-sent events: the whole of it first, then again whenever it is another."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..twin.access import Principal, Scope, acting_for
from ..twin.as_of import AsOf
from ..twin.errors import InvalidValueError, NotFoundError, UnauthenticatedError
from . import problem, query
from .context import Context
from .endpoint import Answer, Parameter
from .events import HEARTBEAT_S, STREAM

HZ = 2.0
MOST_HZ, LEAST_HZ = 20.0, 0.01
Look: TypeAlias = Callable[[], tuple[str, Callable[[], bytes]]]
"""Looks at the document as it is now: its ETag, and what makes its bytes. Raises NotFoundError once it is gone."""


def wants_stream(request: Request, plant: AsOf) -> bool:
    """Whether the client wants to follow. Raises InvalidValueError if it wants to follow what is past."""
    _hz(request)  # a wrong value is told even where it means nothing
    if STREAM not in request.headers.get("accept", ""):
        return False
    if not plant.live:
        raise InvalidValueError("a stream follows what happens now; leave as_of, known_at and scenario out", "as_of")
    return True


def stream_answer(context: Context, request: Request, kind: str, look: Look) -> Response:
    """The stream; its events are of a `kind`. A client that resumes is told nothing that it has already."""
    known = request.headers.get("last-event-id", "")
    pieces = _follow(context, acting_for(request.scope), look, kind, 1.0 / _hz(request), known)
    return StreamingResponse(pieces, media_type=STREAM, headers={"Cache-Control": "no-store", "Vary": "Accept"})


async def _follow(
    context: Context, principal: Principal, look: Look, kind: str, pause: float, told: str
) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    yield b"retry: 1000\n\n"
    sent = loop.time()
    while not context.stopping.is_set():
        seen = context.twin.last_seq  # before looking, so that what comes in between wakes us
        try:
            principal.require(Scope.PLANT_READ)  # the key may have been revoked meanwhile
            tag, make = look()
        except UnauthenticatedError:
            return
        except NotFoundError as error:
            yield b"event: gone\ndata: %s\n\n" % msgspec.json.encode(problem.members(error))
            return
        looked = loop.time()
        if tag != told:
            yield b"id: %s\nevent: %s\ndata: %s\n\n" % (tag.encode(), kind.encode(), make())
            told, sent = tag, looked
        elif looked - sent >= HEARTBEAT_S:
            yield b": still here\n\n"
            sent = looked
        await _until(context, asyncio.sleep(pause), pause)
        await _until(context, context.twin.wait_entries(seen), sent + HEARTBEAT_S - loop.time())


async def _until(context: Context, news: Awaitable[None], wait: float) -> None:
    """Waits for news, at most `wait` [s], and not beyond the end of the service."""
    tasks = asyncio.ensure_future(news), asyncio.ensure_future(context.stopping.wait())
    try:
        await asyncio.wait(tasks, timeout=max(0.0, wait), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


def _hz(request: Request) -> float:
    return query.real(request, "max_hz", HZ, low=LEAST_HZ, high=MOST_HZ)


FOLLOWED = Answer("The same as server-sent events: now, and whenever it changed; `id` is the ETag", None, STREAM)
PARAMETERS = (
    Parameter(
        "max_hz",
        "How often a second a stream tells, at most",
        {"type": "number", "minimum": LEAST_HZ, "maximum": MOST_HZ, "default": HZ},
    ),
    Parameter("Last-Event-ID", "What a stream told last, if it is resumed", place="header"),
)
