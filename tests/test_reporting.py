"""Reporting: what each strategy stores, that nothing is lost without being counted, and how far history misses."""

import asyncio
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_fixtures import LINE, T_NS, running, send, twin_of
from pydantic import ValidationError

from iotsense.ingest import source_reporting
from iotsense.ingest.message import Message
from iotsense.ingest.pipeline import Pipeline
from iotsense.ingest.points import Point, PointReadings, Points
from iotsense.ingest.reporting_policy import Policy, policy_of
from iotsense.ingest.sample import Sample
from iotsense.ingest.source_reporting import SourceReporting
from iotsense.twin.define_project import Project
from iotsense.twin.define_reporting import Reporting
from iotsense.twin.errors import StorageFullError
from iotsense.twin.export_definition import export
from iotsense.twin.state import TwinState

S = 10**9
Value = float | tuple[float, int]


def reported(**reporting: Any) -> dict[str, Any]:
    """Sections with the source `http` reported like this."""
    return {"sensor_ingestion": {"protocols": [{"name": "http", "reporting": reporting}]}}


async def feed(pipeline: Pipeline, *values: Value, name: str = "speed", start: int = 0, step: int = 1) -> None:
    """One message for each value, a second apart; a pair is (value, quality)."""
    for number, value in enumerate(values, start):
        given, quality = value if isinstance(value, tuple) else (value, 192)
        sample = Sample(name, given, T_NS + number * step * S, quality, None, "conveyor_1")
        await pipeline.submit(Message("http", samples=[sample]))


