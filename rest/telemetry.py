"""`POST /telemetry`: the specification's documents, durable before they are answered with 202.

The busiest route by far, so it is a bare ASGI application that stands before the router.
"""

import logging

import msgspec
from starlette.types import Receive, Scope, Send

from ..ingest.message import Message, Receipt
from ..ingest.telemetry import TelemetryDocument, decode_documents
from ..twin.errors import InvalidValueError, IoTSenseError
from ..twin.times import now_ns
from .answer import error_answer
from .body import header, read_body, require_json
from .context import Context
from .endpoint import JSON, PREFIX, Answer, Body, Endpoint, Parameter
from .http_errors import ClientGoneError

log = logging.getLogger("iotsense.rest")

PATH = f"{PREFIX}/telemetry"
SOURCE = "http"
_LONGEST_KEY = 255
_encode = msgspec.json.Encoder().encode


class TelemetryRoute:
    """ASGI application of the one route."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        try:
            receipt = await self._take(scope, receive)
        except ClientGoneError:
            return
        except IoTSenseError as error:
            await error_answer(error)(scope, receive, send)
            return
        body = _encode(receipt)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        headers.append((b"revision", b"%d" % self._context.twin.graph.revision))
        try:
            await send({"type": "http.response.start", "status": 202, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        except RuntimeError:
            # The client closed its connection while we stored: it will ask again with its key, or it does not care.
            log.debug("a client went away before it could be told that its readings are stored")

    async def _take(self, scope: Scope, receive: Receive) -> Receipt:
        require_json(scope)
        payload = await read_body(scope, receive, self._context.max_body)
        documents = _documents(payload)
        key = header(scope, b"idempotency-key")
        if len(key) > _LONGEST_KEY:
            raise InvalidValueError(f"an idempotency key has at most {_LONGEST_KEY} characters", "Idempotency-Key")
        message = Message(
            SOURCE,
            documents=documents,
            received=now_ns(),
            identity=f"{SOURCE}:{key.decode('latin-1')}" if key else None,
            size=len(payload),
        )
        return await self._context.pipeline.submit(message)


def _documents(payload: bytes) -> "list[TelemetryDocument]":
    try:
        return list(decode_documents(payload))
    except InvalidValueError as error:
        if error.field:
            error.field = ("$" if error.field.startswith("[") else "$.") + error.field
        raise


ENDPOINT = Endpoint(
    "POST",
    PATH,
    None,
    "Send readings",
    (Answer("Everything is durable; what became of it", Receipt, status=202),),
    "telemetry",
    (
        Parameter(
            "Idempotency-Key",
            "The same key within 24 hours is the same request: it is stored once, however often it is sent",
            {"type": "string", "maxLength": _LONGEST_KEY},
            place="header",
        ),
    ),
    Body({JSON: TelemetryDocument | list[TelemetryDocument]}, "One document, or an array of them"),
    problems=(400, 413, 415, 429, 503, 507),
    name="send_telemetry",
    description="Measurements that fit no signal go to the dead letters with their reason; the receipt counts them.",
)
