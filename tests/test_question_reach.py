"""Neighbours, down- and upstream: against networkx on random graphs with cycles, and by hand."""

from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from question_fixtures import Arrow, Still, drawn, feeds

from iotsense.twin.errors import AmbiguousIdError, InvalidValueError, NotFoundError
from iotsense.twin.graph import Graph
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import DataType, Level
from iotsense.twin.question_formula import Formula, formula
from iotsense.twin.question_reach import Reach, Selection, reach
from iotsense.twin.question_step import Direction, Tracks

NAMES = [f"n{i}" for i in range(9)]
TYPES = ["feeds_into", "powered_by", "controls"]
arrows = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(TYPES),
        st.sampled_from(NAMES),
        st.fixed_dictionaries({}, optional={"transfer_time": st.integers(0, 10)}),
    ),
    max_size=30,
)


def ids(found: Reach) -> list[str]:
    return [each.node.id for each in found.nodes]


def as_networkx(drawn_arrows: list[Arrow], types: set[str], direction: Direction, quick: bool) -> "nx.DiGraph[str]":
    latest = {(source, type, target): properties for source, type, target, properties in drawn_arrows}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(NAMES)
    for (source, type, target), properties in latest.items():
        if type in types and (not quick or properties.get("transfer_time", 99) < 5):
            if direction is not Direction.IN:
                graph.add_edge(source, target)
            if direction is not Direction.OUT:
                graph.add_edge(target, source)
    return graph


@settings(deadline=None)
@given(
    arrows, st.sets(st.sampled_from(TYPES), min_size=1), st.sampled_from(Direction), st.booleans(), st.integers(0, 9)
)
def test_it_reaches_what_networkx_reaches_in_as_many_hops(
    drawn_arrows: list[Arrow], types: set[str], direction: Direction, quick: bool, hops: int
) -> None:
    still = Still(drawn(drawn_arrows, {name: {} for name in NAMES}))
    along = Formula("transfer_time < 5", "along") if quick else None
    found = reach(still, "n0", Tracks.of(types, direction, along), hops=hops)
    expected = nx.single_source_shortest_path_length(as_networkx(drawn_arrows, types, direction, quick), "n0", hops)
    assert {each.node.short_id: each.hops for each in found.nodes} == {k: v for k, v in expected.items() if v}
    assert [each.hops for each in found.nodes] == sorted(each.hops for each in found.nodes)
    for each in found.nodes:
        assert each.node.key in (each.via.source, each.via.target)
        assert each.via.type in types


@settings(deadline=None)
@given(arrows, st.sets(st.sampled_from(NAMES[1:])))
def test_only_what_may_be_passed_is_passed(drawn_arrows: list[Arrow], closed: set[str]) -> None:
    still = Still(drawn(drawn_arrows, {name: {"closed": name in closed} for name in NAMES}))
    found = reach(still, "n0", Tracks.of(TYPES, Direction.OUT), through=Formula("not closed", "through"))
    graph = as_networkx(drawn_arrows, set(TYPES), Direction.OUT, False)
    for name in closed:
        graph.remove_edges_from(list(graph.out_edges(name)))
    assert {each.node.short_id for each in found.nodes} == nx.descendants(graph, "n0")


def plant() -> Graph:
    edit = GraphEdit(Graph(), "test")
    line = edit.add_node(id="line", level=Level.LINE).key
    for name, type, criticality in (
        ("filler", "filler", "high"),
        ("capper", "capper", "low"),
        ("packer", "packer", None),
    ):
        properties: dict[str, Any] = {"parameters": {"power_rating": 5}, "maker": {"name": "Krones"}}
        if criticality:
            properties["criticality"] = criticality
        part = edit.add_node(id=f"line.{name}", level=Level.COMPONENT, type=type, parent=line, properties=properties)
        sensor = edit.add_node(id=f"line.{name}.s1", name="power", level=Level.SENSOR, parent=part.key)
        edit.add_signal(sensor.key, unit="kW" if name == "filler" else "W")
        edit.add_signal(part.key, "state", data_type=DataType.TEXT, labels=("stopped", "running"))
    find = edit.graph.find
    edit.relate(find("filler").key, "feeds_into", find("capper").key, transfer_time=3)
    edit.relate(find("capper").key, "feeds_into", find("packer").key, transfer_time=90)
    return edit.graph


def still() -> Still:
    values = {"line.filler.s1": 4.0, "line.capper.s1": 900.0, "line.filler.state": 1.0, "line.capper.state": 0.0}
    states = dict.fromkeys(("line.filler.state", "line.capper.state"), ("stopped", "running"))
    return Still(plant(), values, texts=states)


def below(where: str) -> list[str]:
    tracks = Tracks.of(["contains", "has_sensor"], Direction.OUT)
    found = reach(still(), "line", tracks, Selection.of(where=Formula(where, "where")))
    assert found.notes == []
    return [id.removeprefix("line.") for id in ids(found)]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("level == 'sensor'", ["filler.s1", "capper.s1", "packer.s1"]),
        ("type in ['filler', 'capper']", ["filler", "capper"]),
        ("criticality == 'high'", ["filler"]),
        ("criticality == null and level == 'component'", ["packer"]),
        ("maker.name == 'Krones' and parameters.power_rating > 4", ["filler", "capper", "packer"]),
        ("properties.criticality == 'low'", ["capper"]),
        ("power_rating * 2 == 10 and id.endswith('er')", ["filler", "capper", "packer"]),
        ("power > 1 kW", ["filler"]),  # 900 of W are not more than 1 kW
        ("power > 0.5 kW", ["filler", "capper"]),
        ("state == 'running'", ["filler"]),
        ("parent == 'line' and not power < 1kW", ["filler"]),  # the packer's is unknown
    ],
)
def test_conditions_on_nodes(where: str, expected: list[str]) -> None:
    assert below(where) == expected