def stored(pipeline: Pipeline, signal: str = "conv1_speed") -> list[tuple[int, float]]:
    """(second, value) in history."""
    twin = twin_of(pipeline)
    found = twin.history(twin.graph.find_signal(signal).index, 0, 2**62)
    return [((time - T_NS) // S, value) for time, value in zip(found.time.tolist(), found.value.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("reporting", "values", "expected"),
    [
        ({"strategy": "every"}, [1, 1, 1], [0, 1, 2]),
        ({"strategy": "on_change"}, [1, 1, 2, 2, 1], [0, 2, 4]),
        ({"strategy": "deadband", "deadband": 1}, [0, 1, 1.5, 2, 2.6, 0], [0, 2, 4, 5]),
        ({"strategy": "deadband", "deadband_percent": 10}, [100, 109, 111, 121, 123], [0, 2, 4]),
        ({"strategy": "period", "period": "3s"}, [0, 1, 2, 3, 4, 5, 6], [0, 3, 6]),
        ({"strategy": "on_change", "heartbeat": "2s"}, [1, 1, 1, 1, 1], [0, 2, 4]),
        ({"strategy": "on_change"}, [1, (1, 64), (1, 64), 1], [0, 1, 3]),
        ({"strategy": "deadband", "deadband": 9}, [1, (float("nan"), 0), (float("nan"), 0), 1], [0, 1, 3]),
    ],
)
async def test_what_each_strategy_stores(
    tmp_path: Path, reporting: dict[str, Any], values: list[Value], expected: list[int]
) -> None:
    async with running(tmp_path, **reported(**reporting)) as pipeline:
        await feed(pipeline, *values)
        assert [second for second, _ in stored(pipeline)] == expected
        counters = pipeline.counters["http"]
        assert (counters.received, counters.acknowledged, counters.read) == (len(values),) * 3
        assert (counters.stored, counters.suppressed) == (len(expected), len(values) - len(expected))
        assert counters.adds_up


async def test_a_swinging_door_stores_the_corners(tmp_path: Path) -> None:
    values = [0, 1, 2, 3, 4, 3, 2, 1, 0, 0, 0, 0]
    async with running(tmp_path, **reported(strategy="swinging_door", deadband=0.1)) as pipeline:
        await feed(pipeline, *values)
        assert stored(pipeline) == [(0, 0), (4, 4), (8, 0)]
        assert pipeline.counters["http"].suppressed == len(values) - 3
        await pipeline.aclose()
        assert stored(pipeline)[-1] == (11, 0)  # the one that waited, when the service stops
        counters = pipeline.counters["http"]
        assert (counters.stored, counters.suppressed, counters.read) == (4, 8, 12)
        (report,) = pipeline.reporter.reports()
        assert (report.received, report.stored, report.worst_error, report.ratio) == (12, 4, 0.0, 3.0)


async def test_a_heartbeat_lets_out_what_waits_behind_a_door(tmp_path: Path) -> None:
    reporting = reported(strategy="swinging_door", deadband=1, heartbeat="1s")
    async with running(tmp_path, **reporting) as pipeline:
        await send(pipeline, {"device_id": "conveyor_1", "measurements": [{"name": "speed", "value": 1}]})
        await send(pipeline, {"device_id": "conveyor_1", "measurements": [{"name": "speed", "value": 1.5}]})
        assert len(stored(pipeline)) == 1
        while len(stored(pipeline)) < 2:  # noqa: ASYNC110 - it happens in its own time
            await asyncio.sleep(0.05)
        counters = pipeline.counters["http"]
        assert (counters.stored, counters.suppressed) == (2, 0)


async def test_what_the_rules_watch_is_always_stored(tmp_path: Path) -> None:
    async with running(tmp_path, **reported(strategy="deadband", deadband=100)) as pipeline:
        signal = twin_of(pipeline).graph.find_signal("conv1_speed").index
        pipeline.reporter.watched = lambda graph: {signal: [(">", 3.0)]}
        await feed(pipeline, 0, 2, 3, 4, 5, 4, 3, 2)
        assert [second for second, _ in stored(pipeline)] == [0, 3, 4, 5, 6]


async def test_inheritance_from_source_to_sensor(tmp_path: Path) -> None:
    line = {**LINE, "components": [dict(component) for component in LINE["components"]]}
    conveyor = line["components"][0]
    conveyor["reporting"] = {"strategy": "deadband", "deadband": 2, "heartbeat": "1min"}
    conveyor["sensors"] = [dict(sensor) for sensor in conveyor["sensors"]]
    conveyor["sensors"][0]["reporting"] = {"deadband": 0.5}
    conveyor["sensors"][1]["reporting"] = {"strategy": "every"}
    sections = {**reported(strategy="on_change", late="suppress"), "digital_twins": [line]}
    async with running(tmp_path, **sections) as pipeline:
        twin = twin_of(pipeline)

        def policy(id: str) -> Policy:
            return pipeline.reporter.policy("http", twin.graph.find_signal(id).index)

        speed, temperature, status, gripper = map(
            policy, ("conv1_speed", "conv1_motor_temp", "conv1_status", "gripper")
        )
        assert (speed.strategy, speed.band, speed.heartbeat, speed.keeps_late) == ("deadband", 0.5, 60 * S, False)
        assert (temperature.strategy, temperature.band) == ("every", 0.0)
        assert status.strategy == "on_change"  # its labels have no distance
        assert (gripper.strategy, gripper.said) == ("on_change", "source http")
        assert "conveyor_1 says" in speed.words()
        again = Project.model_validate(__import__("yaml").safe_load(export(twin.graph)))
        assert again.digital_twins[0].components[0].reporting == Reporting(**conveyor["reporting"])


async def test_a_percent_is_of_the_range_and_a_heartbeat_half_of_the_silence(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        graph = twin_of(pipeline).graph
        signal = graph.find_signal("conv1_speed")
        import msgspec

        ranged = msgspec.structs.replace(signal, low=0.0, high=50.0, expected_interval=20.0)
        policy = policy_of(graph, ranged, "http", Reporting(strategy="deadband", deadband_percent=2))
        assert (policy.band, policy.share, policy.heartbeat, policy.low, policy.high) == (1.0, 0.0, 10 * S, 0.0, 50.0)


async def test_a_property_that_is_no_policy_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path, **reported(strategy="on_change")) as pipeline:
        twin = twin_of(pipeline)
        key = twin.graph.find("conveyor_1").key
        await twin.change_async(
            lambda edit: edit.update_node(key, properties={"reporting": {"strategy": "odd"}}), "test"
        )
        await feed(pipeline, 1, 1)
        assert stored(pipeline) == [(0, 1)]
        assert "what production_line_1.conveyor_1 says about reporting is left out" in caplog.text


async def test_a_signal_that_is_gone_is_not_reported(tmp_path: Path) -> None:
    async with running(tmp_path, **reported(strategy="swinging_door", deadband=1)) as pipeline:
        await feed(pipeline, 1, 1)
        assert len([*pipeline.reporter.reports()]) == 1
        twin = twin_of(pipeline)
        key = twin.graph.find("conv1_speed").key
        await twin.change_async(lambda edit: edit.remove_node(key), "test")
        assert [*pipeline.reporter.reports()] == []
        await pipeline.aclose()
        assert pipeline.counters["http"].suppressed == 1  # what waited behind its door went with it


async def test_late_readings_and_corrections(tmp_path: Path) -> None:
    async with running(tmp_path, **reported(strategy="deadband", deadband=1)) as pipeline:
        await feed(pipeline, 0, 0.5, start=5)
        await feed(pipeline, 0.1, start=1)  # late: stored
        await feed(pipeline, 0.2, start=5)  # older than what was left out: late, too
        await feed(pipeline, 9, start=8)
        await feed(pipeline, 9.5, start=8)  # a correction of what is stored, within the deadband
        assert stored(pipeline) == [(1, 0.1), (5, 0.2), (8, 9.5)]
    async with running(tmp_path / "other", **reported(strategy="every", late="suppress")) as pipeline:
        await feed(pipeline, 0, start=5)
        await feed(pipeline, 1, start=1)
        assert stored(pipeline) == [(5, 0)]
        assert pipeline.counters["http"].suppressed == 1


async def test_a_correction_behind_a_door_is_not_undone(tmp_path: Path) -> None:
    async with running(tmp_path, **reported(strategy="swinging_door", deadband=1)) as pipeline:
        await feed(pipeline, 0, 0.5)
        await feed(pipeline, 0.7, start=1)
        await pipeline.aclose()
        assert stored(pipeline) == [(0, 0), (1, 0.7)]


async def test_after_a_restart_the_last_stored_value_counts(tmp_path: Path) -> None:
    for _ in range(2):
        async with running(tmp_path, **reported(strategy="on_change")) as pipeline:
            await feed(pipeline, 4, 4, start=0 if not stored(pipeline) else 10)
            assert stored(pipeline) == [(0, 4)]


async def test_what_storage_refuses_is_judged_anew(tmp_path: Path) -> None:
    async with running(tmp_path, **reported(strategy="swinging_door", deadband=0.5)) as pipeline:
        twin = twin_of(pipeline)
        await feed(pipeline, 0, 0)
        with mock.patch.object(twin, "append", side_effect=StorageFullError("full")), pytest.raises(StorageFullError):
            await feed(pipeline, 7, start=2)
        await feed(pipeline, 7, start=2)
        await pipeline.aclose()
        assert stored(pipeline) == [(0, 0), (1, 0), (2, 7)]
        counters = pipeline.counters["http"]
        assert (counters.read, counters.unstored, counters.stored, counters.suppressed) == (4, 1, 3, 0)


async def test_another_configuration_stores_what_waits(tmp_path: Path) -> None:
    from iotsense.ingest.ingest_config import IngestConfig

    async with running(tmp_path, **reported(strategy="swinging_door", deadband=0.5)) as pipeline:
        await feed(pipeline, 0, 0)
        pipeline.configure(IngestConfig())
        await feed(pipeline, 0, start=2)
        await pipeline.aclose()
        assert [second for second, _ in stored(pipeline)] == [0, 1, 2]


async def test_columns_of_points(tmp_path: Path) -> None:
    async with running(tmp_path, **reported(strategy="on_change")) as pipeline:
        points = Points([Point("speed", "conveyor_1"), Point("conv1_motor_temp", "conveyor_1")])
        for second, values in enumerate([[1.0, 2.0], [1.0, 3.0], [1.0, 3.0]]):
            time = np.full(2, T_NS + second * S)
            readings = PointReadings(points, np.arange(2, dtype=np.int32), np.array(values), time)
            assert (await pipeline.submit(Message("http", readings=readings))).accepted == 2
        assert stored(pipeline) == [(0, 1)]
        assert stored(pipeline, "conv1_motor_temp") == [(0, 2), (1, 3)]
        assert pipeline.counters["http"].suppressed == 3


@pytest.mark.parametrize(
    ("reporting", "words"),
    [
        ({"strategy": "deadband"}, "needs a `deadband`"),
        ({"strategy": "period"}, "needs a `period`"),
        ({"strategy": "on_change", "deadband": 1}, "which the strategy on_change has not"),
        ({"deadband": 1, "deadband_percent": 1}, "either absolute or in percent"),
        ({"strategy": "sometimes"}, "swinging_door"),
    ],
)
def test_wrong_definitions_say_why(reporting: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Reporting.model_validate(reporting)


# Properties -----------------------------------------------------------------------------------------------------------

policies = st.builds(
    Policy,
    strategy=st.sampled_from(["every", "on_change", "deadband", "period"]),
    band=st.sampled_from([0.0, 0.5, 2.0]),
    share=st.sampled_from([0.0, 0.1]),
    period=st.sampled_from([1, 5]),
    heartbeat=st.sampled_from([4, 2**62]),
    keeps_late=st.just(False),
    low=st.sampled_from([-np.inf, -3.0]),
    high=st.sampled_from([np.inf, 3.0]),
)
rows = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 40),
        st.sampled_from([0.0, 0.4, 1.0, -4.0, 5.0, np.nan]),
        st.sampled_from([192, 192, 192, 64, 0]),
    ),
    min_size=1,
    max_size=30,
)


