"""The shapes of answers about the graph. Nodes and signals are named by their full ids."""

from typing import Any

from msgspec import Struct, field

from .shapes import NodeSummary


class ArrowView(Struct):
    """A relationship; `contains` and `has_sensor` are there like any other."""

    source: str
    type: str
    target: str
    properties: dict[str, Any]


class ReachedView(Struct):
    """A node, how many hops away it is, and the relationship by which it was reached first."""

    node: NodeSummary
    hops: int
    via: ArrowView


class ReachView(Struct):
    """Nodes around `start`, the nearest first; `truncated` if there are more. `notes` tell what looks misspelt."""

    start: str
    nodes: list[ReachedView]
    truncated: bool
    notes: list[str]


class PathView(Struct):
    """The nodes of a path and the relationships between them; `cost` is the sum of the weights, if asked for."""

    nodes: list[str]
    relationships: list[ArrowView]
    cost: float | None


class PathsView(Struct):
    """Paths, the shortest (or quickest) first; `truncated` if there may be more, and `notes` say why."""

    start: str = field(name="from")
    to: str
    paths: list[PathView]
    truncated: bool
    notes: list[str]


class LeftOutView(Struct):
    """A signal that does not count, and why."""

    signal: str
    reason: str


class RollupView(Struct):
    """`value` [unit] made of `count` signals; null where none counts.

    `at` is the signal of the least or greatest; `oldest` and `newest` are the times of the readings that count,
    `quality` is that of the worst; `left_out` names up to 100 signals that do not count.
    """

    node: str
    signal: str
    aggregate: str
    value: float | None
    unit: str | None
    count: int
    at: str | None
    oldest: str | None
    newest: str | None
    quality: str | None
    left_out: list[LeftOutView]
    truncated: bool
    notes: list[str]


class EffectView(Struct):
    """What happens to a node `after_s` seconds after the stop, because of a neighbour.

    `outcome` is `stops`, `starves`, `blocks`, `slowed`, or of a buffer `runs_empty` or `runs_full`.
    """

    node: str
    outcome: str
    after_s: float
    at: str
    because: str | None


class AssumptionView(Struct):
    """What was taken for granted because nobody told it, for how many nodes, and the first of them."""

    text: str
    count: int
    nodes: list[str]


class ImpactView(Struct):
    """What a stop brings about, the earliest first: up to 10,000 effects, `truncated` if there are more."""

    stopped: list[str]
    effects: list[EffectView]
    assumed: list[AssumptionView]
    truncated: bool


class CutView(Struct):
    """A single point of failure: how many sinks get nothing, and sources deliver nothing, without it.

    `separates` if what is left does not even hang together.
    """

    node: str
    sinks: int
    sources: int
    first_sinks: list[str]
    first_sources: list[str]
    separates: bool


class CutsView(Struct):
    """The single points of failure, the worst first, among so many nodes, sources and sinks."""

    points: list[CutView]
    nodes: int
    sources: int
    sinks: int
    truncated: bool
    notes: list[str]
