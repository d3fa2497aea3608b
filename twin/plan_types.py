"""What a revision does to the instances of component types, those together in which it does the same."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from .component_types import VERSION, EffectiveType, TypeLibrary
from .desired import Desired, DesiredNode
from .difference import Difference
from .graph import Graph
from .model import Level
from .plan_changes import NodeChange, TypeChange

DIFFERS = "…"
"""Stands for a value that is another one in each instance."""


def type_changes(
    nodes: Iterable[NodeChange], desired: Desired, before: Graph, keys: Mapping[str, int]
) -> tuple[TypeChange, ...]:
    """The changes of all instances, grouped; `keys` are the nodes that the desired ids have been until now."""
    instances = {node.id: node for node in desired.nodes if VERSION in node.properties}
    changed: defaultdict[str, list[NodeChange]] = defaultdict(list)
    for node in nodes if instances else ():
        owner = node.id if node.id in instances else node.id.rpartition(".")[0]
        if owner in instances and (owner == node.id or node.level is Level.SENSOR):
            changed[owner].append(replace(node, id=node.id.removeprefix(owner).removeprefix(".")))
    kinds = _Kinds(before, desired, keys)
    groups: defaultdict[Any, list[tuple[str, list[NodeChange]]]] = defaultdict(list)
    for id, instance in instances.items():
        old, new = kinds.of(instance)
        rules = kinds.rules(old, new)
        if changed[id] or (rules and old is not None):
            versions = (new.name, old.version if old and old.name == new.name else None, new.version)
            groups[versions, rules, tuple(map(_alike, changed[id]))].append((id, changed[id]))
    return tuple(_change(versions, rules, members) for (versions, rules, _), members in groups.items())


def _change(
    versions: tuple[str, int | None, int], rules: Any, members: list[tuple[str, list[NodeChange]]]
) -> TypeChange:
    nodes = [_common([changes[place] for _, changes in members]) for place in range(len(members[0][1]))]
    told = tuple(Difference(*rule) for rule in rules)
    return TypeChange(*versions, tuple(id for id, _ in members), tuple(nodes), told)


class _Kinds:
    """The types of instances before and after, and what is watched on them."""

    def __init__(self, before: Graph, desired: Desired, keys: Mapping[str, int]) -> None:
        self._graph = before
        self._keys = keys
        self._before = TypeLibrary.of(before.definition)
        self._after = TypeLibrary.of(desired.sections)
        self._rules: dict[Any, tuple[Any, ...]] = {}

    def of(self, node: DesiredNode) -> tuple[EffectiveType | None, EffectiveType]:
        new = self._after.find(node.type, node.properties[VERSION])
        assert new is not None, "who has a version has a type"
        key = self._keys.get(node.id)
        return (None if key is None else self._before.of_node(self._graph.node(key))), new

    def rules(self, old: EffectiveType | None, new: EffectiveType) -> tuple[tuple[Any, ...], ...]:
        """Differences of the rules by name, as values that can be compared."""
        key = (old.name, old.version) if old else None, new.name, new.version
        if key not in self._rules:
            self._rules[key] = tuple(_rules(old, new))
        return self._rules[key]


def _rules(old: EffectiveType | None, new: EffectiveType) -> Iterator[tuple[str, str]]:
    before = {} if old is None else {f"{item.owner}.{name}": item.fields for name, item in old.rules.items()}
    after = {f"{item.owner}.{name}": item.fields for name, item in new.rules.items()}
    for name in {**after, **before}:
        if before.get(name) != after.get(name):
            yield name, "added" if name not in before else "removed" if name not in after else "changed"


def _alike(node: NodeChange) -> Any:
    """What is the same in instances that are told together: of new ones the fields, else the values too."""
    signals = tuple((s.change, s.name, _fields(s.fields, node.change), s.history) for s in node.signals)
    kind = (node.change, node.id, node.type, node.moved_from, node.history)
    return kind, _fields(node.fields, node.change), signals


def _fields(fields: Iterable[Difference], change: str) -> tuple[Any, ...]:
    if change == "added":
        return tuple(sorted(field.path for field in fields))
    return tuple((field.path, field.change, repr(field.before), repr(field.after)) for field in fields)


def _common(nodes: list[NodeChange]) -> NodeChange:
    """One for all: a value that differs is not told."""
    first = nodes[0]
    values: list[dict[str, Any]] = [{field.path: field.after for field in node.fields} for node in nodes]
    fields = [
        field if all(each[field.path] == field.after for each in values) else field._replace(after=DIFFERS)
        for field in first.fields
    ]
    return replace(first, fields=tuple(fields))
