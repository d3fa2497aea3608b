"""Rules of component types watch every instance, each with its own parameters, whoever brought it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analytics_fixtures import anomaly_events, index, say, settle
from type_fixtures import FORTY, TYPES, load

from iotsense.analytics.monitor import Monitor
from iotsense.analytics.rules import compile_watches
from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.graph import Graph
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level, Origin
from iotsense.twin.plan import plan
from iotsense.twin.twin import Twin


@contextmanager
def watched(directory: Path, *texts: str) -> Iterator[tuple[Twin, Monitor]]:
    with Twin.open(directory) as twin:
        apply_plan(plan(load(*texts), twin.graph), twin)
        monitor = Monitor(twin)
        settle(monitor)
        yield twin, monitor


def become(twin: Twin, monitor: Monitor, *texts: str) -> None:
    apply_plan(plan(load(*texts), twin.graph, twin.state), twin, allow_remove=True)
    settle(monitor)


def limits(graph: Graph, id: str) -> dict[str, float]:
    """The thresholds that watch a signal, by rule."""
    signal = graph.find_signal(id).index
    return {
        watch.rule.name: watch.threshold for watch in compile_watches(graph).watches if watch.signal.index == signal
    }


def test_one_rule_watches_forty_pumps_and_each_by_its_own_parameter(tmp_path: Path) -> None:
    big = "      - { id: big, type: pump, parameters: { max_flow: 300 } }\n"
    with watched(tmp_path, TYPES, FORTY + big) as (twin, monitor):
        # machine.hungry on 41 powers, pump.too_much on 41 flows; the definition holds the two rules once.
        assert monitor.watch_count == 82
        assert monitor.problems == {}
        assert limits(twin.graph, "pump_7.flow") == {"pump.too_much": 120}
        assert limits(twin.graph, "big.flow") == {"pump.too_much": 300}
        say(twin, "pump_7.flow", (0, 200.0))
        say(twin, "big.flow", (0, 200.0))
        say(twin, "pump_9.power", (0, 51.0))
        settle(monitor)
        found = {(event.data["rule"], event.data["signal_id"]) for event in anomaly_events(twin)}
        assert found == {("pump.too_much", "line_1.pump_7.flow"), ("machine.hungry", "line_1.pump_9.power")}


def test_a_parameter_that_changes_moves_the_limit_of_that_instance_alone(tmp_path: Path) -> None:
    with watched(tmp_path, TYPES, FORTY) as (twin, monitor):
        say(twin, "pump_1.flow", (0, 200.0))
        say(twin, "pump_2.flow", (0, 200.0))
        settle(monitor)
        raised = FORTY.replace('number: "${each}"', 'max_flow: "${max(120, 480 - each * 180)}"')
        become(twin, monitor, TYPES, raised)
        assert limits(twin.graph, "pump_1.flow") == {"pump.too_much": 300}
        assert limits(twin.graph, "pump_2.flow") == {"pump.too_much": 120}
        assert [anomaly.component for anomaly in monitor.anomalies()] == [twin.graph.find("pump_2").key]


def test_the_limit_is_in_the_sensor_s_unit(tmp_path: Path) -> None:
    with watched(
        tmp_path, TYPES, FORTY.replace("type: pump", "type: pump\n        sensors: [{ id: flow, unit: l/s }]")
    ) as (
        twin,
        _,
    ):
        assert limits(twin.graph, "pump_1.flow") == {"pump.too_much": 2}


def test_open_anomalies_outlive_a_new_version_of_the_type_and_end_where_the_rule_changes(tmp_path: Path) -> None:
    with watched(tmp_path, TYPES, FORTY) as (twin, monitor):
        say(twin, "pump_1.flow", (0, 200.0))
        say(twin, "pump_1.power", (0, 60.0))
        settle(monitor)
        second = TYPES.replace("extends: machine", "extends: machine\n    version: 2").replace(
            "threshold: 50", "threshold: 55"
        )
        become(twin, monitor, second, FORTY)
        ended = [event for event in anomaly_events(twin) if event.until is not None]
        assert [event.data["rule"] for event in ended] == ["machine.hungry"]
        assert [anomaly.rule for anomaly in monitor.anomalies()] == ["pump.too_much"]


def test_an_instance_that_is_discovered_later_and_one_that_is_adopted_are_watched(tmp_path: Path) -> None:
    with watched(tmp_path, TYPES, FORTY) as (twin, monitor):

        def discover(edit: GraphEdit) -> None:
            line = edit.graph.find("line_1").key
            pump = edit.add_node(
                id="line_1.found", level=Level.COMPONENT, type="pump", parent=line, origin=Origin.DISCOVERED
            )
            sensor = edit.add_node(
                id="line_1.found.power", level=Level.SENSOR, parent=pump.key, origin=Origin.DISCOVERED
            )
            edit.add_signal(sensor.key, unit="kW")

        twin.change(discover, "ingest")
        say(twin, "found.power", (0, 60.0))
        settle(monitor)
        (event,) = anomaly_events(twin)
        assert event.data["signal_id"] == "line_1.found.power"
        become(twin, monitor, TYPES, FORTY + "      - { id: found, type: pump }\n")
        assert twin.graph.find("found").origin is Origin.DEFINED
        assert [anomaly.identity for anomaly in monitor.anomalies()] == [event.identity]
        assert limits(twin.graph, "found.flow") == {"pump.too_much": 120}


def test_an_instance_that_a_rule_does_not_fit_stops_none_of_the_others(tmp_path: Path) -> None:
    odd = "      - { id: odd, type: pump, sensors: [{ id: flow, unit: celsius }] }\n"
    unlimited = TYPES.replace("default: 120, ", "")
    with watched(tmp_path, TYPES, FORTY + odd) as (twin, monitor):
        assert list(monitor.problems) == ["pump.too_much on line_1.odd"]
        assert "cannot be converted" in monitor.problems["pump.too_much on line_1.odd"]
        assert limits(twin.graph, "pump_1.flow") == {"pump.too_much": 120}
        become(twin, monitor, unlimited, FORTY)
        assert len(monitor.problems) == 40
        assert "'parameters.max_flow' is not known here" in monitor.problems["pump.too_much on line_1.pump_1"]


def test_a_rule_that_is_switched_off_watches_nothing(tmp_path: Path) -> None:
    off = (
        TYPES
        + "  - { name: quiet, extends: pump, rules: [{ name: hungry, type: threshold, sensor: power, enabled: false,"
    )
    off += ' conditions: [{ operator: ">", threshold: 1 }] }] }\n'
    with watched(tmp_path, off, FORTY.replace("type: pump", "type: quiet")) as (twin, _):
        assert limits(twin.graph, "pump_1.power") == {}
        assert limits(twin.graph, "pump_1.flow") == {"pump.too_much": 120}


def test_rules_without_an_engine_are_told() -> None:
    chart = "{ name: r, type: control_chart, sensor: s, chart_type: i_mr }"
    text = f"  - {{ name: x, sensors: [{{ id: s }}], rules: [{chart}] }}\n"
    assert load(TYPES + text).notices() == [
        "component_types: type control_chart (1 rule) is defined but has no engine in this version yet"
    ]


def test_pinned_instances_are_watched_by_the_rules_of_their_version(tmp_path: Path) -> None:
    pump = TYPES[TYPES.index("  - name: pump") :]
    both = TYPES + pump.replace("extends: machine", "extends: machine\n    version: 2").replace(
        '"${parameters.max_flow}"', "10"
    )
    with watched(tmp_path, both, FORTY + "      - { id: old, type: pump, type_version: 1 }\n") as (twin, _):
        assert limits(twin.graph, "old.flow") == {"pump.too_much": 120}
        assert limits(twin.graph, "pump_1.flow") == {"pump.too_much": 10}
        assert index(twin, "old.flow")
