"""What the definitions of a project mean as nodes, relationships and signals, by full ids."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .component_types import PINNED, VERSION, TypeLibrary
from .define_project import Project
from .define_twins import Area, Component, DigitalTwin, Enterprise, NodeFields, Sensor, Site
from .desired import Desired, DesiredNode, DesiredRelationship, DesiredSignal
from .errors import InvalidValueError
from .graph import DESIRED, VALUE
from .model import CONTAINS, Level, Role
from .units import parse_unit

# Sections that become nodes; all others are kept as they are.
PLANT = ("enterprise", "site", "area", "digital_twins")
_ENDS = {"from_", "to", "type", "for_each"}
# Fields that become something else than a property of the node.
_STRUCTURE = {
    "id", "name", "title", "type", "moved_from", "properties", "enterprise", "site", "area", "components", "sensors",
    "relationships", "unit", "low", "high", "stepped", "data_type", "labels", "expected_interval",
    "for_each", "without",
}  # fmt: skip
RESERVED = {
    "description", "pose", "geo", "external_ids", "documents", "timezone", "parameters", "model", "source", "joints",
    "simulation", "properties", "reporting", "type_version", "type_pinned", "computed", "writable",
}  # fmt: skip


def desired(project: Project) -> Desired:
    """What a project wants the graph to be. Raises InvalidValueError where a relationship leads nowhere."""
    library = project.type_library()
    nodes = nodes_of(project.enterprise, project.site, project.area, project.digital_twins, library)
    relationships = relationships_of(project.digital_twins, nodes)
    sections = {name: value for name, value in project.sections().items() if name not in PLANT}
    return Desired(tuple(nodes), tuple(one for one in relationships if one.type != CONTAINS), sections)


def properties_of(definition: NodeFields) -> dict[str, Any]:
    """A definition's fields and its free properties as one flat JSON object; what equals the default is left out.

    A free property that bears the name of a field stays under `properties`. Nulls say nothing, and `validate` refuses
    them, so none are kept.
    """
    given = definition.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_STRUCTURE)
    free = dict(definition.properties)
    hidden = {name: free.pop(name) for name in list(free) if name in RESERVED | _STRUCTURE}
    fields = {name: value for name, value in _without_nulls(given).items() if value not in ({}, [])}
    hidden = _without_nulls(hidden)
    properties: dict[str, Any] = fields | _without_nulls(free) | ({"properties": hidden} if hidden else {})
    return properties


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value if inner is not None]
    return value


def signals_of(sensor: Sensor) -> tuple[DesiredSignal, ...]:
    """`value`, or `value[0]`, `value[1]`, ... of a sensor with joints; `desired` beside it, if it may be set."""
    names = [VALUE] if sensor.joints is None else [f"value[{joint}]" for joint in range(sensor.joints)]
    names += [] if sensor.writable is None else [DESIRED]
    unit = None if sensor.unit is None else parse_unit(sensor.unit).name
    return tuple(
        DesiredSignal(
            name=name,
            unit=unit,
            data_type=sensor.data_type,
            labels=tuple(sensor.labels),
            low=sensor.low,
            high=sensor.high,
            stepped=sensor.stepped or name == DESIRED,
            expected_interval=None if name == DESIRED else sensor.expected_interval,
            role=Role.DESIRED if name == DESIRED else Role.MEASURED,
        )
        for name in names
    )


def nodes_of(
    enterprises: Sequence[Enterprise],
    sites: Sequence[Site],
    areas: Sequence[Area],
    twins: Sequence[DigitalTwin],
    library: TypeLibrary,
) -> list[DesiredNode]:
    """All nodes, parents before their children.

    A site without `enterprise` belongs to the only one, an area without `site` to the only one, a twin without a place
    to the only site.
    """
    only_enterprise = enterprises[0].id if len(enterprises) == 1 else None
    only_site = sites[0].id if len(sites) == 1 else None
    nodes = [_node(Level.ENTERPRISE, one, one.id, one.name, None) for one in enterprises]
    nodes += [_node(Level.SITE, one, one.id, one.name, one.enterprise or only_enterprise) for one in sites]
    nodes += [_node(Level.AREA, one, one.id, one.name, one.area or one.site or only_site) for one in areas]
    for twin in twins:
        place = twin.area or twin.site or twin.enterprise or only_site
        nodes.append(_node(Level.LINE, twin, twin.name, twin.title, place, twin.type))
        nodes += _within(twin, twin.name, library)
    return parents_first(_contained(nodes, relationships_of(twins, nodes)))


def _node(
    level: Level,
    definition: NodeFields,
    id: str,
    name: str | None,
    parent: str | None,
    type: str | None = None,
    **properties: Any,
) -> DesiredNode:
    return DesiredNode(
        id=id,
        level=level,
        name=name or id.rpartition(".")[2],
        type=type,
        parent=parent,
        properties=properties_of(definition) | properties,
        signals=signals_of(definition) if isinstance(definition, Sensor) else (),
        moved_from=definition.moved_from,
    )


def _within(owner: DigitalTwin | Component, id: str, library: TypeLibrary) -> Iterator[DesiredNode]:
    for sensor in owner.sensors:
        yield _node(Level.SENSOR, sensor, f"{id}.{sensor.id}", sensor.name, id, sensor.type)
    for component in owner.components:
        own = f"{id}.{component.id}"
        kind = version_of(component, library)
        yield _node(Level.COMPONENT, component, own, component.name, id, component.type, **kind)
        yield from _within(component, own, library)


def version_of(component: Component, library: TypeLibrary) -> dict[str, Any]:
    """What the node of an instance remembers: the version of its type, and whether it stays at it."""
    found = library.find(component.type, component.type_version)
    if found is None:
        return {}
    return {VERSION: found.version} | ({PINNED: True} if component.type_version is not None else {})


def relationships_of(twins: Iterable[DigitalTwin], nodes: Sequence[DesiredNode]) -> list[DesiredRelationship]:
    """The relationships that engineers drew, `contains` among them, with full ids at both ends."""
    ids = {node.id for node in nodes}
    found = []
    for twin in twins:
        for one in twin.relationships:
            given = one.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_ENDS)
            free = given.pop("properties", {})
            source, target = (_resolve(end, twin.name, ids) for end in (one.from_, one.to))
            found.append(DesiredRelationship(source, one.type, target, given | free))
    return found


def _resolve(reference: str, twin: str, ids: set[str]) -> str:
    """The full id of an end: within the twin first, then of the whole project, then an unambiguous ending."""
    for id in (f"{twin}.{reference}", reference):
        if id in ids:
            return id
    within = [id for id in ids if id.endswith(f".{reference}")]
    found = [id for id in within if id.startswith(f"{twin}.")] or within
    if len(found) != 1:
        raise InvalidValueError(f"{reference!r} in the relationships of {twin} names {len(found) or 'no'} nodes")
    return found[0]


def _contained(nodes: list[DesiredNode], relationships: Iterable[DesiredRelationship]) -> list[DesiredNode]:
    """`contains` between two nodes is told by the contained one's parent."""
    parents = {one.target: one.source for one in relationships if one.type == CONTAINS}
    return [_below(node, parents[node.id]) if node.id in parents else node for node in nodes]


def _below(node: DesiredNode, parent: str) -> DesiredNode:
    return DesiredNode(
        node.id, node.level, node.name, node.type, parent, node.properties, node.signals, node.moved_from
    )


def parents_first(nodes: list[DesiredNode]) -> list[DesiredNode]:
    """The nodes with each parent before its children, else in their order. Raises InvalidValueError on a cycle."""
    by_id = {node.id: node for node in nodes}
    placed: dict[str, DesiredNode] = {}
    for node in nodes:
        path: dict[str, DesiredNode] = {}
        above: DesiredNode | None = node
        while above is not None and above.id not in placed:
            if above.id in path:
                raise InvalidValueError(f"{node.id} contains itself: {' in '.join([*path, above.id])}")
            path[above.id] = above
            above = by_id.get(above.parent) if above.parent is not None else None
        placed |= dict(reversed(path.items()))
    return list(placed.values())
