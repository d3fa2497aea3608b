"""Plan, apply and export: definitions and the running graph say the same."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.define_project import Project
from iotsense.twin.difference import differences
from iotsense.twin.document import Tree
from iotsense.twin.errors import ConflictError, InvalidValueError
from iotsense.twin.export_definition import export
from iotsense.twin.graph import Graph
from iotsense.twin.graph_edit import GraphEdit, apply_change
from iotsense.twin.model import Level, Origin, Role
from iotsense.twin.plan import Plan, plan
from iotsense.twin.plan_changes import NodeChange
from iotsense.twin.project_graph import desired
from iotsense.twin.revision import revise
from iotsense.twin.twin import Twin

LINE: dict[str, Any] = {
    "site": [{"id": "factory_1", "timezone": "Europe/Berlin"}],
    "digital_twins": [
        {
            "name": "line_1",
            "type": "assembly_line",
            "components": [
                {
                    "id": "conveyor_1",
                    "type": "conveyor",
                    "sensors": [
                        {"id": "speed", "type": "encoder", "unit": "m/s", "low": 0.0, "expected_interval": "5s"},
                        {"id": "motor_temp", "type": "temperature", "unit": "Cel"},
                    ],
                    "parameters": {"length": 50, "max_speed": 2.5},
                },
                {
                    "id": "robot_1",
                    "type": "robot_arm",
                    "model": "fanuc_m20",
                    "sensors": [{"id": "joints", "type": "joint_encoder", "joints": 6}],
                },
            ],
            "relationships": [{"from": "conveyor_1", "to": "robot_1", "type": "feeds_into", "transfer_time": 2.5}],
        }
    ],
    "anomaly_detection": {
        "rules": [
            {
                "name": "hot",
                "type": "threshold",
                "sensor": "motor_temp",
                "conditions": [{"metric": "value", "operator": ">", "threshold": 80.0}],
            }
        ]
    },
}


def project(document: dict[str, Any]) -> Project:
    return Project.model_validate(document)


def reread(text: str) -> dict[str, Any]:
    """What `validate` reads: YAML 1.2."""
    tree = Tree(text, "export.yaml")
    assert not tree.findings
    return tree.documents[0] or {}  # type: ignore[no-any-return]


def line(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(LINE), **changes}


def conveyor(document: dict[str, Any]) -> dict[str, Any]:
    return document["digital_twins"][0]["components"][0]  # type: ignore[no-any-return]


def applied(graph: Graph, document: dict[str, Any]) -> Graph:
    edit = GraphEdit(graph, "test")
    revise(edit, desired(project(document)), lambda _: False)
    change = edit.change()
    return apply_change(graph, change) if change else graph


def nodes(planned: Plan) -> dict[str, NodeChange]:
    return {node.id: node for node in planned.changes.nodes}


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "data") as twin:
        yield twin


def discover(twin: Twin, *path: tuple[str, Level]) -> None:
    """Nodes as ingest discovers them, each within the one before; a sensor has a signal `value`."""

    def build(edit: GraphEdit) -> None:
        parent: int | None = None
        for id, level in path:
            if id in edit.graph:
                parent = edit.graph.find(id).key
                continue
            node = edit.add_node(id=id, level=level, parent=parent, origin=Origin.DISCOVERED)
            if level is Level.SENSOR:
                edit.add_signal(node.key, unit="fahrenheit")
            parent = node.key

    twin.change(build, "ingest")


def read(twin: Twin, id: str, value: float) -> int:
    index = twin.graph.find_signal(id).index
    twin.apply(ReadingBatch.of([index], 1_700_000_000_000_000_000, [value]))
    return index


# What the graph becomes


def test_a_project_becomes_nodes_signals_and_relationships() -> None:
    graph = applied(Graph(), LINE)
    assert [(node.id, node.level) for node in graph.nodes()] == [
        ("factory_1", Level.SITE),
        ("line_1", Level.LINE),
        ("line_1.conveyor_1", Level.COMPONENT),
        ("line_1.conveyor_1.speed", Level.SENSOR),
        ("line_1.conveyor_1.motor_temp", Level.SENSOR),
        ("line_1.robot_1", Level.COMPONENT),
        ("line_1.robot_1.joints", Level.SENSOR),
    ]
    assert graph.node(graph.find("line_1").parent or 0).id == "factory_1"
    assert graph.find("conveyor_1").properties == {"parameters": {"length": 50, "max_speed": 2.5}}
    assert graph.find("robot_1").properties == {"model": "fanuc_m20"}
    speed = graph.find_signal("conveyor_1.speed")
    assert (speed.unit, speed.low, speed.expected_interval, speed.role) == ("m/s", 0.0, 5.0, Role.MEASURED)
    assert [signal.name for signal in graph.signals_of(graph.find("joints").key)] == [f"value[{n}]" for n in range(6)]
    (arrow,) = graph.relationships()
    assert (graph.node(arrow.source).short_id, arrow.type, arrow.properties) == (
        "conveyor_1", "feeds_into", {"transfer_time": 2.5},
    )  # fmt: skip
    assert list(graph.definition) == ["anomaly_detection"]


def test_a_unit_is_kept_by_its_common_name() -> None:
    assert applied(Graph(), LINE).find_signal("motor_temp").unit == "celsius"


def test_contains_is_told_by_the_parent() -> None:
    document = line()
    document["digital_twins"][0]["relationships"].append({"from": "conveyor_1", "to": "robot_1", "type": "contains"})
    graph = applied(Graph(), document)
    assert graph.node(graph.find("robot_1").parent or 0).id == "line_1.conveyor_1"
    assert graph.find("robot_1").id == "line_1.robot_1"
    assert plan(project(reread(export(graph))), graph).empty
    assert {node.change for node in plan(project(LINE), graph).changes.nodes} == {"moved"}


def test_a_relationship_that_leads_nowhere_is_refused() -> None:
    document = line()
    document["digital_twins"][0]["relationships"][0]["to"] = "robot_9"
    with pytest.raises(InvalidValueError, match="'robot_9' in the relationships of line_1 names no nodes"):
        desired(project(document))


def test_a_component_that_contains_itself_is_refused() -> None:
    document = line()
    document["digital_twins"][0]["relationships"] = [
        {"from": "conveyor_1", "to": "robot_1", "type": "contains"},
        {"from": "robot_1", "to": "conveyor_1", "type": "contains"},
    ]
    with pytest.raises(InvalidValueError, match="contains itself"):
        desired(project(document))


# What a plan tells


def test_nothing_to_change_after_applying() -> None:
    planned = plan(project(LINE), applied(Graph(), LINE))
    assert planned.empty
    assert planned.to_dict()["empty"] is True
    assert planned.text() == "Nothing to change: the running graph is as the definition says.\n"


def test_a_plan_reads_like_a_diff() -> None:
    graph = applied(Graph(), LINE)
    document = line()
    conveyor(document)["parameters"]["max_speed"] = 3.0
    conveyor(document)["sensors"][0] |= {"unit": "mm/s", "high": 9.5}
    conveyor(document)["sensors"].append({"id": "current", "type": "current", "unit": "A"})
    document["digital_twins"][0]["components"].pop()
    document["digital_twins"][0]["relationships"] = []
    document["anomaly_detection"]["rules"][0]["conditions"][0]["threshold"] = 85.0
    assert plan(project(document), graph).text() == (
        "~ line_1.conveyor_1  (component of type conveyor)\n"
        "    ~ parameters.max_speed: 2.5 → 3.0\n"
        "~ line_1.conveyor_1.speed  (sensor of type encoder)\n"
        "    ~ unit: m/s → mm/s\n"
        "    + high: 9.5\n"
        "+ line_1.conveyor_1.current  (sensor of type current)\n"
        "    + signal value (unit: A)\n"
        "- line_1.robot_1  (component of type robot_arm)\n"
        "- line_1.robot_1.joints  (sensor of type joint_encoder)\n"
        "- line_1.conveyor_1 --feeds_into--> line_1.robot_1\n"
        "~ anomaly_detection.rules[hot].conditions[0].threshold: 80.0 → 85.0\n"
        "\n"
        "nodes: 1 added, 2 changed, 2 removed; relationships: 1 changed; other definitions: 1 changed\n"
    )


def test_colour_only_adds_colour() -> None:
    planned = plan(project(LINE), Graph())
    assert "\033[32m+ factory_1" in planned.text(colour=True)
    assert "\033" not in planned.text()


def test_planning_changes_nothing(twin: Twin) -> None:
    before = twin.graph
    plan(project(LINE), twin.graph, twin.state)
    assert twin.graph is before


# Applying


def test_applying_is_one_revision_and_again_is_none(twin: Twin) -> None:
    apply_plan(plan(project(LINE), twin.graph), twin, author="anna")
    assert twin.graph.revision == 1
    again = apply_plan(plan(project(LINE), twin.graph), twin)
    assert again.empty
    assert twin.graph.revision == 1
    (event,) = twin.events(kind="structure")
    assert (event.data["author"], event.data["added_count"]) == ("anna", 7)


def test_an_applied_project_survives_a_restart(tmp_path: Path) -> None:
    with Twin.open(tmp_path / "data") as twin:
        apply_plan(plan(project(LINE), twin.graph), twin)
    with Twin.open(tmp_path / "data") as twin:
        assert plan(project(LINE), twin.graph, twin.state).empty


def test_nodes_with_history_are_only_removed_on_demand(twin: Twin) -> None:
    apply_plan(plan(project(LINE), twin.graph), twin)
    read(twin, "conveyor_1.speed", 1.8)
    document = line(digital_twins=[{"name": "line_2"}])
    planned = plan(project(document), twin.graph, twin.state)
    assert planned.changes.lost() == ["line_1.conveyor_1.speed"]
    assert (
        "line_1.conveyor_1.speed would be removed with history; apply refuses without --allow-remove" in planned.text()
    )
    with pytest.raises(ConflictError, match=r"line_1\.conveyor_1\.speed would be removed and has history"):
        apply_plan(planned, twin)
    assert plan(project(LINE), twin.graph).empty
    assert apply_plan(planned, twin, allow_remove=True).counts()["removed"] == 6
    assert [node.id for node in twin.graph.twins()] == ["line_2"]


def test_nodes_without_history_are_removed_at_once(twin: Twin) -> None:
    apply_plan(plan(project(LINE), twin.graph), twin)
    apply_plan(plan(project({}), twin.graph, twin.state), twin)
    assert len(twin.graph) == 0
    assert twin.graph.definition == {}


def test_a_signal_with_history_is_kept_like_a_node(twin: Twin) -> None:
    apply_plan(plan(project(LINE), twin.graph), twin)
    read(twin, "joints.value[5]", 90.0)
    document = line()
    document["digital_twins"][0]["components"][1]["sensors"][0]["joints"] = 5
    with pytest.raises(ConflictError, match=r"joints\.value\[5\] would be removed"):
        apply_plan(plan(project(document), twin.graph, twin.state), twin)


def test_a_removal_that_the_plan_did_not_tell_is_refused(twin: Twin) -> None:
    planned = plan(project(LINE), twin.graph)
    apply_plan(plan(project({"digital_twins": [{"name": "line_9"}]}), twin.graph), twin)
    with pytest.raises(
        ConflictError, match="the graph has changed since the plan was made: line_9 would be removed now"
    ):
        apply_plan(planned, twin)


def test_derived_signals_are_not_the_definition_s(twin: Twin) -> None:
    apply_plan(plan(project(LINE), twin.graph), twin)
    key = twin.graph.find("conveyor_1").key
    twin.change(lambda edit: edit.add_signal(key, "health", role=Role.DERIVED, unit="percent"), "analytics")
    assert plan(project(LINE), twin.graph).empty
    assert "health" not in export(twin.graph)


def test_what_readings_taught_is_not_undone(twin: Twin) -> None:
    apply_plan(plan(project(LINE), twin.graph), twin)
    index = twin.graph.find_signal("joints.value[0]").index
    twin.change(lambda edit: edit.update_signal(index, unit="deg", data_type="number"), "ingest")
    assert plan(project(LINE), twin.graph).empty


def test_removing_a_bound_of_zero_is_a_change() -> None:
    graph = applied(Graph(), LINE)
    document = line()
    del conveyor(document)["sensors"][0]["low"]
    assert "- low: 0.0" in plan(project(document), graph).text()


def test_a_change_of_unit_says_that_readings_stay_as_they_are(twin: Twin) -> None:
    apply_plan(plan(project(LINE), twin.graph), twin)
    read(twin, "conveyor_1.speed", 1.8)
    document = line()
    conveyor(document)["sensors"][0]["unit"] = "mm/s"
    assert "stored readings are not converted" in plan(project(document), twin.graph, twin.state).text()


# Moving


def test_a_moved_component_takes_its_history_along(twin: Twin) -> None:
    apply_plan(plan(project(LINE), twin.graph), twin)
    index = read(twin, "conveyor_1.speed", 1.8)
    document = line()
    conveyor(document).update(id="belt_1", moved_from="conveyor_1")
    document["digital_twins"][0]["relationships"][0]["from"] = "belt_1"
    planned = plan(project(document), twin.graph, twin.state)
    assert [(node.change, node.id, node.moved_from) for node in planned.changes.nodes] == [
        ("moved", "line_1.belt_1", "line_1.conveyor_1")
    ]
    assert not planned.changes.relationships
    apply_plan(planned, twin)
    assert twin.graph.find_signal("line_1.belt_1.speed").index == index
    assert plan(project(document), twin.graph, twin.state).empty


def test_a_component_moves_to_another_line_with_all_below_it(twin: Twin) -> None:
    apply_plan(plan(project(LINE), twin.graph), twin)
    index = read(twin, "conveyor_1.speed", 1.8)
    discover(twin, ("line_1.conveyor_1", Level.COMPONENT), ("line_1.conveyor_1.noise", Level.SENSOR))
    document = line()
    moved = document["digital_twins"][0]["components"].pop(0) | {"moved_from": "line_1.conveyor_1"}
    document["digital_twins"][0]["relationships"] = []
    document["digital_twins"].append({"name": "line_2", "components": [moved]})
    apply_plan(plan(project(document), twin.graph, twin.state), twin)
    assert twin.graph.find("line_2.conveyor_1.speed").key == twin.graph.signal(index).node
    assert twin.graph.find("line_2.conveyor_1.noise").origin is Origin.DISCOVERED
    assert plan(project(document), twin.graph, twin.state).empty


def test_a_renamed_line_moves_whole(twin: Twin) -> None:
    apply_plan(plan(project(LINE), twin.graph), twin)
    index = read(twin, "conveyor_1.speed", 1.8)
    document = line()
    document["digital_twins"][0].update(name="line_a", moved_from="line_1")
    planned = plan(project(document), twin.graph, twin.state)
    assert planned.changes.counts() | {"sections": 0} == {
        "added": 0, "changed": 0, "moved": 1, "adopted": 0, "removed": 0, "relationships": 0, "sections": 0,
    }  # fmt: skip
    apply_plan(planned, twin)
    assert twin.graph.find_signal("line_a.conveyor_1.speed").index == index


# Adopting


def test_a_definition_that_names_a_discovered_node_adopts_it(twin: Twin) -> None:
    discover(
        twin, ("line_1", Level.LINE), ("line_1.conveyor_1", Level.COMPONENT), ("line_1.conveyor_1.speed", Level.SENSOR)
    )
    index = read(twin, "line_1.conveyor_1.speed", 1.8)
    planned = plan(project(LINE), twin.graph, twin.state)
    assert {id for id, node in nodes(planned).items() if node.change == "adopted"} == {
        "line_1", "line_1.conveyor_1", "line_1.conveyor_1.speed",
    }  # fmt: skip
    apply_plan(planned, twin)
    signal = twin.graph.find_signal("line_1.conveyor_1.speed")
    assert (signal.index, signal.unit) == (index, "m/s")
    assert twin.graph.find("line_1.conveyor_1.speed").origin is Origin.DEFINED
    assert plan(project(LINE), twin.graph, twin.state).empty


def test_a_device_that_waits_unassigned_is_adopted_by_the_component_of_its_name(twin: Twin) -> None:
    unassigned = ("unassigned", Level.AREA)
    device = ("unassigned.conveyor_1", Level.COMPONENT)
    discover(twin, unassigned, device, ("unassigned.conveyor_1.speed", Level.SENSOR))
    discover(twin, unassigned, device, ("unassigned.conveyor_1.noise", Level.SENSOR))
    index = read(twin, "unassigned.conveyor_1.speed", 1.8)
    planned = plan(project(LINE), twin.graph, twin.state)
    assert nodes(planned)["line_1.conveyor_1"].moved_from == "unassigned.conveyor_1"
    assert "adopted with its history from unassigned.conveyor_1" in planned.text()
    apply_plan(planned, twin)
    assert twin.graph.find_signal("line_1.conveyor_1.speed").index == index
    assert twin.graph.find("line_1.conveyor_1.noise").origin is Origin.DISCOVERED
    assert plan(project(LINE), twin.graph, twin.state).empty


def test_a_waiting_device_that_two_components_could_be_is_left_alone(twin: Twin) -> None:
    discover(twin, ("unassigned", Level.AREA), ("unassigned.conveyor_1", Level.COMPONENT))
    document = line()
    document["digital_twins"].append({"name": "line_2", "components": [{"id": "conveyor_1"}]})
    apply_plan(plan(project(document), twin.graph, twin.state), twin)
    assert twin.graph.find("unassigned.conveyor_1").origin is Origin.DISCOVERED


def test_a_discovered_sensor_is_adopted_by_its_name(twin: Twin) -> None:
    discover(
        twin, ("line_1", Level.LINE), ("line_1.conveyor_1", Level.COMPONENT), ("line_1.conveyor_1.temp", Level.SENSOR)
    )
    index = read(twin, "line_1.conveyor_1.temp", 40.0)
    document = line()
    conveyor(document)["sensors"][1]["name"] = "temp"
    apply_plan(plan(project(document), twin.graph, twin.state), twin)
    assert twin.graph.find_signal("line_1.conveyor_1.motor_temp").index == index


def test_discovered_nodes_are_none_of_a_definition_s_business(twin: Twin) -> None:
    discover(twin, ("line_7", Level.LINE), ("line_7.pump", Level.COMPONENT), ("line_7.pump.flow", Level.SENSOR))
    apply_plan(plan(project(LINE), twin.graph, twin.state), twin)
    assert "line_7.pump.flow" in twin.graph
    assert "line_7" not in export(twin.graph)
    assert plan(project(LINE), twin.graph, twin.state).empty


def test_a_removed_node_takes_discovered_ones_along_only_on_demand(twin: Twin) -> None:
    apply_plan(plan(project(LINE), twin.graph), twin)
    discover(twin, ("line_1.conveyor_1", Level.COMPONENT), ("line_1.conveyor_1.noise", Level.SENSOR))
    planned = plan(project({}), twin.graph, twin.state)
    assert planned.changes.lost() == ["line_1.conveyor_1.noise"]
    with pytest.raises(ConflictError):
        apply_plan(planned, twin)
    apply_plan(planned, twin, allow_remove=True)
    assert len(twin.graph) == 0


# Differences


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, [("a", "changed")]),
        ({"a": {"b": 1}}, {"a": {"b": 2}, "c": 3}, [("a.b", "changed"), ("c", "added")]),
        ({"a": [1, 2]}, {"a": [1, 3]}, [("a", "changed")]),
        ([{"name": "x", "v": 1}, {"name": "y"}], [{"name": "x", "v": 2}], [("[x].v", "changed"), ("[y]", "removed")]),
        ([{"id": "x"}, {"id": "y"}], [{"id": "y"}, {"id": "x"}], [("", "reordered")]),
        ([{"v": 1}, {"v": 2}], [{"v": 1}, {"v": 3}], [("[1].v", "changed")]),
        ([{"v": 1}], [{"v": 1}, {"v": 2}], [("", "changed")]),
    ],
)
def test_differences_name_their_place(before: Any, after: Any, told: list[tuple[str, str]]) -> None:
    assert [(difference.path, difference.change) for difference in differences(before, after)] == told


# Round trip, over projects that nobody thought of

ids = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,7}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(
    str.strip
)
numbers = st.floats(-1e6, 1e6) | st.integers(-1000, 1000)
leaves = (
    st.none() | st.booleans() | numbers | texts | st.sampled_from(["on", "22:00", "1e3", "0o17", "~", "2024-01-15"])
)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
durations = st.sampled_from(["100ms", "5s", "1h30m", "90d", "2y"])


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


common = {
    "description": texts,
    "external_ids": st.dictionaries(texts, texts, max_size=2),
    "properties": st.dictionaries(ids | st.sampled_from(["model", "pose", "unit"]), values, max_size=3),
    "geo": st.just({"latitude": 48.1, "longitude": 11.6}),
    "pose": st.just({"position": [1.0, 2.0, 3.0], "frame": "world"}),
}
sensor = some(
    **common,
    type=texts,
    name=texts,
    unit=st.sampled_from(["celsius", "KWT", "[psi]", "kg/m2.s", "°F"]),
    joints=st.integers(1, 4),
    source=texts,
    low=st.floats(-10, 0),
    high=st.floats(0, 10),
    stepped=st.booleans(),
    data_type=st.sampled_from(["boolean", "text"]),
    labels=st.lists(texts, max_size=3, unique=True),
    expected_interval=durations,
)


@st.composite
def components(draw: st.DrawFn, depth: int) -> list[dict[str, Any]]:
    names = draw(st.lists(ids, max_size=3, unique=True))
    found = []
    for name in names:
        inner = draw(components(depth - 1)) if depth else []
        taken = {component["id"] for component in inner}
        sensors = [{"id": id, **draw(sensor)} for id in draw(st.lists(ids, max_size=2, unique=True)) if id not in taken]
        own = draw(
            some(**common, type=texts, name=texts, model=texts, parameters=st.dictionaries(texts, values, max_size=2))
        )
        found.append({"id": name, **own, "components": inner, "sensors": sensors})
    return found


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    sites = [{"id": f"site_{n}", **draw(some(**common, name=texts))} for n in range(draw(st.integers(0, 2)))]
    twins = []
    for n in range(draw(st.integers(0, 2))):
        inner = draw(components(2))
        place = {"site": draw(st.sampled_from(sites))["id"]} if sites and draw(st.booleans()) else {}
        ends = [component["id"] for component in inner]
        pairs = (
            draw(st.lists(st.tuples(st.sampled_from(ends), st.sampled_from(ends)), max_size=3, unique=True))
            if ends
            else []
        )
        relationships = [
            {
                "from": a,
                "to": b,
                "type": draw(st.sampled_from(["feeds_into", "controls"])),
                **draw(some(transfer_time=st.floats(0.5, 9))),
            }
            for a, b in pairs
        ]
        own = draw(some(**common, type=texts, title=texts))
        twins.append({"name": f"twin-{n}", **place, **own, "components": inner, "relationships": relationships})
    rules = [
        {
            "name": f"rule {n}",
            "type": "threshold",
            "sensor": "x",
            "conditions": [{"operator": ">", "threshold": draw(numbers)}],
        }
        for n in range(draw(st.integers(0, 2)))
    ]
    return {"site": sites, "digital_twins": twins, "anomaly_detection": {"rules": rules}}


@settings(max_examples=60, deadline=None)
@given(documents())
def test_what_is_applied_and_exported_is_found_equal(document: dict[str, Any]) -> None:
    graph = applied(Graph(), document)
    exported = export(graph)
    assert not re.search(r"(: |- )null$", exported, re.MULTILINE)
    again = plan(project(reread(exported)), graph)
    assert again.empty, again.text()
    assert export(applied(Graph(), reread(exported))) == exported


@settings(max_examples=60, deadline=None)
@given(documents(), documents())
def test_a_plan_is_empty_exactly_when_nothing_is_done(before: dict[str, Any], after: dict[str, Any]) -> None:
    graph = applied(Graph(), before)
    edit = GraphEdit(graph, "test")
    changes = revise(edit, desired(project(after)), lambda _: False)
    assert changes.empty == (not edit.operations)
    assert plan(project(after), edit.graph).empty
    assert plan(project(before), graph).empty
