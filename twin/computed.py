"""Computed signals of a graph: what each is made of, and its value from the values of that.

Definitions stand in the property `computed` of components and lines, and in component types for all their instances.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .component_types import TypeLibrary
from .computed_inputs import Group, Held, Input, members, named
from .errors import InvalidValueError, IoTSenseError
from .expression_values import number
from .graph import HEALTH, Graph
from .graph_edit import GraphEdit
from .model import DataType, Level, Node, Quality, Role, Signal
from .rollups import ComputedExpression, Rollup, compile_computed, split_rollups
from .units import Affine, conversion, parse_unit

COMPUTED = "computed"
Json = dict[str, Any]


class Definition(NamedTuple):
    """The definition of a computed signal on a node; `place` is its place in the node's own list, None in a type's."""

    node: Node
    raw: Json
    place: int | None

    @property
    def name(self) -> str:
        """The signal's name."""
        return str(self.raw["name"])


@dataclass(frozen=True, slots=True)
class Formula:
    """A computed signal (by index): its expression over inputs, constants and roll-ups by the names in it."""

    signal: int
    text: str
    expression: ComputedExpression
    constants: Mapping[str, Any]
    inputs: Mapping[str, Input]
    rolled_up: Mapping[str, tuple[Input, ...]]
    convert: Affine

    @property
    def signals(self) -> tuple[int, ...]:
        """All signals that it depends on."""
        every = [*self.inputs.values(), *(one for group in self.rolled_up.values() for one in group)]
        return tuple(dict.fromkeys(one.signal for one in every))


class Evaluation:
    """A formula with what its inputs hold at some instant; `take` moves it on, `result` tells its value.

    The quality is that of the worst input. An input that is unusable (bad, or NaN) is unknown, and so is what depends
    on it; a roll-up leaves it out and is uncertain for it.
    """

    def __init__(self, formula: Formula) -> None:
        self.formula = formula
        self._held: dict[str, Held | None] = dict.fromkeys(formula.inputs)
        self._names: dict[int, list[str]] = {}
        self._places: dict[int, list[tuple[Group, int]]] = {}
        self._groups: dict[str, Group] = {}
        for name, one in formula.inputs.items():
            self._names.setdefault(one.signal, []).append(name)
        for name, members_of in formula.rolled_up.items():
            group = self._groups[name] = Group(formula.expression.rollups[name].function, members_of)
            for place, one in enumerate(members_of):
                self._places.setdefault(one.signal, []).append((group, place))

    def take(self, signal: int, held: Held | None) -> None:
        """What a signal holds from now on; None if it has not spoken."""
        for name in self._names.get(signal, ()):
            self._held[name] = held
        for group, place in self._places.get(signal, ()):
            group.take(place, held)

    def result(self) -> Held | None:
        """Value and quality; None while what it needs has not spoken yet."""
        namespace: dict[str, Any] = dict(self.formula.constants)
        qualities = [held.quality for held in self._held.values() if held is not None]
        silent = len(qualities) < len(self._held)
        for name, held in self._held.items():
            namespace[name] = self.formula.inputs[name].value_of(held)
        for name, group in self._groups.items():
            namespace[name], quality = group.value()
            silent |= quality is None
            qualities += [] if quality is None else [quality]
        value = self._value(namespace)
        if math.isfinite(value):
            return Held(value, min(qualities, default=int(Quality.GOOD)))
        return None if silent else Held(math.nan, int(Quality.BAD))

    def _value(self, namespace: Mapping[str, Any]) -> float:
        try:
            value = self.formula.expression.expression.evaluate(namespace)
            return math.nan if value is None else self.formula.convert(float(number(value)))
        except IoTSenseError:
            return math.nan  # a division by zero, a root of a negative number


def definitions(graph: Graph) -> Iterator[Definition]:
    """All definitions of a graph: the nodes' own, and those of their types that they do not define themselves."""
    library = TypeLibrary.of(graph.definition)
    for node in graph.nodes():
        if node.level is Level.SENSOR:
            continue
        own: list[Json] = node.properties.get(COMPUTED, [])
        yield from (Definition(node, raw, place) for place, raw in enumerate(own))
        kind = library.of_node(node) if library else None
        names = {raw["name"] for raw in own}
        for name, item in kind.items[COMPUTED].items() if kind else ():
            if name not in names:
                yield Definition(node, item.fields, None)


def has_definitions(graph: Graph) -> bool:
    """Whether there are any at all."""
    return next(definitions(graph), None) is not None


