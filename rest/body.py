"""Request bodies, bounded and of the media type that is understood."""

import zlib

from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from ..twin.errors import InvalidValueError
from .http_errors import ClientGoneError, MediaTypeError, TooLargeError

JSON_TYPES = (b"application/json", b"+json")


def header(scope: Scope, name: bytes) -> bytes:
    """A header's value; empty if it is not there."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""


def media_type(scope: Scope) -> bytes:
    """What the body is declared as, without parameters."""
    return header(scope, b"content-type").partition(b";")[0].strip().lower()


def _coding(scope: Scope) -> bytes:
    """What the body is compressed with; empty if it is not."""
    return header(scope, b"content-encoding").strip().lower().replace(b"identity", b"")


def unpacked(scope: Scope, body: bytes, limit: int, expected: str) -> bytes:
    """What is in a body that may be in gzip. Raises MediaTypeError, which names what was `expected`, and as below."""
    coding = _coding(scope)
    if coding and coding != b"gzip":
        raise MediaTypeError(f"compressed with {coding.decode('latin-1')}", f"{expected}, plain or in gzip")
    return _inflated(body, limit) if coding else body


def _inflated(body: bytes, limit: int) -> bytes:
    """What is in a gzip; raises TooLargeError before it has more than `limit` [bytes], InvalidValueError."""
    inflate = zlib.decompressobj(31)
    try:
        plain = inflate.decompress(body, limit + 1)
    except zlib.error as error:
        raise InvalidValueError(f"the body is not gzip: {error}") from None
    if len(plain) > limit:
        raise TooLargeError(limit)
    if not inflate.eof:
        raise InvalidValueError("the body is not gzip: it ends too early")
    return plain


def require_json(scope: Scope) -> None:
    """Raises MediaTypeError unless the body is declared as JSON.

    A form cannot declare that, so a foreign page cannot make a browser send it without asking us first.
    """
    media = media_type(scope)
    if not media.endswith(JSON_TYPES):
        raise MediaTypeError(media.decode("latin-1"), "application/json")
    if coding := _coding(scope):
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


def bounded(receive: Receive, limit: int) -> Receive:
    """What raises TooLargeError as soon as more than `limit` bytes have come, for who reads bodies without a limit."""
    size = 0

    async def counting() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise TooLargeError(limit)
        return message

    return counting


async def json_body(request: Request, limit: int) -> bytes:
    """The bytes of a JSON body."""
    require_json(request.scope)
    return await read_body(request.scope, request.receive, limit)
