"""Answers about the graph in their shapes."""

from typing import TYPE_CHECKING

from ..twin.graph import Graph
from ..twin.model import Relationship, quality_word
from ..twin.question_impact import Impact
from ..twin.question_paths import Paths
from ..twin.question_reach import Reach
from ..twin.question_rollup import Rollup
from ..twin.times import format_time
from .graph_shapes import (
    ArrowView,
    AssumptionView,
    CutsView,
    CutView,
    EffectView,
    ImpactView,
    LeftOutView,
    PathsView,
    PathView,
    ReachedView,
    ReachView,
    RollupView,
)
from .nodes import node_summary

if TYPE_CHECKING:
    from ..twin.question_cuts import Cuts


def reach_view(graph: Graph, found: Reach) -> ReachView:
    """Nodes around a node."""
    nodes = [ReachedView(node_summary(graph, each.node), each.hops, _arrow(graph, each.via)) for each in found.nodes]
    return ReachView(found.start.id, nodes, found.truncated, found.notes)


def paths_view(graph: Graph, found: Paths) -> PathsView:
    """Ways between two nodes."""
    paths = [
        PathView([node.id for node in path.nodes], [_arrow(graph, arrow) for arrow in path.relationships], path.cost)
        for path in found.paths
    ]
    return PathsView(found.start.id, found.end.id, paths, found.truncated, found.notes)


def rollup_view(found: Rollup) -> RollupView:
    """A signal of many nodes as one value."""
    return RollupView(
        found.start.id,
        found.signal,
        found.aggregate.value,
        found.value,
        found.unit,
        found.count,
        found.at,
        None if found.oldest is None else format_time(found.oldest),
        None if found.newest is None else format_time(found.newest),
        None if found.quality is None else quality_word(found.quality),
        [LeftOutView(each.signal, each.reason) for each in found.left_out],
        found.truncated,
        found.notes,
    )


def impact_view(found: Impact) -> ImpactView:
    """What a stop brings about."""
    effects = [
        EffectView(
            effect.node.id,
            effect.outcome.value,
            effect.after,
            format_time(effect.at),
            None if effect.because is None else effect.because.id,
        )
        for effect in found.effects
    ]
    assumed = [AssumptionView(each.text, each.count, each.nodes) for each in found.assumed]
    return ImpactView([node.id for node in found.stopped], effects, assumed, found.truncated)


def cuts_view(found: "Cuts") -> CutsView:
    """Single points of failure."""
    points = [
        CutView(cut.node.id, cut.sinks, cut.sources, cut.first_sinks, cut.first_sources, cut.separates)
        for cut in found.cuts
    ]
    return CutsView(points, found.nodes, found.sources, found.sinks, found.truncated, found.notes)


def _arrow(graph: Graph, arrow: Relationship) -> ArrowView:
    return ArrowView(graph.node(arrow.source).id, arrow.type, graph.node(arrow.target).id, arrow.properties)
