"""Instances: components whose `type` is a component type get what they have from there.

Their sensors are the type's, in the order of what the component itself says first; sensors that no instance changes are
one value for all of them.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from .component_types import FIELD_BY_FIELD, INHERITED, EffectiveType, Json, TypeLibrary
from .define_project import Project
from .define_twins import Component, DigitalTwin, Sensor
from .define_types import Model
from .errors import InvalidValueError, IoTSenseError
from .finding import Path
from .parameter_values import fit
from .placeholders import fill
from .plant_index import Problem
from .suggestion import nearest

INSTANCE_LISTS = tuple(field for field in INHERITED if field in Component.model_fields)
"""What a component has itself; rules stay with the type, and reach the instances through the graph."""


def complete_instances(project: Project) -> Iterator[Problem]:
    """Completes all instances of a project, in place; what does not fit their types."""
    completion = _Completion(project.type_library())
    for number, twin in enumerate(project.digital_twins):
        yield from completion.within(twin, twin.name, twin.name, ("digital_twins", number))


def own_sensors(type: EffectiveType, component: Component, id: str, twin: str) -> dict[str, Json]:
    """The sensors that an instance has from its type, as JSON by id, with the instance's names in their texts.

    Raises InvalidValueError or NotFoundError if a template cannot be filled in.
    """
    namespace = names_of_instance(component, id, twin)
    return {sensor: _filled(item.fields, namespace) for sensor, item in type.sensors.items()}


def names_of_instance(component: Component, id: str, twin: str) -> dict[str, Any]:
    """What `${...}` in a type's sensors may speak of."""
    return {
        "component": {"id": component.id, "name": component.name or component.id, "path": id, "twin": twin},
        "parameters": component.parameters,
        "external_ids": component.external_ids,
        "properties": component.properties,
    }


def _filled(value: Any, namespace: Mapping[str, Any]) -> Any:
    """The value with the templates of its texts filled in; itself if there are none."""
    if isinstance(value, str):
        return fill(value, namespace) if "${" in value else value
    if isinstance(value, dict):
        return {name: _filled(inner, namespace) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, namespace) for inner in value]
    return value


def has_templates(value: Any) -> bool:
    """Whether a text in the value has a `${...}`."""
    if isinstance(value, dict):
        return any(map(has_templates, value.values()))
    return any(map(has_templates, value)) if isinstance(value, list) else isinstance(value, str) and "${" in value


class _Completion:
    def __init__(self, library: TypeLibrary) -> None:
        self._library = library
        self._shared: dict[tuple[str, str, int, str], Any] = {}

    def within(self, owner: DigitalTwin | Component, id: str, twin: str, path: Path) -> Iterator[Problem]:
        for number, component in enumerate(owner.components):
            here: Path = (*path, "components", number)
            own = f"{id}.{component.id}"
            yield from self._component(component, own, twin, here)
            yield from self.within(component, own, twin, here)

    def _component(self, component: Component, id: str, twin: str, path: Path) -> Iterator[Problem]:
        type = self._library.find(component.type, component.type_version)
        if type is None:
            yield from self._no_instance(component, path)
            return
        yield from _parameters(type, component, path)
        yield from _left_out(type, component, path)
        namespace = names_of_instance(component, id, twin)
        for field in INSTANCE_LISTS:
            yield from self._items(field, type, component, namespace, path)

    def _no_instance(self, component: Component, path: Path) -> Iterator[Problem]:
        if component.type is not None and component.type in self._library:
            known = " or ".join(map(str, self._library.versions(component.type)))
            message = f"found version {component.type_version} of {component.type}, expected {known}"
            yield Problem((*path, "type_version"), message)
            return
        for field in ("type_version", "without"):
            if getattr(component, field):
                message = f"found `{field}`, which only an instance of one of `component_types` has"
                hint = nearest(component.type or "", self._library.names())
                yield Problem((*path, field), message, hint, "warning", key=True)

    def _items(
        self, field: str, type: EffectiveType, component: Component, namespace: Mapping[str, Any], path: Path
    ) -> Iterator[Problem]:
        """Completes a list of named items: what the instance says of an item comes first, the others follow."""
        items = list(getattr(component, field))
        written = {getattr(item, INHERITED[field]): number for number, item in enumerate(items)}
        for name, item in type.items[field].items():
            number = written.get(name)
            if name in component.without and field == "sensors":
                continue
            if number is not None and field not in FIELD_BY_FIELD:
                continue
            try:
                made = self._item(field, type, item.fields, None if number is None else items[number], namespace)
            except IoTSenseError as error:
                here: Path = (*path, field) if number is None else (*path, field, number)
                yield Problem(here, f"{name!r} of the {field} of {type.name} does not fit here: {error}")
                continue
            if number is None:
                items.append(made)
            else:
                items[number] = made
        setattr(component, field, items)

    def _item(
        self, field: str, type: EffectiveType, fields: Json, own: Model | None, namespace: Mapping[str, Any]
    ) -> Any:
        key = (field, type.name, type.version, fields[INHERITED[field]])
        if own is None and key in self._shared:
            return self._shared[key]
        given = {} if own is None else own.model_dump(mode="json", by_alias=True, exclude_unset=True)
        made = item_of(field, _filled(fields, namespace) | given)
        if own is None and not has_templates(fields):
            self._shared[key] = made
        return made


@functools.cache
def _adapter(field: str) -> TypeAdapter[Any]:
    (kind,) = get_args(Component.model_fields[field].annotation)
    return TypeAdapter(kind)


def item_of(field: str, fields: Json) -> Any:
    """An item of a component's list, such as a sensor, from JSON.

    Raises InvalidValueError with the first thing that does not fit.
    """
    try:
        return _adapter(field).validate_python(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None


def sensor_of(fields: Json) -> Sensor:
    """A sensor from JSON. Raises InvalidValueError with the first thing that does not fit."""
    sensor: Sensor = item_of("sensors", fields)
    return sensor


def _parameters(type: EffectiveType, component: Component, path: Path) -> Iterator[Problem]:
    given = component.parameters
    component.parameters = values = {name: value for name, value in given.items() if name in type.parameters}
    for name in given:
        if not type.parameters:
            values[name] = given[name]
        elif name not in type.parameters:
            known = tuple(type.parameters)
            hint = nearest(name, known)
            expected = "" if hint else f", expected one of {', '.join(known)}; what only this one has are `properties`"
            message = f"found the parameter {name!r}, which {type.name} does not have{expected}"
            yield Problem((*path, "parameters", name), message, hint, key=True)
    for name, declared in type.parameters.items():
        if name not in given and declared.get("required"):
            message = f"the parameter {name!r} is missing here; {type.name} requires it"
            yield Problem((*path, "parameters", name), message)
        elif (value := given.get(name, declared.get("default"))) is not None:
            try:
                values[name] = fit(declared, value)
            except InvalidValueError as error:
                yield Problem((*path, "parameters", name), f"{error} ({name} of {type.name})")


def _left_out(type: EffectiveType, component: Component, path: Path) -> Iterator[Problem]:
    own = {sensor.id for sensor in component.sensors}
    for number, sensor in enumerate(component.without):
        if sensor not in type.sensors:
            hint = nearest(sensor, tuple(type.sensors))
            message = f"found {sensor!r}, expected a sensor of {type.name}"
            yield Problem((*path, "without", number), message, hint)
        elif sensor in own:
            yield Problem((*path, "without", number), f"found {sensor!r}, which is among the `sensors` here too")
