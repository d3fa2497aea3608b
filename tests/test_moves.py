"""Moving and renaming: history, open anomalies, relationships and discovered nodes come along, restarts included."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from analytics_fixtures import T0, S, anomaly_events, health, index, say, settle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from type_fixtures import TYPES, applied, load

from iotsense.analytics.monitor import Monitor
from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.graph import Graph
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level, Origin
from iotsense.twin.plan import plan
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

PLANT = """\
digital_twins:
  - name: line_1
    components:
      - { id: pump_1, type: pump }
      - { id: pump_2, type: pump }
      - { id: tank }
    relationships:
      - { from: pump_1, to: pump_2, type: feeds_into, transfer_time: 2.5 }
      - { from: pump_2, to: tank, type: feeds_into }
  - name: line_2
"""


class Plant:
    """A twin with a monitor that is brought to rest after each change."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.open()

    def open(self) -> None:
        self.twin = Twin.open(self.directory)
        self.monitor = Monitor(self.twin)
        settle(self.monitor)

    def close(self) -> None:
        self.monitor.close()
        self.twin.close()

    def apply(self, *texts: str) -> list[tuple[str, str, str | None]]:
        """Applies a project, without leave to remove; what it changed."""
        changes = apply_plan(plan(load(*texts), self.twin.graph, self.twin.state), self.twin)
        settle(self.monitor)
        assert plan(load(*texts), self.twin.graph, self.twin.state).empty
        return [(node.change, node.id, node.moved_from) for node in changes.nodes]

    def breach(self, id: str) -> None:
        """A history of two readings, the second beyond the limit."""
        say(self.twin, id, (0, 10.0), (1, 200.0))
        settle(self.monitor)

    def say_now(self, id: str, *values: float) -> None:
        """Readings of this moment, which a rule judges that was applied just before."""
        now = (now_ns() - T0) / S
        say(self.twin, id, *((now + number / 1000, value) for number, value in enumerate(values)))
        settle(self.monitor)

    def history(self, id: str) -> list[float]:
        signal = index(self.twin, id)
        return self.twin.history(signal, T0, now_ns() + S).value.tolist()

    def arrows(self) -> set[tuple[str, str, str]]:
        graph = self.twin.graph
        return {(graph.node(one.source).id, one.type, graph.node(one.target).id) for one in graph.relationships()}

    def restart(self) -> None:
        self.close()
        self.open()


@pytest.fixture
def plant_1(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path / "data")
    plant.apply(TYPES, PLANT)
    plant.breach("pump_1.flow")
    yield plant
    plant.close()


def stays_open(plant: Plant, id: str) -> None:
    """The anomaly that `pump_1.flow` had goes on under the new id, and clears there."""
    for _ in range(2):
        (anomaly,) = plant.monitor.anomalies()
        assert anomaly.rule == "pump.too_much"
        assert anomaly.signal == index(plant.twin, id)
        assert len(anomaly_events(plant.twin)) == 1
        plant.restart()
    assert plant.history(id) == [10.0, 200.0]
    say(plant.twin, id, (2, 10.0))
    settle(plant.monitor)
    assert [event.until for event in anomaly_events(plant.twin)] == [None, T0 + 2 * S]
    assert plant.monitor.anomalies() == []
    assert plant.history(id) == [10.0, 200.0, 10.0]


def test_a_component_that_moves_to_another_line(plant_1: Plant) -> None:
    moved = PLANT.replace("      - { id: pump_1, type: pump }\n", "")
    moved = moved.replace("from: pump_1, to: pump_2", "from: line_2.pump_1, to: pump_2")
    moved = moved.replace("  - name: line_2\n", "  - name: line_2\n    components:\n      - { id: pump_1, type: pump, ")
    moved += "moved_from: line_1.pump_1 }\n"
    before = plant_1.twin.graph.find("line_1.pump_1").key
    assert plant_1.apply(TYPES, moved) == [("moved", "line_2.pump_1", "line_1.pump_1")]
    assert plant_1.twin.graph.find("line_2.pump_1").key == before
    assert plant_1.arrows() == {
        ("line_2.pump_1", "feeds_into", "line_1.pump_2"),
        ("line_1.pump_2", "feeds_into", "line_1.tank"),
    }
    stays_open(plant_1, "line_2.pump_1.flow")
    # The `moved_from` may stay or go.
    assert plant_1.apply(TYPES, moved.replace(", moved_from: line_1.pump_1", "")) == []


