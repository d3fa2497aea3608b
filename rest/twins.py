"""Twins: the lines of the plant, and their state in the specification's shape."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from ..twin.as_of import AsOf
from ..twin.errors import NotFoundError
from ..twin.graph import Graph
from ..twin.model import Level, Node
from .answer import json_answer, tagged_answer
from .context import Context
from .endpoint import PREFIX, Answer, Endpoint
from .following import FOLLOWED, PARAMETERS, stream_answer, wants_stream
from .layout import state_document
from .moment import moment
from .nodes import NODE_PROBLEMS, health_of, node_view
from .shapes import NodeView, State, TwinList, TwinSummary


async def twins(context: Context, request: Request) -> Response:
    """Every twin at a glance."""
    plant = await moment(context, request)
    return json_answer(TwinList([_summary(plant, node) for node in plant.graph.twins()]))


async def twin(context: Context, request: Request) -> Response:
    """A twin's node."""
    plant = await moment(context, request)
    return json_answer(node_view(plant, _twin(plant.graph, request.path_params["id"])))


async def twin_state(context: Context, request: Request) -> Response:
    """A twin's state."""
    plant = await moment(context, request, "max_hz")
    id = request.path_params["id"]
    tag, body = _state(context, plant, id, request.query_params.get("scenario"))
    if wants_stream(request, plant):
        return stream_answer(context, request, "state", lambda: _state(context, context.twin.as_of(), id))
    return tagged_answer(request, tag, body, {"Vary": "Accept"})


def _state(context: Context, plant: AsOf, id: str, scenario: str | None = None) -> tuple[str, Callable[[], bytes]]:
    """The ETag of a twin's state, and what makes its bytes."""
    graph = plant.graph
    layout = context.layouts.of(graph, _twin(graph, id))
    columns = plant.snapshot(layout.signals)
    newest = int(columns.seq.max()) if len(columns.seq) else 0
    if not plant.live:
        # What is late may change the past; the same question behind the same entry has the same answer.
        newest = hash((plant.time, plant.known_at, scenario, context.twin.last_seq))
    tag = f'"{context.instance}.{graph.revision}.{newest}"'
    kind = (layout.node.key, plant.live)
    return tag, lambda: context.made.body(kind, tag, lambda: state_document(layout, columns, plant))


def _twin(graph: Graph, id: str) -> Node:
    node = graph.find(id)
    if node.level not in (Level.LINE, Level.AREA):
        names = ", ".join(twin.id for twin in graph.twins()[:10]) or "none yet"
        raise NotFoundError(f"{node.id} is a {node.level}, not a twin; the twins are: {names}")
    return node


def _summary(plant: AsOf, node: Node) -> TwinSummary:
    below = list(plant.graph.descendants(node.key))
    keys = {node.key, *(child.key for child in below)}
    return TwinSummary(
        id=node.id,
        name=node.name,
        type=node.type,
        components=sum(child.level is Level.COMPONENT for child in below),
        sensors=sum(child.level is Level.SENSOR for child in below),
        health=health_of(plant, node),
        open_anomalies=sum(event.node in keys for event in plant.open_events("anomaly")),
    )


ENDPOINTS = [
    Endpoint(
        "GET", f"{PREFIX}/twins", twins, "All twins at a glance", (Answer("The twins", TwinList),), "twins", reads=True
    ),
    Endpoint(
        "GET",
        f"{PREFIX}/twins/{{id}}",
        twin,
        "A twin's node",
        (Answer("The node", NodeView),),
        "twins",
        problems=NODE_PROBLEMS,
        reads=True,
    ),
    Endpoint(
        "GET",
        f"{PREFIX}/twins/{{id}}/state",
        twin_state,
        "The state of a twin's components now",
        (
            Answer("The state, under a strong ETag", State),
            FOLLOWED,
            Answer("It has not changed", media=None, status=304),
        ),
        "twins",
        PARAMETERS,
        problems=(400, *NODE_PROBLEMS),
        reads=True,
        description="Keys are the sensors' names. A key without a reading, and a KPI without an engine, is absent.",
    ),
]
