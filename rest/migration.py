"""Filling an external store from the running plant, with the progress as it goes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..twin.errors import IoTSenseError, NotFoundError
from ..twin.graph_migration import migrate_graph
from ..twin.store_migration import Migration, Tell
from . import problem, query
from .context import Context
from .endpoint import PREFIX, Answer, Endpoint

STREAM = "application/x-ndjson"
_SAME = {"postgresql": "timescaledb", "timescaledb": "postgresql"}
Work = Callable[[Tell], Awaitable[dict[str, Any]]]


async def migrate(context: Context, request: Request) -> Response:
    """Fills a store with what the plant has of old, and compares counts and checksums."""
    query.only(request)
    work = _work(context, request.path_params["name"])
    return StreamingResponse(_told(work), media_type=STREAM)


def _work(context: Context, name: str) -> Work:
    followers = context.history_stores()
    follower = followers.get(name) or followers.get(_SAME.get(name, name))
    projection = context.graph_stores().get(name)
    if follower is not None:

        async def fill(tell: Tell) -> dict[str, Any]:
            return (await Migration(context.twin, follower, tell).run()).as_dict()

        return fill
    if projection is not None:

        async def publish(tell: Tell) -> dict[str, Any]:
            return (await migrate_graph(context.twin, projection, tell)).as_dict()

        return publish
    attached = ", ".join([*followers, *context.graph_stores()]) or "none"
    raise NotFoundError(
        f"no store called {name!r} is attached to a running service (attached: {attached}); name it in"
        f" `iotsense.storage` or `iotsense.graph`, and apply"
    )


async def _told(work: Work) -> AsyncIterator[bytes]:
    """Lines of JSON: `progress` while it goes, then `report`, or `problem`. Who goes away ends it."""
    latest: dict[str, Any] = {}
    news = asyncio.Event()

    def tell(what: str, done: int, total: int) -> None:
        latest.update(what=what, done=done, total=total)
        news.set()

    task = asyncio.ensure_future(work(tell))
    task.add_done_callback(lambda _: news.set())
    try:
        while not task.done():
            await news.wait()
            news.clear()
            if latest and not task.done():
                yield msgspec.json.encode({"progress": latest}) + b"\n"
        yield _end(task)
    finally:
        task.cancel()


def _end(task: "asyncio.Future[dict[str, Any]]") -> bytes:
    try:
        return msgspec.json.encode({"report": task.result()}) + b"\n"
    except IoTSenseError as error:
        return msgspec.json.encode({"problem": problem.members(error)}) + b"\n"


ENDPOINTS = [
    Endpoint(
        "POST",
        f"{PREFIX}/stores/{{name}}/migrate",
        migrate,
        "Fill an external store from the running plant",
        (Answer("Its progress, and at the end counts and checksums of both, as lines of JSON", str, STREAM),),
        "stores",
        problems=(404, 503),
        description="Started again after it was ended, it goes on: what is equal already is not copied.",
    ),
]
