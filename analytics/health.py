"""Health of components and of what contains them: 0 (worst) to 100, from their open anomalies.

The arithmetic, also told in docs/health.md:

- Of the anomalies that one rule has open on one signal only the worst counts: critical supersedes warning.
- A critical one takes away 60 percent of what is left, a warning 25 percent: 100 * 0.4^criticals * 0.75^warnings.
- Warnings alone never bring a component below 50.
- What contains components is as healthy as its least healthy part (and its own anomalies, by the same arithmetic).
"""

from collections.abc import Iterable

from ..twin.graph import HEALTH, Graph
from ..twin.graph_edit import GraphEdit
from ..twin.model import DataType, Level, Role
from .anomalies import Anomaly

BEST = 100.0
HEALTHY_FROM = 80.0
WARNING_FROM = 50.0
_LEFT_BY_CRITICAL = 0.4
_LEFT_BY_WARNING = 0.75


def health_score(anomalies: Iterable[Anomaly]) -> float:
    """The score of a component with these open anomalies [percent], rounded to a tenth."""
    worst: dict[tuple[str, int], str] = {}
    for anomaly in anomalies:
        about = (anomaly.rule, anomaly.signal)
        if worst.get(about) != "critical":
            worst[about] = anomaly.severity
    criticals = sum(severity == "critical" for severity in worst.values())
    warned = max(WARNING_FROM, BEST * _LEFT_BY_WARNING ** (len(worst) - criticals))
    return round(warned * _LEFT_BY_CRITICAL**criticals, 1)


def health_status(score: float) -> str:
    """`healthy` from 80 on, `warning` from 50 on, `critical` below."""
    if score >= HEALTHY_FROM:
        return "healthy"
    return "warning" if score >= WARNING_FROM else "critical"


def nodes_with_health(graph: Graph) -> dict[int, None]:
    """The keys of all components, of lines and areas with sensors of their own, and of everything that contains them.

    What contains others stands behind them.
    """
    keys: dict[int, None] = {}
    for node in graph.nodes():
        holder = node.parent if node.level is Level.SENSOR else node.key if node.level is Level.COMPONENT else None
        if holder is None or holder in keys:
            continue
        keys[holder] = None
        for ancestor in graph.ancestors(holder):
            keys.pop(ancestor.key, None)
            keys[ancestor.key] = None
    return keys


def add_health_signals(edit: GraphEdit) -> int:
    """Gives all `nodes_with_health` the derived signal `health`; how many were missing."""
    missing = [key for key in nodes_with_health(edit.graph) if edit.graph.signal_of(key, HEALTH) is None]
    for key in missing:
        edit.add_signal(
            key,
            HEALTH,
            role=Role.DERIVED,
            unit="percent",
            data_type=DataType.NUMBER,
            low=0.0,
            high=BEST,
            stepped=True,
        )
    return len(missing)
