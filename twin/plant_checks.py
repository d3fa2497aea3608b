"""Checks of the plant's graph as defined: ids, places, relationships."""

from collections import defaultdict
from collections.abc import Iterator

from .define_project import Project
from .define_twins import Component, DigitalTwin, Relationship
from .finding import Path
from .model import CONTAINS, Level
from .plant_index import Defined, PlantIndex, Problem, candidates


def check_plant(project: Project, index: PlantIndex, references: bool = True) -> Iterator[Problem]:
    """All that is wrong with the nodes of a project; `references` False leaves out what may be in unread files."""
    yield from _ids(index)
    yield from _names(index)
    yield from _sources(index)
    if references:
        yield from _places(project, index)
        yield from _relationships(project, index)
        yield from _moves(index)


def _id_path(node: Defined) -> Path:
    return (*node.path, "name" if node.level is Level.LINE else "id")


def _ids(index: PlantIndex) -> Iterator[Problem]:
    for node in index.nodes:
        first = index.by_id[node.id]
        if first is not node:
            what = "" if first.level is node.level else f", which is a {first.level} already"
            yield Problem(_id_path(node), f"found the id {node.id!r} twice{what}; ids are unique")


def _names(index: PlantIndex) -> Iterator[Problem]:
    """In a component's state each name stands for one sensor."""
    for node in index.nodes:
        if not isinstance(node.definition, (Component, DigitalTwin)):
            continue
        ids = {sensor.id for sensor in node.definition.sensors}
        names: set[str] = set()
        for number, sensor in enumerate(node.definition.sensors):
            if sensor.name is None:
                continue
            if sensor.name in names or (sensor.name in ids and sensor.name != sensor.id):
                path = (*node.path, "sensors", number, "name")
                yield Problem(path, f"found the name {sensor.name!r} twice in {node.id}; its state has one key each")
            names.add(sensor.name)


def _sources(index: PlantIndex) -> Iterator[Problem]:
    bound: dict[str, str] = {}
    for node in index.nodes:
        source = getattr(node.definition, "source", None)
        if source is None:
            continue
        if source in bound and bound[source] != node.id:
            message = f"found the source {source!r}, whose readings {bound[source]} has already"
            yield Problem((*node.path, "source"), message)
        bound.setdefault(source, node.id)


def _places(project: Project, index: PlantIndex) -> Iterator[Problem]:
    known: dict[str, list[str]] = {
        "enterprise": [each.id for each in project.enterprise],
        "site": [each.id for each in project.site],
        "area": [each.id for each in project.area],
    }
    for node in index.nodes:
        for field, ids in known.items():
            wanted = getattr(node.definition, field, None)
            if wanted is not None and wanted not in ids:
                message = f"no document defines the {field} {wanted!r}"
                yield Problem((*node.path, field), message, index.nearest_id.find(wanted), "warning")
    for number, area in enumerate(project.area):
        if area.site is None and area.area is None and len(project.site) > 1:
            message = f"`site` is missing here: there are several ({', '.join(known['site'])})"
            yield Problem(("area", number), message)
    parents = {area.id: area.area for area in project.area if area.area is not None}
    for number, area in enumerate(project.area):
        if circle := _circle(area.id, parents):
            yield Problem(("area", number, "area"), f"found an area that contains itself: {' in '.join(circle)}")


def _circle(id: str, parents: dict[str, str]) -> list[str]:
    """The way from an id upwards back to it; empty if there is none."""
    way = [id]
    above = parents.get(id)
    while above is not None and above not in way:
        way.append(above)
        above = parents.get(above)
    return [*way, id] if above == id else []


def _moves(index: PlantIndex) -> Iterator[Problem]:
    for node in index.nodes:
        before = node.definition.moved_from
        if before is not None and before in index.by_id:
            message = f"found moved_from {before!r}, which is still defined; a node moves from an id that is free"
            yield Problem((*node.path, "moved_from"), message)


# Relationships ------------------------------------------------------------------------------------------------------


def _relationships(project: Project, index: PlantIndex) -> Iterator[Problem]:
    drawn: set[tuple[str, str, str]] = set()
    contained: dict[str, str] = {}
    paths: dict[str, Path] = {}
    for twin_number, twin in enumerate(project.digital_twins):
        for number, one in enumerate(twin.relationships):
            path: Path = ("digital_twins", twin_number, "relationships", number)
            ends: list[Defined] = []
            for field, reference in (("from", one.from_), ("to", one.to)):
                found = index.find(reference, twin.name)
                if len(found) == 1:
                    ends += found
                else:
                    yield _dangling((*path, field), reference, found, index)
            if len(ends) == 2:
                yield from _drawn(one, ends[0], ends[1], path, drawn, contained)
                paths.setdefault(ends[1].id, path)
    yield from _cycles(index, contained, paths)


def _dangling(path: Path, reference: str, found: list[Defined], index: PlantIndex) -> Problem:
    if found:
        return Problem(path, f"found {reference!r}, which is ambiguous: it may be {candidates(found)}")
    return Problem(path, f"found {reference!r}, which no document defines", index.nearest_id.find(reference))


def _drawn(
    one: Relationship,
    source: Defined,
    target: Defined,
    path: Path,
    drawn: set[tuple[str, str, str]],
    contained: dict[str, str],
) -> Iterator[Problem]:
    arrow = (source.id, one.type, target.id)
    if source is target:
        yield Problem((*path, "to"), f"found a relationship from {source.id} to itself")
    elif arrow in drawn:
        yield Problem(path, f"found the relationship {source.id} {one.type} {target.id} twice")
    elif one.type == CONTAINS:
        yield from _containing(source, target, path, contained)
    drawn.add(arrow)


def _containing(source: Defined, target: Defined, path: Path, contained: dict[str, str]) -> Iterator[Problem]:
    """Each node is contained in one: where it is written, unless that is the line itself and an arrow says more."""
    written = target.id.rpartition(".")[0]
    holder = contained.get(target.id) or (written if "." in written else None)
    if Level.SENSOR in (source.level, target.level):
        yield Problem((*path, "type"), "found `contains` with a sensor, expected components; list sensors there")
    elif holder is not None and holder != source.id:
        yield Problem((*path, "to"), f"found {target.id} in {source.id}, but {holder} contains it already")
    else:
        contained[target.id] = source.id


def _cycles(index: PlantIndex, contained: dict[str, str], paths: dict[str, Path]) -> Iterator[Problem]:
    """Circles of `contains`, whether drawn or from where a component is written; each is told once."""
    if not contained:
        return
    parents = {node.id: node.id.rpartition(".")[0] for node in index.nodes if "." in node.id} | contained
    state: defaultdict[str, int] = defaultdict(int)
    for number, start in enumerate(contained, 1):
        way: list[str] = []
        current: str | None = start
        while current and not state[current]:
            state[current] = number
            way.append(current)
            current = parents.get(current)
        if current and state[current] == number:
            circle = [*way[way.index(current) :], current]
            drawn = next(id for id in circle if id in paths and id in contained)
            yield Problem((*paths[drawn], "type"), f"found a cycle in `contains`: {' in '.join(circle)}")
