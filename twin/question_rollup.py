"""Roll-ups: the sum, mean, least, greatest or number of a signal over a subtree, or along relationships."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidValueError
from .graph import VALUE, Graph
from .model import DataType, Level, Node, Quality, Signal
from .question_formula import Formula
from .question_reach import Reach
from .question_subject import Instant, NodeSubject
from .state import NEVER, StateColumns
from .units import conversion, parse_unit

TEMPERATURE = "temperature"
SHOWN = 100


class Aggregate(StrEnum):
    """How many values become one."""

    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A signal (dotted id) that does not count, and why."""

    signal: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rollup:
    """`value` [unit] made of `count` signals; None where none counts.

    `at` is the signal of the least or greatest. `oldest` and `newest` [ns] are the times of the readings that count,
    `quality` is the OPC byte of the worst. `truncated` if not all nodes were reached.
    """

    start: Node
    signal: str
    aggregate: Aggregate
    value: float | None
    unit: str | None
    count: int
    at: str | None = None
    oldest: int | None = None
    newest: int | None = None
    quality: int | None = None
    left_out: list[LeftOut] = field(default_factory=list)
    truncated: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Member:
    """A signal that may count, and the node that it speaks for."""

    signal: Signal
    owner: Node


def roll_up(
    instant: Instant,
    reached: Reach,
    signal: str,
    aggregate: Aggregate,
    *,
    unit: str | None = None,
    weight: Formula | None = None,
) -> Rollup:
    """The signals called `signal` of all nodes that were reached (the start is none of them), as one value.

    It is in the asked unit, or in that of the first signal. With `weight` (a formula of the node's signals, parameters
    and properties) each value counts so much: sum of w·v, or sum of w·v over sum of w. Signals without a good or
    uncertain reading, without a weight, with text, or without a unit where others have one do not count, and are named.
    Raises InvalidValueError where units measure different things, temperatures would be added, or a weight makes no
    sense.
    """
    if weight is not None and aggregate not in (Aggregate.SUM, Aggregate.MEAN):
        raise InvalidValueError(f"only a sum or a mean can be weighted, not a {aggregate}", "weight")
    members = _members(instant, reached, signal)
    state = instant.snapshot(np.array([member.signal.index for member in members], dtype=np.int32))
    sieve = Sieve(instant, unit or _first_unit(members), weight)
    used = [row for row, member in enumerate(members) if sieve.takes(member, state, row)]
    if aggregate is Aggregate.SUM and sieve.unit and parse_unit(sieve.unit).dimension == TEMPERATURE:
        raise InvalidValueError("temperatures cannot be added up; ask for their mean", "aggregate")
    values, weights = np.array(sieve.values), np.array(sieve.weights)
    value, row = _aggregated(aggregate, values, weights)
    notes = reached.notes + (weight.notes() if weight else [])
    if not members:
        notes.append(f"nothing here has a signal {signal!r}")
    if len(sieve.left_out) > SHOWN:
        notes.append(f"{len(sieve.left_out)} signals do not count; these are the first {SHOWN}")
    return Rollup(
        reached.start,
        signal,
        aggregate,
        value,
        None if aggregate is Aggregate.COUNT else sieve.unit,
        len(used),
        at=None if row is None else instant.graph.signal_id(members[used[row]].signal),
        oldest=int(state.time[used].min()) if used else None,
        newest=int(state.time[used].max()) if used else None,
        quality=int(state.quality[used].min()) if used else None,
        left_out=sieve.left_out[:SHOWN],
        truncated=reached.truncated,
        notes=notes,
    )


class Sieve:
    """Which signals count: their values in one unit, their weights; and those that do not, with the reason."""

    def __init__(self, instant: Instant, unit: str | None, weight: Formula | None) -> None:
        self.unit = unit
        self.values: list[float] = []
        self.weights: list[float] = []
        self.left_out: list[LeftOut] = []
        self._instant = instant
        self._weight = weight

    def takes(self, member: Member, state: StateColumns, row: int) -> bool:
        """Whether the signal counts. Raises InvalidValueError where its unit measures something else."""
        weight = self._weight_of(member.owner)
        reason = self._refusal(member.signal, state, row)
        if reason is None and weight is None:
            reason = "its weight is unknown"
        if reason is not None or weight is None:
            self.left_out.append(LeftOut(self._instant.graph.signal_id(member.signal), reason or ""))
            return False
        self.values.append(self._converted(member.signal, float(state.value[row])))
        self.weights.append(weight)
        return True

    def _refusal(self, signal: Signal, state: StateColumns, row: int) -> str | None:
        if signal.data_type in (DataType.TEXT, DataType.BOOLEAN) or signal.labels:
            return "it is no number"
        if self.unit is not None and signal.unit is None:
            return "it has no unit"
        if state.time[row] == NEVER:
            return "it has no reading"
        if state.quality[row] < Quality.UNCERTAIN or state.value[row] != state.value[row]:
            return "its last reading is bad"
        return None

    def _converted(self, signal: Signal, value: float) -> float:
        if self.unit is None or signal.unit is None or signal.unit == self.unit:
            return value
        try:
            return float(conversion(signal.unit, self.unit)(value))
        except InvalidValueError as error:
            id = self._instant.graph.signal_id(signal)
            raise InvalidValueError(f"{id} does not fit the others: {error}", "unit") from None

    def _weight_of(self, node: Node) -> float | None:
        if self._weight is None:
            return 1.0
        value = self._weight.value(NodeSubject(self._instant, node))
        if value is None:
            return None
        if isinstance(value, str | bool | list | dict) or value < 0:
            raise InvalidValueError(f"the weight of {node.id} is {value!r}, expected a number from 0 on", "weight")
        return float(value)


def _members(instant: Instant, reached: Reach, name: str) -> list[Member]:
    """Each signal once, for the node that shows it: a component may have been reached together with its sensors."""
    graph = instant.graph
    found: dict[int, Member] = {}
    for each in reached.nodes:
        for signal in shown_under(graph, each.node, name):
            found.setdefault(signal.index, Member(signal, _owner(graph, each.node)))
    return list(found.values())


def shown_under(graph: Graph, node: Node, name: str) -> list[Signal]:
    """What a node shows under a name: its own signal, else its sensor's; a sensor called so shows its values."""
    own = graph.signal_of(node.key, name)
    if own is not None:
        return [own]
    called = [node] if node.level is Level.SENSOR else graph.sensors(node.key)
    sensors = [sensor for sensor in called if name in (sensor.name, sensor.short_id)]
    return [signal for sensor in sensors for signal in graph.signals_of(sensor.key) if signal.name.startswith(VALUE)]


def _owner(graph: Graph, node: Node) -> Node:
    """What a sensor measures is weighted by what it sits on."""
    return graph.node(node.parent) if node.level is Level.SENSOR and node.parent is not None else node


def _first_unit(members: list[Member]) -> str | None:
    return next((member.signal.unit for member in members if member.signal.unit is not None), None)


def _aggregated(
    aggregate: Aggregate, values: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[float | None, int | None]:
    """The value, and the row of the least or greatest."""
    if aggregate is Aggregate.COUNT:
        return float(len(values)), None
    if not len(values):
        return None, None
    if aggregate is Aggregate.SUM:
        return float((values * weights).sum()), None
    if aggregate is Aggregate.MEAN:
        total = float(weights.sum())
        return (float((values * weights).sum()) / total if total else None), None
    row = int(values.argmin() if aggregate is Aggregate.MIN else values.argmax())
    return float(values[row]), row
