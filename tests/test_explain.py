"""Explanations: from the bytes to the signal, for every shape of message; what it costs when nobody asks: nothing."""

import asyncio
import json
from pathlib import Path
from typing import Any
from unittest import mock

import cbor2
import numpy as np
import pytest
from ingest_fixtures import LINE, T_NS, T, measured, mqtt, publish, running, send, twin_of, value
from test_payloads import VIBRATION, vibration

from iotsense.ingest.explain_steps import Explanation, Step
from iotsense.ingest.line_reader import line_via
from iotsense.ingest.message import Message
from iotsense.ingest.pipeline import Pipeline
from iotsense.ingest.points import Point, PointReadings, Points
from iotsense.ingest.records import Records
from iotsense.ingest.source_state import SourceStatus
from iotsense.twin.errors import AmbiguousIdError, NotFoundError, OverloadedError, StorageFullError

SPEED = "production_line_1.conveyor_1.conv1_speed"
TOPIC = {
    "pattern": "machines/+/speed",
    "schema": {"device_id": "${topic.split('/')[1]}", "name": "speed", "value": "$.v", "timestamp": "$.ts"},
}
RULES = {
    "rules": [
        {
            "source": "machines/+/speed",
            "transforms": [
                {"type": "unit_conversion", "from_unit": "km/h", "to_unit": "m/s"},
                {"type": "add_metadata", "fields": {"line": "${topic.split('/')[1]}"}},
            ],
        }
    ]
}
STATUS = {"mqtt": SourceStatus("mqtt", "mqtt", "mqtt://broker:1883")}


async def asked(pipeline: Pipeline, point: str, sending: Any, wait: float = 20.0) -> Explanation:
    """The explanation of what is sent while it is waited for."""
    waiting = asyncio.create_task(pipeline.explainer().next(point, wait, STATUS))
    while not pipeline.traces.armed and not waiting.done():  # noqa: ASYNC110 - it happens in its own time
        await asyncio.sleep(0.001)
    await sending()
    found = await waiting
    assert not pipeline.traces.armed
    return found


def steps(found: Explanation, reading: int = 0) -> dict[str, Step]:
    """All steps of an explanation by name."""
    return {step.step: step for step in (*found.steps, *(found.readings[reading].steps if found.readings else ()))}


async def test_every_step_from_the_payload_to_the_signal(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=mqtt(TOPIC), normalization=RULES) as pipeline:
        body = {"v": 36, "ts": T}
        found = await asked(pipeline, "conveyor_1.speed", lambda: publish(pipeline, "machines/conveyor_1/speed", body))
        assert (found.signals, found.came, found.dry_run) == ([SPEED], True, False)
        assert found.readings[0].signal == SPEED
        told = steps(found)
        assert " ".join(told) == "source message parse sample normalize bind convert report store live"
        assert told["source"].values["address"] == "mqtt://broker:1883"
        assert told["message"].values["payload"] == json.dumps(body)
        assert told["parse"].values["schema"] == TOPIC["schema"]
        assert told["sample"].values == {
            "device": "conveyor_1", "name": "speed", "quality": 192, "value": 36, "time": T,
        }  # fmt: skip
        assert told["normalize"].values["unit"] == "km/h"
        assert told["normalize"].values["metadata_added"] == {"line": "conveyor_1"}
        looked = {each["rule"]: each["found"] for each in told["bind"].values["considered"]}
        assert looked["the device"] == ["production_line_1.conveyor_1"]
        assert looked["a sensor of production_line_1.conveyor_1"] == [SPEED]
        assert told["convert"].values == {"value": 10.0, "unit": "m/s"}
        assert told["convert"].said == "36 x 0.277778 + 0 = 10 m/s"
        assert told["report"].said == "every: stored"
        twin = twin_of(pipeline)
        reading = twin.state.read(twin.graph.find_signal(SPEED).index)
        assert reading is not None
        assert (told["store"].values["entry"], told["store"].values["value"]) == (reading.seq, 10.0)
        assert told["live"].values["value"] == 10.0


@pytest.mark.parametrize(
    "point",
    [SPEED, "conv1_speed", "conveyor_1", "machines/conveyor_1/speed"],
)
async def test_what_a_point_may_be(tmp_path: Path, point: str) -> None:
    async with running(tmp_path, sensor_ingestion=mqtt(TOPIC)) as pipeline:
        found = await asked(pipeline, point, lambda: publish(pipeline, "machines/conveyor_1/speed", {"v": 3}))
        assert found.readings[0].signal == SPEED


