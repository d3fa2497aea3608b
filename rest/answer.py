"""Answers as they go over the wire."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..twin.errors import IoTSenseError
from . import problem

_encoder = msgspec.json.Encoder()


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Structs, dicts and lists as JSON; numbers that JSON has no word for are null."""
    return Response(_encoder.encode(value), status, headers, media_type="application/json")


def problem_answer(document: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """A problem document with its own status."""
    return Response(_encoder.encode(document), document["status"], headers, media_type=problem.MEDIA_TYPE)


def error_answer(error: IoTSenseError) -> Response:
    """The problem that an error of ours is."""
    wait = problem.retry_after(error)
    return problem_answer(problem.members(error), {"Retry-After": str(wait)} if wait else None)


def tagged_answer(request: Request, tag: str, make: Any) -> Response:
    """What `make` returns, under a strong ETag; 304 without making it if the client has it already."""
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in (part.strip() for part in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    return json_answer(make(), headers=headers)