def test_conditions_on_every_hop_know_the_unit_of_transfer_times() -> None:
    for along, expected in (
        ("transfer_time < 1 min", ["line.capper"]),
        ("transfer_time <= 90", ["line.capper", "line.packer"]),
    ):
        assert (
            ids(reach(still(), "filler", Tracks.of(["feeds_into"], Direction.OUT, Formula(along, "along")))) == expected
        )
    along = "type == 'feeds_into' and source == 'line.filler' and target.endswith('capper')"
    assert ids(reach(still(), "capper", Tracks.of(None, Direction.BOTH, Formula(along, "along")))) == ["line.filler"]


def test_contains_and_has_sensor_are_types_like_any_other() -> None:
    both = Tracks.of(["contains"], Direction.BOTH)
    assert ids(reach(still(), "filler", both, hops=1)) == ["line"]
    assert ids(reach(still(), "filler", Tracks.of(["has_sensor"], Direction.OUT))) == ["line.filler.s1"]
    up = reach(still(), "line.packer.s1", Tracks.of(None, Direction.IN))
    assert [(each.node.id, each.hops, each.via.type) for each in up.nodes] == [
        ("line.packer", 1, "has_sensor"),
        ("line", 2, "contains"),
        ("line.capper", 2, "feeds_into"),
        ("line.filler", 3, "feeds_into"),
    ]


def test_of_several_ways_of_one_length_always_the_same_is_told() -> None:
    # Texts hash differently in each process: without an order of its own the answer would change with every start.
    kinds = [f"type_{n}" for n in range(40)]
    found = reach(Still(drawn([("a", kind, "b", {}) for kind in kinds[::-1]])), "a", Tracks.of(kinds, Direction.OUT))
    assert [each.via.type for each in found.nodes] == ["type_0"]


def test_what_is_left_out_is_told() -> None:
    chain = Still(drawn([feeds(f"n{i}", f"n{i + 1}") for i in range(20)]))
    found = reach(chain, "n0", Tracks.of(["feeds_into"], Direction.OUT), limit=5)
    assert (len(found.nodes), found.truncated, found.notes) == (
        5,
        True,
        ["there are more than 5; these are the nearest"],
    )
    whole = reach(chain, "n0", Tracks.of(["feeds_into"], Direction.OUT), limit=20)
    assert (len(whole.nodes), whole.truncated, whole.notes) == (20, False, [])


def test_depth_has_no_limit() -> None:
    chain = Still(drawn([feeds(f"n{i}", f"n{i + 1}") for i in range(3000)]))
    assert reach(chain, "n0", Tracks.of(["feeds_into"], Direction.OUT), limit=3000).nodes[-1].hops == 3000


def test_names_that_nothing_has_and_types_that_do_not_exist_are_told() -> None:
    found = reach(
        still(),
        "line",
        Tracks.of(["contains"], Direction.OUT),
        Selection.of(where=Formula("critical == 'high'", "where")),
    )
    assert found.notes == ["where: nothing here has 'critical'"]
    nothing = reach(still(), "filler", Tracks.of(["feed_into"], Direction.OUT))
    assert nothing.notes == ["no relationship is of type 'feed_into'; did you mean 'feeds_into'?"]


def test_errors_say_where_and_what() -> None:
    with pytest.raises(NotFoundError, match=r"did you mean line\.filler"):
        reach(still(), "fillr", Tracks())
    with pytest.raises(AmbiguousIdError):
        reach(still(), "s1", Tracks())
    with pytest.raises(InvalidValueError, match=r"where: .* column 9") as wrong:
        Formula("power > > 3", "where")
    assert wrong.value.field == "where"
    with pytest.raises(InvalidValueError, match=r"cannot be compared \(at line.filler\)"):
        below("criticality > 3")
    with pytest.raises(InvalidValueError, match="power > 3 bar"):
        below("power > 3 bar")
    with pytest.raises(InvalidValueError, match="is a value, not a condition"):
        below("power_rating")


def test_component_types_tell_units_and_subtypes() -> None:
    edit = GraphEdit(Graph(), "test")
    edit.set_definition(
        {
            "component_types": [
                {"name": "machine", "parameters": {"max_flow": {"unit": "l/min"}}},
                {"name": "pump", "extends": "machine"},
                {"name": "old_pump", "extends": "pump", "parameters": {"max_flow": {"unit": "m3/h"}}},
            ],
            "relationship_types": [{"name": "pipes", "properties": {"length": {"unit": "m"}}}],
        }
    )
    line = edit.add_node(id="line", level=Level.LINE).key
    for name, type, flow in (("north", "pump", 120), ("south", "old_pump", 12), ("tank", "vessel", 500)):
        properties = {"parameters": {"max_flow": flow}}
        edit.add_node(id=f"line.{name}", level=Level.COMPONENT, type=type, parent=line, properties=properties)
    edit.relate(edit.graph.find("north").key, "pipes", edit.graph.find("south").key, length=1500)
    plant = Still(edit.graph)

    def found(where: str | None, *types: str) -> list[str]:
        select = Selection.of(types=types, where=formula(where, "where"))
        return ids(reach(plant, "line", Tracks.of(["contains"], Direction.OUT), select))

    assert found(None, "machine") == ["line.north", "line.south"]
    assert found(None, "old_pump") == ["line.south"]
    assert found("max_flow > 150 l/min and type != 'vessel'") == ["line.south"]  # 12 m3/h are 200 l/min
    assert found("parameters.max_flow > 150") == ["line.tank"]
    long = Tracks.of(["pipes"], Direction.OUT, Formula("length > 1 km", "along"))
    assert ids(reach(plant, "north", long)) == ["line.south"]
