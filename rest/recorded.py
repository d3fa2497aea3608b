"""What changes something, told to the audit log: once, where operations are carried out."""

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..twin.access import NOBODY, acting_for
from ..twin.audit_record import OK
from ..twin.audit_trail import Asking, AuditTrail, outcome_of, wanted_value
from ..twin.errors import ForbiddenError, IoTSenseError, NotFoundError, UnauthenticatedError
from ..twin.revision_log import newest_in_short
from .context import Context
from .endpoint import PREFIX, Endpoint, Operation
from .session import PATH as SESSION
from .session import shown_cookie

UNCHANGING = {
    ("POST", "/query"),
    ("POST", f"{PREFIX}/definitions/plan"),
    ("POST", f"{PREFIX}/explain"),
    ("POST", f"{PREFIX}/replay/{{id}}"),
}
"""What is asked by POST although nothing of the plant or the service is different afterwards."""
_KEYS = f"{PREFIX}/keys"
_ANSWER_BYTES = 4096


def recorded(endpoint: Endpoint, run: Operation) -> Operation:
    """The operation; if it changes something, it is in the audit log when it is answered."""
    if endpoint.method == "GET" or (endpoint.method, endpoint.path) in UNCHANGING:
        return run
    watch = _session if endpoint.path == SESSION else _change

    @functools.wraps(run)
    async def operation(context: Context, request: Request) -> Response:
        if context.audit is None:
            return await run(context, request)
        target = "/".join(str(value) for value in request.path_params.values()) or None
        what = f"{endpoint.method} {endpoint.path}"
        asking = Asking(acting_for(request.scope).name, address_of(request), what, target)
        return await watch(endpoint, run, context, request, context.audit, asking)

    return operation


def address_of(request: Request) -> str:
    """Where a request comes from; empty for this machine's socket."""
    return request.client.host if request.client is not None else ""


async def _session(
    endpoint: Endpoint, run: Operation, context: Context, request: Request, trail: AuditTrail, asking: Asking
) -> Response:
    # Anybody may ask for these: only what came of a right key is worth a record, refusals are told by `Refusals`.
    answer = await run(context, request)
    if endpoint.method == "POST":
        trail.session(replace(asking, by=_given(answer)["name"]))
    elif shown_cookie(request.scope) is not None and asking.by != NOBODY.name:
        trail.session(asking)
    return answer


async def _change(
    endpoint: Endpoint, run: Operation, context: Context, request: Request, trail: AuditTrail, asking: Asking
) -> Response:
    await trail.require_writable()
    revision = context.twin.graph.revision
    before = _shown(endpoint, context, asking.target)

    def told(error: BaseException | None = None) -> dict[str, Any]:
        outcome = {"outcome": outcome_of(error), "detail": None if error is None else str(error)}
        return outcome | {"before": before, "revisions": (revision, context.twin.graph.revision)}

    try:
        answer = await run(context, request)
    except (ForbiddenError, UnauthenticatedError):
        raise  # `Refusals` tells of it
    except IoTSenseError as error:
        await trail.changed(asking, **told(error))
        raise
    except BaseException as error:
        trail.noted(asking, **told(error))
        raise
    if isinstance(answer, StreamingResponse):
        answer.body_iterator = _streamed(answer.body_iterator, lambda end: trail.changed(asking, **told() | end))
        return answer
    given = _given(answer)
    if asking.target is None:
        asking = replace(asking, target=_name_in(given))
    after = await _after(endpoint, context, asking.target, given, revision)
    await trail.changed(asking, **told(), after=after)
    return answer


def _shown(endpoint: Endpoint, context: Context, target: str | None) -> Any:
    """How the target is now, where that is cheaply known."""
    if target is None:
        return None
    if endpoint.path.startswith(_KEYS):
        return _key(context, target)
    return wanted_value(context.twin, target) if endpoint.path.endswith("/desired") else None


def _key(context: Context, name: str) -> Any:
    if context.keys is None:
        return None
    try:
        key = context.keys.get(name)
    except NotFoundError:
        return None
    members = msgspec.to_builtins(key)
    # Neither is the digest a secret, nor is it of use to whoever reads the log.
    return {name: members.get(name) for name in ("hint", "role", "scopes", "under", "expires", "rate", "former_until")}


async def _after(endpoint: Endpoint, context: Context, target: str | None, given: Any, revision: int) -> Any:
    if endpoint.path.startswith(_KEYS):
        return _shown(endpoint, context, target)
    if not endpoint.narrows and context.twin.graph.revision != revision:
        return await asyncio.to_thread(newest_in_short, context.twin)
    return given


def _given(answer: Response) -> Any:
    """What a short answer in JSON says."""
    body = bytes(answer.body)
    if not body or len(body) > _ANSWER_BYTES or answer.media_type != "application/json":
        return None
    return msgspec.json.decode(body)


def _name_in(given: Any) -> str | None:
    if not isinstance(given, dict):
        return None
    named = given["key"] if isinstance(given.get("key"), dict) else given
    return next((str(named[name]) for name in ("id", "name", "job") if named.get(name) is not None), None)


async def _streamed(
    pieces: AsyncIterable[Any], told: Callable[[dict[str, Any]], Awaitable[None]]
) -> AsyncIterator[Any]:
    """Passes an answer on that comes line by line; how it ended stands in its last line."""
    last: Any = b""
    end: dict[str, Any] = {"outcome": "cancelled"}
    try:
        async for piece in pieces:
            last = piece
            yield piece
        end = _end_of(last)
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
        await asyncio.shield(asyncio.ensure_future(told(end)))


def _end_of(last: Any) -> dict[str, Any]:
    body = last.encode() if isinstance(last, str) else bytes(last)
    lines = body.strip().split(b"\n")
    try:
        said = msgspec.json.decode(lines[-1]) if len(lines[-1]) <= _ANSWER_BYTES else None
    except msgspec.DecodeError:
        said = None
    problem = said.get("problem") if isinstance(said, dict) else None
    if not isinstance(problem, dict):
        return {"outcome": OK, "after": said}
    return {"outcome": str(problem.get("type", "error")).rpartition("/")[2], "detail": problem.get("detail")}