def decide(policy: Policy, groups: list[list[tuple[int, int, float, int]]], rounds: int) -> Any:
    with mock.patch.object(source_reporting, "_ROUNDS", rounds):
        reporting = SourceReporting(lambda signal: policy, TwinState())
        results = []
        for group in groups:
            signal, time, value, quality = (np.array(column) for column in zip(*group, strict=True))
            slot = reporting.slots(signal.astype(np.int32))
            keep, extras = reporting.decide(slot, time, value, quality.astype(np.uint8))
            results.append((keep.tolist(), extras))
        used = reporting.state[: len(reporting.signals)]
        return results, {name: used[name].tolist() for name in used.dtype.names if name != "special"}


@settings(max_examples=100, deadline=None)
@given(policy=policies, groups=st.lists(rows, min_size=1, max_size=4))
def test_all_at_once_and_one_by_one_decide_the_same(
    policy: Policy, groups: list[list[tuple[int, int, float, int]]]
) -> None:
    assert repr(decide(policy, groups, rounds=0)) == repr(decide(policy, groups, rounds=1000))


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(1, 5), st.floats(-10, 10)), min_size=1, max_size=200),
    band=st.floats(0.01, 20),
    size=st.integers(1, 50),
)
def test_no_reading_is_farther_from_the_line_than_the_band(
    steps: list[tuple[int, float]], band: float, size: int
) -> None:
    """And the error that is measured is that of the stored rows, worked out here by itself."""
    time = np.cumsum([step for step, _ in steps])
    value = np.cumsum([change for _, change in steps])
    reporting = SourceReporting(lambda signal: Policy("swinging_door", band=band), TwinState())
    kept: list[tuple[int, float]] = []
    for begin in range(0, len(time), size):
        part = slice(begin, begin + size)
        count = len(time[part])
        slot = reporting.slots(np.zeros(count, np.int32))
        keep, extras = reporting.decide(slot, time[part], value[part], np.full(count, 192, np.uint8))
        for number in range(count):
            kept += [(row[0], row[1]) for at, row in extras if at == number]
            kept += [(int(time[begin + number]), float(value[begin + number]))] if keep[number] else []
    kept += [(row[0], row[1]) for _, row in reporting.flush(reporting.overdue(None))]
    at, stored_values = zip(*kept, strict=True)
    assert list(at) == sorted(set(at))
    error = np.abs(np.interp(time, at, stored_values) - value)
    assert error.max() <= band * (1 + 1e-9) + 1e-9
    received, stored_rows, _, worst, total = reporting.outcome(0)
    assert np.isclose(worst, error.max(), atol=1e-9)
    assert np.isclose(total, error.sum(), atol=1e-6)
    assert (received, stored_rows) == (len(time), len(kept))
