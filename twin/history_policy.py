"""What is kept of readings and for how long, as a plant's definitions say."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from .define_project import Project
from .graph import Graph
from .history_tier import Tier
from .model import Level
from .times import NS

RAW = "raw"
_AGGREGATES = "_aggregates"


@dataclass(frozen=True, slots=True)
class Policy:
    """`raw` [ns]: how long every reading is kept, None for ever. `tiers`: the finest first.

    replay [ns]: how long readings are kept thinned to one per `granularity` [ns] when `raw` is over; 0 for not at all.
    stepped, zone: per signal (by index) whether a value holds until the next, and the number of its site's zone.
    """

    raw: int | None = None
    tiers: tuple[Tier, ...] = ()
    replay: int = 0
    granularity: int = 0
    stepped: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    zone: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    zones: tuple[tzinfo, ...] = (UTC,)

    def tier(self, name: str) -> Tier | None:
        """The tier of this name."""
        return next((tier for tier in self.tiers if tier.name == name), None)

    def zone_of(self, signal: int) -> tzinfo:
        """The zone of a signal's site."""
        return self.zones[self.zone[signal]] if signal < len(self.zone) else UTC

    def reaching(self, signals: int) -> "Policy":
        """The same with columns for at least so many signals."""
        missing = signals - len(self.stepped)
        if missing <= 0:
            return self
        stepped, zone = np.append(self.stepped, np.zeros(missing, bool)), np.append(self.zone, np.zeros(missing, int))
        return Policy(self.raw, self.tiers, self.replay, self.granularity, stepped, zone, self.zones)


class FollowedPolicy:
    """The policy of a graph that changes; worked out when somebody asks and it is another one."""

    def __init__(self, graph: Callable[[], Graph]) -> None:
        self._graph = graph
        self._known: tuple[Graph, Policy] | None = None

    def __call__(self) -> Policy:
        """The policy now."""
        known, graph = self._known, self._graph()
        if known is None or known[0] is not graph:
            known = self._known = (graph, policy_of(graph))
        return known[1]


def policy_of(graph: Graph) -> Policy:
    """What the definitions of a plant say; without any, everything is kept and nothing summed up."""
    project = Project.from_sections(graph.definition)
    kept, replay = project.iotsense.storage.retention, project.twin_operations.replay
    raw = _ns(kept[RAW]) if RAW in kept else None
    tiers = [Tier(name.removesuffix(_AGGREGATES), _ns(kept[name])) for name in kept if name.endswith(_AGGREGATES)]
    thinned = replay is not None and replay.enabled and replay.retention is not None and raw is not None
    zones, zone = _zones(graph)
    return Policy(
        raw=raw,
        tiers=tuple(sorted(tiers, key=lambda tier: tier.width)),
        replay=_ns(replay.retention) if thinned and replay and replay.retention else 0,
        granularity=_ns(replay.granularity) if replay and replay.granularity else 1,
        stepped=_stepped(graph),
        zone=zone,
        zones=zones,
    )


def _ns(seconds: float) -> int:
    return round(seconds * NS)


def _stepped(graph: Graph) -> NDArray[np.bool_]:
    found = np.zeros(graph.signal_count, dtype=bool)
    for signal in graph.signals():
        # A code lies between no two others, so a text or boolean signal holds as well.
        found[signal.index] = signal.stepped or bool(signal.labels) or signal.data_type in ("boolean", "text")
    return found


def _zones(graph: Graph) -> tuple[tuple[tzinfo, ...], NDArray[np.int64]]:
    zones: dict[str, int] = {"UTC": 0}
    by_node: dict[int | None, int] = {None: 0}
    found = np.zeros(graph.signal_count, dtype=np.int64)
    for signal in graph.signals():
        found[signal.index] = _zone_of(graph, signal.node, zones, by_node)
    return tuple(UTC if name == "UTC" else ZoneInfo(name) for name in zones), found


def _zone_of(graph: Graph, key: int | None, zones: dict[str, int], by_node: dict[int | None, int]) -> int:
    if key not in by_node:
        node: Any = graph.node(key) if key is not None else None
        name = node.properties.get("timezone") if node.level is Level.SITE else None
        by_node[key] = zones.setdefault(name, len(zones)) if name else _zone_of(graph, node.parent, zones, by_node)
    return by_node[key]
