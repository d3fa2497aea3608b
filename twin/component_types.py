"""Component types with all that they have from the types that they extend.

They are read from canonical JSON, the section `component_types` of a project as it is kept in the graph: so the graph
as of any instant knows the types of that instant.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .model import Node

Json = dict[str, Any]

INHERITED = {"sensors": "id", "rules": "name", "computed": "name"}
"""Lists of named items that a type has from its base, and the key that names an item: another list is another line."""
FIELD_BY_FIELD = frozenset({"sensors"})
"""Lists whose items change the base's of the same name field by field; in the others they take its place."""
SECTION = "component_types"
VERSION, PINNED = "type_version", "type_pinned"
"""Properties of an instance's node: the version of its type, and whether it stays there when a newer one comes."""


@dataclass(frozen=True, slots=True)
class Item:
    """A sensor, a rule or another named item of a type; `owner` is the type that gave it this form."""

    owner: str
    fields: Json


@dataclass(frozen=True, slots=True)
class EffectiveType:
    """One version of a type, with what it has from its bases; `lineage` begins with itself."""

    name: str
    version: int
    lineage: tuple[str, ...]
    parameters: dict[str, Json] = field(default_factory=dict)
    items: dict[str, dict[str, Item]] = field(default_factory=dict)

    @property
    def sensors(self) -> dict[str, Item]:
        """Its sensors by id, those of the base first."""
        return self.items["sensors"]

    @property
    def rules(self) -> dict[str, Item]:
        """Its rules by name."""
        return self.items["rules"]


class TypeLibrary:
    """The component types of a definition, by name and version."""

    def __init__(self, types: Iterable[Json] = ()) -> None:
        self._raw: defaultdict[str, dict[int, Json]] = defaultdict(dict)
        for each in types:
            self._raw[each["name"]].setdefault(each.get("version", 1), each)
        self._found: dict[tuple[str, int], EffectiveType] = {}

    @classmethod
    def of(cls, sections: Mapping[str, Any]) -> "TypeLibrary":
        """The types of a project's sections, or of a graph's definition."""
        return cls(sections.get(SECTION) or ())

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def __bool__(self) -> bool:
        return bool(self._raw)

    def names(self) -> tuple[str, ...]:
        """The names of all types."""
        return tuple(self._raw)

    def versions(self, name: str) -> list[int]:
        """The versions of a type, the newest last."""
        return sorted(self._raw.get(name, ()))

    def find(self, name: str | None, version: int | None = None) -> EffectiveType | None:
        """A type, in its newest version unless another is asked for; None if there is none."""
        known = self.versions(name) if name is not None else []
        if name is None or not known or (version is not None and version not in known):
            return None
        return self._effective(name, version or known[-1], ())

    def of_node(self, node: Node) -> EffectiveType | None:
        """The type of a node, in the node's version; a node that tells none has the newest."""
        return self.find(node.type, node.properties.get(VERSION)) or self.find(node.type)

    def lineage(self, name: str | None) -> tuple[str, ...]:
        """The name of a type and of all that it extends; a word that is no type is alone."""
        found = self.find(name)
        return found.lineage if found else (name,) if name is not None else ()

    def subtypes(self, name: str) -> set[str]:
        """The type itself and all that extend it, directly or not."""
        return {each for each in self._raw if name in self.lineage(each)} | {name}

    def circle(self, name: str) -> list[str]:
        """The way from a type over what it extends back to it; empty if there is none."""
        way = [name]
        while (base := self._base(way[-1])) is not None and base not in way:
            way.append(base)
        return [*way, name] if base == name else []

    def _base(self, name: str) -> str | None:
        known = self.versions(name)
        return self._raw[name][known[-1]].get("extends") if known else None

    def _effective(self, name: str, version: int, below: tuple[str, ...]) -> EffectiveType:
        key = (name, version)
        if key not in self._found:
            raw = self._raw[name][version]
            base = raw.get("extends")
            known = self.versions(base) if base is not None else []
            above = None
            # A circle ends where it closes; `validate` tells it.
            if base is not None and known and base not in (*below, name):
                above = self._effective(base, known[-1], (*below, name))
            self._found[key] = _extended(raw, version, above)
        return self._found[key]

    def __iter__(self) -> Iterator[EffectiveType]:
        """All versions of all types."""
        for name in self._raw:
            for version in self.versions(name):
                yield self._effective(name, version, ())


def _extended(raw: Json, version: int, base: EffectiveType | None) -> EffectiveType:
    name = raw["name"]
    parameters = dict(base.parameters) if base else {}
    for parameter, own in raw.get("parameters", {}).items():
        parameters[parameter] = _parameter(parameters.get(parameter, {}), own)
    items: dict[str, dict[str, Item]] = {}
    for list_name, key in INHERITED.items():
        items[list_name] = found = dict(base.items[list_name]) if base else {}
        for own in raw.get(list_name, ()):
            before = found.get(own[key])
            fieldwise = before is not None and list_name in FIELD_BY_FIELD
            found[own[key]] = Item(name, before.fields | own if before and fieldwise else own)
    return EffectiveType(name, version, (name, *(base.lineage if base else ())), parameters, items)


def _parameter(base: Json, own: Json) -> Json:
    """What an extending type says of a parameter excludes what contradicts it in the base."""
    excluded: set[str] = set()
    if "range" in own:
        excluded |= {"min", "max"}
    if "min" in own or "max" in own:
        low, high = base.get("range") or (None, None)
        base = ({"min": low, "max": high} if low is not None else {}) | base
        excluded.add("range")
    if own.get("default") is not None:
        excluded.add("required")
    if own.get("required"):
        excluded.add("default")
    return {name: value for name, value in base.items() if name not in excluded} | own