def add_computed_signals(edit: GraphEdit, before: Iterable[int] = ()) -> None:
    """Gives nodes the derived signals that their definitions name, as these say; of those `before` the others go."""
    named_now = {(node.key, raw["name"]) for node, raw, _ in definitions(edit.graph)}
    for index in before:
        signal = edit.graph.signal_map.get(index)
        if signal is not None and (signal.node, signal.name) not in named_now:
            edit.remove_signal(index)
    for node, raw, _ in list(definitions(edit.graph)):
        fields = {
            "unit": None if raw.get("unit") is None else parse_unit(raw["unit"]).name,
            "low": raw.get("low"),
            "high": raw.get("high"),
            "stepped": raw.get("stepped", True),
        }
        there = edit.graph.signal_of(node.key, raw["name"])
        if there is None:
            edit.add_signal(node.key, raw["name"], role=Role.DERIVED, data_type=DataType.NUMBER, **fields)
        elif there.role is Role.DERIVED and any(getattr(there, name) != value for name, value in fields.items()):
            edit.update_signal(there.index, **fields)


def is_complete(graph: Graph, before: Iterable[int] = ()) -> bool:
    """Whether all computed signals are there, as their definitions say, and none of those `before` that are gone."""
    named_now = set()
    for node, raw, _ in definitions(graph):
        named_now.add((node.key, raw["name"]))
        there = graph.signal_of(node.key, raw["name"])
        unit = None if raw.get("unit") is None else parse_unit(raw["unit"]).name
        wanted = (unit, raw.get("low"), raw.get("high"), raw.get("stepped", True))
        if there is None or (there.unit, there.low, there.high, there.stepped) != wanted:
            return False
    there_still = (graph.signal_map[index] for index in before if index in graph.signal_map)
    return all((signal.node, signal.name) in named_now for signal in there_still)


def compile_formula(graph: Graph, definition: Definition) -> Formula:
    """The formula of a definition; raises IoTSenseError that says what does not fit."""
    node, raw = definition.node, definition.raw
    target = _target(graph, definition)
    rollups, _ = split_rollups(raw["expression"])
    rolled_up = {name: members(graph, node, rollup) for name, rollup in rollups.items()}
    constants: dict[str, Any] = {}
    inputs: dict[str, Input] = {}
    units: dict[str, str | None] = {name: _unit_of_rollup(rollups[name], group) for name, group in rolled_up.items()}
    for name in compile_computed(raw["expression"]).expression.names():
        if name in rollups:
            continue
        found, units[name] = named(graph, node, name)
        if isinstance(found, Input):
            inputs[name] = found
        else:
            constants[name] = found
    expression = compile_computed(raw["expression"], units.get)
    convert = _conversion(expression, raw.get("unit"))
    return Formula(target.index, raw["expression"], expression, constants, inputs, rolled_up, convert)


def _target(graph: Graph, definition: Definition) -> Signal:
    node, name = definition.node, definition.name
    for sensor in graph.sensors(node.key):
        if name in (sensor.name, sensor.short_id):
            raise InvalidValueError(f"{node.id} has a sensor of that name already: {name}")
    signal = graph.signal_of(node.key, name)
    if signal is None:
        raise InvalidValueError("its signal is still to be made")
    if signal.role is not Role.DERIVED or name == HEALTH:
        raise InvalidValueError(f"{node.id} has a signal of that name already: {name}")
    return signal


def _unit_of_rollup(rollup: Rollup, group: tuple[Input, ...]) -> str | None:
    if rollup.function == "count":
        return None
    return next((one.unit for one in group if one.unit is not None), None)


def _conversion(expression: ComputedExpression, unit: str | None) -> Affine:
    of_expression = expression.expression.unit
    if unit is None or of_expression is None:
        return Affine(1.0)
    return conversion(of_expression, unit)


def circles(formulas: Iterable[Formula]) -> list[list[int]]:
    """Formulas (by the index of their signal) that depend on themselves, each as the way round."""
    needs = {formula.signal: formula.signals for formula in formulas}
    done: set[int] = set()
    found: list[list[int]] = []
    for start in needs:
        way: list[int] = []
        waiting: list[tuple[int, bool]] = [(start, False)]
        while waiting:
            signal, leaving = waiting.pop()
            if leaving:
                way.pop()
                done.add(signal)
            elif signal in way:
                found.append([*way[way.index(signal) :], signal])
            elif signal in needs and signal not in done:
                way.append(signal)
                waiting.append((signal, True))
                waiting += [(one, False) for one in needs[signal]]
    return found


def in_order(formulas: Iterable[Formula]) -> list[Formula]:
    """Formulas with each behind those that it depends on; those in a circle are left out."""
    by_signal = {formula.signal: formula for formula in formulas}
    bad = {signal for circle in circles(by_signal.values()) for signal in circle}
    order: dict[int, Formula] = {}

    def place(formula: Formula) -> None:
        for signal in formula.signals:
            if signal in by_signal and signal not in order and signal not in bad:
                place(by_signal[signal])
        order[formula.signal] = formula

    for signal, formula in by_signal.items():
        if signal not in bad and signal not in order:
            place(formula)
    return list(order.values())
