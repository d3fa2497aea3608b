"""What the definitions say about the reporting of one signal: the source's, the nodes' above it, its sensor's."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ..twin.define_reporting import Reporting, Strategy
from ..twin.graph import Graph
from ..twin.model import DataType, Signal
from ..twin.times import NS

log = logging.getLogger("iotsense.ingest")
PROPERTY = "reporting"
NEVER = 2**62
"""A heartbeat that never beats [ns]."""

Watched = Callable[[Graph], Mapping[int, Sequence[tuple[str, float]]]]
"""The limits that rules watch, by signal: operator, and the value beyond which something begins or has not ended."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How one signal is reported. Values in the signal's unit, times in ns.

    band: absolute; share: of the last value stored. low, high: beyond them every reading is stored. said: which node or
    source says the strategy.
    """

    strategy: Strategy = "every"
    band: float = 0.0
    share: float = 0.0
    period: int = 0
    heartbeat: int = NEVER
    keeps_late: bool = True
    low: float = -math.inf
    high: float = math.inf
    said: str = ""

    @property
    def stores_all(self) -> bool:
        """Whether there is nothing to decide."""
        return self.strategy == "every" and self.keeps_late

    def words(self) -> str:
        """For people: `deadband 0.5, heartbeat 10 s (as conveyor_1 says)`."""
        parts = [self.strategy.replace("_", " ")]
        parts += [f"{self.band:g}"] if self.band else [f"{self.share:.3g} of the last value"] if self.share else []
        parts += [f"of {self.period / NS:g} s"] if self.strategy == "period" else []
        text = " ".join(parts)
        text += f", heartbeat {self.heartbeat / NS:g} s" if self.heartbeat < NEVER else ""
        text += "" if self.keeps_late else ", late readings are left out"
        return f"{text} (as {self.said} says)" if self.said else text


def says_anything(graph: Graph) -> bool:
    """Whether any node has something to say about reporting."""
    return any(PROPERTY in node.properties for node in graph.node_map.values())


def policy_of(
    graph: Graph, signal: Signal, source: str, of_source: Reporting | None, watched: Sequence[tuple[str, float]] = ()
) -> Policy:
    """The policy of a signal whose readings come from a source."""
    given: dict[str, Any] = {}
    said = ""
    for name, level in levels_of(graph, signal, source, of_source):
        if "strategy" in level:
            # What belongs to another strategy does not count any more.
            given, said = {key: given[key] for key in ("heartbeat", "late") if key in given}, name
        if ("deadband" in level) != ("deadband_percent" in level):
            given.pop("deadband", None)
            given.pop("deadband_percent", None)
        given |= level
    strategy: Strategy = given.get("strategy", "every")
    if _is_label(signal) and strategy in ("deadband", "swinging_door"):
        strategy = "on_change"  # codes of texts have no distance
    band, share = _band(given, signal) if strategy in ("deadband", "swinging_door") else (0.0, 0.0)
    low, high = _plain(signal, watched)
    beat = given.get("heartbeat") or (signal.expected_interval / 2 if signal.expected_interval else None)
    return Policy(
        strategy=strategy,
        band=band,
        share=share,
        period=int(given.get("period", 0) * NS) if strategy == "period" else 0,
        heartbeat=NEVER if beat is None or strategy == "every" else int(beat * NS),
        keeps_late=given.get("late") != "suppress",
        low=low,
        high=high,
        said=said,
    )


def levels_of(
    graph: Graph, signal: Signal, source: str, of_source: Reporting | None
) -> list[tuple[str, dict[str, Any]]]:
    """What each level says, from the source down to the sensor; durations in seconds."""
    levels = [(f"source {source}", of_source)] if of_source is not None else []
    node = graph.node(signal.node)
    for each in (*reversed([*graph.ancestors(node.key)]), node):
        try:
            if (said := each.properties.get(PROPERTY)) is not None:
                levels.append((each.id, Reporting.model_validate(said)))
        except ValidationError as error:
            # A program may set any property; its mistake must not stop the readings of everybody.
            log.warning("what %s says about reporting is left out: %s", each.id, error.errors()[0]["msg"])
    return [(name, {field: getattr(level, field) for field in level.model_fields_set}) for name, level in levels]


def _is_label(signal: Signal) -> bool:
    return signal.data_type in (DataType.TEXT, DataType.BOOLEAN) or bool(signal.labels)


def _band(given: Mapping[str, Any], signal: Signal) -> tuple[float, float]:
    percent = given.get("deadband_percent")
    if percent is None:
        return float(given.get("deadband", 0.0)), 0.0
    if signal.low is not None and signal.high is not None and signal.high > signal.low:
        return (signal.high - signal.low) * percent / 100, 0.0
    return 0.0, percent / 100


def _plain(signal: Signal, watched: Sequence[tuple[str, float]]) -> tuple[float, float]:
    """Between which values a reading is nothing special: within its range, and off all limits that rules watch."""
    low = -math.inf if signal.low is None else signal.low
    high = math.inf if signal.high is None else signal.high
    for operator, limit in watched:
        if operator == ">":
            high = min(high, limit)
        elif operator == ">=":
            high = min(high, math.nextafter(limit, -math.inf))
        elif operator == "<":
            low = max(low, limit)
        elif operator == "<=":
            low = max(low, math.nextafter(limit, math.inf))
    return low, high
