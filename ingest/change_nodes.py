"""From changed rows to nodes: a table of machines becomes machines of the plant.

A node remembers its row by the property `row`, so that it is found again after its id, parent or name changed.
"""

from collections.abc import Sequence
from typing import Any

from ..twin.define_cdc import RowNodes
from ..twin.errors import InvalidValueError, IoTSenseError
from ..twin.graph import Graph
from ..twin.graph_edit import GraphEdit
from ..twin.model import Level, Node, Origin
from ..twin.times import format_time, now_ns
from .address_book import slug
from .change import UNCHANGED, Change, Row
from .change_samples import Cell, cell

ROW, DELETED = "row", "deleted"
Failed = tuple[Change, str]


class ChangeNodes:
    """The nodes of one table's rows, as `nodes:` says. source: the name of the source, which is in the rows' names."""

    def __init__(self, source: str, wanted: RowNodes) -> None:
        self._source = source
        self._wanted = wanted
        self._id = cell(wanted.id)
        self._parent = cell(wanted.parent)
        self._name = cell(wanted.name) if wanted.name is not None else None
        self._type = cell(wanted.type) if wanted.type is not None else None
        texts = (wanted.id, wanted.parent, wanted.name, wanted.type)
        self._used = {text[2:] for text in texts if text is not None and text.startswith("$.")}
        self._parents: dict[str, int] = {}

    def apply(self, edit: GraphEdit, known: dict[str, int], change: Change) -> None:
        """One change to the graph; known: keys of nodes by row. Raises IoTSenseError if the row cannot be a node."""
        if change.operation == "truncate":
            for row in [row for row in known if row.startswith(f"{self._source}:{change.table}:")]:
                self._delete(edit, known, row, change.time)
            return
        if change.after is None:
            if change.before is not None:
                self._delete(edit, known, self._row(change.table, change.before), change.time)
            return
        row = self._row(change.table, change.after)
        before = row
        if change.before and self._wanted.id.startswith("$.") and change.before.get(self._wanted.id[2:]) is not None:
            before = self._row(change.table, change.before)
        key = known.pop(before, None)
        if key is None or key not in edit.view.node_map:
            key = known.get(row)
        known[row] = self._put(edit, key, row, change.after)

    def _row(self, table: str, row: Row) -> str:
        return f"{self._source}:{table}:{self._id(row)}"

    def _put(self, edit: GraphEdit, key: int | None, row: str, values: Row) -> int:
        short = self._id(values)
        if short is None or not str(short).strip():
            raise InvalidValueError("the row has no id, so it cannot be a node")
        old = edit.view.node_map.get(key) if key is not None else None
        parent = self._parent_of(edit, str(self._parent(values)))
        name = _told(self._name, values, old.name if old else None)
        kind = _told(self._type, values, old.type if old else None)
        level = Level(self._wanted.level)
        prefix = f"{parent.id}." if level is Level.COMPONENT else ""
        fields: dict[str, Any] = {
            "id": prefix + slug(str(short)),
            "name": str(name) if name is not None else str(short),
            "type": str(kind) if kind is not None else None,
            "parent": parent.key,
        }
        if key is None:
            key = edit.view.key_by_id.get(fields["id"])
        told = self._properties(values, row, str(short))
        if key is None:
            return edit.add_node(level=level, origin=Origin.DISCOVERED, properties=told, **fields).key
        old = edit.view.node(key)
        kept = {name: value for name, value in old.properties.items() if name != DELETED}
        if old.origin is Origin.DEFINED:
            # The engineer's definition says what it is and where it stands; the row adds what it knows.
            fields = {}
        return edit.update_node(key, properties=kept | told, **fields).key

    def _parent_of(self, edit: GraphEdit, text: str) -> Node:
        key = edit.view.key_by_id.get(text) or self._parents.get(text)
        if key is not None and (node := edit.view.node_map.get(key)) is not None and text in (node.id, node.short_id):
            return node
        found = [node for node in edit.graph.node_map.values() if node.short_id == text]
        if len(found) != 1:
            many = f"several nodes are called {text}: {', '.join(n.id for n in found[:3])}" if found else ""
            raise InvalidValueError(many or f"there is no node {text} for the row to stand below")
        self._parents[text] = found[0].key
        return found[0]

    def _properties(self, values: Row, row: str, short: str) -> dict[str, Any]:
        wanted = self._wanted.properties
        names = wanted if wanted is not None else [name for name in values if name not in self._used]
        found = {name: values[name] for name in names if values.get(name) not in (None, UNCHANGED)}
        return found | {ROW: row} | ({"source": short} if slug(short) != short else {})

    def _delete(self, edit: GraphEdit, known: dict[str, int], row: str, time: int | None) -> None:
        key = known.get(row)
        if key is None or key not in edit.view.node_map:
            known.pop(row, None)
            return
        if self._wanted.on_delete == "remove":
            known.pop(row)
            _remove(edit, key)
            return
        node = edit.view.node(key)
        if DELETED not in node.properties:
            stamp = format_time(time if time is not None else now_ns())
            edit.update_node(key, properties=node.properties | {DELETED: stamp})


def _told(wanted: Cell | None, values: Row, before: str | None) -> Any:
    value = wanted(values) if wanted is not None else None
    return before if value is UNCHANGED else value


def _remove(edit: GraphEdit, key: int) -> None:
    for child in edit.graph.children(key):
        _remove(edit, child.key)
    edit.remove_node(key)


def known_rows(graph: Graph, source: str) -> dict[str, int]:
    """Keys of the nodes that rows of a source have become, by row."""
    rows = ((node.properties.get(ROW), node.key) for node in graph.node_map.values())
    return {row: key for row, key in rows if isinstance(row, str) and row.startswith(f"{source}:")}


def apply_all(edit: GraphEdit, source: str, changes: Sequence[tuple[ChangeNodes, Change]]) -> list[Failed]:
    """All changes in order as one revision; those that cannot be, with the reason."""
    failed: list[Failed] = []
    known = known_rows(edit.graph, source)
    for nodes, change in changes:
        try:
            nodes.apply(edit, known, change)
        except IoTSenseError as error:
            failed.append((change, str(error)))
    return failed
