"""Rules of the definition, compiled against the graph: which limit watches which signal."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..twin.durations import parse_duration
from ..twin.errors import InvalidValueError, IoTSenseError
from ..twin.graph import HEALTH, Graph
from ..twin.model import Level, Node, Role, Signal
from ..twin.times import NS, parse_time
from ..twin.units import conversion
from .threshold import OPERATORS, Limits
from .type_rules import own_signals, type_rules

VALUE = "value"
RATE_OF_CHANGE = "rate_of_change"
METRICS = (VALUE, RATE_OF_CHANGE)
SEVERITIES = ("warning", "critical")
# Name of the rule, its version, number of the condition, index of the signal.
WatchKey = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class Condition:
    """One limit of a rule. threshold and hysteresis in `unit` (None: the signal's own); window [ns] of a rate."""

    number: int
    metric: str
    operator: str
    threshold: float | str | bool
    severity: str
    hysteresis: float = 0.0
    window: int | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A threshold rule; `version` is a digest of its content, so that a changed rule is told from the one before.

    `effective_from` [ns] is when the version begins to apply; None is when it is applied.
    """

    name: str
    version: str
    sensor: str
    conditions: tuple[Condition, ...]
    effective_from: int | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """One condition of one rule on one signal; threshold and hysteresis in the signal's unit."""

    rule: Rule
    condition: Condition
    signal: Signal
    signal_id: str
    component: int
    threshold: float
    hysteresis: float

    @property
    def key(self) -> WatchKey:
        """What tells the watch from all others, restarts included."""
        return (self.rule.name, self.rule.version, self.condition.number, self.signal.index)

    def limits(self) -> Limits:
        """Its limit, as columns of one row."""
        return _limits([self])

    def judges_like(self, other: "Watch") -> bool:
        """Whether the two find the same anomalies of the same component; names may differ."""
        mine = (self.key, self.component, self.threshold, self.hysteresis, self.signal.stepped)
        return mine == (other.key, other.component, other.threshold, other.hysteresis, other.signal.stepped)


@dataclass(slots=True)
class WatchTable:
    """All watches in the order of their signals, and columns `(n_watches,)` for evaluating them at once.

    The watches of signal `i` are `first[i]` to `first[i] + count[i] - 1`; `problems` names rules that cannot be used.
    """

    watches: list[Watch]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    limits: Limits
    is_rate: NDArray[np.bool_]
    problems: dict[str, str] = field(default_factory=dict)

    def of(self, signal: int) -> list[Watch]:
        """The watches of one signal."""
        if signal >= len(self.count):
            return []
        first = int(self.first[signal])
        return self.watches[first : first + int(self.count[signal])]


def parse_rules(definition: Mapping[str, Any]) -> tuple[list[Rule], dict[str, str]]:
    """The threshold rules of an applied definition, and what is wrong with those that cannot be used, by name.

    Rules of other types belong to other detectors and are left out.
    """
    rules: list[Rule] = []
    problems: dict[str, str] = {}
    section = definition.get("anomaly_detection") or {}
    for number, raw in enumerate(section.get("rules") or ()):
        name = str(raw.get("name") or f"rule {number + 1}")
        if not _is_evaluated(raw):
            continue
        try:
            rules.append(_rule(name, raw))
        except (IoTSenseError, KeyError, TypeError, ValueError) as error:
            problems[name] = _words(error)
    return rules, problems


def _is_evaluated(raw: Mapping[str, Any]) -> bool:
    return raw.get("type") == "threshold" and raw.get("enabled") is not False


def _words(error: Exception) -> str:
    return f"missing {error}" if isinstance(error, KeyError) else str(error)


def _rule(name: str, raw: Mapping[str, Any]) -> Rule:
    conditions = tuple(_condition(number, each) for number, each in enumerate(raw["conditions"]))
    since = raw.get("effective_from")
    effective_from = None if since is None else parse_time(str(since))
    return Rule(name, _digest(raw), str(raw["sensor"]), conditions, effective_from)


def _digest(raw: Mapping[str, Any]) -> str:
    content = json.dumps(raw, sort_keys=True, default=str).encode()
    return hashlib.blake2b(content, digest_size=4).hexdigest()


def _condition(number: int, raw: Mapping[str, Any]) -> Condition:
    metric, operator, severity = raw.get("metric", VALUE), raw["operator"], raw.get("severity", "warning")
    for given, known in ((metric, METRICS), (operator, OPERATORS), (severity, SEVERITIES)):
        if given not in known:
            raise InvalidValueError(f"{given!r} is none of {', '.join(known)}")
    window = raw.get("window")
    if metric == RATE_OF_CHANGE and window is None:
        raise InvalidValueError("a rate of change needs a window, such as 5m")
    return Condition(
        number,
        metric,
        operator,
        raw["threshold"],
        severity,
        float(raw.get("hysteresis") or 0.0),
        None if window is None else round(parse_duration(window) * NS),
        raw.get("unit"),
    )


class SensorIndex:
    """Sensors by what a rule may call them: id (dotted or its ending), name or type."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._by_word: defaultdict[str, dict[int, Node]] = defaultdict(dict)
        for node in graph.nodes(level=Level.SENSOR):
            for word in {node.short_id, node.name, node.type or node.name}:
                self._by_word[word][node.key] = node
        self._computed: defaultdict[str, list[Signal]] = defaultdict(list)
        for signal in graph.signals():
            if signal.role is Role.DERIVED and signal.name != HEALTH:
                self._computed[signal.name].append(signal)

    def signals(self, word: str) -> Iterator[Signal]:
        """The measured signals of every sensor of that id, name or type, in the order in which they came.

        So are signals that are computed under that name. A dotted word is an id or the end of one; a component's own
        signal (`conveyor_1.speed`) is found too.
        """
        nodes = dict(self._by_word.get(word, {}))
        if "." in word:
            nodes |= {node.key: node for node in self._graph.candidates(word) if node.level is Level.SENSOR}
        for key in sorted(nodes):
            yield from self._graph.values_of(key)
        yield from self._computed.get(word, ())
        if not nodes and "." in word:
            yield self._graph.find_signal(word)


def compile_watches(graph: Graph) -> WatchTable:
    """Finds the signals of every rule; a rule that fits no sensor yet is no mistake, a sensor may be discovered."""
    rules, problems = parse_rules(graph.definition)
    index = SensorIndex(graph) if rules else None
    watches: list[Watch] = []
    for rule in rules:
        assert index is not None
        try:
            watches.extend(_watches(rule, graph, index.signals(rule.sensor)))
        except IoTSenseError as error:
            problems[rule.name] = str(error)
    watches.extend(_watches_of_types(graph, problems))
    watches.sort(key=lambda watch: watch.signal.index)
    return _table(watches, graph.signal_count, problems)


def _watches_of_types(graph: Graph, problems: dict[str, str]) -> Iterator[Watch]:
    """What the types of components watch; an instance that a rule does not fit stops none of the others."""
    for name, raw, nodes in type_rules(graph, problems):
        if not _is_evaluated(raw):
            continue
        try:
            rule = _rule(name, raw)
        except (IoTSenseError, KeyError, TypeError, ValueError) as error:
            problems[name] = _words(error)
            continue
        for node in nodes:
            try:
                yield from _watches(rule, graph, own_signals(graph, node, rule.sensor))
            except IoTSenseError as error:
                problems[f"{name} on {node.id}"] = str(error)


def _watches(rule: Rule, graph: Graph, signals: Iterator[Signal]) -> list[Watch]:
    return [
        Watch(
            rule,
            condition,
            signal,
            graph.signal_id(signal),
            _component_of(graph, signal),
            _in_unit_of(signal, condition, condition.threshold, difference=condition.metric == RATE_OF_CHANGE),
            _in_unit_of(signal, condition, condition.hysteresis, difference=True),
        )
        for signal in signals
        for condition in rule.conditions
        if signal.role is not Role.SIMULATED
    ]


def _component_of(graph: Graph, signal: Signal) -> int:
    node = graph.node(signal.node)
    return node.parent if node.level is Level.SENSOR and node.parent is not None else node.key


def _in_unit_of(signal: Signal, condition: Condition, amount: float | str | bool, difference: bool) -> float:
    """A threshold in the signal's unit; a text is the code of one of its labels, a difference has no offset."""
    if isinstance(amount, str):
        if amount not in signal.labels:
            raise InvalidValueError(f"{amount!r} is none of the signal's labels: {', '.join(signal.labels) or 'none'}")
        return float(signal.labels.index(amount))
    if condition.unit is None or signal.unit is None or condition.unit == signal.unit:
        return float(amount)
    convert = conversion(condition.unit, signal.unit)
    return float(amount) * convert.scale if difference else convert(float(amount))


def _table(watches: Sequence[Watch], signal_count: int, problems: dict[str, str]) -> WatchTable:
    signals = np.array([watch.signal.index for watch in watches], dtype=np.int64)
    count = np.bincount(signals, minlength=signal_count)
    return WatchTable(
        watches=list(watches),
        first=np.cumsum(count) - count,
        count=count,
        limits=_limits(watches),
        is_rate=np.array([watch.condition.metric == RATE_OF_CHANGE for watch in watches], dtype=np.bool_),
        problems=problems,
    )


def _limits(watches: Sequence[Watch]) -> Limits:
    return Limits(
        np.array([OPERATORS.index(watch.condition.operator) for watch in watches], dtype=np.int8),
        np.array([watch.threshold for watch in watches], dtype=np.float64),
        np.array([watch.hysteresis for watch in watches], dtype=np.float64),
    )
