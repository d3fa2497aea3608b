"""Checks of component types: names, what they extend, and whether what they change still goes together."""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from .component_types import EffectiveType, Item, TypeLibrary
from .define_anomalies import CorrelationRule, ThresholdRule
from .define_component_types import ComponentType, Parameter
from .define_project import Project
from .errors import InvalidValueError
from .finding import Path
from .instances import sensor_of
from .placeholders import names_in
from .plant_index import Problem
from .suggestion import nearest

INSTANCE_NAMES = ("component", "parameters", "external_ids", "properties")
"""What `${...}` in the sensors of a type may speak of."""
COMPONENT_NAMES = ("id", "name", "path", "twin")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*\Z")


def check_types(project: Project) -> Iterator[Problem]:
    """All that is wrong with the component types of a project."""
    library = project.type_library()
    seen: set[tuple[str, int]] = set()
    for number, type in enumerate(project.component_types):
        path: Path = ("component_types", number)
        if (type.name, type.version) in seen:
            message = f"found version {type.version} of {type.name} twice; a new version has a new number"
            yield Problem((*path, "version" if "version" in type.model_fields_set else "name"), message)
            continue
        seen.add((type.name, type.version))
        yield from _base(type, library, path)
        yield from _twice(type, path)
        effective = library.find(type.name, type.version)
        assert effective is not None
        yield from _parameters(type, effective, path)
        yield from _sensors(type, effective, path)
        yield from _rules(type, effective, path)


def _base(type: ComponentType, library: TypeLibrary, path: Path) -> Iterator[Problem]:
    if type.extends is None:
        return
    if type.extends not in library:
        message = f"found {type.extends!r}, which no document defines as a component type"
        yield Problem((*path, "extends"), message, nearest(type.extends, library.names()))
    elif (circle := library.circle(type.name)) and type.name == min(circle):
        # Whoever comes first in the alphabet tells it, so that it is told once.
        yield Problem((*path, "extends"), f"found a type that extends itself: {' extends '.join(circle)}")


def _twice(type: ComponentType, path: Path) -> Iterator[Problem]:
    for field, key in (("sensors", "id"), ("rules", "name"), ("computed", "name")):
        seen: set[str] = set()
        for number, item in enumerate(getattr(type, field)):
            name = getattr(item, key)
            if name in seen:
                yield Problem((*path, field, number, key), f"found the {key} {name!r} twice in {type.name}")
            seen.add(name)


def _parameters(type: ComponentType, effective: EffectiveType, path: Path) -> Iterator[Problem]:
    """What an extending type changes may contradict what it leaves as it is."""
    for name in type.parameters if type.extends else ():
        try:
            Parameter.model_validate(effective.parameters[name])
        except ValidationError as error:
            yield Problem((*path, "parameters", name), error.errors(include_url=False)[0]["msg"])


def _sensors(type: ComponentType, effective: EffectiveType, path: Path) -> Iterator[Problem]:
    numbers = {sensor.id: number for number, sensor in enumerate(type.sensors)}
    names: dict[str, str] = {}
    for id, item in effective.sensors.items():
        here: Path = (*path, "sensors", numbers[id]) if id in numbers else (*path, "extends")
        name = item.fields.get("name", id)
        if names.setdefault(name, id) != id:
            yield Problem(here, f"found the name {name!r} twice in {type.name}; its state has one key each")
        if item.owner == type.name and id in numbers:
            yield from _sensor(item, effective, here)


def _sensor(item: Item, effective: EffectiveType, path: Path) -> Iterator[Problem]:
    try:
        sensor_of(item.fields)
    except InvalidValueError as error:
        yield Problem(path, str(error))
    for inner, text in _texts(item.fields):
        yield from _template(text, effective, (*path, *inner), INSTANCE_NAMES)


def _template(text: str, effective: EffectiveType, path: Path, roots: tuple[str, ...]) -> Iterator[Problem]:
    try:
        names = names_in(text)
    except InvalidValueError as error:
        yield Problem(path, str(error))
        return
    for name in names:
        yield from _template_name(name, effective, path, roots)


def _template_name(name: str, effective: EffectiveType, path: Path, roots: tuple[str, ...]) -> Iterator[Problem]:
    root, _, rest = name.partition(".")
    if root not in roots:
        if root != "env" and not _VARIABLE.match(root):
            yield Problem(path, f"found ${{{name}}}, expected one of {', '.join(roots)}", nearest(root, roots))
        return
    known = {"component": COMPONENT_NAMES, "parameters": tuple(effective.parameters)}.get(root)
    if known is not None and rest.partition(".")[0] not in known:
        message = f"found ${{{name}}}, which an instance of {effective.name} does not have"
        hint = nearest(rest, known)
        yield Problem(path, message, f"{root}.{hint}" if hint else None)


def _texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str) and "${" in value:
        yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, (*path, number))


def _rules(type: ComponentType, effective: EffectiveType, path: Path) -> Iterator[Problem]:
    words = [word for item in effective.sensors.values() for word in _words(item.fields)]
    known = tuple(dict.fromkeys([*words, *effective.items["computed"]]))
    for number, rule in enumerate(type.rules):
        here: Path = (*path, "rules", number)
        named: list[tuple[Path, str]]
        if isinstance(rule, CorrelationRule):
            named = [((*here, "sensors", which), word) for which, word in enumerate(rule.sensors)]
        else:
            named = [((*here, "sensor"), rule.sensor)]
        for place, word in named:
            if word not in known:
                yield Problem(place, f"{effective.name} has no sensor {word!r}", nearest(word, known), "warning")
        for which, condition in enumerate(rule.conditions) if isinstance(rule, ThresholdRule) else ():
            if isinstance(condition.threshold, str) and "${" in condition.threshold:
                limit: Path = (*here, "conditions", which, "threshold")
                yield from _template(condition.threshold, effective, limit, ("parameters",))


def _words(sensor: dict[str, Any]) -> list[str]:
    return [sensor[field] for field in ("id", "name", "type") if field in sensor]
