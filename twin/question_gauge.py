"""What is known of the stations' paces and of the buffers' contents, from parameters and from live signals."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .durations import parse_duration
from .errors import InvalidValueError
from .graph import VALUE, Graph
from .model import DataType, Level, Node, Quality, Signal
from .question_kinds import Kinds
from .question_subject import Instant
from .units import conversion, parse_quantity

BUFFER = "buffer"
CAPACITY = ("buffer_capacity", "capacity")
RATE = ("rate", "throughput")
CYCLE_TIME = ("cycle_time", "ideal_cycle_time")
LEVEL = ("level", "fill", "fill_level")
LEVEL_SIGNAL = "level_signal"
INCLUDES_TRANSFER = "level_includes_transfer"
_COUNT, _SECONDS, _PER_SECOND = {"count": 1.0}, {"s": 1.0}, {"count/s": 1.0, "1/s": 1.0}
_SIGNALS = frozenset({*RATE, *CYCLE_TIME, *LEVEL})


@dataclass(frozen=True, slots=True)
class Live:
    """A station's signal, and how its value becomes parts a second, seconds a part, or parts: `value * scale`."""

    station: int
    signal: int
    scale: float


@dataclass(frozen=True, slots=True)
class Gauges:
    """By number of a station: whether it is a buffer, the parts that fit into it, its rate [parts/s] by parameters.

    `belt` holds the buffers whose content counts what is on its way to the next station, too.

    `rates`, `cycles` and `levels` tell the live ones; a signal goes before a parameter.
    """

    buffer: list[bool]
    belt: set[int]
    capacity: list[float | None]
    rate: list[float | None]
    rates: list[Live]
    cycles: list[Live]
    levels: list[Live]

    @classmethod
    def of(cls, graph: Graph, keys: list[int]) -> "Gauges":
        """What parameters and signals of these nodes say."""
        gauges, kinds = cls([], set(), [], [], [], [], []), Kinds.of(graph)
        for station, key in enumerate(keys):
            gauges._add(graph, station, graph.node_map[key], kinds)
        return gauges

    def _add(self, graph: Graph, station: int, node: Node, kinds: Kinds) -> None:
        given = Parameters(node, kinds)
        capacity = given.number(CAPACITY, _COUNT)
        self.capacity.append(capacity)
        self.buffer.append(capacity is not None or kinds.is_a(node, BUFFER))
        self.rate.append(given.number(RATE, _PER_SECOND) or given.per_cycle() or None)
        if given.values.get(INCLUDES_TRANSFER) is True:
            self.belt.add(station)
        named = given.values.get(LEVEL_SIGNAL)
        signals = _signals(graph, node, named if isinstance(named, str) else None)
        if not signals:
            return
        self._add_live(self.rates, station, signals, RATE, _PER_SECOND)
        self._add_live(self.cycles, station, signals, CYCLE_TIME, _SECONDS)
        # A share such as percent is one of the capacity; without that it tells nothing.
        contents = _COUNT if capacity is None else {"count": 1.0, "one": capacity}
        self._add_live(self.levels, station, signals, (LEVEL_SIGNAL, *LEVEL), contents)

    @staticmethod
    def _add_live(
        live: list[Live], station: int, signals: dict[str, Signal], names: tuple[str, ...], kinds: dict[str, float]
    ) -> None:
        signal = next((signals[name] for name in names if name in signals), None)
        scale = None if signal is None else _scale(signal.unit, kinds)
        if signal is not None and scale is not None:
            live.append(Live(station, signal.index, scale))

    def paces(self, instant: Instant) -> list[float | None]:
        """Parts a second by station; None if unknown. One that stands has no pace to tell: its parameters do."""
        paces = list(self.rate)
        for each, value in zip(self.cycles, _values(instant, self.cycles), strict=True):
            if value:
                paces[each.station] = 1.0 / value
        for each, value in zip(self.rates, _values(instant, self.rates), strict=True):
            if value:
                paces[each.station] = value
        return paces

    def contents(self, instant: Instant) -> dict[int, float]:
        """Parts in the buffers now, where a level is known."""
        found = zip(self.levels, _values(instant, self.levels), strict=True)
        return {each.station: value for each, value in found if value is not None}

    def doubtful(self, instant: Instant) -> set[int]:
        """The buffers whose level is not good: silent for too long, or told so by its source."""
        state = instant.snapshot(_indexes(self.levels))
        return {
            each.station
            for each, quality in zip(self.levels, state.quality.tolist(), strict=True)
            if quality < Quality.GOOD
        }


