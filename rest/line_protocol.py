"""`POST /write` and `POST /api/v2/write`: InfluxDB's ways in, so that Telegraf and InfluxDB's clients can write to us.

Like telemetry, they stand before the router: what is written comes often. Answers are InfluxDB's, whose clients decide
by them what to send again: 204 everything is stored, 400 some lines never will be, 413 send less at a time, 429 and 503
send it again later. A body of an error speaks to clients of both versions.
"""

import logging
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..ingest.line_reader import line_via
from ..ingest.message import Message, Receipt
from ..twin import access
from ..twin.access import acting_for
from ..twin.errors import InvalidValueError, IoTSenseError, NotFoundError
from ..twin.times import now_ns
from . import problem
from .body import read_body, unpacked
from .context import Context
from .endpoint import Answer, Body, Endpoint, Parameter
from .http_errors import ClientGoneError
from .telemetry import SOURCE

log = logging.getLogger("iotsense.rest")

_NOT_PLAIN = re.compile(r"[^ -~]")
V1, V2 = "/write", "/api/v2/write"
_CODES = {400: "invalid", 404: "not found", 413: "request too large", 415: "invalid", 429: "too many requests"}


class WriteRoute:
    """ASGI application of one of the two routes. place: the parameter that says where to, `db` or `bucket`."""

    def __init__(self, context: Context, place: str) -> None:
        self._context = context
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        try:
            answer = await self._take(scope, receive)
        except ClientGoneError:
            return
        except IoTSenseError as error:
            answer = refusal(problem.problem_of(error).status, str(error), problem.retry_after(error))
        answer.headers.update(_about(self._context))
        try:
            await answer(scope, receive, send)
        except RuntimeError:
            log.debug("a client went away before it could be told that its lines are stored")

    async def _take(self, scope: Scope, receive: Receive) -> Response:
        principal = acting_for(scope)
        principal.require(access.Scope.TELEMETRY_WRITE)
        if not self._context.pipeline.config.lines.enabled:
            raise NotFoundError("the line protocol is switched off: iotsense.ingestion.line_protocol.enabled")
        parameters = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        place = parameters.get(self._place)
        if not place:
            raise InvalidValueError(f"the parameter `{self._place}` is required", self._place)
        via = line_via(parameters.get("precision") or "ns")
        limit = self._context.max_body
        body = unpacked(scope, await read_body(scope, receive, limit), limit, "text/plain")
        message = Message(
            SOURCE,
            payload=body,
            metadata=_where(self._place, place, parameters),
            received=now_ns(),
            via=via,
            under=principal.under,
        )
        return _told(await self._context.pipeline.submit(message))


def _where(name: str, place: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """Where InfluxDB would have stored it: which of several senders it was, for whoever looks at a dead letter."""
    return {name: place} | {key: parameters[key] for key in ("rp", "org") if parameters.get(key)}


def _told(receipt: Receipt) -> Response:
    if not receipt.dead_lettered:
        return Response(status_code=204)
    reasons = "; ".join(receipt.reasons)
    return refusal(400, f"partial write: {reasons} dropped={receipt.dead_lettered}")


class Refusal(msgspec.Struct):
    """An error as clients of InfluxDB read it: `message` is for version 2, `error` for version 1."""

    code: str
    message: str
    error: str


def refusal(status: int, words: str, retry_after: int | None = None) -> Response:
    """An error as clients of both versions of InfluxDB read it."""
    code = _CODES.get(status, "unavailable" if status in (503, 507) else "internal error")
    body = msgspec.json.encode(Refusal(code, words, words))
    # A header takes one line of plain text.
    headers = {"X-Influxdb-Error": _NOT_PLAIN.sub("?", words)[:500]}
    if retry_after:
        headers["Retry-After"] = str(retry_after)
    # Telegraf takes 507 for a mistake of its own and drops what it has; 503 it sends again.
    return Response(body, 503 if status == 507 else status, headers, "application/json")


def _about(context: Context) -> dict[str, str]:
    return {"X-Influxdb-Version": context.version or "0", "X-Influxdb-Build": "IoTSense"}


async def ping(context: Context, request: Request) -> Response:
    """Whether points can be written."""
    return Response(status_code=204, headers=_about(context))


async def query(context: Context, request: Request) -> Response:
    """Tells clients of version 1 that their database is there; Telegraf asks for that at its start."""
    form = await read_body(request.scope, request.receive, context.max_body)
    text = dict(parse_qsl(form.decode("utf-8", "replace"))).get("q") or request.query_params.get("q")
    if (text or "").strip().lower().startswith("create database"):
        answer: dict[str, object] = {"results": [{"statement_id": 0}]}
        return Response(msgspec.json.encode(answer), 200, _about(context), "application/json")
    return refusal(400, "InfluxQL is not spoken here, only writing is; ask by REST, GraphQL or the SDK")


_PRECISION = Parameter(
    "precision",
    "Unit of the timestamps; left out or empty, ns",
    {"type": "string", "enum": ["ns", "us", "ms", "s", "n", "u", "m", "h", ""]},
)
_LINES = Body({"text/plain": str}, "Lines, plain or compressed with gzip")
_STORED = (Answer("Everything is durable", None, None, 204),)
_PARTIAL = (
    "Lines that are none, and fields that fit no signal, go to the dead letters; the answer is 400 with the reasons, "
    "and the others are stored. How tags and fields are mapped: docs/protocols/http.md."
)


def _endpoint(path: str, name: str, version: str, *parameters: Parameter) -> Endpoint:
    return Endpoint(
        "POST",
        path,
        None,
        f"Send readings in the InfluxDB line protocol, version {version}",
        _STORED,
        "telemetry",
        (*parameters, _PRECISION),
        _LINES,
        problems=(400, 413, 415, 429, 503),
        name=name,
        refusal=Refusal,
        narrows=True,
        description=_PARTIAL,
    )


ENDPOINTS = [
    _endpoint(
        V1,
        "write_v1",
        "1",
        Parameter("db", "Database, kept as metadata", required=True),
        Parameter("rp", "Retention policy, kept as metadata"),
    ),
    _endpoint(
        V2,
        "write_v2",
        "2",
        Parameter("bucket", "Bucket, kept as metadata", required=True),
        Parameter("org", "Organisation, kept as metadata"),
    ),
    Endpoint(
        "GET", "/ping", ping, "Whether points can be written", (Answer("They can", None, None, 204),), "telemetry"
    ),
    Endpoint(
        "POST",
        "/query",
        query,
        "Answers `CREATE DATABASE` for clients of InfluxDB 1",
        (Answer("The database is there", dict),),
        "telemetry",
        problems=(400,),
        name="influx_query",
        refusal=Refusal,
        narrows=True,
    ),
]
