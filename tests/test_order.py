"""What the monitor concludes depends on the readings, not on their order, on batches, restarts or when it ran."""

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from analytics_fixtures import RISE, SPIKE, T0, S, index, plant, set_rules, settle
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from iotsense.analytics.ledger import ScratchLedger, TwinLedger, standing
from iotsense.analytics.monitor import Monitor
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.graph import HEALTH
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level
from iotsense.twin.times import format_time, now_ns
from iotsense.twin.twin import Twin

SIGNALS = ("l1.m1.motor_temperature", "l1.m1.speed", "l1.m2.motor_temperature", "l1.m2.speed")
SLOW = {
    "name": "slow",
    "type": "threshold",
    "sensor": "speed",
    "conditions": [
        {"metric": "value", "operator": "<", "threshold": 70, "hysteresis": 5, "severity": "critical"},
        {"metric": "rate_of_change", "window": "90s", "operator": "<", "threshold": -20, "severity": "warning"},
    ],
}
RULES = (SPIKE, RISE, SLOW)
NODES = ("l1.m1", "l1.m2", "l1", "hall", "plant")


# An example opens real twins on a real disk: making a failing one smaller would take minutes.
CAREFULLY = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=(Phase.explicit, Phase.reuse, Phase.generate)
)


class Row(NamedTuple):
    signal: int
    second: int
    value: float
    quality: int


class Conclusions(NamedTuple):
    """Standing anomalies as (identity, onset, until, severity, values), and health as (time, score) steps by node."""

    anomalies: list[tuple[object, ...]]
    health: dict[int, list[tuple[int, float | None]]]


rows = st.lists(
    st.builds(
        Row,
        st.integers(0, len(SIGNALS) - 1),
        st.integers(0, 900).map(lambda s: s * 7 % 901),
        st.sampled_from([60.0, 66.0, 72.0, 77.0, 79.0, 81.0, 96.0, 99.0, float("nan")]),
        st.sampled_from([192, 192, 192, 64, 0]),
    ),
    min_size=1,
    max_size=60,
)


def in_order(drawn: Sequence[Row]) -> list[Row]:
    return sorted(drawn, key=lambda row: row.second)


def shuffled(drawn: Sequence[Row], chance: random.Random) -> list[Row]:
    """Another order, in which of several with one signal and time the last stays the last."""
    mixed = list(drawn)
    chance.shuffle(mixed)
    versions: dict[tuple[int, int], list[Row]] = {}
    for row in drawn:
        versions.setdefault((row.signal, row.second), []).append(row)
    return [versions[row.signal, row.second].pop(0) for row in mixed]


def say(twin: Twin, some: Sequence[Row]) -> None:
    signals = [index(twin, SIGNALS[row.signal]) for row in some]
    times = [T0 + row.second * S for row in some]
    twin.apply(ReadingBatch.of(signals, times, [row.value for row in some], [row.quality for row in some]))


def live(twin: Twin, ordered: Sequence[Row], chance: random.Random, restarts: float = 0.0) -> Conclusions:
    """What the twin tells after readings in batches of any size, with the monitor running now and then."""
    monitor = Monitor(twin)
    settle(monitor)
    start = 0
    while start < len(ordered):
        end = start + chance.choice((1, 1, 2, 5, 20))
        say(twin, ordered[start:end])
        start = end
        if chance.random() < 0.6:
            monitor.step()
        if chance.random() < restarts:
            monitor = Monitor(twin)  # the one before is gone, with all that it had in memory
    settle(monitor)
    return told(twin)


def told(twin: Twin) -> Conclusions:
    anomalies = standing(twin.events(kind="anomaly", limit=100_000))
    open_now = {anomaly.identity for anomaly in anomalies if anomaly.until is None}
    assert open_now == {event.identity for event in twin.open_events("anomaly")}
    ledger = TwinLedger(twin, "any")
    ledger.health_signals = {n.key: s.index for n in twin.graph.nodes() if (s := twin.graph.signal_of(n.key, HEALTH))}
    return conclusions(anomalies, {key: ledger.health(key) for key in keys(twin)})


def reprocessed(twin: Twin) -> Conclusions:
    """What a fresh monitor makes of the whole journal."""
    ledger = ScratchLedger()
    settle(Monitor(twin, "again", ledger))
    return conclusions(standing(ledger.events), {key: ledger.health(key) for key in keys(twin)})


def keys(twin: Twin) -> list[int]:
    return [twin.graph.find(id).key for id in NODES]


def conclusions(anomalies, points) -> Conclusions:  # type: ignore[no-untyped-def]
    found = sorted(
        (a.identity, a.onset, a.until or 0, a.severity, a.data["value"], a.data.get("cleared_value", 0.0))
        for a in anomalies
    )
    return Conclusions(found, {key: steps(*of_node) for key, of_node in points.items()})


