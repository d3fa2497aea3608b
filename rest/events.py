"""The log of events: by pages, by waiting (`Prefer: wait=`), and as a stream (server-sent events)."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..twin.access import Principal, Scope, acting_for
from ..twin.as_of import AsOf
from ..twin.errors import InvalidValueError, UnauthenticatedError
from ..twin.graph import Graph
from ..twin.model import Event
from ..twin.times import format_time
from ..twin.twin import Twin
from . import query
from .answer import json_answer
from .context import Context
from .endpoint import PREFIX, Answer, Endpoint, Parameter
from .moment import moment
from .shapes import EventList, EventView

PAGE = 1000
MAX_WAIT_S = 60.0
HEARTBEAT_S = 15.0
QUIET_S = 0.02
STREAM = "text/event-stream"


async def events(context: Context, request: Request) -> Response:
    """Events behind a number."""
    plant = await moment(context, request, "after", "limit", "node", "kind")
    after = query.whole(request, "after", 0)
    limit = query.whole(request, "limit", PAGE, low=1, high=PAGE)
    id = request.query_params.get("node")
    node = None if id is None else plant.graph.find(id).key
    kind = request.query_params.get("kind")
    if not plant.live:
        return json_answer(await asyncio.to_thread(_events_then, plant, request, after, limit, node, kind))
    if STREAM in request.headers.get("accept", ""):
        after = _resumed(request, after)
        pages = _follow(context, acting_for(request.scope), after, node, kind)
        return StreamingResponse(pages, media_type=STREAM, headers={"Cache-Control": "no-store"})
    found = await _page(context, after, limit, node, kind, _wait(request))
    graph = context.twin.graph
    return json_answer(EventList([event_view(graph, event) for event in found], context.twin.last_event_seq))


def _events_then(
    plant: AsOf, request: Request, after: int, limit: int, node: int | None, kind: str | None
) -> EventList:
    if STREAM in request.headers.get("accept", ""):
        raise InvalidValueError("a stream follows what happens now; leave as_of, known_at and scenario out", "as_of")
    found = plant.event_log(after, limit, node=node, kind=kind)
    return EventList([event_view(plant.graph, event) for event in found], plant.last_event_seq)


def event_view(graph: Graph, event: Event) -> EventView:
    """An event as clients read it; a node that is gone has no id any more."""
    node = None if event.node is None else graph.node_map.get(event.node)
    return EventView(
        seq=event.seq,
        time=format_time(event.time),
        recorded=format_time(event.recorded),
        kind=event.kind,
        node=None if node is None else node.id,
        until=None if event.until is None else format_time(event.until),
        data=event.data,
        id=event.identity,
        retracts=event.retracts,
    )


async def _page(
    context: Context, after: int, limit: int, node: int | None, kind: str | None, wait: float
) -> list[Event]:
    deadline = asyncio.get_running_loop().time() + wait
    while True:
        # The log's end is taken before looking, so that what comes in between wakes us.
        last, seen = context.twin.last_event_seq, context.twin.last_seq
        found = await asyncio.to_thread(context.twin.as_of().event_log, after, limit, node=node, kind=kind)
        left = deadline - asyncio.get_running_loop().time()
        if found or left <= 0 or not await _news(context, last, seen, left):
            return found


async def _news(context: Context, last: int, seen: int, wait: float) -> bool:
    """Waits for events behind `last`, at most `wait` [s]; False if none came or the service stops."""
    news = asyncio.ensure_future(_beyond(context.twin, last, seen))
    stop = asyncio.ensure_future(context.stopping.wait())
    try:
        await asyncio.wait((news, stop), timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        return news.done() and not context.stopping.is_set()
    finally:
        news.cancel()
        stop.cancel()


async def _beyond(twin: Twin, last: int, seen: int) -> None:
    # Most entries are readings: those wake us, but only what moved the log of events is worth a look.
    while twin.last_event_seq == last:
        await twin.wait_entries(seen)
        seen = twin.last_seq
        if twin.last_event_seq == last:
            await asyncio.sleep(QUIET_S)


async def _follow(
    context: Context, principal: Principal, after: int, node: int | None, kind: str | None
) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    while not context.stopping.is_set():
        found = await _page(context, after, PAGE, node, kind, HEARTBEAT_S)
        try:
            principal.require(Scope.PLANT_READ)  # the key may have been revoked meanwhile
        except UnauthenticatedError:
            return
        graph = context.twin.graph
        for event in found:
            body = msgspec.json.encode(event_view(graph, event))
            yield b"id: %d\nevent: %s\ndata: %s\n\n" % (event.seq, event.kind.encode(), body)
            after = event.seq
        if not found:
            yield b": still here\n\n"


def _resumed(request: Request, after: int) -> int:
    last = request.headers.get("last-event-id", "")
    return int(last) if last.isdigit() else after


def _wait(request: Request) -> float:
    for part in request.headers.get("prefer", "").split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "wait":
            try:
                return min(max(float(value), 0.0), MAX_WAIT_S)
            except ValueError:
                raise InvalidValueError(f"Prefer: wait= takes seconds, not {value!r}", "Prefer") from None
    return 0.0


ENDPOINTS = [
    Endpoint(
        "GET",
        f"{PREFIX}/events",
        events,
        "Events behind a number, in order",
        (Answer("The events", EventList), Answer("The same as a stream of server-sent events", None, STREAM)),
        "events",
        (
            Parameter("after", "The number of the last event that the client has", {"type": "integer", "minimum": 0}),
            Parameter("limit", "How many", {"type": "integer", "minimum": 1, "maximum": PAGE, "default": PAGE}),
            Parameter("node", "Only events of this node"),
            Parameter("kind", "Only events of this kind: `anomaly`, `stale`, `structure`, `rule`, ..."),
            Parameter("Prefer", "`wait=30` waits so many seconds (at most 60) for an event", place="header"),
            Parameter("Last-Event-ID", "Where a stream resumes", place="header"),
        ),
        problems=(400, 404),
        reads=True,
        description="`Accept: text/event-stream` streams; a client that resumes misses nothing. Where events are gone"
        " (`iotsense.storage.retention.events`) stands one of the kind `gone` with the numbers `from` and `to`.",
    )
]
