"""Paths: against networkx on random graphs with cycles, and by hand."""

from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from question_fixtures import Arrow, Still, drawn, feeds
from test_question_reach import NAMES, TYPES, arrows, as_networkx

from iotsense.twin import question_paths
from iotsense.twin.errors import InvalidValueError, NotFoundError
from iotsense.twin.question_formula import Formula
from iotsense.twin.question_paths import Path, all_paths, shortest_path
from iotsense.twin.question_step import Direction, Tracks


def names(path: Path) -> list[str]:
    return [node.short_id for node in path.nodes]


def along(*types: str, direction: Direction = Direction.OUT) -> Tracks:
    return Tracks.of(types or ["feeds_into"], direction)


@settings(deadline=None)
@given(arrows, st.sampled_from([Direction.OUT, Direction.BOTH]), st.none() | st.integers(0, 6))
def test_all_simple_paths_are_found_the_shortest_first(
    drawn_arrows: list[Arrow], direction: Direction, hops: int | None
) -> None:
    still = Still(drawn(drawn_arrows, {name: {} for name in NAMES}))
    found = all_paths(still, "n0", "n1", along(*TYPES, direction=direction), hops=hops, limit=100_000)
    graph = as_networkx(drawn_arrows, set(TYPES), direction, False)
    expected = nx.all_simple_paths(graph, "n0", "n1", cutoff=hops) if hops != 0 else []
    assert sorted(names(path) for path in found.paths) == sorted(expected)
    lengths = [len(path.relationships) for path in found.paths]
    assert lengths == sorted(lengths)
    assert not found.truncated
    for path in found.paths:
        for (a, b), arrow in zip(pairwise(path.nodes), path.relationships, strict=True):
            assert {arrow.source, arrow.target} == {a.key, b.key}


@settings(deadline=None)
@given(arrows, st.booleans())
def test_the_quickest_path_is_as_quick_as_networkx_finds_it(drawn_arrows: list[Arrow], weighted: bool) -> None:
    still = Still(drawn(drawn_arrows, {name: {} for name in NAMES}))
    weight = Formula("transfer_time", "weight") if weighted else None
    found = shortest_path(still, "n0", "n1", along(*TYPES), weight=weight)
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    graph.add_nodes_from(NAMES)
    for (source, type, target), properties in {(s, t, e): p for s, t, e, p in drawn_arrows}.items():
        graph.add_edge(source, target, key=type, cost=properties.get("transfer_time", 0) if weighted else 1)
    if not nx.has_path(graph, "n0", "n1"):
        assert found.paths == []
        return
    (path,) = found.paths
    cost = nx.shortest_path_length(graph, "n0", "n1", weight="cost")
    assert (path.cost if weighted else len(path.relationships)) == cost


def test_the_costs_of_all_paths_and_what_counts_as_nothing() -> None:
    still = Still(drawn([feeds("a", "b", transfer_time=2), feeds("b", "c"), feeds("a", "c", transfer_time=9)]))
    found = all_paths(still, "a", "c", along(), weight=Formula("transfer_time", "weight"))
    assert [(names(path), path.cost) for path in found.paths] == [(["a", "c"], 9.0), (["a", "b", "c"], 2.0)]
    assert found.notes == ["transfer_time is not told 1 times; it counts as 0 there"]
    quickest = shortest_path(still, "a", "c", along(), weight=Formula("transfer_time * 2", "weight"))
    assert [(names(path), path.cost) for path in quickest.paths] == [(["a", "b", "c"], 4.0)]


def test_a_path_leads_through_what_may_be_passed_only() -> None:
    arrows = [feeds("a", "b"), feeds("b", "d"), feeds("a", "c"), feeds("c", "e"), feeds("e", "d")]
    still = Still(drawn(arrows, {"b": {"closed": True}, "d": {"closed": True}}))
    through = Formula("closed == null", "through")
    assert names(shortest_path(still, "a", "d", along(), through=through).paths[0]) == ["a", "c", "e", "d"]
    assert [names(p) for p in all_paths(still, "a", "d", along(), through=through).paths] == [["a", "c", "e", "d"]]


def test_paths_along_containment_and_against_the_arrows() -> None:
    still = Still(drawn([feeds("a", "b"), feeds("c", "b")]))
    found = all_paths(still, "a", "c", Tracks.of(None, Direction.BOTH))
    assert [names(path) for path in found.paths] == [
        ["a", "line", "c"],
        ["a", "b", "c"],
        ["a", "line", "b", "c"],
        ["a", "b", "line", "c"],
    ]
    assert [arrow.type for arrow in found.paths[0].relationships] == ["contains", "contains"]
    assert names(shortest_path(still, "b", "a", along(direction=Direction.IN)).paths[0]) == ["b", "a"]


def test_of_several_relationships_between_two_nodes_the_cheapest_counts() -> None:
    still = Still(drawn([("a", "carries", "b", {"transfer_time": 7}), feeds("a", "b", transfer_time=3)]))
    (path,) = all_paths(
        still, "a", "b", Tracks.of(["carries", "feeds_into"], Direction.OUT), weight=Formula("transfer_time", "weight")
    ).paths
    assert (path.cost, path.relationships[0].type) == (3.0, "feeds_into")


def test_limits_are_told_when_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [[f"l{layer}_{i}" for i in range(4)] for layer in range(6)]
    arrows = [feeds(a, b) for one, two in pairwise(layers) for a in one for b in two]
    still = Still(drawn([*arrows, *(feeds("s", a) for a in layers[0]), *(feeds(a, "t") for a in layers[-1])]))
    found = all_paths(still, "s", "t", along(), limit=10)
    assert (len(found.paths), found.truncated, found.notes) == (
        10,
        True,
        ["there are more than 10; these are the shortest"],
    )
    assert len(all_paths(still, "s", "t", along(), limit=4**6).paths) == 4**6
    monkeypatch.setattr(question_paths, "MOST_NODES", 80)
    bounded = all_paths(still, "s", "t", along(), limit=5000)
    assert (len(bounded.paths), bounded.truncated) == (10, True)  # of 8 nodes each
    assert bounded.notes == ["there are more than an answer of 80 nodes holds; these are the shortest"]
    monkeypatch.undo()
    monkeypatch.setattr(question_paths, "MOST_STEPS", 100)
    ended = all_paths(still, "s", "t", along(), limit=5000)
    assert ended.truncated
    assert ended.notes == ["the search ended after 100 steps; there may be more paths"]


def test_a_long_line_has_one_path() -> None:
    still = Still(drawn([feeds(f"n{i}", f"n{i + 1}") for i in range(2000)]))
    (path,) = all_paths(still, "n0", "n2000", along()).paths
    assert len(path.relationships) == 2000


def test_errors() -> None:
    still = Still(drawn([feeds("a", "b", transfer_time=-1), feeds("b", "c", transfer_time="x")]))
    with pytest.raises(NotFoundError, match="no node is called 'z'"):
        shortest_path(still, "a", "z", along())
    for end in ("b", "c"):
        with pytest.raises(InvalidValueError, match="expected a number from 0 on"):
            shortest_path(still, "b" if end == "c" else "a", end, along(), weight=Formula("transfer_time", "weight"))
    assert shortest_path(still, "c", "a", along("feed")).notes == [
        "no relationship is of type 'feed'; there are contains, feeds_into"
    ]
