"""Writes that are done once, however often they are sent: which ones take an `Idempotency-Key`, and how they do."""

import functools
import hashlib

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from ..twin.access import acting_for
from ..twin.kept_answers import LONGEST_KEY, check_key
from .body import read_body
from .context import Context
from .endpoint import PREFIX, Endpoint, Operation, Parameter
from .idempotency import answered_once
from .recorded import UNCHANGING
from .session import PATH as SESSION

NAME = "Idempotency-Key"
PARAMETER = Parameter(
    NAME,
    "The same key is the same request, however often it is sent within 24 hours: it gets the same answer. Kept in"
    " memory, so not beyond a restart of the service",
    {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
    place="header",
)
PROBLEMS = (413, 422)
_LEFT_OUT = {
    ("POST", f"{PREFIX}/load"),
    ("POST", f"{PREFIX}/bulk/rows"),
    ("PUT", f"{PREFIX}/bulk/imports/{{job}}/files/{{file:path}}"),
    ("POST", f"{PREFIX}/stores/{{name}}/migrate"),
}
"""Files of any size, and what goes on where it stopped: sent again, they change nothing more by themselves."""


def takes_key(endpoint: Endpoint) -> bool:
    """Whether it is done once by its key here; some do that themselves, with the journal."""
    of_itself = endpoint.run is None or any(parameter.name == NAME for parameter in endpoint.parameters)
    named = (endpoint.method, endpoint.path)
    return not (of_itself or endpoint.method == "GET" or endpoint.path == SESSION or named in _LEFT_OUT | UNCHANGING)


def once(endpoint: Endpoint, run: Operation) -> Operation:
    """The operation; under a key that was used before it answers what it answered then."""
    if not takes_key(endpoint):
        return run

    @functools.wraps(run)
    async def operation(context: Context, request: Request) -> Response:
        key = request.headers.get(NAME)
        if key is None:
            return await run(context, request)
        check_key(key, NAME, NAME)
        body = await read_body(request.scope, request.receive, context.max_body)
        mark = hashlib.sha256(request.scope["query_string"] + b"\n" + body).digest()
        # The principal with all its rights: a key that comes again under its name with others is somebody else.
        same = acting_for(request.scope), request.method, request.url.path, key
        return await answered_once(context.answers, same, mark, lambda: run(context, _with(request, body)))

    return operation


def _with(request: Request, body: bytes) -> Request:
    """The request, whose body was read already."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(request.scope, receive)
