"""Answers as they go over the wire."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
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


def encoded(value: Any) -> bytes:
    """The bytes of such an answer."""
    return _encoder.encode(value)


def problem_answer(document: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """A problem document with its own status."""
    return Response(_encoder.encode(document), document["status"], headers, media_type=problem.MEDIA_TYPE)


def error_answer(error: IoTSenseError) -> Response:
    """The problem that an error of ours is."""
    wait = problem.retry_after(error)
    return problem_answer(problem.members(error), {"Retry-After": str(wait)} if wait else None)


def digest_tag(body: bytes) -> str:
    """The strong ETag of what has no number that would tell whether it changed."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


class Made:
    """Answers that several clients ask for between two changes: the latest of each kind, by its tag."""

    def __init__(self, kept: int = 64) -> None:
        self._kept = kept
        self._bodies: OrderedDict[object, tuple[str, bytes]] = OrderedDict()

    def body(self, kind: object, tag: str, make: Callable[[], Any]) -> bytes:
        """What `make` returns, as JSON; made anew if the tag is another than last time."""
        known = self._bodies.pop(kind, None)
        if known is None or known[0] != tag:
            known = (tag, _encoder.encode(make()))
        self._bodies[kind] = known
        if len(self._bodies) > self._kept:
            self._bodies.popitem(last=False)
        return known[1]


def tagged_answer(
    request: Request, tag: str, body: Callable[[], bytes], headers: dict[str, str] | None = None
) -> Response:
    """JSON under a strong ETag; 304 without making it if the client has it already."""
    headers = {"ETag": tag, "Cache-Control": "no-cache"} | (headers or {})
    if (known := known_tag(request, tag)) is not None:
        return Response(status_code=304, headers=headers | {"ETag": known})
    return Response(body(), headers=headers, media_type="application/json")


_GZIPPED = '-gzip"'


def gzipped_tag(tag: str) -> str:
    """The ETag of an answer's bytes in gzip: they are others, so a strong tag must be another one, too."""
    return tag if tag.startswith("W/") else tag.removesuffix('"') + _GZIPPED


def plain_tag(tag: str) -> str:
    """The tag of what a client saw, whether it came to it in gzip or not."""
    tag = tag.strip().removeprefix("W/")
    return tag.removesuffix(_GZIPPED) + '"' if tag.endswith(_GZIPPED) else tag


def known_tag(request: Request, tag: str) -> str | None:
    """By which tag of `If-None-Match` the client knows an answer already; None if it does not."""
    given = (part.strip() for part in request.headers.get("if-none-match", "").split(","))
    return next((each for each in given if plain_tag(each) == tag), None)


def expected_tags(request: Request) -> list[str] | None:
    """What stands in the tags of `If-Match`; None if anything will do."""
    given = request.headers.get("if-match", "*").strip()
    return None if given == "*" else [plain_tag(part).strip('"') for part in given.split(",")]
