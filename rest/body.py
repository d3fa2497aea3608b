"""Request bodies, bounded and of the media type that is understood."""

from starlette.requests import Request
from starlette.types import Receive, Scope

from .http_errors import ClientGoneError, MediaTypeError, TooLargeError

_JSON = (b"application/json", b"+json")


def header(scope: Scope, name: bytes) -> bytes:
    """A header's value; empty if it is not there."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""


def require_json(scope: Scope) -> None:
    """Raises MediaTypeError unless the body is declared as JSON.

    A form cannot declare that, so a foreign page cannot make a browser send it without asking us first.
    """
    media = header(scope, b"content-type").partition(b";")[0].strip().lower()
    if not media.endswith(_JSON):
        raise MediaTypeError(media.decode("latin-1"), "application/json")
    if coding := header(scope, b"content-encoding").strip().lower().replace(b"identity", b""):
        raise MediaTypeError(f"compressed with {coding.decode('latin-1')}", "application/json, uncompressed")


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body; raises TooLargeError as soon as it is clear that it is larger than `limit` [bytes]."""
    declared = header(scope, b"content-length")
    if declared.isdigit() and int(declared) > limit:
        raise TooLargeError(limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError("the client went away")
    body: bytes = message.get("body", b"")
    if not message.get("more_body") and len(body) <= limit:
        return body
    parts, size = [body], len(body)
    while message.get("more_body") and size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError("the client went away")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    if size > limit:
        raise TooLargeError(limit)
    return b"".join(parts)


async def json_body(request: Request, limit: int) -> bytes:
    """The bytes of a JSON body."""
    require_json(request.scope)
    return await read_body(request.scope, request.receive, limit)
