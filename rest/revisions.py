"""The revisions of the structure: what changed when, and what differs between two of them."""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..twin.revision_log import LoggedRevision, diff, logged
from ..twin.times import format_time
from . import query
from .answer import json_answer
from .context import Context
from .endpoint import PREFIX, Answer, Endpoint, Parameter

PAGE = 100


class RevisionView(msgspec.Struct):
    """A revision: who made it when, and how many nodes, signals and relationships it added, changed and removed."""

    revision: int
    recorded: str
    author: str
    counts: dict[str, int]
    nodes: list[str]


class RevisionList(msgspec.Struct):
    """Revisions, the newest first; `next` is the `before` of the next page."""

    revisions: list[RevisionView]
    next: int | None


class DiffView(msgspec.Struct):
    """What leads from one revision to another: as values, and as a diff to read."""

    before: int = msgspec.field(name="from")
    to: int
    empty: bool
    text: str
    changes: dict[str, Any]


async def revisions(context: Context, request: Request) -> Response:
    """Revisions, the newest first."""
    query.only(request, "node", "before", "limit")
    limit = query.whole(request, "limit", PAGE, low=1, high=1000)
    before = query.whole(request, "before", 2**53, low=1)
    found, more = await asyncio.to_thread(logged, context.twin, request.query_params.get("node"), before, limit)
    return json_answer(RevisionList([_view(each) for each in found], found[-1].revision if more else None))


async def revision_diff(context: Context, request: Request) -> Response:
    """What differs between two revisions."""
    query.only(request, "from", "to")
    given = request.query_params.get("from", "0"), request.query_params.get("to")
    found = await asyncio.to_thread(diff, context.twin, *given)
    changes = found.changes
    return json_answer(DiffView(found.before, found.after, changes.empty, found.text, changes.to_dict()))


def _view(each: LoggedRevision) -> RevisionView:
    return RevisionView(each.revision, format_time(each.recorded), each.author, each.counts, each.nodes)


_REFERENCE = "A revision's number, or a time in ISO 8601"

ENDPOINTS = [
    Endpoint(
        "GET",
        f"{PREFIX}/revisions",
        revisions,
        "The revisions of the structure, the newest first",
        (Answer("The revisions", RevisionList),),
        "revisions",
        (
            Parameter("node", "Only revisions that touched this node"),
            Parameter("before", "Only revisions before this one", {"type": "integer", "minimum": 1}),
            Parameter("limit", "How many", {"type": "integer", "minimum": 1, "maximum": 1000, "default": PAGE}),
        ),
        problems=(400, 404),
    ),
    Endpoint(
        "GET",
        f"{PREFIX}/revisions/diff",
        revision_diff,
        "What differs between two revisions",
        (Answer("The differences", DiffView),),
        "revisions",
        (
            Parameter("from", f"{_REFERENCE}; default: 0, the empty plant"),
            Parameter("to", f"{_REFERENCE}; default: the newest"),
        ),
        problems=(400, 404),
    ),
]
