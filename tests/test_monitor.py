"""The monitor on a real twin: what it concludes, and that restarts, bad data and changed rules do not confuse it."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from analytics_fixtures import RISE, SPIKE, T0, S, anomaly_events, health, index, plant, say, set_rules, settle

from iotsense.analytics.monitor import Monitor
from iotsense.analytics.rate import RateWindow
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.errors import StorageFullError
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

M1 = "l1.m1.motor_temperature"
M2 = "l1.m2.motor_temperature"


@contextmanager
def watched(directory: Path, *rules: dict[str, Any]) -> Iterator[tuple[Twin, Monitor]]:
    with plant(directory, *rules) as twin:
        monitor = Monitor(twin)
        settle(monitor)
        yield twin, monitor


def spans(twin: Twin) -> list[tuple[float, float | None, str]]:
    """(onset, end, severity) of each anomaly [s after T0], as its last event tells."""
    last = {event.identity: event for event in anomaly_events(twin)}
    return sorted(
        ((e.time - T0) / S, None if e.until is None else (e.until - T0) / S, e.data["severity"]) for e in last.values()
    )


def test_a_breach_opens_an_anomaly_and_lowers_health_up_to_the_site(tmp_path: Path) -> None:
    with watched(tmp_path, SPIKE) as (twin, monitor):
        say(twin, M1, (0, 60.0), (1, 81.5))
        say(twin, M2, (0, 60.0))
        settle(monitor)
        (event,) = anomaly_events(twin)
        assert event.time == T0 + S
        assert event.until is None
        assert event.node == twin.graph.find("m1").key
        expected = {"rule": "temperature_spike", "severity": "warning", "metric": "value", "operator": ">"}
        assert expected.items() <= event.data.items()
        assert (event.data["value"], event.data["threshold"]) == (81.5, 80.0)
        assert event.data["signal"] == index(twin, M1)
        assert [health(twin, id) for id in ("l1.m1", "l1.m2", "l1", "hall", "plant")] == [75, 100, 75, 75, 75]


def test_hysteresis_keeps_it_open_until_the_value_is_well_back(tmp_path: Path) -> None:
    with watched(tmp_path, SPIKE) as (twin, monitor):
        say(twin, M1, (0, 81.0), (1, 79.0), (2, 80.5), (3, 78.1), (4, 78.0), (5, 79.9), (6, 80.1))
        settle(monitor)
        assert spans(twin) == [(0.0, 4.0, "warning"), (6.0, None, "warning")]
        assert len(monitor.anomalies()) == 1


def test_it_opens_and_clears_within_one_batch_and_health_is_back(tmp_path: Path) -> None:
    with watched(tmp_path, SPIKE) as (twin, monitor):
        say(twin, M1, (0, 20.0), (1, 99.0), (2, 20.0))
        settle(monitor)
        assert spans(twin) == [(1.0, 2.0, "critical"), (1.0, 2.0, "warning")]
        assert health(twin, "l1.m1") == 100.0
        signal = index(twin, "l1.m1.health")
        history = twin.history(signal, T0, T0 + 10 * S)
        assert history.value.tolist()[0] == 100.0
        assert min(history.value) == 40.0


def test_bad_readings_neither_open_nor_clear(tmp_path: Path) -> None:
    with watched(tmp_path, SPIKE) as (twin, monitor):
        say(twin, M1, (0, 99.0), quality=0)
        settle(monitor)
        assert anomaly_events(twin) == []
        say(twin, M1, (1, 90.0))
        say(twin, M1, (2, 20.0), quality=0)
        say(twin, M1, (3, float("nan")))
        settle(monitor)
        assert spans(twin) == [(1.0, None, "warning")]


def test_a_late_reading_counts_at_its_own_time(tmp_path: Path) -> None:
    with watched(tmp_path, SPIKE) as (twin, monitor):
        say(twin, M1, (10, 60.0))
        say(twin, M1, (5, 90.0))
        say(twin, M1, (11, 85.0), (8, 20.0), (12, 85.0))
        settle(monitor)
        assert spans(twin) == [(5.0, 8.0, "warning"), (11.0, None, "warning")]


def test_a_fast_rise_is_found_by_its_rate(tmp_path: Path) -> None:
    with watched(tmp_path, RISE) as (twin, monitor):
        say(twin, M1, *((30 * i, 40.0 + i) for i in range(11)))
        settle(monitor)
        assert anomaly_events(twin) == []
        say(twin, M1, (360, 53.0))
        settle(monitor)
        (event,) = anomaly_events(twin)
        assert event.data["value"] == pytest.approx(53.0 - 42.0)
        assert event.data["window_s"] == 300.0


@pytest.mark.parametrize(
    "word", ["motor_temperature", "l1.m1.motor_temperature", "m1.motor_temperature", "temperature"]
)
def test_a_rule_names_sensors_by_id_ending_or_type(tmp_path: Path, word: str) -> None:
    with watched(tmp_path, SPIKE | {"sensor": word}) as (twin, monitor):
        assert monitor.watch_count == (2 if "m1" in word else 4)
        say(twin, M1, (0, 90.0))
        settle(monitor)
        assert len(anomaly_events(twin)) == 1


def test_a_restart_goes_on_exactly_where_it_stopped(tmp_path: Path) -> None:
    with watched(tmp_path, SPIKE, RISE) as (twin, monitor):
        say(twin, M1, (0, 79.0), (120, 85.0))
        settle(monitor)
        before = len(twin.events())
        seen = monitor.anomalies()
    with Twin.open(tmp_path) as twin:
        monitor = Monitor(twin)
        settle(monitor)
        assert len(twin.events()) == before
        assert monitor.anomalies() == seen
        # The window of the rate is remembered: 79 at its start, 90 now, still a rise of 11.
        say(twin, M1, (240, 90.0))
        settle(monitor)
        assert {anomaly.rule for anomaly in monitor.anomalies()} == {"temperature_spike", "temperature_rise"}
        say(twin, M1, (600, 77.0))
        settle(monitor)
        assert monitor.anomalies() == []
        assert health(twin, "l1.m1") == 100.0


def test_what_came_while_it_was_away_is_judged_later(tmp_path: Path) -> None:
    with watched(tmp_path, SPIKE) as (twin, _):
        say(twin, M1, (0, 99.0), (1, 20.0), (2, 85.0))
    with Twin.open(tmp_path) as twin:
        settle(Monitor(twin))
        assert spans(twin) == [(0.0, 1.0, "critical"), (0.0, 1.0, "warning"), (2.0, None, "warning")]
        assert health(twin, "l1.m1") == 75.0


def walk(seed: int) -> list[list[tuple[str, float, float]]]:
    """Batches of a random walk of both machines around the limits, a fifth of the readings missing."""
    noise = random.Random(seed)
    value = {M1: 75.0, M2: 75.0}
    batches: list[list[tuple[str, float, float]]] = []
    for second in range(300):
        batch = []
        for id in value:
            value[id] = min(110.0, max(50.0, value[id] + noise.gauss(0.0, 6.0)))
            if noise.random() > 0.2:
                batch.append((id, float(second), value[id]))
        batches.append(batch)
    return batches


def feed(twin: Twin, batch: list[tuple[str, float, float]]) -> None:
    for id, second, value in batch:
        say(twin, id, (second, value))


def conclusions(twin: Twin) -> tuple[list[Any], list[Any]]:
    """Events without their numbers, and the history of health."""
    events = [(e.time, e.until, e.identity) for e in anomaly_events(twin)]
    healths = []
    for id in ("l1.m1", "l1.m2", "l1", "plant"):
        history = twin.history(index(twin, f"{id}.health"), T0 - S, T0 + 1000 * S)
        healths.append((history.time.tolist(), history.value.tolist()))
    return events, healths


def test_killed_at_random_moments_it_concludes_the_same_as_undisturbed(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    with watched(tmp_path / "calm", SPIKE, RISE) as (twin, monitor):
        for batch in walk(seed):
            feed(twin, batch)
            monitor.step()
        settle(monitor)
        calm = conclusions(twin)
    chance = random.Random(seed + 1)
    with watched(tmp_path / "rough", SPIKE, RISE) as (twin, monitor):
        for batch in walk(seed):
            feed(twin, batch)
            if chance.random() < 0.3:
                monitor.step()
            if chance.random() < 0.1:
                monitor = Monitor(twin)  # the one before is gone, with all that it had in memory
        settle(monitor)
        assert conclusions(twin)[0] == calm[0], seed
        assert conclusions(twin)[1] == calm[1], seed
    assert len(calm[0]) > 10


def test_a_write_that_is_refused_is_repeated_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(tmp_path, SPIKE) as (twin, monitor):
        say(twin, M1, (0, 90.0))
        with monkeypatch.context() as full:

            def refuse(*_: object, **__: object) -> int:
                raise StorageFullError("no room left")

            full.setattr(twin, "record", refuse)
            for _ in range(3):
                with pytest.raises(StorageFullError):
                    monitor.step()
        assert anomaly_events(twin) == []
        say(twin, M1, (1, 20.0))
        settle(monitor)
        assert spans(twin) == [(0.0, 1.0, "warning")]
        assert health(twin, "l1.m1") == 100.0


def test_after_a_failure_of_its_own_it_begins_again_where_its_conclusions_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(tmp_path, SPIKE) as (twin, monitor):
        say(twin, M1, (0, 20.0), (1, 90.0))

        def fail(*_: object) -> None:
            raise RuntimeError("a mistake in the program")

        with monkeypatch.context() as broken:
            broken.setattr(Monitor, "_open", fail)
            with pytest.raises(RuntimeError):
                monitor.step()
        settle(monitor)
        assert spans(twin) == [(1.0, None, "warning")]
        assert health(twin, "l1.m1") == 75.0


def test_a_broken_rule_stops_neither_the_others_nor_itself_from_being_told(tmp_path: Path) -> None:
    broken = {"name": "nonsense", "type": "threshold", "sensor": "speed", "conditions": [{"operator": "~"}]}
    unitless = SPIKE | {"name": "in_metres", "conditions": [SPIKE["conditions"][0] | {"unit": "metre"}]}
    with watched(tmp_path, broken, unitless, SPIKE) as (twin, monitor):
        say(twin, M1, (0, 90.0))
        settle(monitor)
        assert [anomaly.rule for anomaly in monitor.anomalies()] == ["temperature_spike"]
        assert set(monitor.problems) == {"nonsense", "in_metres"}


def test_a_rule_that_fails_while_it_runs_is_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> float:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(RateWindow, "change", fail)
    with watched(tmp_path, RISE, SPIKE) as (twin, monitor):
        say(twin, M1, (0, 90.0))
        settle(monitor)
        assert [anomaly.rule for anomaly in monitor.anomalies()] == ["temperature_spike"]
        assert "boom" in monitor.problems["temperature_rise"]


def test_rules_of_other_detectors_are_left_alone(tmp_path: Path) -> None:
    other = {"name": "vibration_anomaly", "type": "ml", "sensor": "motor_temperature", "model": "autoencoder"}
    with watched(tmp_path, other) as (_, monitor):
        assert monitor.watch_count == 0
        assert monitor.problems == {}


def test_a_changed_rule_ends_its_anomalies_and_judges_what_comes(tmp_path: Path) -> None:
    with watched(tmp_path, SPIKE) as (twin, monitor):
        say(twin, M1, (0, 90.0))
        settle(monitor)
        stricter = SPIKE | {"conditions": [SPIKE["conditions"][0] | {"threshold": 89}]}
        set_rules(twin, stricter)
        settle(monitor)
        assert monitor.anomalies() == []
        assert "changed" in anomaly_events(twin)[-1].data["reason"]
        assert health(twin, "l1.m1") == 100.0
        later = (now_ns() - T0) / S + 60
        say(twin, M1, (later, 88.5), (later + 1, 89.5))
        settle(monitor)
        (anomaly,) = monitor.anomalies()
        assert anomaly.data["value"] == 89.5
        assert anomaly.data["version"] != anomaly_events(twin)[0].data["version"]


def test_another_change_of_the_structure_leaves_open_anomalies_open(tmp_path: Path) -> None:
    with watched(tmp_path, SPIKE, RISE) as (twin, monitor):
        say(twin, M1, (0, 90.0))
        settle(monitor)
        (before,) = monitor.anomalies()
        twin.change(lambda edit: edit.update_node(edit.graph.find("m1").key, name="Mixer"), "test")
        say(twin, M1, (60, 91.0))
        settle(monitor)
        assert monitor.anomalies() == [before]
        # The window of the rate went on, too: 11 degrees since the reading before the change.
        say(twin, M1, (100, 101.5))
        settle(monitor)
        assert "temperature_rise" in {anomaly.rule for anomaly in monitor.anomalies()}


def test_a_sensor_that_is_removed_takes_its_anomalies_with_it(tmp_path: Path) -> None:
    with watched(tmp_path, SPIKE) as (twin, monitor):
        say(twin, M1, (0, 99.0))
        settle(monitor)
        key = twin.graph.find(M1).key
        twin.change(lambda edit: edit.remove_node(key), "test")
        settle(monitor)
        assert monitor.anomalies() == []
        assert twin.open_events("anomaly") == []
        assert health(twin, "l1.m1") == 100.0


def test_a_threshold_in_another_unit_is_converted(tmp_path: Path) -> None:
    fahrenheit = SPIKE | {"conditions": [SPIKE["conditions"][0] | {"threshold": 176, "unit": "fahrenheit"}]}
    with watched(tmp_path, fahrenheit) as (twin, monitor):
        say(twin, M1, (0, 79.9), (1, 80.1))
        settle(monitor)
        assert spans(twin) == [(1.0, None, "warning")]


def test_a_threshold_may_be_a_label(tmp_path: Path) -> None:
    held = {"operator": "==", "threshold": "Held", "severity": "critical"}
    rule = {"name": "held", "type": "threshold", "sensor": "speed", "conditions": [held]}
    with plant(tmp_path) as twin:
        labels = ("Idle", "Execute", "Held")
        for id in ("m1.speed", "m2.speed"):
            signal = index(twin, id)
            twin.change(lambda edit, signal=signal: edit.update_signal(signal, unit=None, labels=labels), "test")
        set_rules(twin, rule)
        monitor = Monitor(twin)
        say(twin, "m1.speed", (0, 1.0), (1, 2.0), (2, 1.0))
        settle(monitor)
        assert spans(twin) == [(1.0, 2.0, "critical")]


def test_anomalies_of_a_node_are_those_of_all_that_it_contains(tmp_path: Path) -> None:
    with watched(tmp_path, SPIKE) as (twin, monitor):
        say(twin, M1, (0, 90.0))
        say(twin, M2, (1, 90.0))
        settle(monitor)
        graph = twin.graph
        assert len(monitor.anomalies(graph.find("m1").key)) == 1
        assert len(monitor.anomalies(graph.find("l1").key)) == 2


def test_it_comes_to_rest(tmp_path: Path) -> None:
    # Its own conclusions are entries of the journal, too: they must not make it write again.
    with watched(tmp_path, SPIKE) as (twin, monitor):
        say(twin, M1, (0, 90.0))
        settle(monitor)
        last = twin.last_seq
        for _ in range(5):
            assert monitor.step() == 0
        assert twin.last_seq == last
        assert monitor.lag == 0


def test_its_position_moves_although_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iotsense.analytics.monitor.POSITION_ENTRIES", 10)
    with watched(tmp_path, SPIKE) as (twin, monitor):
        for i in range(40):
            say(twin, M1, (i, 20.0))
            monitor.step()
        assert twin.last_seq - twin.position("monitor") <= 15
        monitor.close()
        settled = twin.position("monitor")
    with Twin.open(tmp_path) as twin:
        assert twin.position("monitor") == settled


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the monitor tells nobody but the journal
        await asyncio.sleep(0.01)


async def test_running_it_follows_what_comes(tmp_path: Path) -> None:
    with plant(tmp_path, SPIKE) as twin:
        monitor = Monitor(twin)
        running = asyncio.create_task(monitor.run())
        await asyncio.to_thread(say, twin, M1, (0, 99.0))
        await until(lambda: len(monitor.anomalies()) == 2)
        await asyncio.to_thread(say, twin, M1, (1, 20.0))
        await until(lambda: not monitor.anomalies())
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


def test_many_signals_in_one_batch_are_each_judged_in_their_own_order(tmp_path: Path) -> None:
    with watched(tmp_path, SPIKE) as (twin, monitor):
        noise = np.random.default_rng(random.randrange(1 << 30))
        n = 2_000
        signal = np.where(noise.random(n) < 0.5, index(twin, M1), index(twin, M2))
        value = noise.normal(80.0, 8.0, n)
        twin.apply(ReadingBatch.of(signal, T0 + np.arange(n) * S, value))
        settle(monitor)
        for id in (M1, M2):
            mine = signal == index(twin, id)
            assert spans_of(twin, id) == expected_spans(np.flatnonzero(mine).tolist(), value[mine].tolist())


def spans_of(twin: Twin, id: str) -> list[tuple[float, float | None]]:
    after, last = 0, {}
    while events := twin.events(after, kind="anomaly"):
        after = events[-1].seq
        last |= {e.identity: e for e in events if e.data["signal"] == index(twin, id) and e.data["condition"] == 0}
    return [((e.time - T0) / S, None if e.until is None else (e.until - T0) / S) for e in last.values()]


def expected_spans(seconds: list[int], values: list[float]) -> list[tuple[float, float | None]]:
    spans: list[tuple[float, float | None]] = []
    onset: int | None = None
    for second, value in zip(seconds, values, strict=True):
        if onset is None and value > 80:
            onset = second
        elif onset is not None and value <= 78:
            spans.append((float(onset), float(second)))
            onset = None
    return spans + ([(float(onset), None)] if onset is not None else [])
