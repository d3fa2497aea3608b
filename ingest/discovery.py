"""Discovery: nodes for readings that no engineer foresaw, so that they are kept and can be asked for.

A device stands below the plant, line and equipment that its metadata names, made where they are missing, else in the
area `unassigned`. New nodes are rationed, so that a device that invents names cannot flood the graph.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..twin.errors import ConflictError, InvalidValueError
from ..twin.graph import Graph
from ..twin.graph_edit import GraphEdit
from ..twin.model import DataType, Level, Node, Origin
from .address_book import AREA_KEYS, EQUIPMENT_KEYS, LINE_KEYS, SITE_KEYS, AddressBook, first, slug
from .binding import Unbound
from .place import Place
from .targets import data_type_of

UNASSIGNED = "unassigned"
MAX_NAME = 200
MAX_ELEMENTS = 64
_PATH = (
    (Level.SITE, SITE_KEYS),
    (Level.AREA, AREA_KEYS),
    (Level.LINE, LINE_KEYS),
    (Level.COMPONENT, EQUIPMENT_KEYS),
)
# Enterprise, site, area, line, equipment, device and sensor: what one reading of a wholly unknown plant needs at most.
MOST_AT_ONCE = 7


class NoBudgetError(Exception):
    """The ration of new nodes is used up for the moment; never leaves this room: the reading waits as a dead letter."""


class Budget:
    """A ration of new nodes: `limit` a minute (None: any number), and never more than that in any burst."""

    def __init__(self, limit: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._size = float(max(limit, MOST_AT_ONCE) if limit else 0)
        self._left = self._size
        self._at = clock()

    def left(self) -> int:
        """How many nodes may be made now."""
        if self.limit is None:
            return sys.maxsize
        now = self._clock()
        self._left = min(self._size, self._left + (now - self._at) * self.limit / 60)
        self._at = now
        return int(self._left)

    def spend(self, nodes: int) -> None:
        """So many were made."""
        self._left -= nodes


class Discovery:
    """One revision's worth of discoveries: `place` is called for each measurement, within `Twin.change`."""

    def __init__(self, edit: GraphEdit, book: AddressBook, budget: int) -> None:
        self._edit = edit
        self._book = book
        self._budget = budget
        self.added: list[Node] = []

    @property
    def _graph(self) -> Graph:
        return self._edit.view

    def place(self, unbound: Unbound, value: Any) -> None:
        """Makes the nodes and signals of a measurement.

        Raises NoBudgetError, or InvalidValueError for what can never become a node; then nothing was made.
        """
        check_name(unbound.name)
        types = _types(value)
        parent, missing = self._parent(unbound)
        if len(missing) + 1 > self._budget - len(self.added):
            text = unbound.address.text
            raise NoBudgetError(f"{text} is unknown, and the nodes that may be discovered this minute are used up")
        for new in missing:
            parent = self._add_node(parent, new)
        if parent is None:
            raise ConflictError(f"{unbound.address.text} has no place to stand")
        self._add_signals(self._add_sensor(parent, unbound), unbound.unit, types, isinstance(value, list | tuple))

    def _parent(self, unbound: Unbound) -> tuple[Node | None, list["_Missing"]]:
        """The innermost node that is there, and those below it that have to be made for the sensor to stand in."""
        near = self._graph.node_map.get(unbound.near.key) if unbound.near is not None else None
        if near is not None:
            return (self._graph.node(near.parent) if near.level is Level.SENSOR and near.parent else near), []
        if unbound.place is not None:
            return self._along(unbound.place, unbound.metadata)
        check_name(unbound.device)
        parent, missing = self._path(unbound.metadata)
        equipment = first(unbound.metadata, EQUIPMENT_KEYS)
        if equipment == unbound.device:
            return parent, missing
        device = self._child(parent, unbound.device) if parent is not None and not missing else None
        if device is not None:
            return device, []
        return parent, [*missing, _Missing(Level.COMPONENT, unbound.device, plain_metadata(unbound.metadata))]

    def _along(self, place: Place, metadata: dict[str, Any]) -> tuple[Node | None, list["_Missing"]]:
        """The same for a device whose topic tells its place."""
        parent, known = place.innermost(self._book)
        missing = [
            _Missing(step.level, step.name, source=place.address_of(count))
            for count, step in enumerate(place.steps[known:], known + 1)
        ]
        for new in missing:
            check_name(new.name)
        if missing:
            missing[-1] = missing[-1]._replace(metadata=plain_metadata(metadata))
        if parent is None and missing and missing[0].level is Level.COMPONENT:
            parent = self._known(UNASSIGNED, Level.AREA, None)
            if parent is None:
                missing.insert(0, _Missing(Level.AREA, UNASSIGNED))
        return parent, missing

    def _path(self, metadata: dict[str, Any]) -> tuple[Node | None, list["_Missing"]]:
        """The node that the metadata's path leads to, or the innermost of it that is there and what is missing."""
        parent: Node | None = None
        missing: list[_Missing] = []
        for level, keys in _PATH:
            text = first(metadata, keys)
            if text is None:
                continue
            check_name(text)
            known = None if missing and level is Level.COMPONENT else self._known(text, level, parent)
            if known is not None:
                parent, missing = known, []
            else:
                missing.append(_Missing(level, text))
        if parent is None and (not missing or missing[0].level is Level.COMPONENT):
            parent = self._known(UNASSIGNED, Level.AREA, None)
            if parent is None:
                missing.insert(0, _Missing(Level.AREA, UNASSIGNED))
        return parent, missing

    def _known(self, text: str, level: Level, parent: Node | None) -> Node | None:
        if level is Level.COMPONENT:
            return self._child(parent, text) if parent is not None else self._book.named(text, level)
        for id in (text, slug(text)):
            key = self._graph.key_by_id.get(id)
            if key is not None and self._graph.node_map[key].level is level:
                return self._graph.node_map[key]
        return self._book.named(text, level)

    def _child(self, parent: Node, name: str) -> Node | None:
        found = (node for node in self._book.called(name) if node.parent == parent.key)
        return next((node for node in found if node.level is Level.COMPONENT), None)

    def _add_node(self, parent: Node | None, new: "_Missing") -> Node:
        prefix = f"{parent.id}." if parent is not None and new.level is Level.COMPONENT else ""
        properties: dict[str, Any] = {"metadata": new.metadata} if new.metadata else {}
        id = self._free(prefix + slug(new.name))
        if slug(new.name) != new.name or (new.source and id != prefix + slug(new.name)):
            properties["source"] = new.source or new.name
        node = self._edit.add_node(
            id=id,
            level=new.level,
            name=new.name,
            parent=parent.key if parent is not None else None,
            origin=Origin.DISCOVERED,
            properties=properties,
        )
        self.added.append(node)
        return node

    def _add_sensor(self, parent: Node, unbound: Unbound) -> Node:
        near, name, source = unbound.near, unbound.name, _source(unbound)
        beside = near is not None and near.level is Level.SENSOR
        id = f"{near.short_id}_{slug(name)}" if near is not None and beside else slug(name)
        node = self._edit.add_node(
            id=self._free(f"{parent.id}.{id}"),
            level=Level.SENSOR,
            name=f"{near.name}_{name}" if near is not None and beside else name,
            parent=parent.key,
            origin=Origin.DISCOVERED,
            properties={} if source == id else {"source": source},
        )
        self.added.append(node)
        return node

    def _free(self, id: str) -> str:
        """The id, or with a number behind it if another node has it."""
        number, free = 1, id
        while free in self._graph:
            number += 1
            free = f"{id}_{number}"
        return free

    def _add_signals(self, sensor: Node, unit: str | None, types: Sequence[DataType], several: bool) -> None:
        names = [f"value[{i}]" for i in range(len(types))] if several else ["value"]
        if several:
            properties = sensor.properties | {"joints": len(types)}
            self.added[-1] = self._edit.update_node(sensor.key, properties=properties)
        for name, data_type in zip(names, types, strict=True):
            numeric = data_type is DataType.NUMBER
            self._edit.add_signal(
                sensor.key, name, unit=unit if numeric else None, data_type=data_type, stepped=not numeric
            )


