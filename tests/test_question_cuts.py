"""Single points of failure: against taking each node away, on random graphs with cycles."""

import networkx as nx
import pytest
from hypothesis import given, settings
from question_fixtures import Arrow, Still, drawn, feeds
from test_question_reach import NAMES, arrows, as_networkx

from iotsense.twin.errors import InvalidValueError, NotFoundError
from iotsense.twin.question_cuts import Cuts, single_points_of_failure
from iotsense.twin.question_formula import Formula
from iotsense.twin.question_step import Direction


def told(cuts: Cuts) -> dict[str, tuple[int, int, bool]]:
    return {cut.node.short_id: (cut.sinks, cut.sources, cut.separates) for cut in cuts.cuts}


def reached(graph: "nx.DiGraph[str]", starts: set[str]) -> set[str]:
    return {other for start in starts if start in graph for other in (start, *nx.descendants(graph, start))}


def beginnings(graph: "nx.DiGraph[str]") -> set[str]:
    parts = nx.condensation(graph)
    return {name for part, degree in parts.in_degree() if not degree for name in parts.nodes[part]["members"]}


def cut_by_hand(graph: "nx.DiGraph[str]") -> dict[str, tuple[int, int, bool]]:
    """Takes each node away and counts what is cut off."""
    begin, end = beginnings(graph), beginnings(graph.reverse())
    found = {}
    for name in graph:
        rest = graph.copy()
        rest.remove_node(name)
        sinks = len(end - {name} - reached(rest, begin))
        sources = len(begin - {name} - reached(rest.reverse(), end))
        parts = nx.number_connected_components
        separates = parts(rest.to_undirected()) > parts(graph.to_undirected())
        if sinks or sources:
            found[name] = (sinks, sources, separates)
    return found


@settings(deadline=None)
@given(arrows)
def test_it_finds_what_taking_each_node_away_finds(drawn_arrows: list[Arrow]) -> None:
    still = Still(drawn(drawn_arrows, {name: {} for name in NAMES}))
    graph = as_networkx(drawn_arrows, {"feeds_into"}, Direction.OUT, False)
    graph.remove_nodes_from(list(nx.isolates(graph)))
    assert told(single_points_of_failure(still)) == cut_by_hand(graph)


LINE = [
    feeds("tank", "filler_1"), feeds("tank", "filler_2"), feeds("filler_1", "capper"), feeds("filler_2", "capper"),
    feeds("capper", "packer_1"), feeds("capper", "packer_2"),
]  # fmt: skip


def test_a_line_with_redundant_fillers_and_packers() -> None:
    found = single_points_of_failure(Still(drawn(LINE)))
    assert told(found) == {"capper": (2, 1, True), "tank": (2, 0, False)}
    assert [cut.node.short_id for cut in found.cuts] == ["capper", "tank"]
    assert found.cuts[0].first_sinks == ["line.packer_1", "line.packer_2"]
    assert (found.nodes, found.sources, found.sinks) == (6, 1, 2)


def test_between_two_nodes() -> None:
    still = Still(drawn(LINE))
    assert told(single_points_of_failure(still, source="tank", sink="packer_1")) == {"capper": (1, 1, True)}
    assert told(single_points_of_failure(still, source="filler_1", sink="packer_1")) == {"capper": (1, 1, True)}
    with pytest.raises(InvalidValueError, match=r"no way from line.packer_1 to line.tank"):
        single_points_of_failure(still, source="packer_1", sink="tank")
    with pytest.raises(NotFoundError):
        single_points_of_failure(still, source="pump")
    with pytest.raises(InvalidValueError, match="has no relationship of these types"):
        single_points_of_failure(still, source="line")


def test_other_types_conditions_and_places() -> None:
    still = Still(drawn([*LINE, ("grid", "supplies", "tank", {}), ("tank", "supplies", "capper", {"phase": 1})]))
    expected = {"tank": (1, 1, True), "grid": (1, 0, False), "capper": (0, 1, False)}
    assert told(single_points_of_failure(still, ["supplies"])) == expected
    assert "capper" not in told(single_points_of_failure(still, ["supplies"], along=Formula("phase == null", "along")))
    assert told(single_points_of_failure(still, within="line")) == told(single_points_of_failure(still))
    nothing = single_points_of_failure(still, ["suplies"])
    assert (nothing.cuts, nothing.notes) == ([], ["no relationship is of type 'suplies'; did you mean 'supplies'?"])
    first = single_points_of_failure(still, limit=1)
    assert (len(first.cuts), first.truncated, first.notes) == (1, True, ["there are more than 1; these are the worst"])