def steps(times: Sequence[int], values: Sequence[float]) -> list[tuple[int, float | None]]:
    """The step function, without the points that change nothing."""
    found: list[tuple[int, float | None]] = []
    now: float | None = None
    for time, value in zip(times, values, strict=True):
        score = None if value != value else value
        if score != now:
            found.append((time, score))
        now = score
    return found


def fresh() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="iotsense-order-")


@settings(CAREFULLY, max_examples=12)
@given(rows, st.integers(0, 1 << 30).map(random.Random))
def test_any_order_any_batches_and_any_restarts_give_the_same(drawn: list[Row], chance: random.Random) -> None:
    with fresh() as one, plant(Path(one), *RULES) as calm:
        expected = live(calm, in_order(drawn), random.Random(1))
    with fresh() as other, plant(Path(other), *RULES) as rough:
        found = live(rough, shuffled(drawn, chance), chance, restarts=0.2)
        assert found.anomalies == expected.anomalies
        assert found.health == expected.health
        assert reprocessed(rough) == found


@settings(CAREFULLY, max_examples=8)
@given(rows, st.integers(0, 1 << 30).map(random.Random))
def test_little_memory_and_small_pages_give_the_same(drawn: list[Row], chance: random.Random) -> None:
    with pytest.MonkeyPatch.context() as small, fresh() as one, plant(Path(one), *RULES) as twin:
        for what, value in (
            ("anomaly_book.KEPT", 4),
            ("steps.KEPT", 4),
            ("pages.FIRST_NS", 60 * S),
            ("pages._GROWTH", 2),
        ):
            small.setattr(f"iotsense.analytics.{what}", value)
        small.setattr("iotsense.analytics.recompute.APART_NS", 50 * S)
        found = live(twin, shuffled(drawn, chance), chance, restarts=0.2)
        small.undo()
        assert reprocessed(twin) == found


def test_an_event_that_should_not_have_been_is_taken_back_by_one_that_names_it(tmp_path: Path) -> None:
    with plant(tmp_path, SPIKE) as twin:
        monitor = Monitor(twin)
        say(twin, [Row(0, 10, 72.0, 192), Row(0, 20, 81.0, 192)])
        settle(monitor)
        (opening,) = twin.events(kind="anomaly")
        say(twin, [Row(0, 20, 72.0, 192)])  # a correction
        settle(monitor)
        _, retraction = twin.events(kind="anomaly")
        assert retraction.retracts == opening.seq
        assert (retraction.identity, retraction.time, retraction.node) == (opening.identity, opening.time, opening.node)
        assert monitor.anomalies() == []
        assert twin.open_events("anomaly") == []
        reading = twin.state.read(index(twin, "l1.m1.health"))
        assert reading is not None
        assert reading.value == 100.0


def test_a_late_reading_may_begin_an_anomaly_earlier_or_end_it_earlier(tmp_path: Path) -> None:
    with plant(tmp_path, SPIKE) as twin:
        monitor = Monitor(twin)
        say(twin, [Row(0, 10, 72.0, 192), Row(0, 30, 81.0, 192), Row(0, 60, 77.0, 192)])
        settle(monitor)
        say(twin, [Row(0, 50, 76.0, 192)])
        settle(monitor)
        amended = twin.events(kind="anomaly")[-1]
        assert (amended.time, amended.until) == (T0 + 30 * S, T0 + 50 * S)
        assert amended.data["cleared_value"] == 76.0
        say(twin, [Row(0, 20, 85.0, 192)])
        settle(monitor)
        (anomaly,) = standing(twin.events(kind="anomaly"))
        assert (anomaly.onset, anomaly.until, anomaly.data["value"]) == (T0 + 20 * S, T0 + 50 * S, 85.0)


def test_a_corrected_value_that_leaves_the_anomaly_amends_its_value(tmp_path: Path) -> None:
    with plant(tmp_path, SPIKE) as twin:
        monitor = Monitor(twin)
        say(twin, [Row(0, 10, 81.0, 192), Row(0, 20, 85.0, 192)])
        settle(monitor)
        say(twin, [Row(0, 10, 82.0, 192)])
        settle(monitor)
        (anomaly,) = monitor.anomalies()
        assert (anomaly.onset, anomaly.data["value"]) == (T0 + 10 * S, 82.0)
        assert len(twin.events(kind="anomaly")) == 2


@pytest.mark.parametrize("second", [15, 25])
def test_a_late_reading_that_changes_nothing_tells_nothing(tmp_path: Path, second: int) -> None:
    with plant(tmp_path, SPIKE) as twin:
        monitor = Monitor(twin)
        say(twin, [Row(0, 10, 72.0, 192), Row(0, 20, 81.0, 192), Row(0, 30, 81.0, 192)])
        settle(monitor)
        before = twin.last_event_seq
        say(twin, [Row(0, second, 79.0, 192)])
        settle(monitor)
        assert twin.last_event_seq == before


def speak(twin: Twin, time: int, value: float) -> None:
    twin.apply(ReadingBatch.of(index(twin, SIGNALS[0]), time, value))