class _Missing(NamedTuple):
    """A node that has to be made."""

    level: Level
    name: str
    metadata: dict[str, Any] | None = None
    source: str | None = None


def _source(unbound: Unbound) -> str:
    """The address by which the next reading of it finds the sensor."""
    near = unbound.near
    beside = near is not None and near.level is Level.SENSOR
    return f"{unbound.address.device}.{unbound.name}" if beside else unbound.name


def check_name(name: str) -> None:
    """Raises InvalidValueError for what cannot be the name of a node."""
    if not name.strip():
        raise InvalidValueError("neither the message nor its topic says which device it is and what was measured")
    if len(name) > MAX_NAME:
        raise InvalidValueError(f"the name {name[:40]}... is longer than {MAX_NAME} characters")


def plain_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """The entries that are short enough to be kept with a node."""
    kept = {name: value for name, value in metadata.items() if isinstance(value, str | int | float | bool)}
    return {name: value for name, value in list(kept.items())[:32] if len(str(value)) <= MAX_NAME}


def _types(value: Any) -> list[DataType]:
    if not isinstance(value, list | tuple):
        return [data_type_of(value)]
    if not 0 < len(value) <= MAX_ELEMENTS:
        raise InvalidValueError(f"a list of {len(value)} values; a sensor has 1 to {MAX_ELEMENTS} of them")
    return [data_type_of(value)] * len(value)
