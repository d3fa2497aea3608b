"""Anomalies as they stand, and what people say about them: that they have seen one, and comments."""

import asyncio
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from ..twin.access import acting_for
from ..twin.anomalies import anomaly, concerns, latest_anomalies, open_anomalies
from ..twin.as_of import AsOf
from ..twin.graph import Graph
from ..twin.model import Event
from ..twin.remarks import LONGEST, NONE, Comment, Remarks, remarks_of
from ..twin.times import format_time
from . import query
from .answer import json_answer
from .context import Context
from .endpoint import JSON, PREFIX, Answer, Body, Endpoint, Parameter
from .moment import moment
from .report_bodies import decoded, idempotency_key
from .reports import IDEMPOTENCY

PAGE = 1000
_Text = Annotated[str, Meta(min_length=1, max_length=LONGEST)]


class CommentView(msgspec.Struct):
    """What somebody said about an anomaly, and when."""

    by: str
    time: str
    text: str


class AnomalyView(msgspec.Struct):
    """Something that a rule noticed, open until `until`. `id` stays the same from onset to end; `seq` is the number of
    the event that last told of it. `acknowledged_by` is whoever said first that they have seen it.
    """

    id: str
    seq: int
    node: str | None
    signal: str | None
    rule: str
    severity: str
    metric: str | None
    operator: str | None
    threshold: float | None
    value: float | None
    unit: str | None
    since: str
    until: str | None
    open: bool
    acknowledged_by: str | None
    acknowledged_at: str | None
    comments: list[CommentView]


class AnomalyList(msgspec.Struct):
    """Anomalies, the newest first."""

    anomalies: list[AnomalyView]


class Acknowledgement(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody has seen it, and may say something about it."""

    comment: _Text | None = None


class NewComment(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody says about an anomaly."""

    text: _Text


async def anomalies(context: Context, request: Request) -> Response:
    """Anomalies, the newest first."""
    plant = await moment(context, request, "node", "open", "acknowledged", "limit")
    limit = query.whole(request, "limit", PAGE, low=1, high=PAGE)
    given = request.query_params
    key = plant.graph.find(given["node"]).key if "node" in given else None
    seen = query.flag(request, "acknowledged") if "acknowledged" in given else None
    found = await asyncio.to_thread(_found, plant, key, query.flag(request, "open", True), seen)
    return json_answer(AnomalyList(found[:limit]))


async def one_anomaly(context: Context, request: Request) -> Response:
    """One anomaly."""
    plant = await moment(context, request)
    return json_answer(await asyncio.to_thread(_one, plant, request.path_params["id"]))


async def acknowledge_anomaly(context: Context, request: Request) -> Response:
    """Somebody has seen an anomaly."""
    query.only(request)
    said = await decoded(context, request, Acknowledgement)
    return await _told(context, request, partial(context.twin.remarks.acknowledge, comment=said.comment))


async def comment_anomaly(context: Context, request: Request) -> Response:
    """Somebody says something about an anomaly."""
    query.only(request)
    said = await decoded(context, request, NewComment)
    return await _told(context, request, partial(context.twin.remarks.comment, text=said.text))


async def _told(context: Context, request: Request, say: Any) -> Response:
    id, by = request.path_params["id"], acting_for(request.scope).name
    about, remarks = await asyncio.to_thread(say, id, by, key=idempotency_key(request))
    return json_answer(anomaly_view(context.twin.graph, about, remarks))


def _found(plant: AsOf, node: int | None, only_open: bool, acknowledged: bool | None) -> list[AnomalyView]:
    events = open_anomalies(plant) if only_open else latest_anomalies(plant)
    events = [event for event in events if node is None or concerns(plant.graph, event, node)]
    said = remarks_of(plant, [str(event.identity) for event in events])
    views = [anomaly_view(plant.graph, event, said.get(str(event.identity), NONE)) for event in events]
    return [view for view in views if acknowledged in (None, view.acknowledged_by is not None)]


def _one(plant: AsOf, id: str) -> AnomalyView:
    found = anomaly(plant, id)
    said = remarks_of(plant, [str(found.identity)])
    return anomaly_view(plant.graph, found, said.get(str(found.identity), NONE))


def anomaly_view(graph: Graph, event: Event, remarks: Remarks) -> AnomalyView:
    """An anomaly as clients read it; where its node or signal is gone, it has no id any more."""
    data = event.data
    node = None if event.node is None else graph.node_map.get(event.node)
    signal = graph.signal_map.get(data.get("signal", -1))
    named = {name: data.get(name) for name in ("metric", "operator", "threshold", "value", "unit")}
    return AnomalyView(
        id=event.identity or str(event.seq),
        seq=event.seq,
        node=None if node is None else node.id,
        signal=None if signal is None else graph.signal_id(signal),
        rule=data.get("rule", ""),
        severity=data.get("severity", ""),
        since=format_time(event.time),
        until=_time(event.until),
        open=event.until is None and event.retracts is None,
        acknowledged_by=remarks.acknowledged_by,
        acknowledged_at=_time(remarks.acknowledged_at),
        comments=[_comment(each) for each in remarks.comments],
        **named,
    )


def _comment(said: Comment) -> CommentView:
    return CommentView(said.by, format_time(said.time), said.text)


def _time(at: int | None) -> str | None:
    return None if at is None else format_time(at)


_ONE = f"{PREFIX}/anomalies/{{id:path}}"
_SAID = (Answer("The anomaly; what was said is durable", AnomalyView),)
_PROBLEMS = (400, 404, 409, 413, 415, 422, 503, 507)
_FLAG = {"type": "boolean"}

ENDPOINTS = [
    Endpoint(
        "GET", f"{PREFIX}/anomalies", anomalies, "Anomalies, the newest first",
        (Answer("The anomalies, with what people said about them", AnomalyList),), "anomalies",
        (
            Parameter("node", "Only those of this node and of what is below it"),
            Parameter("open", "`false`: the last ones that ended, too", _FLAG | {"default": True}),
            Parameter("acknowledged", "Only those that somebody has seen, or (`false`) nobody", _FLAG),
            Parameter("limit", "How many", {"type": "integer", "minimum": 1, "maximum": PAGE, "default": PAGE}),
        ),
        problems=(400, 404), reads=True,
    ),
    Endpoint(
        "POST", f"{_ONE}/acknowledge", acknowledge_anomaly, "Acknowledge an anomaly", _SAID, "anomalies",
        (IDEMPOTENCY,), Body({JSON: Acknowledgement}), _PROBLEMS, narrows=True,
        description="The first who does counts; whoever does it again changes nothing.",
    ),
    Endpoint(
        "POST", f"{_ONE}/comments", comment_anomaly, "Comment an anomaly", _SAID, "anomalies",
        (IDEMPOTENCY,), Body({JSON: NewComment}), _PROBLEMS, narrows=True,
    ),
    Endpoint(
        "GET", _ONE, one_anomaly, "One anomaly", (Answer("The anomaly", AnomalyView),), "anomalies",
        problems=(404,), reads=True, description="By its id, or the number of any event that tells of it.",
    ),
]  # fmt: skip
