"""`POST /telemetry`: the specification's documents, durable before they are answered with 202.

The busiest route by far, so it is a bare ASGI application that stands before the router.
"""

import logging

import msgspec
from starlette.types import Receive, Scope, Send

from ..ingest.message import Message, Receipt
from ..ingest.telemetry import TelemetryDocument, decode_documents
from ..twin import access
from ..twin.access import acting_for
from ..twin.errors import InvalidValueError, IoTSenseError
from ..twin.times import now_ns
from .answer import error_answer
from .body import header
from .context import Context
from .endpoint import JSON, PREFIX, Answer, Body, Endpoint, Parameter
from .http_errors import ClientGoneError
from .telemetry_body import NDJSON, TelemetryReceipt, sifted, telemetry_body

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
        principal = acting_for(scope)
        principal.require(access.Scope.TELEMETRY_WRITE)
        payload, lines = await telemetry_body(scope, receive, self._context.max_body)
        key = header(scope, b"idempotency-key")
        if len(key) > _LONGEST_KEY:
            raise InvalidValueError(f"an idempotency key has at most {_LONGEST_KEY} characters", "Idempotency-Key")
        identity = identity_of(principal, key.decode("latin-1")) if key else None
        try:
            receipt = await self._submit(payload, identity, principal)
            if receipt.duplicate:
                decode_documents(payload)  # whoever asks again is told again what was refused
            return receipt
        except InvalidValueError as error:
            try:
                payload, refused = sifted(payload, lines, error)
            except InvalidValueError as wrong:
                if wrong.field:
                    wrong.field = ("$" if wrong.field.startswith("[") else "$.") + wrong.field
                raise
        receipt = await self._submit(payload, identity, principal)
        return TelemetryReceipt(**msgspec.structs.asdict(receipt), refused=refused)

    async def _submit(self, payload: bytes, identity: str | None, principal: access.Principal) -> Receipt:
        return await self._context.pipeline.submit(
            Message(
                SOURCE,
                telemetry=payload,
                received=now_ns(),
                identity=identity,
                size=len(payload),
                under=principal.under,
            )
        )


def identity_of(principal: access.Principal, key: str) -> str:
    """A request's, by its idempotency key; nobody learns from it which keys others have used."""
    return f"{SOURCE}:{key}" if principal is access.LOCAL else f"{SOURCE}:{principal.name}:{key}"


ENDPOINT = Endpoint(
    "POST",
    PATH,
    None,
    "Send readings",
    (Answer("What was right is durable; what became of it", TelemetryReceipt, status=202),),
    "telemetry",
    (
        Parameter(
            "Idempotency-Key",
            "The same key within 24 hours is the same request: it is stored once, however often it is sent",
            {"type": "string", "maxLength": _LONGEST_KEY},
            place="header",
        ),
    ),
    Body(
        {JSON: TelemetryDocument | list[TelemetryDocument], NDJSON: str},
        "One document, an array of them, or one on each line; plain or in gzip",
    ),
    problems=(400, 413, 415, 429, 503, 507),
    name="send_telemetry",
    narrows=True,
    description="Measurements that fit no signal go to the dead letters with their reason; the receipt counts them."
    " Of several documents the right ones are stored; `refused` names the others. If none is right, the answer is 400.",
)
