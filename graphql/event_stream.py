"""Answers as server-sent events, after the protocol graphql-sse."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from strawberry.http.streaming import SSETransport

HEARTBEAT_S = 15.0
"""How often a comment tells that the stream is alive: what stands between would cut one that is silent."""

T = TypeVar("T")


class EventStream(SSETransport):
    """Server-sent events with signs of life."""

    def __init__(self) -> None:
        super().__init__(HEARTBEAT_S)


async def alone(result: T) -> AsyncGenerator[T, None]:
    """A result as a stream, for who asked for one."""
    yield result


async def until(pieces: AsyncIterator[T], stopping: asyncio.Event) -> AsyncGenerator[T, None]:
    """The pieces, until the service stops: it would wait for a stream that has no end."""
    stop, piece = asyncio.ensure_future(stopping.wait()), asyncio.ensure_future(anext(pieces))
    try:
        while True:
            await asyncio.wait((piece, stop), return_when=asyncio.FIRST_COMPLETED)
            if not piece.done():
                return
            try:
                yield piece.result()
            except StopAsyncIteration:
                return
            piece = asyncio.ensure_future(anext(pieces))
    finally:
        stop.cancel()
        if not piece.done():
            piece.cancel()  # which closes them
        elif isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