async def test_columns_by_their_tag(tmp_path: Path) -> None:
    """An OPC UA node id, which is the sensor's source; and one that only the adapter knows, once it has been bound."""
    points = Points([Point("speed", "conveyor_1", tag="ns=3;s=Speed"), Point("ns=2;s=Line1.Motor1.Power", None, "W")])

    def message(*values: float) -> Message:
        readings = PointReadings(points, np.arange(2, dtype=np.int32), np.array(values), np.full(2, T_NS))
        return Message("opcua", readings=readings)

    async with running(tmp_path) as pipeline:
        found = await asked(pipeline, "ns=2;s=Line1.Motor1.Power", lambda: pipeline.submit(message(1, 2500)))
        told = steps(found)
        assert told["convert"].values == {"value": 2.5, "unit": "kW"}
        assert told["bind"].said.endswith("as a sensor whose `source` is the address 'ns=2;s=Line1.Motor1.Power'")
        assert len(found.readings) == 1
        found = await asked(pipeline, "ns=3;s=Speed", lambda: pipeline.submit(message(2, 2500)))
        assert (found.readings[0].signal, steps(found)["convert"].values["value"]) == (SPEED, 2.0)
        assert steps(found)["store"].values["entry"] is not None


async def test_one_of_many_records_and_a_line_of_the_line_protocol(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=mqtt(TOPIC)) as pipeline:
        bodies = [json.dumps(measured("conveyor_1", name, 5)).encode() for name in ("conv1_motor_temp", "speed")]
        records = Message("kafka", records=Records(bodies), topic="t")
        found = await asked(pipeline, "conveyor_1.speed", lambda: pipeline.submit(records))
        assert steps(found)["message"].values["payload"] == bodies[1].decode()
        lines = b"conveyor_1 conv1_motor_temp=1,speed=7 1705314600000000000\n"
        for _ in range(2):  # bound the slow way, and the fast one
            message = Message("http", payload=lines, via=line_via("ns"))
            found = await asked(pipeline, "conveyor_1.speed", lambda message=message: pipeline.submit(message))
            told = steps(found)
            assert (told["parse"].values["parser"], told["sample"].values["value"]) == ("line protocol", 7.0)


async def test_a_waveform_and_a_list(tmp_path: Path) -> None:
    topic = {"pattern": "w", "schema_file": str(VIBRATION), "message_type": "Vibration",
             "schema": {"device_id": "conveyor_1", "name": "speed",
                        "waveform": {"samples": "$.samples", "sample_rate": "$.sample_rate"}}}  # fmt: skip
    async with running(tmp_path, sensor_ingestion=mqtt(topic)) as pipeline:
        payload = vibration(samples=[1.0, 2.0, 3.0], sample_rate=2.0)
        told = steps(await asked(pipeline, SPEED, lambda: publish(pipeline, "w", payload)))
        assert told["convert"].said == "a waveform of 3 samples become 3 readings, 1 s long; the last is 3"
        assert told["message"].values["encoding"] == "base64"
        joints = measured("robot_arm_1", "arm1_joint_positions", [0, 1, 2, 3, 4, 5])
        found = await asked(pipeline, "arm1_joint_positions.value[2]", lambda: send(pipeline, joints))
        assert steps(found)["convert"].values["value"] == 2.0


