"""The names under which sources may speak of the plant: tables over one revision of the graph."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..twin.errors import AmbiguousIdError
from ..twin.graph import Graph
from ..twin.model import Level, Node, Origin

LINE_KEYS = ("line", "line_id")
EQUIPMENT_KEYS = ("equipment", "equipment_id")
SITE_KEYS = ("plant", "plant_id", "site", "site_id")
AREA_KEYS = ("area", "area_id")
Metadata = Mapping[str, Any]


class AddressBook:
    """Nodes by id, name and `source`. Where several bear a name, defined nodes go before discovered ones."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._sources: dict[str, list[int]] = {}
        self._named: dict[str, list[int]] = {}
        self._within: dict[int, dict[str, Node]] = {}
        for node in graph.node_map.values():
            self._enter(node)

    def follow(self, graph: Graph, added: Iterable[Node]) -> None:
        """Takes over the next revision, which differs by these nodes (and by signals) only."""
        self.graph = graph
        for node in added:
            self._enter(node)
            if node.parent is not None:
                self._within.pop(node.parent, None)

    def _enter(self, node: Node) -> None:
        source = node.properties.get("source")
        if isinstance(source, str):
            self._sources.setdefault(source, []).append(node.key)
        if node.name != node.short_id:
            self._named.setdefault(node.name, []).append(node.key)

    def _nodes(self, table: dict[str, list[int]], name: str) -> list[Node]:
        keys = table.get(name)
        if not keys:
            return []
        nodes = self.graph.node_map
        return [nodes[key] for key in keys if key in nodes]

    def by_source(self, address: str, metadata: Metadata | None) -> Node | None:
        """The sensor whose `source` is this address; raises AmbiguousIdError."""
        found = [node for node in self._nodes(self._sources, address) if node.level is Level.SENSOR]
        return self._one(address, found, metadata)

    def sensors_at(self, address: str) -> list[Node]:
        """All sensors whose `source` is this address."""
        return [node for node in self._nodes(self._sources, address) if node.level is Level.SENSOR]

    def device(self, id: str, metadata: Metadata | None) -> Node | None:
        """The node that a device id means: its id or the end of it, its address, its name. Raises AmbiguousIdError."""
        node = self._one(id, self.graph.candidates(id), metadata)
        if node is None:
            own = [node for node in self._nodes(self._sources, id) if node.level is Level.COMPONENT]
            node = self._one(id, own or self._nodes(self._named, id), metadata)
        return node

    def sensor(self, name: str, metadata: Metadata | None) -> Node | None:
        """The sensor of that id (or the end of it) or name; raises AmbiguousIdError."""
        found = self.graph.candidates(name) or self._nodes(self._named, name)
        return self._one(name, [node for node in found if node.level is Level.SENSOR], metadata)

    def sensor_of(self, component: Node, name: str) -> Node | None:
        """The first sensor of a component that answers to a name."""
        known = self._within.get(component.key)
        if known is None:
            known = self._within[component.key] = {}
            for sensor in self.graph.sensors(component.key):
                source = sensor.properties.get("source")
                for word in (sensor.short_id, sensor.name, *((source,) if isinstance(source, str) else ())):
                    known.setdefault(word, sensor)
        return known.get(name)

    def at(self, address: str) -> list[Node]:
        """All nodes whose `source` is this address."""
        return self._nodes(self._sources, address)

    def called(self, name: str) -> list[Node]:
        """All nodes that go by this name, or by the id that is made of it."""
        found = [*self.graph.candidates(name), *self.graph.candidates(slug(name)), *self._nodes(self._named, name)]
        return list({node.key: node for node in found}.values())

    def named(self, text: str, level: Level) -> Node | None:
        """The only node of a level that bears this id or name."""
        key = self.graph.key_by_id.get(text)
        if key is not None and self.graph.node_map[key].level is level:
            return self.graph.node_map[key]
        known = self._nodes(self._named, text) or self.graph.candidates(text)
        found = [node for node in known if node.level is level]
        return found[0] if len(found) == 1 else None

    def _one(self, id: str, found: list[Node], metadata: Metadata | None) -> Node | None:
        if len(found) < 2:
            return found[0] if found else None
        exact = [node for node in found if node.id == id]
        defined = [node for node in found if node.origin is Origin.DEFINED]
        for choice in (exact, self._where(found, metadata), defined):
            if len(choice) == 1:
                return choice[0]
        raise AmbiguousIdError(id, [node.id for node in found])

    def _where(self, found: list[Node], metadata: Metadata | None) -> list[Node]:
        """Those that stand where the metadata says."""
        if not metadata:
            return []
        places = [text for keys in (LINE_KEYS, EQUIPMENT_KEYS, AREA_KEYS, SITE_KEYS) if (text := first(metadata, keys))]
        return [node for node in found if places and all(self._stands_in(node, place) for place in places)]

    def _stands_in(self, node: Node, place: str) -> bool:
        return any(place in (above.id, above.short_id, above.name) for above in (node, *self.graph.ancestors(node.key)))


def first(metadata: Metadata, keys: Iterable[str]) -> str | None:
    """The first of these entries that holds a word."""
    for key in keys:
        value = metadata.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()
    return None


def slug(name: str) -> str:
    """A name as one part of an id: letters, digits, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).lstrip("-") or "_"


def answers_to(sensor: Node, name: str) -> bool:
    """Whether a measurement of this name is the sensor's: by its id, name or address."""
    return name in (sensor.short_id, sensor.name) or sensor.properties.get("source") == name
