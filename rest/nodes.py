"""Nodes of the graph."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from ..analytics.health import health_status
from ..twin.as_of import AsOf
from ..twin.graph import HEALTH, Graph
from ..twin.model import Level, Node, Origin, Relationship, Signal, quality_word
from ..twin.state import NEVER
from ..twin.times import format_time
from . import query
from .answer import digest_tag, encoded, json_answer, tagged_answer
from .context import Context
from .endpoint import PREFIX, Answer, Endpoint, Parameter
from .following import FOLLOWED, PARAMETERS, stream_answer, wants_stream
from .layout import number, shown
from .moment import moment
from .shapes import Arrow, Health, NodeList, NodeSummary, NodeView, SignalView

NODE_PROBLEMS = (404,)
PAGE = 100


async def nodes(context: Context, request: Request) -> Response:
    """A page of nodes."""
    graph = (await moment(context, request, "level", "type", "origin", "within", "after", "limit")).graph
    level = query.choice(request, "level", Level)
    origin = query.choice(request, "origin", Origin)
    after = query.whole(request, "after", 0)
    limit = query.whole(request, "limit", PAGE, low=1, high=1000)
    within = request.query_params.get("within")
    below = None if within is None else {node.key for node in graph.descendants(graph.find(within).key)}
    page = []
    for node in graph.nodes(level, request.query_params.get("type"), origin):
        if node.key > after and (below is None or node.key in below):
            page.append(node)
            if len(page) > limit:
                break
    more = page[limit - 1].key if len(page) > limit else None
    return json_answer(NodeList([node_summary(graph, node) for node in page[:limit]], more))


async def node(context: Context, request: Request) -> Response:
    """One node."""
    plant = await moment(context, request, "max_hz")
    id = request.path_params["id"]
    tag, body = _looked(plant, id)
    if wants_stream(request, plant):
        return stream_answer(context, request, "node", lambda: _looked(context.twin.as_of(), id))
    return tagged_answer(request, tag, body, {"Vary": "Accept"})


def _looked(plant: AsOf, id: str) -> tuple[str, Callable[[], bytes]]:
    """A node's ETag and bytes. No number tells of all that is in it: readings, health, anomalies, what is stale."""
    body = encoded(node_view(plant, plant.graph.find(id)))
    return digest_tag(body), lambda: body


def node_summary(graph: Graph, node: Node) -> NodeSummary:
    """A node at a glance."""
    parent = None if node.parent is None else graph.node(node.parent).id
    return NodeSummary(node.id, node.name, node.level.value, node.type, parent, node.origin.value)


def node_view(plant: AsOf, node: Node) -> NodeView:
    """A node with what it contains, its signals and its sensors', and its relationships."""
    graph = plant.graph
    summary = node_summary(graph, node)
    signals = graph.signals_of(node.key)
    for sensor in graph.sensors(node.key):
        signals += graph.signals_of(sensor.key)
    return NodeView(
        **{name: getattr(summary, name) for name in summary.__struct_fields__},
        properties=node.properties,
        children=[node_summary(graph, child) for child in graph.children(node.key)],
        signals=[signal_view(plant, signal) for signal in signals],
        outgoing=[_arrow(graph, r, r.target) for r in graph.outgoing(node.key)],
        incoming=[_arrow(graph, r, r.source) for r in graph.incoming(node.key)],
        health=health_of(plant, node),
        open_anomalies=[event.seq for event in plant.open_events("anomaly", node.key)],
    )


def signal_view(plant: AsOf, signal: Signal) -> SignalView:
    """A signal with its latest reading."""
    reading = plant.read(signal.index)
    return SignalView(
        id=plant.graph.signal_id(signal),
        name=signal.name,
        role=signal.role.value,
        unit=signal.unit,
        data_type=None if signal.data_type is None else signal.data_type.value,
        value=None if reading is None else shown(reading.value, signal, plant),
        time=None if reading is None or reading.time == NEVER else format_time(reading.time),
        quality=None if reading is None else quality_word(reading.quality),
        stale=plant.is_stale(signal.index),
        low=signal.low,
        high=signal.high,
        stepped=signal.stepped,
        expected_interval=signal.expected_interval,
        labels=list(plant.labels(signal.index)),
    )


def health_of(plant: AsOf, node: Node) -> Health | None:
    """The latest health of a node; None before there is any."""
    signal = plant.graph.signal_of(node.key, HEALTH)
    reading = None if signal is None else plant.read(signal.index)
    return None if reading is None else Health(number(reading.value), health_status(reading.value))


def _arrow(graph: Graph, relationship: Relationship, other: int) -> Arrow:
    return Arrow(relationship.type, graph.node(other).id, relationship.properties)


ENDPOINTS = [
    Endpoint(
        "GET",
        f"{PREFIX}/nodes",
        nodes,
        "A page of nodes",
        (Answer("The nodes, in the order in which they came", NodeList),),
        "nodes",
        (
            Parameter(
                "level", "Only nodes of this level", {"type": "string", "enum": [level.value for level in Level]}
            ),
            Parameter("type", "Only nodes of this type"),
            Parameter("origin", "Only nodes of this origin", {"type": "string", "enum": [o.value for o in Origin]}),
            Parameter("within", "Only nodes below this one"),
            Parameter("after", "`next` of the page before", {"type": "integer", "minimum": 0, "default": 0}),
            Parameter("limit", "How many", {"type": "integer", "minimum": 1, "maximum": 1000, "default": PAGE}),
        ),
        problems=(400, 404),
        reads=True,
    ),
    Endpoint(
        "GET",
        f"{PREFIX}/nodes/{{id}}",
        node,
        "A node with its signals and relationships",
        (
            Answer("The node, under a strong ETag", NodeView),
            FOLLOWED,
            Answer("It has not changed", media=None, status=304),
        ),
        "nodes",
        PARAMETERS,
        problems=(400, *NODE_PROBLEMS),
        reads=True,
    ),
]
