"""Assets with serial numbers: installed, removed, and where each was when."""

import asyncio
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..twin import assets as model
from ..twin.times import format_time
from . import query
from .answer import json_answer
from .context import Context
from .endpoint import JSON, PREFIX, Answer, Body, Endpoint, Parameter
from .graph_parameters import required
from .moment import moment
from .report_bodies import InstallationBody, RemovalBody, decoded, idempotency_key
from .reports import IDEMPOTENCY, WRITE_PROBLEMS, Reported, answer
from .shapes import SignalHistory
from .signals import PAGE, SPAN, history_columns, span


class StayView(msgspec.Struct, rename={"start": "from"}):
    """An asset at a node, from its installation on; `to` is null while it is there. `id` and `seq` name the event."""

    serial_number: str
    maker: str | None
    model: str | None
    node: str | None
    start: str
    to: str | None
    id: str | None
    seq: int


class StayList(msgspec.Struct):
    """Who was where, in the order of time."""

    stays: list[StayView]


class AssetView(msgspec.Struct):
    """An asset; `node` is where it is, `installed_s` since when [s], `in_service_s` how long it was anywhere [s]."""

    serial_number: str
    maker: str | None
    model: str | None
    node: str | None
    installed: str | None
    installed_s: float | None
    in_service_s: float
    first_installed: str
    stays: int


class AssetList(msgspec.Struct):
    """All assets that were ever installed."""

    assets: list[AssetView]


class AssetHistory(msgspec.Struct):
    """What a signal showed wherever the asset was: a stretch for each of its stays in the span."""

    asset: AssetView
    stretches: list[SignalHistory]


async def install_asset(context: Context, request: Request) -> Response:
    """An asset comes to a node."""
    query.only(request)
    body = await decoded(context, request, InstallationBody)
    key = idempotency_key(request)
    return answer(context, await asyncio.to_thread(context.twin.reports.report, body.report(), key), 201)


async def remove_asset(context: Context, request: Request) -> Response:
    """An asset is taken out."""
    query.only(request)
    body = await decoded(context, request, RemovalBody)
    remove = partial(context.twin.reports.remove, **body.chosen(), key=idempotency_key(request))
    return answer(context, await asyncio.to_thread(remove))


async def assets(context: Context, request: Request) -> Response:
    """All assets at a glance."""
    plant = await moment(context, request, "maker", "model", "serial_number")
    maker, of_model, serial = (request.query_params.get(name) for name in ("maker", "model", "serial_number"))
    found = await asyncio.to_thread(model.assets, plant, maker, of_model)
    return json_answer(AssetList([asset_view(life) for life in found if serial in (None, life.asset.serial_number)]))


async def stays(context: Context, request: Request) -> Response:
    """Where an asset was when, and what was at a node when."""
    names = ("node", "serial_number", "maker", "model")
    plant = await moment(context, request, *names)
    given = {name: request.query_params.get(name) for name in names}
    found = await asyncio.to_thread(partial(model.stays, plant, **given))
    return json_answer(StayList([stay_view(stay) for stay in found]))


async def asset_history(context: Context, request: Request) -> Response:
    """A signal of wherever the asset was."""
    plant = await moment(context, request, "serial_number", "maker", "signal", "from", "to", "points")
    serial, signal = required(request, "serial_number"), required(request, "signal")
    points = query.whole(request, "points", 0, low=1, high=PAGE) or None
    life = await asyncio.to_thread(model.asset, plant, serial, request.query_params.get("maker"))
    start, end = span(request, plant.now)
    found = await asyncio.to_thread(model.asset_history, plant, life, signal, start, end, points)
    stretches = []
    for stretch in found:
        shown = history_columns(plant, stretch.signal, stretch.history, PAGE)
        shown.start, shown.to = format_time(stretch.start), format_time(stretch.end)
        stretches.append(shown)
    return json_answer(AssetHistory(asset_view(life), stretches))


def stay_view(stay: model.Stay) -> StayView:
    """A stay as clients read it."""
    return StayView(
        serial_number=stay.asset.serial_number,
        maker=stay.asset.maker,
        model=stay.asset.model,
        node=None if stay.place is None else stay.place.id,
        start=format_time(stay.start),
        to=None if stay.end is None else format_time(stay.end),
        id=stay.event.identity,
        seq=stay.event.seq,
    )


def asset_view(life: model.AssetLife) -> AssetView:
    """An asset at a glance."""
    current = life.current
    return AssetView(
        serial_number=life.asset.serial_number,
        maker=life.asset.maker,
        model=life.asset.model,
        node=None if current is None or current.place is None else current.place.id,
        installed=None if current is None else format_time(current.start),
        installed_s=life.installed_s,
        in_service_s=life.in_service_s,
        first_installed=format_time(life.stays[0].start),
        stays=len(life.stays),
    )


_MAKER = Parameter("maker", "Only of this maker; needed where several makers have the serial number")
_SERIAL = Parameter("serial_number", "Only the asset of this serial number")
_MODEL = Parameter("model", "Only of this model")

ENDPOINTS = [
    Endpoint(
        "POST", f"{PREFIX}/assets/installations", install_asset, "Install an asset at a node",
        (Answer("It is durable", Reported, status=201),), "assets", (IDEMPOTENCY,), Body({JSON: InstallationBody}),
        WRITE_PROBLEMS, "What was at the node before, and where the asset was before, ends then.",
    ),
    Endpoint(
        "POST", f"{PREFIX}/assets/removals", remove_asset, "Take an asset out",
        (Answer("It is durable", Reported),), "assets", (IDEMPOTENCY,), Body({JSON: RemovalBody}), WRITE_PROBLEMS,
    ),
    Endpoint(
        "GET", f"{PREFIX}/assets", assets, "All assets that were ever installed",
        (Answer("The assets, in the order of their first installation", AssetList),), "assets",
        (_SERIAL, _MAKER, _MODEL), reads=True,
    ),
    Endpoint(
        "GET", f"{PREFIX}/assets/stays", stays, "Where an asset was when, or what was at a node when",
        (Answer("The stays, in the order of time", StayList),), "assets",
        (Parameter("node", "Only at this node"), _SERIAL, _MAKER, _MODEL), problems=(404,), reads=True,
    ),
    Endpoint(
        "GET", f"{PREFIX}/assets/history", asset_history, "A signal of wherever an asset was",
        (Answer("A stretch for each stay", AssetHistory),), "assets",
        (
            Parameter("serial_number", "The asset", required=True), _MAKER,
            Parameter("signal", "The name that the signal has at each node, such as `speed`", required=True), *SPAN,
            Parameter(
                "points", "At most so many rows in all, as buckets", {"type": "integer", "minimum": 1, "maximum": PAGE}
            ),
        ),
        problems=(400, 404), reads=True,
    ),
]  # fmt: skip
