"""Nodes, signals, relationships and sections of a bulk import by ids: merged into the graph that is there."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from .bulk_report import BadRow, Misfits
from .bulk_rows import SIGNAL_FIELDS, NodeRow, RelationshipRow, SectionRow, SignalRow
from .bulk_source import Placed
from .errors import IoTSenseError
from .graph_edit import GraphEdit
from .project import Project
from .twin import Twin

CHUNK = 50_000
AUTHOR = "bulk import"
Progress = Callable[[int], None]


class Structure:
    """Takes in rows, many as one revision; what is there already by its id is changed into what its row says.

    `signals`: the signals' indexes here by those that the rows gave them. `counts`: rows taken in, by kind.
    """

    def __init__(self, twin: Twin, misfits: Misfits) -> None:
        self._twin = twin
        self._misfits = misfits
        self._keys: dict[str, int] = {}
        self.signals: dict[int, int] = {}
        self.counts: dict[str, int] = {}

    def take(self, rows: Mapping[type, Sequence[Placed]], progress: Progress) -> None:
        """All structure among the rows (by kind), whatever their order. Raises StorageError; InvalidValueError."""
        self._take("nodes", self._parents_first(rows.get(NodeRow, ())), self._node, progress)
        self._take("signals", rows.get(SignalRow, ()), self._signal, progress)
        self._take("relationships", rows.get(RelationshipRow, ()), self._relationship, progress)
        self._take("definitions", rows.get(SectionRow, ()), self._section, progress)

    def _take(
        self, name: str, rows: Iterable[Placed], put: Callable[[GraphEdit, Any], None], progress: Progress
    ) -> None:
        rows = iter(rows)
        while chunk := list(islice(rows, CHUNK)):
            taken = self._twin.change(partial(self._put, chunk, put), AUTHOR)
            self.counts[name] = self.counts.get(name, 0) + taken
            progress(len(chunk))

    def _put(self, chunk: Sequence[Placed], put: Callable[[GraphEdit, Any], None], edit: GraphEdit) -> int:
        taken = 0
        for placed in chunk:
            try:
                put(edit, placed.row)
                taken += 1
            except IoTSenseError as error:
                self._refuse(placed, str(error))
        return taken

    def _key(self, edit: GraphEdit, id: str) -> int:
        """The node of an id; those of this import are found at once."""
        key = self._keys.get(id)
        return edit.view.find(id).key if key is None else key

    def _refuse(self, placed: Placed, reason: str) -> None:
        self._misfits.add(BadRow(placed.file, placed.line, reason))

    def _parents_first(self, nodes: Sequence[Placed]) -> Iterator[Placed]:
        """Each node behind its parent; a second row of one id and a circle of parents are told of."""
        by_id: dict[str, Placed] = {}
        for placed in nodes:
            assert isinstance(placed.row, NodeRow)
            if placed.row.id in by_id:
                self._refuse(placed, f"{placed.row.id} is in line {by_id[placed.row.id].line} already")
            else:
                by_id[placed.row.id] = placed
        for first in list(by_id):
            path: dict[str, Placed] = {}
            id: str | None = first
            while id is not None and id in by_id:
                path[id] = by_id.pop(id)
                row = path[id].row
                assert isinstance(row, NodeRow)
                id = row.parent
            if id in path:
                for placed in path.values():
                    self._refuse(placed, f"its parents make a circle: {', '.join(path)}")
            else:
                yield from reversed(path.values())

    def _node(self, edit: GraphEdit, row: NodeRow) -> None:
        parent = None if row.parent is None else self._key(edit, row.parent)
        fields: dict[str, Any] = {
            "level": row.level,
            "name": row.name or row.id.rpartition(".")[2],
            "type": row.type,
            "parent": parent,
            "origin": row.origin,
            "properties": row.properties,
        }
        key = edit.view.key_by_id.get(row.id)
        if key is None:
            key = edit.add_node(id=row.id, **fields).key
        else:
            edit.update_node(key, **fields)
        self._keys[row.id] = key

    def _signal(self, edit: GraphEdit, row: SignalRow) -> None:
        node = self._key(edit, row.node)
        there = edit.view.signal_of(node, row.name)
        fields = {name: getattr(row, name) for name in SIGNAL_FIELDS}
        if there is None:
            there = edit.add_signal(node, row.name, **fields)
        else:
            # A unit or data type that a row leaves out is whatever it is.
            given = {name: value for name, value in fields.items() if value is not None or name in ("low", "high")}
            edit.update_signal(there.index, **given)
        if row.index is not None:
            self.signals[row.index] = there.index

    def _relationship(self, edit: GraphEdit, row: RelationshipRow) -> None:
        edit.relate(self._key(edit, row.source), row.type, self._key(edit, row.target), **row.properties)

    @staticmethod
    def _section(edit: GraphEdit, row: SectionRow) -> None:
        sections = {**edit.view.definition, row.section: row.value}
        Project.from_sections(sections)  # or a service could not start with it
        edit.set_definition(sections)
