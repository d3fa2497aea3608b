"""The order of a list of nodes, and the cursors that find a place in it again.

A cursor names the place behind a node by what the node is sorted by, not by how many are before it: nodes that come or
go meanwhile move nobody else to another page.
"""

import base64
import binascii
import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from enum import Enum
from operator import attrgetter, itemgetter
from typing import Any

import orjson
import strawberry

from ..twin.errors import InvalidValueError
from ..twin.model import Level, Node, Quality
from ..twin.question_rollup import shown_under
from .node_where import NodeWhere, condition
from .view import View

MOST_CRITERIA = 8
_LEVELS = {level: rank for rank, level in enumerate(Level)}

Value = tuple[int, float | str]
"""What is compared: numbers (0) come before texts (1)."""


@strawberry.enum(description="What nodes are sorted by. KEY is the order in which they came.")
class NodeSort(Enum):
    KEY = "key"
    ID = "id"
    NAME = "name"
    TYPE = "type"
    LEVEL = "level"
    HEALTH = "health"
    SIGNAL = "signal"


@strawberry.enum(description="The least first, or the greatest.")
class SortDirection(Enum):
    ASC = "asc"
    DESC = "desc"


@strawberry.input(description="What nodes are sorted by. Those without it come last, whatever the direction.")
class NodeOrder:
    field: NodeSort
    signal: str | None = strawberry.field(default=None, description="With SIGNAL: what the node shows under this name.")
    direction: SortDirection = SortDirection.ASC


Row = tuple[tuple[Value | None, ...], Node]
"""What a node is sorted by, and the node; a plain tuple, since one is made for every node of the plant."""


class Ordering:
    """Sorts nodes of a view; raises InvalidValueError for criteria that make no sense. Ties go by key."""

    def __init__(self, view: View, order_by: Sequence[NodeOrder] | None) -> None:
        self._view = view
        self._criteria = () if order_by is None else _checked(order_by)
        said = [(each.field.value, each.signal, each.direction.value) for each in self._criteria]
        self._name = hashlib.blake2b(repr(said).encode(), digest_size=4).hexdigest()

    def sort(self, nodes: Iterable[Node]) -> list[Row]:
        """The nodes in order."""
        listed = sorted(nodes, key=attrgetter("key"))
        if not self._criteria:
            return [((), node) for node in listed]
        rows: list[Row] = [(self._values(node), node) for node in listed]
        for place, each in reversed(list(enumerate(self._criteria))):
            known = [(value, row) for row in rows if (value := row[0][place]) is not None]
            known.sort(key=itemgetter(0), reverse=each.direction is SortDirection.DESC)  # equals keep their order
            rows = [row for _, row in known] + [row for row in rows if row[0][place] is None]
        return rows

    def cursor(self, row: Row) -> str:
        """The place behind a row; without criteria simply the node's key."""
        if not self._criteria:
            return str(row[1].key)
        told = orjson.dumps([self._name, row[0], row[1].key])
        return base64.urlsafe_b64encode(told).rstrip(b"=").decode()

    def behind(self, rows: Sequence[Row], cursor: str | None) -> int:
        """Where the rows behind a cursor begin; raises InvalidValueError for what is none of this order."""
        if cursor is None:
            return 0
        values, key = self._place(cursor)
        return bisect_left(range(len(rows)), True, key=lambda i: self._is_behind(rows[i], values, key))

    def _values(self, node: Node) -> tuple[Value | None, ...]:
        return tuple(self._value(node, each) for each in self._criteria)

    def _value(self, node: Node, order: NodeOrder) -> Value | None:
        match order.field:
            case NodeSort.KEY:
                return (0, node.key)
            case NodeSort.LEVEL:
                return (0, _LEVELS[node.level])
            case NodeSort.HEALTH:
                score = self._view.health(node)[0]
                return None if score is None else (0, score)
            case NodeSort.SIGNAL:
                return self._shown(node, order.signal or "")
        text = getattr(node, order.field.value)
        return None if text is None else (1, text)

    def _shown(self, node: Node, name: str) -> Value | None:
        for signal in shown_under(self._view.graph, node, name):
            reading = self._view.reading(signal)
            if reading is not None and reading.quality >= Quality.UNCERTAIN:
                value = self._view.shown(signal, reading.value)
                if value is not None:
                    return (1, value) if isinstance(value, str) else (0, float(value))
        return None

    def _is_behind(self, row: Row, values: Sequence[Value | None], key: int) -> bool:
        for mine, other, each in zip(row[0], values, self._criteria, strict=True):
            if mine == other:
                continue
            if mine is None or other is None:
                return mine is None
            return mine < other if each.direction is SortDirection.DESC else mine > other
        return row[1].key > key

    def _place(self, cursor: str) -> tuple[tuple[Value | None, ...], int]:
        if not self._criteria and cursor.isascii() and cursor.isdigit() and len(cursor) < 20:
            return (), int(cursor)
        try:
            name, values, key = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            if self._criteria and name == self._name and type(key) is int:
                return tuple(map(_value, values)), key
        except (binascii.Error, UnicodeEncodeError, TypeError, ValueError):
            pass
        raise InvalidValueError(f"after must be a cursor of a page before in the same order, not {cursor!r}", "after")


def in_order(
    view: View, nodes: Sequence[Node], where: NodeWhere | None, order_by: Sequence[NodeOrder] | None
) -> list[Node]:
    """Of a few nodes those that `where` means, in order."""
    kept = nodes if where is None else filter(condition(view, where), nodes)
    return list(kept) if order_by is None else [row[1] for row in Ordering(view, order_by).sort(kept)]


def _value(told: Any) -> Value | None:
    if told is None:
        return None
    kind, value = told
    if (kind == 0 and isinstance(value, int | float)) or (kind == 1 and isinstance(value, str)):
        return kind, value
    raise ValueError(told)


def _checked(order_by: Sequence[NodeOrder]) -> tuple[NodeOrder, ...]:
    if not 1 <= len(order_by) <= MOST_CRITERIA:
        raise InvalidValueError(f"orderBy takes 1 to {MOST_CRITERIA} criteria, not {len(order_by)}", "orderBy")
    seen = set()
    for i, each in enumerate(order_by):
        place = f"orderBy[{i}]"
        if each.field is NodeSort.SIGNAL and not each.signal:
            raise InvalidValueError(f"{place}: say by which signal", f"{place}.signal")
        if each.field is not NodeSort.SIGNAL and each.signal is not None:
            raise InvalidValueError(f"{place}: only SIGNAL takes a signal", f"{place}.signal")
        if (each.field, each.signal) in seen:
            raise InvalidValueError(f"{place}: this is sorted by already", place)
        seen.add((each.field, each.signal))
    return tuple(order_by)
