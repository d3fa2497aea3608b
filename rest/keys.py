"""Keys: who may pass, and what for. A key's text is in one answer only."""

import asyncio
from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..twin.access import Role, Scope
from ..twin.access_key import AccessKey, Kind
from ..twin.durations import parse_duration
from ..twin.errors import InvalidValueError, NotYetError
from ..twin.graph import Graph
from ..twin.key_store import KeyStore
from ..twin.times import NS, format_time, now_ns
from . import query
from .answer import json_answer
from .context import Context
from .endpoint import JSON, PREFIX, Answer, Body, Endpoint
from .report_bodies import decoded

GRACE = "1d"


class KeyView(msgspec.Struct):
    """A key without its text, of which `hint` is the end; one of the kind `certificate` has none.

    `under` is null for all of the plant; the id of a node that is gone is null. `rate` is requests a second;
    `last_used` is null if it never was, or not that we remember.
    """

    name: str
    kind: Kind
    hint: str
    role: str | None
    scopes: list[Scope]
    under: list[str | None] | None
    created: str
    expires: str | None
    expired: bool
    rate: float | None
    last_used: str | None


class KeyList(msgspec.Struct):
    """All keys by name."""

    keys: list[KeyView]


class KeyMade(msgspec.Struct):
    """A key and, this once, its text; empty if it is for a certificate."""

    token: str
    key: KeyView


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """A key that is wanted: for `role` or `scopes`; tied to the nodes `under`; good for `expires` (such as `90d`).

    Without `under` it is for all of the plant, without `expires` for ever, without `rate` [1/s] for any number of
    requests. With `certificate` it has no text: a client certificate whose common name is `name` acts as it.
    """

    name: str
    role: Role | None = None
    scopes: list[Scope] = []
    under: list[str] = []
    expires: str | None = None
    rate: float | None = None
    certificate: bool = False


class Rotation(msgspec.Struct, forbid_unknown_fields=True):
    """How long the former text of the key is good still: `1d` unless told, `0` not at all."""

    grace: str = GRACE


async def keys(context: Context, request: Request) -> Response:
    """All keys."""
    query.only(request)
    graph, store = context.twin.graph, _store(context)
    return json_answer(KeyList([_view(key, store, graph) for key in store.keys]))


async def create_key(context: Context, request: Request) -> Response:
    """A new key."""
    query.only(request)
    wanted = await decoded(context, request, NewKey)
    store, graph = _store(context), context.twin.graph
    if bool(wanted.scopes) == (wanted.role is not None):
        raise InvalidValueError("say what the key is for: a role, or scopes", "role")
    if wanted.rate is not None and not 0 < wanted.rate <= 1e6:
        raise InvalidValueError(f"a rate is a number of requests a second above 0, not {wanted.rate:g}", "rate")
    key, token = await asyncio.to_thread(
        store.create,
        wanted.name,
        wanted.scopes or sorted(wanted.role.scopes if wanted.role else ()),
        role=wanted.role,
        under=[graph.find(id).key for id in wanted.under] if wanted.under else None,
        expires=None if wanted.expires is None else now_ns() + round(_seconds(wanted.expires, "expires") * NS),
        rate=wanted.rate,
        kind="certificate" if wanted.certificate else "token",
    )
    return json_answer(KeyMade(token, _view(key, store, graph)), 201)


async def rotate_key(context: Context, request: Request) -> Response:
    """Another text for a key."""
    query.only(request)
    grace = (await decoded(context, request, Rotation)).grace
    store = _store(context)
    seconds = 0.0 if grace.strip() == "0" else _seconds(grace, "grace")
    key, token = await asyncio.to_thread(store.rotate, request.path_params["name"], seconds)
    return json_answer(KeyMade(token, _view(key, store, context.twin.graph)))


async def revoke_key(context: Context, request: Request) -> Response:
    """A key is good no more."""
    query.only(request)
    store = _store(context)
    key = await asyncio.to_thread(store.revoke, request.path_params["name"])
    return json_answer(_view(key, store, context.twin.graph))


def _store(context: Context) -> KeyStore:
    if context.keys is None:
        raise NotYetError("the keys are not open yet")
    return context.keys


def _seconds(text: str, field: str) -> float:
    try:
        return parse_duration(text)
    except InvalidValueError as error:
        raise InvalidValueError(str(error), field) from None


def _view(key: AccessKey, store: KeyStore, graph: Graph) -> KeyView:
    used = store.used.get(key.name)
    return KeyView(
        name=key.name,
        kind=key.kind,
        hint=key.hint,
        role=key.role,
        scopes=list(key.scopes),
        under=None if key.under is None else _ids(key.under, graph),
        created=format_time(key.created),
        expires=None if key.expires is None else format_time(key.expires),
        expired=key.expires is not None and key.expires <= now_ns(),
        rate=key.rate,
        last_used=None if used is None else format_time(used),
    )


def _ids(under: Sequence[int], graph: Graph) -> list[str | None]:
    return [graph.node(key).id if key in graph.node_map else None for key in under]


_NAMED = f"{PREFIX}/keys/{{name}}"

ENDPOINTS = [
    Endpoint("GET", f"{PREFIX}/keys", keys, "All keys", (Answer("By name, without their texts", KeyList),), "keys"),
    Endpoint(
        "POST",
        f"{PREFIX}/keys",
        create_key,
        "Make a key",
        (Answer("The key; its text is shown this once", KeyMade, status=201),),
        "keys",
        body=Body({JSON: NewKey}),
        problems=(400, 404, 409, 413, 415, 507),
    ),
    Endpoint(
        "POST",
        f"{_NAMED}/rotate",
        rotate_key,
        "Give a key another text",
        (Answer("The key; its text is shown this once", KeyMade),),
        "keys",
        body=Body({JSON: Rotation}),
        problems=(400, 404, 409, 413, 415, 507),
    ),
    Endpoint(
        "DELETE", _NAMED, revoke_key, "Revoke a key", (Answer("The key that was", KeyView),), "keys",
        problems=(404, 507),
    ),
]  # fmt: skip
