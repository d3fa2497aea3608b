"""The arithmetic of health, and how it rolls up over what contains what."""

from pathlib import Path

import pytest
from analytics_fixtures import SPIKE, T0, S, health, index, plant, say, set_rules, settle

from iotsense.analytics.anomalies import Anomaly
from iotsense.analytics.health import health_score, health_status
from iotsense.analytics.monitor import Monitor
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level, Role
from iotsense.twin.twin import Twin


def anomaly(severity: str, rule: str = "r", signal: int = 1, condition: int = 0) -> Anomaly:
    return Anomaly(f"{rule}{signal}{condition}", (rule, "v", condition, signal), 1, severity, T0, {})


@pytest.mark.parametrize(
    ("severities", "score", "status"),
    [
        ([], 100.0, "healthy"),
        (["warning"], 75.0, "warning"),
        (["warning"] * 2, 56.2, "warning"),
        (["warning"] * 9, 50.0, "warning"),
        (["critical"], 40.0, "critical"),
        (["critical", "warning"], 30.0, "critical"),
        (["critical"] * 2, 16.0, "critical"),
    ],
)
def test_each_open_anomaly_takes_its_share(severities: list[str], score: float, status: str) -> None:
    found = [anomaly(severity, signal=i) for i, severity in enumerate(severities)]
    assert health_score(found) == score
    assert health_status(score) == status


def test_critical_supersedes_warning_of_the_same_rule_and_signal() -> None:
    both = [anomaly("warning"), anomaly("critical", condition=1)]
    assert health_score(both) == health_score(both[::-1]) == 40.0
    assert health_score([anomaly("warning"), anomaly("critical", rule="other")]) == 30.0


def test_two_warnings_of_one_rule_on_one_signal_count_once() -> None:
    assert health_score([anomaly("warning"), anomaly("warning", condition=1)]) == 75.0


@pytest.mark.parametrize(
    ("score", "word"), [(80.0, "healthy"), (79.9, "warning"), (50.0, "warning"), (49.9, "critical")]
)
def test_the_words_begin_at_their_limits(score: float, word: str) -> None:
    assert health_status(score) == word


def test_a_component_that_never_spoke_has_no_health(tmp_path: Path) -> None:
    with plant(tmp_path, SPIKE) as twin:
        monitor = Monitor(twin)
        settle(monitor)
        assert health(twin, "l1.m1") is None
        assert health(twin, "plant") is None
        say(twin, "l1.m1.speed", (0, 1.0), quality=0)
        settle(monitor)
        assert health(twin, "l1.m1") is None
        say(twin, "l1.m1.speed", (1, 1.0))
        settle(monitor)
        assert health(twin, "l1.m1") == 100.0
        assert health(twin, "l1.m2") is None
        assert health(twin, "plant") == 100.0
        first = twin.state.read(index(twin, "l1.m1.health"))
        assert first is not None
        assert first.time == T0 + S


def test_health_is_a_derived_signal_with_unit_and_range(tmp_path: Path) -> None:
    with plant(tmp_path) as twin:
        settle(Monitor(twin))
        signal = twin.graph.find_signal("l1.m1.health")
        assert (signal.role, signal.unit, signal.low, signal.high) == (Role.DERIVED, "percent", 0.0, 100.0)
        revision = twin.graph.revision
        settle(Monitor(twin))
        assert twin.graph.revision == revision


def test_the_whole_is_as_healthy_as_its_least_healthy_part(tmp_path: Path) -> None:
    with plant(tmp_path, SPIKE) as twin:
        monitor = Monitor(twin)
        say(twin, "m1.motor_temperature", (0, 90.0))
        say(twin, "m2.motor_temperature", (0, 99.0))
        settle(monitor)
        assert [health(twin, id) for id in ("l1.m1", "l1.m2", "l1", "plant")] == [75, 40, 40, 40]
        say(twin, "m2.motor_temperature", (1, 20.0))
        settle(monitor)
        assert [health(twin, id) for id in ("l1.m1", "l1.m2", "l1", "plant")] == [75, 100, 75, 75]


def test_a_nested_component_counts_for_the_one_that_contains_it(tmp_path: Path) -> None:
    def nest(edit: GraphEdit) -> None:
        outer = edit.graph.find("m1")
        inner = edit.add_node(id="l1.m1.gearbox", level=Level.COMPONENT, parent=outer.key)
        sensor = edit.add_node(id="l1.m1.gearbox.oil", level=Level.SENSOR, type="temperature", parent=inner.key)
        edit.add_signal(sensor.key)

    with plant(tmp_path, SPIKE | {"sensor": "temperature"}) as twin:
        twin.change(nest, "test")
        monitor = Monitor(twin)
        say(twin, "m1.motor_temperature", (0, 50.0))
        say(twin, "gearbox.oil", (0, 90.0))
        settle(monitor)
        assert [health(twin, id) for id in ("l1.m1.gearbox", "l1.m1", "l1")] == [75, 75, 75]


def test_the_health_told_last_is_the_one_that_shows_although_clocks_differ(tmp_path: Path) -> None:
    with plant(tmp_path, SPIKE) as twin:
        monitor = Monitor(twin)
        say(twin, "m1.motor_temperature", (100, 90.0))
        settle(monitor)
        # The other machine's clock is a minute behind: its words come later and bear earlier times.
        say(twin, "m2.motor_temperature", (40, 99.0))
        settle(monitor)
        assert health(twin, "l1") == 40.0
        say(twin, "m2.motor_temperature", (41, 20.0))
        settle(monitor)
        assert health(twin, "l1") == 75.0


def test_moving_a_component_moves_its_share_of_health(tmp_path: Path) -> None:
    with plant(tmp_path, SPIKE) as twin:
        monitor = Monitor(twin)
        say(twin, "m1.motor_temperature", (0, 90.0))
        say(twin, "m2.motor_temperature", (0, 20.0))
        settle(monitor)

        def move(edit: GraphEdit) -> None:
            line = edit.add_node(id="l2", level=Level.LINE, parent=edit.graph.find("hall").key)
            edit.update_node(edit.graph.find("m1").key, parent=line.key)

        twin.change(move, "test")
        settle(monitor)
        assert health(twin, "l1") == 100.0
        assert twin.state.read(index(twin, "l2.health")).value == 75.0  # type: ignore[union-attr]
        assert health(twin, "hall") == 75.0


def test_health_survives_a_restart_and_falls_with_its_rules(tmp_path: Path) -> None:
    with plant(tmp_path, SPIKE) as twin:
        monitor = Monitor(twin)
        say(twin, "m1.motor_temperature", (0, 90.0))
        settle(monitor)
    with Twin.open(tmp_path) as twin:
        monitor = Monitor(twin)
        settle(monitor)
        assert health(twin, "plant") == 75.0
        set_rules(twin)
        settle(monitor)
        assert health(twin, "plant") == 100.0


def test_a_line_with_sensors_of_its_own_has_health_without_any_component(tmp_path: Path) -> None:
    def build(edit: GraphEdit) -> None:
        line = edit.add_node(id="grid", level=Level.LINE)
        sensor = edit.add_node(id="grid.meter", level=Level.SENSOR, type="temperature", parent=line.key)
        edit.add_signal(sensor.key)

    with plant(tmp_path, SPIKE | {"sensor": "meter"}) as twin:
        twin.change(build, "test")
        monitor = Monitor(twin)
        say(twin, "grid.meter", (0, 20.0), (1, 99.0))
        settle(monitor)
        assert health(twin, "grid") == 40.0
