"""The questions."""

import asyncio

import strawberry

from ..twin import model
from ..twin.access import Scope
from ..twin.anomalies import anomaly as told_anomaly
from ..twin.model import Level
from ..twin.times import now_ns
from .command_query import CommandQuery
from .definition_query import DefinitionQuery
from .event_type import Anomaly, Event
from .field import root_field
from .graph_query import GraphQuery
from .ingest_query import IngestQuery
from .letter_mutation import LetterQuery
from .moment import Ask, plant_field
from .node_order import NodeOrder
from .node_page import NodeConnection, NodePage, find_page
from .node_type import Node, Relationship, check_first
from .node_where import NodeWhere, mentions
from .publishing_query import PublishingQuery
from .report_query import ReportQuery
from .revision_query import RevisionQuery
from .scalars import Long
from .scenario_query import ScenarioQuery
from .service_type import Service, Source
from .signal_type import Signal
from .storage_query import StorageQuery
from .view import View
from .words import HealthStatus


@strawberry.type
class Query(
    GraphQuery,
    CommandQuery,
    DefinitionQuery,
    IngestQuery,
    LetterQuery,
    ReportQuery,
    PublishingQuery,
    ScenarioQuery,
    StorageQuery,
    RevisionQuery,
):
    @plant_field
    def twin(self, view: View, id: strawberry.ID) -> Node | None:
        """A twin: a line, or an area that holds components itself."""
        return Node.of(view, view.twin_node(id))

    @plant_field
    def twins(self, view: View) -> list[Node]:
        """All twins."""
        return [Node.of(view, node) for node in view.graph.twins()]

    @plant_field
    def node(self, view: View, id: strawberry.ID) -> Node | None:
        """The node of this id, or of this ending of an id where only one has it."""
        return Node.of(view, view.find(id))

    @plant_field
    async def nodes(
        self,
        view: View,
        level: list[Level] | None = None,
        type: str | None = None,
        health: list[HealthStatus] | None = None,
        search: str | None = None,
        ids: list[strawberry.ID] | None = None,
        first: int = 100,
        after: str | None = None,
        where: NodeWhere | None = None,
        order_by: list[NodeOrder] | None = None,
    ) -> NodePage:
        """Nodes in the order in which they came, unless told, narrowed by what is given; 100 unless told."""
        given = view.graph.nodes() if ids is None else iter([view.find(id) for id in ids])
        words = None if search is None else search.lower().split()
        found = (node for node in given if _fits(node, level, type, words))
        if health is not None:
            found = (node for node in found if view.health(node)[1] in health)
        return (await find_page(view, found, where, order_by, first, after)).page()

    @plant_field
    async def nodes_connection(
        self,
        view: View,
        first: int = 100,
        after: str | None = None,
        where: NodeWhere | None = None,
        order_by: list[NodeOrder] | None = None,
    ) -> NodeConnection:
        """The same as a connection, each node with its cursor."""
        return (await find_page(view, view.graph.nodes(), where, order_by, first, after)).connection()

    @plant_field
    def revision(self, view: View) -> Long:
        """The revision of the structure that all fields of this answer show, if they ask for the same instant."""
        return Long(view.graph.revision)

    @plant_field
    def signal(self, view: View, id: strawberry.ID) -> Signal | None:
        """A signal: line.component.sensor, component.speed, component.health ..."""
        return Signal.of(view, view.graph.find_signal(id))

    @plant_field
    def relationships(self, view: View, type: str | None = None) -> list[Relationship]:
        """All relationships, of one type if told."""
        return [Relationship.of(view, arrow, arrow.target) for arrow in view.graph.relationships(type)]

    @plant_field
    def anomalies(self, view: View, first: int = 100) -> list[Anomaly]:
        """Anomalies that are open now, the newest first."""
        check_first(first)
        return [Anomaly.of(view, event) for event in view.open_anomalies[:first]]

    @plant_field
    async def anomaly(self, view: View, id: strawberry.ID) -> Anomaly | None:
        """One anomaly: by its identity, or by the number of any event that tells of it."""
        return Anomaly.of(view, await asyncio.to_thread(told_anomaly, view.plant, id))

    @plant_field
    async def events(
        self,
        view: View,
        after: Long = Long(0),  # noqa: B008
        first: int = 100,
        node: strawberry.ID | None = None,
        kind: str | None = None,
        newest_first: bool = False,
    ) -> list[Event]:
        """The log of events behind the number `after`, oldest first unless told.

        In that order one of the kind `gone` stands where events are gone; its data have the numbers `from` and `to`.
        """
        check_first(first)
        key = None if node is None else view.find(node).key
        if newest_first:
            found = await asyncio.to_thread(
                view.plant.events, int(after), first, node=key, kind=kind, newest_first=True
            )
        else:
            found = await asyncio.to_thread(view.plant.event_log, int(after), first, node=key, kind=kind)
        return [Event.of(view, event) for event in found]

    @root_field(Scope.SERVICE_READ)
    def sources(self, info: Ask) -> list[Source]:
        """The configured sources and how they are doing."""
        return [Source.of(status) for status in info.context.service.sources().values()]

    @root_field(Scope.SERVICE_READ)
    def service(self, info: Ask) -> Service:
        """The running service."""
        return Service.of(info.context.service, now_ns())


def _fits(node: model.Node, levels: list[Level] | None, type: str | None, words: list[str] | None) -> bool:
    if levels is not None and node.level not in levels:
        return False
    if type is not None and node.type != type:
        return False
    return words is None or mentions(node, words)
