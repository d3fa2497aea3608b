"""Dead letters: input that could not be used, to be looked at, taken in again, or forgotten."""

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..twin.entry import DeadLetter
from ..twin.errors import InvalidValueError
from ..twin.letters import CHUNK, chosen, purged, shown_payload
from ..twin.times import format_time
from . import query
from .answer import json_answer
from .body import json_body
from .context import Context
from .endpoint import JSON, PREFIX, Answer, Body, Endpoint, Parameter
from .shapes import Chosen, DeadLetterList, DeadLetterView, Purged, Replayed

PAGE = 100
_decode = msgspec.json.Decoder(Chosen).decode


async def dead_letters(context: Context, request: Request) -> Response:
    """A page of dead letters."""
    query.only(request, "after", "limit", "all")
    after = query.whole(request, "after", 0)
    limit = query.whole(request, "limit", PAGE, low=1, high=CHUNK)
    pending_only = not query.flag(request, "all")
    twin = context.twin
    found = await asyncio.to_thread(twin.dead_letters, after=after, limit=limit, pending_only=pending_only)
    pending = await asyncio.to_thread(twin.pending_dead_letters)
    more = found[-1].id if len(found) == limit else None
    return json_answer(DeadLetterList([_view(letter) for letter in found], pending, more))


async def replay_dead_letters(context: Context, request: Request) -> Response:
    """Takes dead letters in again."""
    replayed = failed = 0
    for letters in await _chosen(context, request):
        done, again = await context.pipeline.replay(letters)
        replayed, failed = replayed + done, failed + again
    return json_answer(Replayed(replayed, failed))


async def purge_dead_letters(context: Context, request: Request) -> Response:
    """Forgets dead letters."""
    found = await _chosen(context, request)
    return json_answer(Purged(await asyncio.to_thread(purged, context.twin, found)))


async def _chosen(context: Context, request: Request) -> list[list[DeadLetter]]:
    """The waiting dead letters that the request means, in chunks."""
    query.only(request)
    try:
        meant = _decode(await json_body(request, context.max_body))
    except msgspec.DecodeError as error:
        raise InvalidValueError(f'expected {{"ids": [1, 2]}} or {{"all": true}}: {error}', "$") from None
    return await asyncio.to_thread(chosen, context.twin, meant.ids, meant.all)


def _view(letter: DeadLetter) -> DeadLetterView:
    payload, encoding = shown_payload(letter)
    return DeadLetterView(
        id=letter.id,
        time=format_time(letter.time),
        source=letter.source,
        stage=letter.stage,
        reason=letter.reason,
        topic=letter.topic,
        payload=payload,
        encoding=encoding,
        size=len(letter.payload),
        metadata=letter.metadata,
        resolved=letter.resolved,
    )


_BODY = Body({JSON: Chosen}, "Their ids, or all that wait")
_PROBLEMS = (400, 415, 503, 507)

ENDPOINTS = [
    Endpoint(
        "GET",
        f"{PREFIX}/dead-letters",
        dead_letters,
        "A page of input that could not be used",
        (Answer("The dead letters, the oldest first", DeadLetterList),),
        "dead letters",
        (
            Parameter("after", "`next` of the page before", {"type": "integer", "minimum": 0, "default": 0}),
            Parameter("limit", "How many", {"type": "integer", "minimum": 1, "maximum": CHUNK, "default": PAGE}),
            Parameter("all", "Those, too, that were replayed or purged", {"type": "boolean", "default": False}),
        ),
        problems=(400,),
    ),
    Endpoint(
        "POST",
        f"{PREFIX}/dead-letters/replay",
        replay_dead_letters,
        "Take dead letters in again",
        (Answer("How many went in", Replayed),),
        "dead letters",
        body=_BODY,
        problems=_PROBLEMS,
    ),
    Endpoint(
        "POST",
        f"{PREFIX}/dead-letters/purge",
        purge_dead_letters,
        "Forget dead letters",
        (Answer("How many were forgotten", Purged),),
        "dead letters",
        body=_BODY,
        problems=_PROBLEMS,
    ),
]
