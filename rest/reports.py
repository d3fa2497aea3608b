"""Events that people report: told, corrected, ended, taken back, and read as they stand."""

import asyncio
import io

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..twin.as_of import AsOf
from ..twin.errors import InvalidValueError
from ..twin.model import Event
from ..twin.report import KINDS
from ..twin.report_file import FileReport, load_reports
from ..twin.reported import reported, standing
from . import query
from .answer import json_answer
from .body import header, read_body
from .context import Context
from .endpoint import JSON, PREFIX, Answer, Body, Endpoint, Parameter
from .events import event_view
from .graph_parameters import many
from .http_errors import MediaTypeError
from .moment import moment
from .report_bodies import AmendmentBody, ReportBody, RetractionBody, decoded, idempotency_key
from .shapes import EventList, EventView

CSV = "text/csv"
PAGE = 1000


class Reported(msgspec.Struct):
    """A durable report: the number of its event, its id, the graph's revision, and the event itself."""

    seq: int
    id: str
    revision: int
    event: EventView


async def report_event(context: Context, request: Request) -> Response:
    """Tells of an event."""
    query.only(request)
    body = await decoded(context, request, ReportBody)
    key = idempotency_key(request)
    event = await asyncio.to_thread(context.twin.reports.report, body.report(), key)
    return answer(context, event, 201)


async def amend_event(context: Context, request: Request) -> Response:
    """Corrects a report, or gives its end."""
    query.only(request)
    body = await decoded(context, request, AmendmentBody)
    key, id = idempotency_key(request), request.path_params["id"]
    return answer(context, await asyncio.to_thread(context.twin.reports.amend, id, body.amendment(), key))


async def retract_event(context: Context, request: Request) -> Response:
    """Takes a report back, with a reason in the query."""
    query.only(request, "reason")
    key, id = idempotency_key(request), request.path_params["id"]
    reason = request.query_params.get("reason")
    return answer(context, await asyncio.to_thread(context.twin.reports.retract, id, reason, key))


async def retract_event_by_post(context: Context, request: Request) -> Response:
    """Takes a report back, with a reason in the body."""
    query.only(request)
    body = await decoded(context, request, RetractionBody)
    key, id = idempotency_key(request), request.path_params["id"]
    return answer(context, await asyncio.to_thread(context.twin.reports.retract, id, body.reason, key))


async def load_events(context: Context, request: Request) -> Response:
    """Takes in reports as rows of a CSV file."""
    query.only(request, "timezone")
    media = header(request.scope, b"content-type").partition(b";")[0].decode("latin-1").strip().lower()
    if media != CSV:
        raise MediaTypeError(media, CSV)
    body = await read_body(request.scope, request.receive, context.max_body)
    text = io.StringIO(_text(body), newline="")
    zone = request.query_params.get("timezone", "UTC")
    return json_answer(await asyncio.to_thread(load_reports, context.twin, text, zone))


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidValueError(f"the file is not in UTF-8: {error}") from None


async def event(context: Context, request: Request) -> Response:
    """An event as it stands."""
    plant = await moment(context, request)
    found = await asyncio.to_thread(standing, plant, request.path_params["id"])
    return json_answer(event_view(plant.graph, found))


async def reports(context: Context, request: Request) -> Response:
    """Reports as they stand."""
    plant = await moment(context, request, "kind", "node", "from", "to", "open", "limit")
    limit = query.whole(request, "limit", PAGE, low=1, high=PAGE)
    found = await asyncio.to_thread(_standing, plant, request)
    return json_answer(EventList([event_view(plant.graph, e) for e in found[-limit:]], plant.last_event_seq))


def _standing(plant: AsOf, request: Request) -> list[Event]:
    id = request.query_params.get("node")
    node = None if id is None else plant.graph.find(id).key
    span = query.instant(request, "from"), query.instant(request, "to")
    found = reported(plant, many(request, "kind") or KINDS, node, *span)
    return [event for event in found if event.until is None] if query.flag(request, "open") else found


def answer(context: Context, event: Event, status: int = 200) -> Response:
    """What every write answers."""
    graph = context.twin.graph
    told = Reported(event.seq, event.identity or "", graph.revision, event_view(graph, event))
    return json_answer(told, status)


IDEMPOTENCY = Parameter(
    "Idempotency-Key",
    "The same key is the same request, however often it is sent, for as long as the event is kept",
    {"type": "string", "maxLength": 255},
    place="header",
)
WRITE_PROBLEMS = (400, 404, 409, 413, 415, 429, 503, 507)
_WRITTEN = (Answer("It is durable", Reported),)
_SPAN = {"type": "string", "format": "date-time"}

ENDPOINTS = [
    Endpoint(
        "POST", f"{PREFIX}/events", report_event, "Report an event", (Answer("It is durable", Reported, status=201),),
        "reports", (IDEMPOTENCY,), Body({JSON: ReportBody}), WRITE_PROBLEMS,
        "What signals of the node showed when it began, and when it ended, becomes part of the event.",
    ),
    Endpoint(
        "PATCH", f"{PREFIX}/events/{{id}}", amend_event, "Correct a report, or give its end", _WRITTEN, "reports",
        (IDEMPOTENCY,), Body({JSON: AmendmentBody}), WRITE_PROBLEMS,
    ),
    Endpoint(
        "DELETE", f"{PREFIX}/events/{{id}}", retract_event, "Take a report back", _WRITTEN, "reports",
        (Parameter("reason", "Why"), IDEMPOTENCY), problems=WRITE_PROBLEMS,
        description="The log keeps it; a new event names it in `retracts`.",
    ),
    Endpoint(
        "POST", f"{PREFIX}/events/{{id}}/retract", retract_event_by_post, "Take a report back, with a reason",
        _WRITTEN, "reports", (IDEMPOTENCY,), Body({JSON: RetractionBody}), WRITE_PROBLEMS,
    ),
    Endpoint(
        "POST", f"{PREFIX}/events/load", load_events, "Report the events of a CSV file",
        (Answer("What became of the rows", FileReport),), "reports",
        (Parameter("timezone", "The zone of times that name none", {"type": "string", "default": "UTC"}),),
        Body({CSV: str}, "Columns kind, node, from; to, reason, id, serial_number, maker, model; others are values"),
        (400, 413, 415, 503, 507),
    ),
    Endpoint(
        "GET", f"{PREFIX}/events/{{id}}", event, "An event as it stands", (Answer("The event", EventView),), "reports",
        problems=(404,), reads=True, description="By its id, or the number of any event that tells of it.",
    ),
    Endpoint(
        "GET", f"{PREFIX}/reports", reports, "Reports as they stand",
        (Answer("The last of them, in the order of their begin", EventList),), "reports",
        (
            Parameter("kind", f"Only of these kinds; default: {', '.join(KINDS)}"),
            Parameter("node", "Only of this node"),
            Parameter("from", "Only what had not ended then, ISO 8601", _SPAN),
            Parameter("to", "Only what had begun before, ISO 8601", _SPAN),
            Parameter("open", "Only what has not ended", {"type": "boolean", "default": False}),
            Parameter("limit", "At most so many", {"type": "integer", "minimum": 1, "maximum": PAGE, "default": PAGE}),
        ),
        problems=(400, 404), reads=True,
        description="Each event once, with its corrections, without those that were taken back.",
    ),
]  # fmt: skip
