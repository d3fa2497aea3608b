"""What the names and roll-ups of a computed signal's expression stand for: signals, and parameters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .component_types import TypeLibrary
from .errors import InvalidValueError, NotFoundError
from .graph import Graph
from .model import FEEDS_INTO, DataType, Level, Node, Quality, Signal
from .rollups import CHILDREN, COUNT, DESCENDANTS, FED_BY, FUNCTIONS, INCOMING, Rollup
from .units import Affine, conversion

PARAMETERS = "parameters"
_SILENT = 1 << 10  # above any quality


class Held(NamedTuple):
    """What a signal holds at some instant: a number, or a text or a boolean, or None if that is not known."""

    value: Any
    quality: int


@dataclass(frozen=True, slots=True)
class Input:
    """A signal (by index) that an expression needs; members of a roll-up are converted to the first one's unit."""

    signal: int
    unit: str | None
    data_type: DataType | None = None
    convert: Affine | None = None

    def value_of(self, held: Held | None) -> Any:
        """What an expression sees of it; None if it is not known."""
        if held is None or held.quality < Quality.UNCERTAIN or held.value is None or held.value != held.value:
            return None
        return held.value if self.convert is None else self.convert(held.value)


class Group:
    """The members of a roll-up with what they hold, as columns `(n,)`; NaN is no usable value."""

    def __init__(self, function: str, members: Sequence[Input]) -> None:
        self._function = FUNCTIONS[function]
        self._members = members
        self._values = np.full(len(members), np.nan)
        self._qualities = np.full(len(members), _SILENT, dtype=np.int16)

    def take(self, place: int, held: Held | None) -> None:
        """What a member holds from now on."""
        value = self._members[place].value_of(held)
        # A text can be counted, whatever it says.
        self._values[place] = np.nan if value is None else 0.0 if isinstance(value, str) else float(value)
        self._qualities[place] = _SILENT if held is None else max(held.quality, int(Quality.UNCERTAIN))

    def value(self) -> tuple[float | None, int | None]:
        """The value, None if there is no usable one, and the quality, None if no member has spoken."""
        quality = int(self._qualities.min(initial=_SILENT))
        usable = self._values[~np.isnan(self._values)]
        value = float(self._function(usable)) if len(usable) else None
        return value, None if quality == _SILENT else quality


def named(graph: Graph, node: Node, name: str) -> tuple[Input | Any, str | None]:
    """What a name means at a node: a signal or a parameter of its own, of its line, or anywhere; and its unit.

    Raises NotFoundError, or AmbiguousIdError.
    """
    signal = signal_named(graph, node, name)
    if signal is not None:
        return _input(signal), signal.unit
    parameters = node.properties.get(PARAMETERS, {})
    if name in parameters:
        return parameters[name], _unit_of_parameter(graph, node, name)
    if "." not in name:
        raise NotFoundError(f"{node.id} has no signal or parameter {name!r}; it has {_known(graph, node)}")
    return _elsewhere(graph, node, name)


def _elsewhere(graph: Graph, node: Node, name: str) -> tuple[Input | Any, str | None]:
    head, _, last = name.rpartition(".")
    line = node.id.partition(".")[0]
    owner = graph.find(f"{line}.{head}") if f"{line}.{head}" in graph else graph.find(head)
    signal = signal_named(graph, owner, last)
    if signal is not None:
        return _input(signal), signal.unit
    parameters = owner.properties.get(PARAMETERS, {})
    if last in parameters:
        return parameters[last], _unit_of_parameter(graph, owner, last)
    raise NotFoundError(f"{owner.id} has no signal or parameter {last!r}; it has {_known(graph, owner)}")


def signal_named(graph: Graph, node: Node, name: str) -> Signal | None:
    """The node's own signal of that name, or that of its sensor of that name or id.

    Raises InvalidValueError for a sensor with several values.
    """
    own = graph.signal_of(node.key, name)
    if own is not None:
        return own
    for sensor in graph.sensors(node.key):
        if name in (sensor.name, sensor.short_id):
            signals = graph.values_of(sensor.key)
            if len(signals) > 1:
                raise InvalidValueError(f"{sensor.id} has {len(signals)} values; an expression takes one")
            return signals[0] if signals else None
    return None


def members(graph: Graph, node: Node, rollup: Rollup) -> tuple[Input, ...]:
    """The signals that a roll-up takes in at a node; nodes without such a signal are left out.

    Raises InvalidValueError if their units do not go together.
    """
    library = TypeLibrary.of(graph.definition)
    signals = [
        signal
        for one in _collection(graph, node, rollup)
        if rollup.type is None or rollup.type in library.lineage(one.type)
        if (signal := signal_named(graph, one, rollup.signal)) is not None
    ]
    if rollup.function == COUNT:
        return tuple(_input(signal) for signal in signals)
    for signal in signals:
        if signal.data_type is DataType.TEXT:
            raise InvalidValueError(f"{graph.signal_id(signal)} is a text; texts can only be counted")
    unit = next((signal.unit for signal in signals if signal.unit is not None), None)
    return tuple(_input(signal, unit) for signal in signals)


def _collection(graph: Graph, node: Node, rollup: Rollup) -> Iterator[Node]:
    if rollup.collection in (CHILDREN, DESCENDANTS):
        found = graph.children(node.key) if rollup.collection == CHILDREN else graph.descendants(node.key)
        yield from (one for one in found if one.level is not Level.SENSOR)
        return
    type = rollup.relationship or FEEDS_INTO
    if rollup.collection in (FED_BY, INCOMING):
        keys = [arrow.source for arrow in graph.incoming(node.key, type)]
    else:
        keys = [arrow.target for arrow in graph.outgoing(node.key, type)]
    yield from (graph.node(key) for key in keys)


def _input(signal: Signal, unit: str | None = None) -> Input:
    convert = None
    if unit is not None and signal.unit is not None and signal.unit != unit:
        convert = conversion(signal.unit, unit)
    return Input(signal.index, signal.unit, signal.data_type, convert)


def _unit_of_parameter(graph: Graph, node: Node, name: str) -> str | None:
    kind = TypeLibrary.of(graph.definition).of_node(node)
    return kind.parameters.get(name, {}).get("unit") if kind else None


def _known(graph: Graph, node: Node) -> str:
    shown = [sensor.name for sensor in graph.sensors(node.key)]
    shown += [signal.name for signal in graph.signals_of(node.key)]
    return ", ".join([*shown, *node.properties.get(PARAMETERS, {})][:20]) or "none"
