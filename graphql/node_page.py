"""Pages of nodes: what is found, in order, from a cursor on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import strawberry

from ..twin import model
from ..twin.question import answered
from .node_order import NodeOrder, Ordering, Row
from .node_type import Node, check_first
from .node_where import NodeWhere, condition
from .view import View

MOST_NODES = 1_000
# Looking at so many nodes takes some ms: with more a thread does it, and the event loop goes on.
INLINE_NODES = 2_000


@strawberry.type(description="Where a page begins and ends, and whether there is more.")
class PageInfo:
    start_cursor: str | None
    end_cursor: str | None = strawberry.field(description="Give it as `after` to get the next page.")
    has_previous_page: bool
    has_next_page: bool


@strawberry.type(description="A page of nodes.")
class NodePage:
    nodes: list[Node]
    total_count: int = strawberry.field(description="How many there are on all pages.")
    page_info: PageInfo


@strawberry.type(description="A node, and the place behind it.")
class NodeEdge:
    cursor: str
    node: Node


@strawberry.type(description="A page of nodes, as Relay has it.")
class NodeConnection:
    edges: list[NodeEdge]
    total_count: int = strawberry.field(description="How many there are on all pages.")
    page_info: PageInfo


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of one page, and how many there are in all."""

    view: View
    ordering: Ordering
    rows: Sequence[Row]
    total: int
    info: PageInfo

    def page(self) -> NodePage:
        """As a page."""
        nodes = [Node.of(self.view, node) for _, node in self.rows]
        return NodePage(nodes=nodes, total_count=self.total, page_info=self.info)

    def connection(self) -> NodeConnection:
        """As a connection."""
        cursor = self.ordering.cursor
        edges = [NodeEdge(cursor=cursor(row), node=Node.of(self.view, row[1])) for row in self.rows]
        return NodeConnection(edges=edges, total_count=self.total, page_info=self.info)


async def find_page(
    view: View,
    nodes: Iterable[model.Node],
    where: NodeWhere | None,
    order_by: Sequence[NodeOrder] | None,
    first: int,
    after: str | None,
) -> Found:
    """Of the nodes those that `where` means, in order, the `first` behind a cursor. Raises InvalidValueError."""
    check_first(first, MOST_NODES)
    if (where is None and order_by is None) or len(view.graph) <= INLINE_NODES:
        return _page(view, nodes, where, order_by, first, after)
    return await answered(view.plant, lambda _: _page(view, nodes, where, order_by, first, after))


def _page(
    view: View,
    nodes: Iterable[model.Node],
    where: NodeWhere | None,
    order_by: Sequence[NodeOrder] | None,
    first: int,
    after: str | None,
) -> Found:
    ordering = Ordering(view, order_by)
    rows = ordering.sort(nodes if where is None else filter(condition(view, where), nodes))
    start = ordering.behind(rows, after)
    shown = rows[start : start + first]
    info = PageInfo(
        start_cursor=ordering.cursor(shown[0]) if shown else None,
        end_cursor=ordering.cursor(shown[-1]) if shown else after,
        has_previous_page=start > 0,
        has_next_page=len(rows) > start + first,
    )
    return Found(view, ordering, shown, len(rows), info)