def stricter(threshold: float) -> dict[str, Any]:
    return SPIKE | {"conditions": [SPIKE["conditions"][0] | {"threshold": threshold}]}


def test_each_version_of_a_rule_judges_the_readings_of_its_time_whenever_they_come(tmp_path: Path) -> None:
    with plant(tmp_path, stricter(80)) as twin:
        monitor = Monitor(twin)
        first = now_ns()
        speak(twin, first, 60.0)
        settle(monitor)
        set_rules(twin, stricter(90))
        settle(monitor)
        speak(twin, now_ns(), 85.0)
        settle(monitor)
        assert monitor.anomalies() == []
        # Late readings from before the change, one of them with a monitor that has only the log to know it from.
        speak(twin, first + 1000, 85.0)
        settle(monitor)
        (anomaly,) = standing(twin.events(kind="anomaly"))
        assert anomaly.onset == first + 1000
        assert anomaly.until is not None
        assert "changed" in anomaly.data["reason"]
        monitor = Monitor(twin)
        speak(twin, first + 500, 84.0)
        settle(monitor)
        (anomaly,) = standing(twin.events(kind="anomaly"))
        assert (anomaly.onset, anomaly.data["threshold"]) == (first + 500, 80.0)
        assert told(twin) == reprocessed(twin)


def test_a_rule_that_is_effective_from_some_time_judges_what_was_stored_since(tmp_path: Path) -> None:
    with plant(tmp_path) as twin:
        monitor = Monitor(twin)
        say(twin, [Row(0, second, 85.0 if second > 40 else 60.0, 192) for second in range(0, 100, 10)])
        settle(monitor)
        set_rules(twin, stricter(80) | {"effective_from": format_time(T0 + 70 * S)})
        settle(monitor)
        (anomaly,) = monitor.anomalies()
        assert anomaly.onset == T0 + 70 * S
        assert told(twin) == reprocessed(twin)


def test_a_rule_that_was_there_before_the_first_reading_judges_old_files(tmp_path: Path) -> None:
    with plant(tmp_path, stricter(80)) as twin:
        monitor = Monitor(twin)
        say(twin, [Row(0, 10, 85.0, 192)])
        settle(monitor)
        assert [anomaly.onset for anomaly in monitor.anomalies()] == [T0 + 10 * S]


def test_what_contained_what_counts_for_the_health_of_its_time(tmp_path: Path) -> None:
    with plant(tmp_path, stricter(80)) as twin:
        monitor = Monitor(twin)
        first = now_ns()
        speak(twin, first, 60.0)
        settle(monitor)

        def move(edit: GraphEdit) -> None:
            line = edit.add_node(id="l2", level=Level.LINE, parent=edit.graph.find("hall").key)
            edit.update_node(edit.graph.find("m1").key, parent=line.key)

        twin.change(move, "test")
        settle(monitor)
        speak(twin, first + 1000, 85.0)
        settle(monitor)
        moved = [e for e in twin.events(kind="structure") if e.data["author"] == "test"][-1]
        health = {id: twin.history(index(twin, f"{id}.health"), 0, 1 << 62) for id in ("l1", "l2")}
        old = dict(zip(health["l1"].time.tolist(), health["l1"].value.tolist(), strict=True))
        assert old[first + 1000] == 75.0
        assert list(old.values())[-1] != 75.0
        assert min(health["l2"].time) >= moved.time
        assert told(twin) == reprocessed(twin)


def test_a_first_reading_that_turns_out_bad_takes_health_back_until_the_next(tmp_path: Path) -> None:
    with plant(tmp_path, SPIKE) as twin:
        monitor = Monitor(twin)
        say(twin, [Row(0, 10, 60.0, 192), Row(1, 20, 80.0, 192)])
        settle(monitor)
        say(twin, [Row(0, 10, 60.0, 0)])
        settle(monitor)
        key = twin.graph.find("l1.m1").key
        assert told(twin).health[key] == [(T0 + 20 * S, 100.0)]
        say(twin, [Row(0, 5, 60.0, 192)])
        settle(monitor)
        assert told(twin).health[key] == [(T0 + 5 * S, 100.0)]


def test_what_is_older_than_the_readings_that_are_kept_stays_as_it_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with plant(tmp_path, SPIKE, RISE) as twin:
        monitor = Monitor(twin)
        say(twin, [Row(0, 10, 81.0, 192), Row(0, 20, 60.0, 192), Row(0, 500, 60.0, 192), Row(0, 700, 81.0, 192)])
        settle(monitor)
        before = told(twin)
        monkeypatch.setattr(Twin, "whole_from", T0 + 400 * S)
        monitor = Monitor(twin)
        say(twin, [Row(0, 15, 60.0, 192), Row(0, 300, 99.0, 192)])
        settle(monitor)
        assert told(twin).anomalies == before.anomalies
        say(twin, [Row(0, 600, 60.5, 192), Row(0, 650, 99.0, 192)])
        settle(monitor)
        assert {a.onset for a in monitor.anomalies() if a.severity == "warning"} == {T0 + 650 * S}
