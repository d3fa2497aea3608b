"""The external stores: how they are, what somebody changed in them by hand, and undoing that."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..twin.plan_changes import Changes
from ..twin.plan_text import changes_text
from ..twin.store_projection import GraphProjection, attached
from . import query
from .answer import json_answer
from .context import Context
from .endpoint import PREFIX, Answer, Endpoint


class StoreList(msgspec.Struct):
    """The external stores with the state of their connections, and how far they are behind."""

    stores: list[dict[str, Any]]


class Drift(msgspec.Struct):
    """What is different in the database from what was written: as values, and as a diff to read, as of a definition."""

    store: str
    empty: bool
    text: str
    changes: dict[str, Any]


async def stores(context: Context, request: Request) -> Response:
    """The external stores."""
    query.only(request)
    return json_answer(StoreList([status.as_dict() for status in context.stores()]))


async def drift(context: Context, request: Request) -> Response:
    """Compares a graph database with the plant, now."""
    query.only(request)
    projection = _projection(context, request)
    return json_answer(_drift(projection, await projection.look()))


async def repair(context: Context, request: Request) -> Response:
    """Makes a graph database as the plant is again."""
    query.only(request)
    projection = _projection(context, request)
    return json_answer(_drift(projection, await projection.look(repair=True)))


def _projection(context: Context, request: Request) -> GraphProjection:
    return attached(context.graph_stores(), request.path_params["name"])


def _drift(projection: GraphProjection, changes: Changes) -> Drift:
    text = changes_text(changes) if not changes.empty else f"{projection.status.name} shows the plant as it is.\n"
    return Drift(projection.status.name, changes.empty, text, changes.to_dict())


ENDPOINTS = [
    Endpoint("GET", f"{PREFIX}/stores", stores, "The external stores", (Answer("The stores", StoreList),), "stores"),
    Endpoint(
        "GET",
        f"{PREFIX}/stores/{{name}}/drift",
        drift,
        "What somebody changed in a graph database by hand",
        (Answer("The changes, as they would be in a definition", Drift),),
        "stores",
        problems=(404, 503),
    ),
    Endpoint(
        "POST",
        f"{PREFIX}/stores/{{name}}/repair",
        repair,
        "Undo what somebody changed in a graph database by hand",
        (Answer("What is different after that: nothing", Drift),),
        "stores",
        problems=(404, 503),
    ),
]
