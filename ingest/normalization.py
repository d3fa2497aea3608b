"""Normalization rules, compiled: which of them concern a topic or a device, and what they come to."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..twin.define_normalization import AddMetadata, Normalization, TimestampNormalize, UnitConversion
from ..twin.errors import InvalidValueError, IoTSenseError
from ..twin.expressions import Template, compile_template
from ..twin.units import convertible
from .topics import TopicMatcher

Transform = UnitConversion | TimestampNormalize | AddMetadata
VALUE_FIELD = "value"
STAMP_FIELD = "timestamp"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `number` is its place among all rules, in which they are applied."""

    number: int
    units: tuple[UnitConversion, ...]
    stamps: tuple[TimestampNormalize, ...]
    templates: tuple[tuple[str, Template], ...]


class Normalizer:
    """All rules of a project. A rule's `source` is a topic filter, a source, a device, or a group of such."""

    def __init__(self, normalization: Normalization) -> None:
        self._by_topic: TopicMatcher[Rule] = TopicMatcher()
        self._by_name: dict[str, list[Rule]] = {}
        for number, definition in enumerate(normalization.rules):
            if not definition.enabled:
                continue
            rule = _compiled(number, definition.transforms)
            for name in normalization.groups.get(definition.source, [definition.source]):
                self._by_name.setdefault(name, []).append(rule)
                with contextlib.suppress(InvalidValueError):  # a device may be called what no topic can be
                    self._by_topic.add(name, rule)

    def of_lane(self, source: str, topic: str | None) -> tuple[Rule, ...]:
        """The rules for all that comes from a source on a topic, in their order."""
        found = [*self._by_name.get(source, ()), *(self._by_topic.matches(topic) if topic else ())]
        return in_order(found)

    def of_device(self, names: Iterable[str]) -> tuple[Rule, ...]:
        """The rules for a device that goes by any of these names."""
        return in_order([rule for name in names for rule in self._by_name.get(name, ())])

    @property
    def names(self) -> Mapping[str, Sequence[Rule]]:
        """The rules by the words that they name their sources with."""
        return self._by_name


def in_order(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Each rule once, in the order in which they were written."""
    return tuple(sorted({rule.number: rule for rule in rules}.values(), key=lambda rule: rule.number))


def _compiled(number: int, transforms: Sequence[Transform]) -> Rule:
    fields = [item for t in transforms if isinstance(t, AddMetadata) for item in t.fields.items()]
    return Rule(
        number,
        tuple(t for t in transforms if isinstance(t, UnitConversion)),
        tuple(t for t in transforms if isinstance(t, TimestampNormalize)),
        tuple((name, compile_template(text)) for name, text in fields),
    )


@dataclass(frozen=True, slots=True)
class Units:
    """What rules make of a measurement's unit: what it `is` in, and what it is to `become` without a better wish."""

    given: str | None
    become: str | None


def units_of(rules: Iterable[Rule], fields: Iterable[str], unit: str | None) -> Units:
    """The units of a measurement that goes by these field names.

    A reading that says its unit is believed: `from_unit` is for those that do not, and a conversion between units of
    another kind (a temperature's, for a speed) does not concern it.
    """
    given = become = unit
    names = set(fields)
    for rule in rules:
        for step in rule.units:
            if step.from_field not in names:
                continue
            if given is None:
                given, become = step.from_unit, step.to_unit
            elif become is not None and _same_kind(become, step.to_unit):
                become = step.to_unit
    return Units(given, become)


def _same_kind(unit: str, other: str) -> bool:
    try:
        return convertible(unit, other)
    except InvalidValueError:
        return False


def stamp_of(rules: Iterable[Rule]) -> TimestampNormalize | None:
    """How rules want stamps to be read; the last of them says."""
    found = [stamp for rule in rules for stamp in rule.stamps]
    return found[-1] if found else None


def metadata_of(rules: Iterable[Rule], namespace: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """The fields that rules add, and why those are missing that could not be filled in."""
    added: dict[str, str] = {}
    missing: list[str] = []
    for rule in rules:
        for name, template in rule.templates:
            try:
                added[name] = template.render(namespace)
            except IoTSenseError as error:
                missing.append(f"{name}: {error}")
    return added, missing
