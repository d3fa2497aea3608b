"""The values beyond which threshold rules have something to say: readings there must reach them."""

from collections.abc import Mapping, Sequence

from ..twin.graph import Graph
from .rules import compile_watches

_ABOVE = (">", ">=")
_BELOW = ("<", "<=")


def watched_limits(graph: Graph) -> Mapping[int, Sequence[tuple[str, float]]]:
    """By signal: operator and limit [the signal's unit], from where an anomaly may be open: hysteresis is taken off."""
    found: dict[int, list[tuple[str, float]]] = {}
    for watch in compile_watches(graph).watches:
        operator = watch.condition.operator
        if watch.condition.metric == "value" and operator in (*_ABOVE, *_BELOW):
            towards = watch.hysteresis if operator in _BELOW else -watch.hysteresis
            found.setdefault(watch.signal.index, []).append((operator, watch.threshold + towards))
    return found
