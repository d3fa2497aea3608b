"""What a request of telemetry carries: a document, an array of them, or lines of them (NDJSON), also in gzip.

Of several documents the right ones are kept and the others told one by one: who sends them must not lose a batch to
one mistake.
"""

import msgspec
from starlette.types import Receive, Scope

from ..ingest.message import Receipt
from ..ingest.telemetry import decode_documents, split_documents
from ..twin.errors import InvalidValueError
from .body import JSON_TYPES, media_type, read_body, unpacked
from .http_errors import MediaTypeError

NDJSON = "application/x-ndjson"
_LINES = (b"application/x-ndjson", b"application/ndjson", b"application/jsonl", b"application/x-jsonlines")
MOST_REFUSED = 1000


class RefusedDocument(msgspec.Struct, frozen=True):
    """A document that is none: its place among those that were sent, the field (`$[3].measurements`), and why."""

    index: int
    field: str
    detail: str


class TelemetryReceipt(Receipt, frozen=True, omit_defaults=False):
    """What became of a request; `refused` is there if some of several documents were wrong, and names those."""

    refused: list[RefusedDocument] | msgspec.UnsetType = msgspec.UNSET


async def telemetry_body(scope: Scope, receive: Receive, limit: int) -> tuple[bytes, list[bytes] | None]:
    """JSON, and its parts if it came by lines. Raises MediaTypeError, TooLargeError, InvalidValueError."""
    media = media_type(scope)
    if not media.endswith(JSON_TYPES) and media not in _LINES:
        # A form cannot declare these, so a foreign page cannot make a browser send them without asking us first.
        raise MediaTypeError(media.decode("latin-1"), f"application/json, or {NDJSON}")
    body = unpacked(scope, await read_body(scope, receive, limit), limit, "application/json")
    if media not in _LINES:
        return body, None
    lines = [line for line in body.split(b"\n") if line.strip()]
    return b"[" + b",".join(lines) + b"]", lines


def sifted(body: bytes, lines: list[bytes] | None, error: InvalidValueError) -> tuple[bytes, list[RefusedDocument]]:
    """The right documents of a body that was refused with `error`, and the wrong ones.

    Raises `error` if there are not several, none is right, or more than 1,000 are wrong.
    """
    parts = lines if lines is not None else _elements(body)
    right: list[bytes] = []
    refused: list[RefusedDocument] = []
    for index, part in enumerate(parts):
        try:
            if part.lstrip()[:1] == b"[":
                raise InvalidValueError("expected an object, got array")
            decode_documents(part)
            right.append(part)
        except InvalidValueError as wrong:
            field = f"$[{index}]" + (f".{wrong.field}" if wrong.field else "")
            refused.append(RefusedDocument(index, field, str(wrong)))
        if len(refused) > MOST_REFUSED:
            break
    if not right or len(refused) > MOST_REFUSED:
        if lines is not None and refused:
            raise InvalidValueError(refused[0].detail, refused[0].field.removeprefix("$")) from None
        raise error
    return b"[" + b",".join(right) + b"]", refused


def _elements(body: bytes) -> list[bytes]:
    if body.lstrip()[:1] != b"[":
        return []
    try:
        return split_documents(body)
    except InvalidValueError:
        return []