async def test_what_a_message_says_of_itself(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        document = measured("conveyor_1", "speed", 3)
        told = steps(await asked(pipeline, SPEED, lambda: send(pipeline, document)))
        assert told["parse"].said == "read as telemetry documents: 1 measurement"
        assert json.loads(told["message"].values["payload"]) == [document]
        body = cbor2.dumps(document)
        told = steps(
            await asked(pipeline, SPEED, lambda: publish(pipeline, "t", body, content_type="application/cbor"))
        )
        assert told["parse"].values == {"parser": "cbor", "content_type": "application/cbor"}


async def test_what_reporting_decided(tmp_path: Path) -> None:
    line = {**LINE, "reporting": {"strategy": "deadband", "deadband": 1}}
    async with running(tmp_path, digital_twins=[line]) as pipeline:
        for given, kept in ((1.0, True), (1.5, False), (3.0, True)):
            document = measured("conveyor_1", "speed", given, timestamp=None)
            found = await asked(pipeline, SPEED, lambda document=document: send(pipeline, document))
            told = steps(found)
            assert told["report"].values == {"policy": "deadband 1 (as production_line_1 says)", "stored": kept}
            assert ("value" in told["store"].values) is kept
            assert told["live"].values["value"] == (given if kept else 1.0)


async def test_what_storage_refused(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=mqtt(TOPIC)) as pipeline:

        async def refused() -> None:
            full = mock.patch.object(twin_of(pipeline), "append", side_effect=StorageFullError("no room"))
            with full, pytest.raises(StorageFullError):
                await publish(pipeline, "machines/conveyor_1/speed", {"v": 3})

        told = steps(await asked(pipeline, SPEED, refused))
        assert told["store"].said == "refused: no room"


async def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=mqtt(TOPIC), normalization=RULES) as pipeline:
        twin = twin_of(pipeline)
        before = (twin.counts(), twin.graph.revision)

        def given(point: str, payload: bytes, topic: str) -> Explanation:
            return pipeline.explainer().given(point, Message("", payload, topic), STATUS)

        found = given("machines/conveyor_1/speed", b'{"v": 36}', "machines/conveyor_1/speed")
        assert (found.dry_run, found.steps[0].values["name"]) == (True, "mqtt")
        told = steps(found)
        assert (told["convert"].values["value"], told["store"].said) == (10.0, "nothing: this is a dry run")
        assert told["live"].said == "the signal has no value yet"
        other = given("machines/oven/speed", b'{"v": 36}', "machines/oven/speed")
        assert not any("oven" in str(lane.topic) for lane in pipeline._lanes.known())
        assert other.readings
        unknown = given("machines/oven/speed", b'{"v": 36}', "machines/oven/speed")
        assert unknown.readings[0].signal is None
        assert "would be discovered" in steps(unknown)["discover"].said
        wrong = given(SPEED, b"nonsense", "machines/conveyor_1/speed")
        assert not wrong.readings
        assert "not JSON" in steps(wrong)["parse"].values["reasons"][0]
        wrong = given(SPEED, b'{"v": "fast"}', "machines/conveyor_1/speed")
        assert "fast" in steps(wrong)["convert"].said
        assert (twin.counts(), twin.graph.revision) == before
        assert value(pipeline, SPEED) is None


async def test_a_point_of_which_nothing_comes(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=mqtt(TOPIC)) as pipeline:
        await publish(pipeline, "machines/conveyor_1/speed", {"v": 3})
        found = await pipeline.explainer().next(SPEED, 0.05, STATUS)
        assert not found.came
        said = [step.said for step in found.steps]
        assert said[0] == "mqtt (mqtt mqtt://broker:1883) is stopped"
        assert "none came within 0.05 s" in said
        assert "conveyor_1.speed of mqtt on machines/conveyor_1/speed has been bound to it" in said
        assert found.readings[0].steps[-1].values["value"] == 3


async def test_unknown_points_have_candidates(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=mqtt(TOPIC)) as pipeline:
        await publish(pipeline, "machines/conveyor_1/speed", {"v": 3})
        for point, words in (("conv1_sped", "conv1_speed"), ("machines/conv", "machines/conveyor_1/speed")):
            with pytest.raises(NotFoundError, match=f"nothing is called '{point}'.*did you mean .*{words}"):
                await pipeline.explainer().next(point, 1, STATUS)
    twice = {**LINE, "name": "line_2"}
    async with running(tmp_path / "two", digital_twins=[LINE, twice]) as pipeline:
        with pytest.raises(AmbiguousIdError):
            await pipeline.explainer().next("conv1_speed", 1, STATUS)


async def test_only_so_many_may_wait(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        with mock.patch("iotsense.ingest.traces.MAX_ARMED", 1):
            waiting = asyncio.create_task(pipeline.explainer().next(SPEED, 20, STATUS))
            await asyncio.sleep(0)
            with pytest.raises(OverloadedError, match="1 explanations wait"):
                await pipeline.explainer().next(SPEED, 20, STATUS)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert not pipeline.traces.armed