def test_the_health_of_the_line_that_it_leaves_recovers_and_that_of_the_other_falls(plant_1: Plant) -> None:
    say(plant_1.twin, "pump_2.flow", (1, 10.0))
    settle(plant_1.monitor)
    assert health(plant_1.twin, "line_1") == 75
    moved = PLANT.replace("      - { id: pump_1, type: pump }\n", "").replace("from: pump_1", "from: line_2.pump_1")
    moved += "    components: [{ id: pump_1, type: pump, moved_from: line_1.pump_1 }]\n"
    plant_1.apply(TYPES, moved)
    say(plant_1.twin, "pump_1.flow", (2, 210.0))
    settle(plant_1.monitor)
    assert (health(plant_1.twin, "line_1"), health(plant_1.twin, "line_2")) == (100, 75)


def test_a_whole_line_that_is_renamed(plant_1: Plant) -> None:
    renamed = PLANT.replace("- name: line_1\n", "- name: north\n    moved_from: line_1\n")
    assert plant_1.apply(TYPES, renamed) == [("moved", "north", "line_1")]
    assert ("north.pump_1", "feeds_into", "north.pump_2") in plant_1.arrows()
    stays_open(plant_1, "north.pump_1.flow")


def test_a_line_and_a_pump_on_it_that_are_renamed_at_once(plant_1: Plant) -> None:
    renamed = PLANT.replace("- name: line_1\n", "- name: north\n    moved_from: line_1\n")
    renamed = renamed.replace("{ id: pump_1, type: pump }", "{ id: first, type: pump, moved_from: line_1.pump_1 }")
    plant_1.apply(TYPES, renamed.replace("from: pump_1", "from: first"))
    assert ("north.first", "feeds_into", "north.pump_2") in plant_1.arrows()
    stays_open(plant_1, "north.first.flow")


def test_two_pumps_that_change_names_over_a_third(plant_1: Plant) -> None:
    def named(first: str, second: str, **moved_from: str) -> str:
        text = PLANT.replace("from: pump_1, to: pump_2", f"from: {first}, to: {second}")
        text = text.replace("from: pump_2, to: tank", f"from: {second}, to: tank")
        for old, new in (("pump_1", first), ("pump_2", second)):
            origin = f", moved_from: {moved_from[new]}" if new in moved_from else ""
            text = text.replace(f"{{ id: {old}, type: pump }}", f"{{ id: #{new}, type: pump{origin} }}")
        return text.replace("#", "")

    plant_1.apply(TYPES, named("spare", "pump_2", spare="pump_1"))
    plant_1.apply(TYPES, named("spare", "pump_1", pump_1="pump_2"))
    plant_1.apply(TYPES, named("pump_2", "pump_1", pump_2="spare"))
    assert ("line_1.pump_2", "feeds_into", "line_1.pump_1") in plant_1.arrows()
    stays_open(plant_1, "line_1.pump_2.flow")


def test_a_sensor_that_is_renamed(plant_1: Plant) -> None:
    own = "sensors: [{ id: outflow, type: flow, unit: l/min, moved_from: flow }]"
    free = PLANT.replace("{ id: pump_1, type: pump }", f"{{ id: pump_1, type: pump, without: [flow], {own} }}")
    first = plant_1.twin.graph.find_signal("pump_1.flow").index
    assert ("moved", "line_1.pump_1.outflow", "line_1.pump_1.flow") in plant_1.apply(TYPES, free)
    assert plant_1.twin.graph.find_signal("pump_1.outflow").index == first
    stays_open(plant_1, "pump_1.outflow")


def test_a_sensor_that_its_type_renames_for_all_instances(plant_1: Plant) -> None:
    """The rule names sensors of the type flow, so that it goes on watching them."""
    by_type = TYPES.replace("{ id: flow, type: flow,", "{ id: flow, type: through,").replace(
        "sensor: flow", "sensor: through"
    )
    with_version = by_type.replace("extends: machine", "extends: machine\n    version: 2")
    plant_1.apply(with_version, PLANT)
    plant_1.say_now("pump_1.flow", 10.0, 200.0)
    (open_before,) = plant_1.monitor.anomalies()
    renamed = with_version.replace("version: 2", "version: 3").replace(
        "{ id: flow,", "{ id: outflow, moved_from: flow,"
    )
    changes = plant_1.apply(renamed, PLANT)
    moved = [change for change in changes if change[0] == "moved"]
    assert moved == [("moved", f"line_1.pump_{n}.outflow", f"line_1.pump_{n}.flow") for n in (1, 2)]
    assert plant_1.history("pump_1.outflow") == [10.0, 200.0, 10.0, 200.0]
    assert [anomaly.identity for anomaly in plant_1.monitor.anomalies()] == [open_before.identity]
    # A pump that comes later has nothing to be renamed, and takes nobody else's sensor.
    plant_1.apply(renamed, PLANT.replace("- { id: tank }", "- { id: tank }\n      - { id: pump_3, type: pump }"))
    assert plant_1.history("pump_3.outflow") == []