def _indexes(live: list[Live]) -> NDArray[np.int32]:
    return np.array([each.signal for each in live], dtype=np.int32)


def _values(instant: Instant, live: list[Live]) -> list[float | None]:
    state = instant.snapshot(_indexes(live))
    value = state.value * np.array([each.scale for each in live])
    usable = (state.quality >= Quality.UNCERTAIN) & (value >= 0)
    return [each if fits else None for each, fits in zip(value.tolist(), usable.tolist(), strict=True)]


def _signals(graph: Graph, node: Node, level: str | None) -> dict[str, Signal]:
    """The numeric signals of a node that may tell something, by name; `level` is the one that a parameter names."""
    nodes, signals, of_node = graph.node_map, graph.signal_map, graph.signals_by_node
    wanted = _SIGNALS if level is None else _SIGNALS | {level}
    found: dict[str, Signal] = {}
    for child in graph.children_map.get(node.key, ()):
        sensor = nodes[child]
        name = sensor.name if sensor.name in wanted else sensor.short_id
        if name in wanted and sensor.level is Level.SENSOR and (signal := graph.signal_of(child, VALUE)):
            found[name] = signal
    for index in of_node.get(node.key, ()):
        if signals[index].name in wanted:
            found[signals[index].name] = signals[index]
    return {
        LEVEL_SIGNAL if name == level else name: signal
        for name, signal in found.items()
        if signal.data_type in (None, DataType.NUMBER)
    }


def _scale(unit: str | None, kinds: dict[str, float]) -> float | None:
    """By what a value of that unit is multiplied; None where it measures something else. A bare number is as meant."""
    if unit is None:
        return 1.0
    for wanted, scale in kinds.items():
        ratio = _ratio(unit, wanted)
        if ratio is not None:
            return ratio * scale
    return None


@functools.lru_cache(maxsize=1024)
def _ratio(unit: str, wanted: str) -> float | None:
    try:
        return conversion(unit, wanted).scale
    except InvalidValueError:
        return None


class Parameters:
    """A node's parameters: numbers in the unit that its type declares, or texts such as `300 bottles/min`."""

    def __init__(self, node: Node, kinds: Kinds) -> None:
        given = node.properties.get("parameters")
        self.values: dict[str, Any] = given if isinstance(given, dict) else {}
        self._node = node
        self._kinds = kinds

    def number(self, names: tuple[str, ...], wanted: dict[str, float]) -> float | None:
        """The first of these parameters in one of the wanted units, from 0 on; None if it tells nothing."""
        for name in names:
            if name in self.values:
                return self._quantity(name, wanted)
        return None

    def per_cycle(self) -> float | None:
        """Parts a second by a cycle time: a duration (`2.5s`), or a number [s] unless another unit is declared."""
        name = next((name for name in CYCLE_TIME if name in self.values), None)
        if name is None:
            return None
        try:
            seconds: float | None = parse_duration(self.values[name])
        except InvalidValueError:
            return None
        if isinstance(self.values[name], int | float):
            seconds = self._quantity(name, _SECONDS)
        return 1.0 / seconds if seconds else None

    def _quantity(self, name: str, wanted: dict[str, float]) -> float | None:
        value, unit = self.values[name], self._kinds.parameter_unit(self._node, name)
        if isinstance(value, str):
            try:
                quantity = parse_quantity(value)
            except InvalidValueError:
                return None
            value, unit = quantity.value, None if quantity.unit is None else quantity.unit.name
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            return None
        scale = _scale(unit, wanted)
        return None if scale is None else value * scale
