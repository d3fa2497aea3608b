import pytest

from iotsense.twin.changes import StructureChange
from iotsense.twin.checkpoint import StructureImage
from iotsense.twin.errors import AmbiguousIdError, ConflictError, NotFoundError
from iotsense.twin.graph import Graph
from iotsense.twin.graph_edit import GraphEdit, apply_change
from iotsense.twin.model import Level, Role


def bottling(author: str = "test") -> GraphEdit:
    edit = GraphEdit(Graph(), author)
    site = edit.add_node(id="bremen", level=Level.SITE)
    for line_id in ("line_1", "line_2"):
        line = edit.add_node(id=line_id, level=Level.LINE, parent=site.key)
        previous = None
        for name in ("filler", "capper"):
            machine = edit.add_node(id=f"{line_id}.{name}", level=Level.COMPONENT, parent=line.key, type=name)
            sensor = edit.add_node(
                id=f"{line_id}.{name}.s1", level=Level.SENSOR, parent=machine.key, name="motor_temperature"
            )
            edit.add_signal(sensor.key, unit="celsius")
            edit.add_signal(machine.key, "health", role=Role.DERIVED)
            if previous:
                edit.relate(previous.key, "feeds_into", machine.key, transfer_time=2.5)
            previous = machine
    return edit


def test_ids_are_found_whole_short_where_unambiguous_and_with_candidates_otherwise() -> None:
    graph = bottling().graph
    assert graph.find("line_1.filler").type == "filler"
    assert graph.find("filler", within="line_2").id == "line_2.filler"
    with pytest.raises(AmbiguousIdError) as ambiguous:
        graph.find("filler")
    assert ambiguous.value.candidates == ["line_1.filler", "line_2.filler"]
    with pytest.raises(NotFoundError, match=r"did you mean line_1\.filler"):
        graph.find("fillr")


def test_signals_are_found_by_sensor_name_and_by_the_components_own_name() -> None:
    graph = bottling().graph
    by_id = graph.find_signal("line_1.filler.s1")
    assert graph.find_signal("line_1.filler.motor_temperature") == by_id
    assert graph.find_signal("line_1.filler.s1.value") == by_id
    assert graph.signal_id(by_id) == "line_1.filler.s1"
    health = graph.find_signal("line_1.filler.health")
    assert health.role is Role.DERIVED
    assert graph.find_signal(graph.signal_id(health)) == health
    with pytest.raises(NotFoundError, match="it has health, motor_temperature"):
        graph.find_signal("line_1.filler.pressure")
    with pytest.raises(NotFoundError, match="is a component; name one of its signals"):
        graph.find_signal("line_1.filler")


def test_a_revision_leaves_the_graph_before_it_as_it_was() -> None:
    before = bottling().graph
    edit = GraphEdit(before, "test")
    edit.update_node(before.find("line_1.filler").key, id="line_1.rinser", name="rinser")
    edit.unrelate(before.find("line_1.filler").key, "feeds_into", before.find("line_1.capper").key)
    change = edit.change()
    assert change is not None
    after = apply_change(before, change)
    assert after.revision == before.revision + 1
    assert after.find("rinser").key == before.find("line_1.filler").key
    assert "line_1.filler" in before
    assert "line_1.filler" not in after
    assert [r.type for r in before.outgoing(before.find("line_1.filler").key)] == ["feeds_into"]
    assert after.outgoing(after.find("rinser").key) == []


def test_removing_takes_signals_and_relationships_along_and_never_reuses_numbers() -> None:
    edit = bottling()
    graph = edit.graph
    capper = graph.find("line_1.capper")
    with pytest.raises(ConflictError, match=r"still contains line_1\.capper\.s1"):
        edit.remove_node(capper.key)
    index = graph.find_signal("line_1.capper.s1").index
    edit.remove_node(graph.find("line_1.capper.s1").key)
    edit.remove_node(capper.key)
    assert list(edit.graph.relationships("feeds_into")) == [
        r for r in graph.relationships("feeds_into") if r.target != capper.key
    ]
    with pytest.raises(NotFoundError):
        edit.graph.signal(index)
    again = edit.add_node(id="line_1.capper", level=Level.COMPONENT, parent=graph.find("line_1").key)
    assert again.key > max(node.key for node in graph.nodes())
    assert edit.add_signal(again.key, "speed").index == graph.signal_count


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"id": "line_1", "level": Level.LINE}, "is there already"),
        ({"id": "x", "level": Level.SENSOR}, "needs a parent"),
        ({"id": "x", "level": Level.SITE, "parent": 2}, "cannot stand below a line"),
    ],
)
def test_what_does_not_fit_is_refused(fields: dict[str, object], words: str) -> None:
    edit = bottling()
    with pytest.raises(ConflictError, match=words):
        edit.add_node(**fields)  # type: ignore[arg-type]


def test_a_node_cannot_be_moved_below_itself() -> None:
    edit = bottling()
    filler = edit.graph.find("line_1.filler")
    part = edit.add_node(id="line_1.filler.valve", level=Level.COMPONENT, parent=filler.key)
    with pytest.raises(ConflictError, match="below itself"):
        edit.update_node(filler.key, parent=part.key)
    with pytest.raises(ConflictError, match="below itself"):
        edit.update_node(filler.key, parent=filler.key)


def test_equal_fields_are_no_change() -> None:
    edit = bottling()
    count = len(edit.operations)
    filler, capper = edit.graph.find("line_1.filler"), edit.graph.find("line_1.capper")
    edit.update_node(filler.key, type="filler")
    edit.relate(filler.key, "feeds_into", capper.key, transfer_time=2.5)
    edit.set_definition({})
    assert len(edit.operations) == count


def test_a_node_that_feeds_itself_can_be_removed() -> None:
    edit = GraphEdit(Graph(), "test")
    line = edit.add_node(id="line", level=Level.LINE)
    edit.relate(line.key, "feeds_into", line.key)
    edit.remove_node(line.key)
    assert len(edit.graph) == 0


def test_walks_follow_parents_and_children() -> None:
    graph = bottling().graph
    sensor = graph.find("line_2.capper.s1")
    assert [node.id for node in graph.ancestors(sensor.key)] == ["line_2.capper", "line_2", "bremen"]
    below = [node.id for node in graph.descendants(graph.find("line_2").key)]
    assert below == ["line_2.filler", "line_2.filler.s1", "line_2.capper", "line_2.capper.s1"]
    assert [node.id for node in graph.twins()] == ["line_1", "line_2"]


def test_a_graph_survives_its_image() -> None:
    edit = bottling()
    edit.set_definition({"anomaly_detection": {"rules": []}})
    change = StructureChange(1, "test", edit.operations)
    graph = apply_change(Graph(), change)
    back = StructureImage.of(graph).graph()
    assert back == graph