def test_a_sensor_that_its_type_renames_while_its_machine_moves(plant_1: Plant) -> None:
    renamed = TYPES.replace("{ id: flow,", "{ id: outflow, moved_from: flow,").replace(
        "sensor: flow", "sensor: outflow"
    )
    moved = PLANT.replace("- name: line_1\n", "- name: north\n    moved_from: line_1\n")
    plant_1.apply(renamed, moved)
    assert plant_1.history("north.pump_1.outflow") == [10.0, 200.0]


def test_a_sensor_of_that_name_on_another_machine_is_not_taken(plant_1: Plant) -> None:
    def discover(edit: GraphEdit) -> None:
        mill = edit.add_node(
            id="line_2.mill", level=Level.COMPONENT, parent=edit.graph.find("line_2").key, origin=Origin.DISCOVERED
        )
        sensor = edit.add_node(id="line_2.mill.speed", level=Level.SENSOR, parent=mill.key, origin=Origin.DISCOVERED)
        edit.add_signal(sensor.key)

    plant_1.twin.change(discover, "ingest")
    new = TYPES.replace(
        "sensors:\n      - { id: flow,", "sensors:\n      - { id: rpm, moved_from: speed }\n      - { id: flow,"
    )
    assert new != TYPES
    plant_1.apply(new, PLANT)
    assert "line_2.mill.speed" in plant_1.twin.graph
    assert "line_1.pump_1.rpm" in plant_1.twin.graph


def test_a_machine_that_becomes_another_type(plant_1: Plant) -> None:
    types = TYPES + "  - { name: seal_pump, extends: pump, sensors: [{ id: seal }] }\n"
    plant_1.apply(types, PLANT.replace("{ id: pump_1, type: pump }", "{ id: pump_1, type: seal_pump }"))
    assert ("line_1.pump_1", "feeds_into", "line_1.pump_2") in plant_1.arrows()
    stays_open(plant_1, "pump_1.flow")


def test_a_free_word_that_becomes_a_type(tmp_path: Path) -> None:
    plant = Plant(tmp_path / "data")
    plant.apply(
        PLANT.replace("{ id: pump_1, type: pump }", "{ id: pump_1, type: pump, sensors: [{ id: flow, unit: l/min }] }")
    )
    plant.breach("pump_1.flow")
    assert plant.monitor.anomalies() == []
    plant.apply(TYPES, PLANT)
    assert plant.history("pump_1.flow") == [10.0, 200.0]
    plant.say_now("pump_1.flow", 201.0)
    assert [anomaly.data["value"] for anomaly in plant.monitor.anomalies()] == [201.0]
    plant.close()


def test_what_was_discovered_below_moves_along(plant_1: Plant) -> None:
    def discover(edit: GraphEdit) -> None:
        pump = edit.graph.find("line_1.pump_1").key
        noise = edit.add_node(id="line_1.pump_1.noise", level=Level.SENSOR, parent=pump, origin=Origin.DISCOVERED)
        edit.add_signal(noise.key)

    plant_1.twin.change(discover, "ingest")
    say(plant_1.twin, "pump_1.noise", (0, 60.0))
    plant_1.apply(TYPES, PLANT.replace("- name: line_1\n", "- name: north\n    moved_from: line_1\n"))
    assert plant_1.history("north.pump_1.noise") == [60.0]
    assert plant_1.twin.graph.find("north.pump_1.noise").origin is Origin.DISCOVERED


names = st.lists(st.sampled_from("abcdef"), min_size=3, max_size=3, unique=True)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(names, min_size=1, max_size=4), st.data())
def test_however_three_pumps_are_renamed_each_stays_itself(rounds: list[list[str]], data: st.DataObject) -> None:
    """Three pumps get new names, some of each other's; what each of them is stays with its key."""
    current = ["x", "y", "z"]
    graph = applied(Graph(), load(TYPES, _lines(current, current)))
    keys = [graph.find(f"line.{name}").key for name in current]
    flows = [graph.find_signal(f"line.{name}.flow").index for name in current]
    for wanted in rounds:
        # A name that another one still bears is given in a second step, as `validate` asks.
        free = [new if new not in current else old for old, new in zip(current, wanted, strict=True)]
        graph = applied(graph, load(TYPES, _lines(free, current)))
        current = free
        assert [graph.find(f"line.{name}").key for name in current] == keys
        assert [graph.find_signal(f"line.{name}.flow").index for name in current] == flows
        assert len(graph) == 10


def _lines(ids: list[str], before: list[str]) -> str:
    pumps = "".join(
        f"      - {{ id: {id}, type: pump{f', moved_from: line.{old}' if id != old else ''} }}\n"
        for id, old in zip(ids, before, strict=True)
    )
    return f"digital_twins:\n  - name: line\n    components:\n{pumps}"
