"""Checks of relationships against their types: what connects to what, what is told about it, how many there may be."""

from collections.abc import Iterator
from typing import Any

from .component_types import TypeLibrary
from .define_component_types import RelationshipType
from .define_project import Project
from .define_twins import Relationship
from .errors import InvalidValueError
from .finding import Path
from .model import Level
from .parameter_values import fit
from .plant_index import Defined, PlantIndex, Problem
from .suggestion import nearest

TRANSFER_TIME = "transfer_time"
_LEVELS = tuple(str(level) for level in Level)


def check_relationship_types(project: Project, index: PlantIndex, references: bool = True) -> Iterator[Problem]:
    """What is wrong with the relationship types of a project, and with the relationships of these types."""
    types: dict[str, RelationshipType] = {}
    for number, type in enumerate(project.relationship_types):
        path: Path = ("relationship_types", number)
        if type.name in types:
            yield Problem((*path, "name"), f"found the relationship type {type.name!r} twice")
        types.setdefault(type.name, type)
        if references:
            yield from _words(type, index, path)
    ends = _Ends(project.type_library())
    for twin_number, twin in enumerate(project.digital_twins) if types else ():
        for number, one in enumerate(twin.relationships):
            if (kind := types.get(one.type)) is None:
                continue
            here: Path = ("digital_twins", twin_number, "relationships", number)
            yield from _told(kind, one, here)
            sources, targets = index.find(one.from_, twin.name), index.find(one.to, twin.name)
            if len(sources) == len(targets) == 1:
                yield from ends.check(kind, sources[0], targets[0], here)


def _words(type: RelationshipType, index: PlantIndex, path: Path) -> Iterator[Problem]:
    for field, words in (("from", type.from_), ("to", type.to)):
        for number, word in enumerate(words or ()):
            if word not in _LEVELS and word not in index.types:
                known = (*_LEVELS, *sorted(index.types))
                message = f"no document defines {word!r}, expected a level or a type of components"
                yield Problem((*path, field, number), message, nearest(word, known), "warning")


def _told(type: RelationshipType, one: Relationship, path: Path) -> Iterator[Problem]:
    """The properties, brought to their declared units."""
    if not type.properties:
        return
    known = tuple(type.properties)
    for name in one.properties:
        if name not in known:
            hint = nearest(name, known)
            expected = "" if hint else f", expected one of {', '.join(known)}"
            message = f"found the property {name!r}, which {type.name} does not have{expected}"
            yield Problem((*path, "properties", name), message, hint, key=True)
    for name, declared in type.properties.items():
        own = name == TRANSFER_TIME
        value = one.transfer_time if own else one.properties.get(name)
        place: Path = (*path, TRANSFER_TIME) if own else (*path, "properties", name)
        if value is None and declared.required:
            yield Problem(place, f"{name!r} is missing here; {type.name} requires it")
        elif (value := declared.default if value is None else value) is not None:
            try:
                _keep(one, name, fit(declared.model_dump(exclude_none=True), value))
            except InvalidValueError as error:
                yield Problem(place, f"{error} ({name} of {type.name})")


def _keep(one: Relationship, name: str, value: Any) -> None:
    if name == TRANSFER_TIME:
        one.transfer_time = value
    else:
        one.properties = one.properties | {name: value}


class _Ends:
    """Where relationships start and end, one after the other."""

    def __init__(self, library: TypeLibrary) -> None:
        self._library = library
        self._seen: dict[tuple[str, str, str], str] = {}

    def check(self, type: RelationshipType, source: Defined, target: Defined, path: Path) -> Iterator[Problem]:
        for field, allowed, verb, node in (
            ("from", type.from_, "starts", source),
            ("to", type.to, "ends", target),
        ):
            if allowed is not None and not self._is_one_of(node, allowed):
                message = f"found {_described(node)}; {type.name} {verb} at {' or '.join(allowed)}"
                yield Problem((*path, field), message)
        start, _, end = type.cardinality.partition("_to_")
        for field, limit, node, other in (("from", end, source, target), ("to", start, target, source)):
            if limit == "one":
                first = self._seen.setdefault((type.name, field, node.id), other.id)
                if first != other.id:
                    there = f"it {'leads to' if field == 'from' else 'comes from'} {first} already"
                    message = f"found a second {type.name} of {node.id}, which is {type.cardinality}: {there}"
                    yield Problem((*path, field), message)

    def _is_one_of(self, node: Defined, allowed: list[str]) -> bool:
        words = {str(node.level), *self._library.lineage(getattr(node.definition, "type", None))}
        return not words.isdisjoint(allowed)


def _described(node: Defined) -> str:
    kind = getattr(node.definition, "type", None)
    return f"{node.id}, a {node.level}{f' of type {kind}' if kind else ''}"
