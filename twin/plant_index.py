"""What a project defines, by id, name and type: what references are looked up in."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .define_project import Project
from .define_twins import Component, DigitalTwin, NodeFields
from .finding import Path, Severity
from .model import Level
from .suggestion import NearestWord

CANDIDATES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake that only the whole project shows; `path` leads to the value, or to the key if `key`."""

    path: Path
    message: str
    suggestion: str | None = None
    severity: Severity = "error"
    key: bool = False


@dataclass(frozen=True, slots=True)
class Defined:
    """A node as defined: its full id and where it is written."""

    id: str
    level: Level
    definition: NodeFields
    path: Path


def defined_nodes(project: Project) -> Iterator[Defined]:
    """All nodes of a project, in the order of the documents."""
    for level, section in ((Level.ENTERPRISE, "enterprise"), (Level.SITE, "site"), (Level.AREA, "area")):
        for number, place in enumerate(getattr(project, section)):
            yield Defined(place.id, level, place, (section, number))
    for number, twin in enumerate(project.digital_twins):
        path: Path = ("digital_twins", number)
        yield Defined(twin.name, Level.LINE, twin, path)
        yield from _within(twin, twin.name, path)


def _within(owner: DigitalTwin | Component, id: str, path: Path) -> Iterator[Defined]:
    for number, sensor in enumerate(owner.sensors):
        yield Defined(f"{id}.{sensor.id}", Level.SENSOR, sensor, (*path, "sensors", number))
    for number, component in enumerate(owner.components):
        here: Path = (*path, "components", number)
        own = f"{id}.{component.id}"
        yield Defined(own, Level.COMPONENT, component, here)
        yield from _within(component, own, here)


class PlantIndex:
    """Finds nodes by full id or the end of one, and sensors by id, name or type.

    `types` are the types of components and lines, with all that they extend.
    """

    def __init__(self, project: Project) -> None:
        self.nodes = list(defined_nodes(project))
        self.by_id: dict[str, Defined] = {}
        self._by_end: defaultdict[str, list[str]] = defaultdict(list)
        self.sensor_words: set[str] = set()
        self._library = project.type_library()
        self.types: set[str] = set(self._library.names())
        for node in self.nodes:
            self.by_id.setdefault(node.id, node)
            self._by_end[node.id.rpartition(".")[2]].append(node.id)
            self._words(node)
        self.nearest_id = NearestWord(self._spellings())
        self.nearest_sensor = NearestWord(self.sensor_words)

    def _words(self, node: Defined) -> None:
        definition: Any = node.definition
        if node.level is Level.SENSOR:
            words = (definition.id, definition.name, definition.type)
            self.sensor_words.update(word for word in words if word is not None)
        elif node.level in (Level.COMPONENT, Level.LINE):
            self.sensor_words.update(one.name for one in definition.computed)
            if definition.type is not None:
                self.types.update(self._library.lineage(definition.type))
                kind = self._library.find(definition.type)
                self.sensor_words.update(kind.items["computed"] if kind else ())

    def _spellings(self) -> Iterator[str]:
        yield from self._by_end
        yield from self.by_id

    def find(self, reference: str, within: str | None = None) -> list[Defined]:
        """The nodes that a reference may mean: one if it is clear.

        The id within a twin comes first, then a full id, then the end of an id within the twin, then anywhere.
        """
        if within is not None and f"{within}.{reference}" in self.by_id:
            return [self.by_id[f"{within}.{reference}"]]
        if reference in self.by_id:
            return [self.by_id[reference]]
        ends = self._by_end.get(reference.rpartition(".")[2], [])
        found = [id for id in dict.fromkeys(ends) if id.endswith(f".{reference}")]
        inside = [id for id in found if within is not None and id.startswith(f"{within}.")]
        return [self.by_id[id] for id in inside or found]

    def has_sensor(self, word: str) -> bool:
        """Whether a sensor has this id (or end of one), name or type."""
        if word in self.sensor_words:
            return True
        if any(node.level is Level.SENSOR for node in self.find(word)):
            return True
        # `conveyor_1.speed` is the sensor that is called speed there.
        owner, dot, name = word.rpartition(".")
        return bool(dot) and any(name in names_of(node.definition) for node in self.find(owner))


def names_of(definition: NodeFields) -> set[str]:
    """What a component shows by name: its sensors, its parameters and what is computed on it."""
    if not isinstance(definition, (Component, DigitalTwin)):
        return set()
    sensors = {name for sensor in definition.sensors for name in (sensor.id, sensor.name) if name is not None}
    return sensors | set(definition.parameters) | {one.name for one in definition.computed}


def candidates(nodes: list[Defined]) -> str:
    """Some of the nodes that an ambiguous reference may mean."""
    ids = sorted(node.id for node in nodes)
    more = f" and {len(ids) - CANDIDATES_SHOWN} more" if len(ids) > CANDIDATES_SHOWN else ""
    return ", ".join(ids[:CANDIDATES_SHOWN]) + more
