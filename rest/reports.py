"""Events that people report, and the assets that stand in the plant's places."""

import asyncio
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..ingest.report_file import ReportLoad, load_reports
from ..twin.as_of import AsOf
from ..twin.assets import asset, asset_history, installed_at, stays
from ..twin.errors import InvalidValueError
from ..twin.model import Event
from ..twin.report_words import Amendment, Report
from ..twin.reports import reports_of
from ..twin.times import format_time
from . import query
from .answer import json_answer
from .body import header, json_body, read_body
from .context import Context
from .endpoint import JSON, PREFIX, Answer, Body, Endpoint, Parameter
from .events import event_view
from .http_errors import MediaTypeError
from .moment import moment
from .report_shapes import AssetHistory, AssetPiece, AssetView, PlaceView, asset_view, stay_view
from .shapes import EventView
from .signals import PAGE, SPAN, columns, span

CSV = "text/csv"
LONGEST_KEY = 200
T = TypeVar("T")


async def report_event(context: Context, request: Request) -> Response:
    """Keeps what somebody reports."""
    query.only(request)
    report = await _given(context, request, Report)
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= LONGEST_KEY:
        raise InvalidValueError(f"an idempotency key has 1 to {LONGEST_KEY} characters", "Idempotency-Key")
    return _event(context, await asyncio.to_thread(reports_of(context.twin).report, report, key), 201)


async def amend_event(context: Context, request: Request) -> Response:
    """Amends what was reported."""
    query.only(request)
    amendment = await _given(context, request, Amendment)
    return _event(
        context, await asyncio.to_thread(reports_of(context.twin).amend, request.path_params["event"], amendment)
    )


async def retract_event(context: Context, request: Request) -> Response:
    """Takes back what was reported."""
    query.only(request, "reason", "by")
    given = request.query_params
    retract = reports_of(context.twin).retract
    return _event(
        context, await asyncio.to_thread(retract, request.path_params["event"], given.get("reason"), given.get("by"))
    )


async def load_events(context: Context, request: Request) -> Response:
    """Keeps the reports of a CSV file."""
    query.only(request, "name")
    media = header(request.scope, b"content-type").partition(b";")[0].decode("latin-1").strip().lower()
    if media != CSV:
        raise MediaTypeError(media, CSV)
    body = await read_body(request.scope, request.receive, context.max_body)
    name = request.query_params.get("name", "upload")
    return json_answer(await asyncio.to_thread(load_reports, reports_of(context.twin), body, name))


async def asset_of(context: Context, request: Request) -> Response:
    """An asset and its places."""
    plant = await moment(context, request)
    found = await asyncio.to_thread(asset, plant, request.path_params["serial"])
    return json_answer(asset_view(plant, found))


async def asset_signal(context: Context, request: Request) -> Response:
    """A signal's history across the places of an asset."""
    plant = await moment(context, request, "signal", "from", "to", "points")
    signal = request.query_params.get("signal")
    if not signal:
        raise InvalidValueError("say which signal: the name that the places give it, such as temperature", "signal")
    start, end = span(request, plant.now)
    points = query.whole(request, "points", PAGE, low=1, high=PAGE)
    serial = request.path_params["serial"]
    return json_answer(await asyncio.to_thread(_history, plant, serial, signal, start, end, points))


async def assets_at(context: Context, request: Request) -> Response:
    """What is and was in a place."""
    plant = await moment(context, request)
    node = plant.graph.find(request.path_params["id"])
    return json_answer(await asyncio.to_thread(_place, plant, node.key))


def _place(plant: AsOf, node: int) -> PlaceView:
    there = installed_at(plant, node)
    return PlaceView(
        plant.graph.node(node).id,
        None if there is None else stay_view(plant, there),
        [stay_view(plant, stay) for stay in stays(plant, node=node)],
    )


def _history(plant: AsOf, serial: str, signal: str, start: int, end: int, points: int) -> AssetHistory:
    answer = AssetHistory(serial, signal, [])
    for piece in asset_history(plant, serial, signal, start, end, points):
        history = columns(plant, piece.signal, piece.history, PAGE)
        history.signal = plant.graph.signal_id(piece.signal)
        history.start, history.to = format_time(piece.start), format_time(piece.end)
        answer.pieces.append(AssetPiece(plant.graph.node(piece.stay.node).id, history))
    return answer


async def _given(context: Context, request: Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await json_body(request, context.max_body), type=kind)
    except msgspec.DecodeError as error:
        text = str(error)
        raise InvalidValueError(text, text.rpartition("at `")[2].rstrip("`") if "at `" in text else "$") from None


def _event(context: Context, event: Event, status: int = 200) -> Response:
    return json_answer(event_view(context.twin.graph, event), status)


def _one(meaning: str, type: Any, status: int = 200) -> tuple[Answer, ...]:
    return (Answer(meaning, type, status=status),)


_WRITES = (400, 404, 409, 413, 415, 429, 503, 507)
_SIGNAL = Parameter("signal", "The name that the places give the signal, such as `temperature`", required=True)

ENDPOINTS = [
    Endpoint(
        "POST", f"{PREFIX}/events", report_event, "Report an event",
        _one("It is durable; `id` names it from now on", EventView, 201), "reports",
        (Parameter("Idempotency-Key", "The same key is the same event, however often it is sent",
                   {"type": "string", "maxLength": LONGEST_KEY}, place="header"),),
        Body({JSON: Report}, "failure, repair, inspection, downtime, batch, product_run, installation, or a free kind"),
        problems=_WRITES,
    ),
    Endpoint(
        "POST", f"{PREFIX}/events/load", load_events, "Report the events of a CSV file",
        _one("What became of its rows", ReportLoad), "reports", (Parameter("name", "What the file is called"),),
        Body({CSV: str}, "Columns kind, node, from, to, reason, by, key; all others go to `data`"), problems=_WRITES,
        description="A row that cannot be used is told with its line; loading the file again doubles nothing.",
    ),
    Endpoint(
        "PATCH", f"{PREFIX}/events/{{event}}", amend_event, "Amend an event that was reported",
        _one("As it is now", EventView), "reports", body=Body({JSON: Amendment}, "What is to be different"),
        problems=_WRITES,
    ),
    Endpoint(
        "DELETE", f"{PREFIX}/events/{{event}}", retract_event, "Take back an event that was reported",
        _one("The event that takes it back", EventView), "reports",
        (Parameter("reason", "Why"), Parameter("by", "Who says so")), problems=_WRITES,
    ),
    Endpoint(
        "GET", f"{PREFIX}/assets/{{serial}}", asset_of, "An asset and its places", _one("The asset", AssetView),
        "reports", problems=(400, 404), reads=True,
    ),
    Endpoint(
        "GET", f"{PREFIX}/assets/{{serial}}/history", asset_signal, "A signal's history across an asset's places",
        _one("A piece for each place that has the signal", AssetHistory), "reports",
        (_SIGNAL, *SPAN, Parameter("points", "At most so many rows in all, as buckets",
                                   {"type": "integer", "minimum": 1, "maximum": PAGE, "default": PAGE})),
        problems=(400, 404), reads=True,
    ),
    Endpoint(
        "GET", f"{PREFIX}/nodes/{{id}}/assets", assets_at, "What is and was in a place", _one("The place", PlaceView),
        "reports", problems=(400, 404), reads=True,
    ),
]  # fmt: skip
