"""Whose signal a measurement is: every way of addressing, units, types, and the words when it is nobody's."""

from pathlib import Path
from typing import Any

import pytest
from ingest_fixtures import T_NS, measured, mqtt, project, publish, reasons, running, send, twin_of, value

from iotsense.ingest.message import Message
from iotsense.ingest.sample import Sample
from iotsense.twin.plan import plan

NONE = {"unbound": "dead_letter", "protocols": []}
SPEED = "production_line_1.conveyor_1.conv1_speed"


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("conveyor_1", "conv1_speed"),
        ("conveyor_1", "speed"),
        ("production_line_1.conveyor_1", "speed"),
        ("conv1_speed", "speed"),
        ("conv1_speed", None),
        ("conv1_speed", "value"),
        ("conv1_speed", "anything, alone"),
        ("conveyor_1.conv1_speed", "encoder"),
        (SPEED, "value"),
        (None, "conv1_speed"),
        (None, "speed"),
        (None, "conveyor_1.speed"),
        (None, SPEED),
    ],
)
async def test_one_sensor_by_all_its_names(tmp_path: Path, device: str | None, name: str | None) -> None:
    async with running(tmp_path, sensor_ingestion=NONE) as pipeline:
        for number in (1.5, 2.5):  # the second time it is remembered
            receipt = await send(pipeline, measured(device, name, number))
            assert (receipt.accepted, receipt.dead_lettered, receipt.reasons) == (1, 0, ())
            assert value(pipeline, SPEED) == number


async def test_a_source_is_an_address(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=NONE) as pipeline:
        samples = (Sample("ns=2;s=Line1.Motor1.Power", 7.5, T_NS),)
        receipt = await pipeline.submit(Message("opcua", samples=samples))
        assert receipt.accepted == 1
        assert value(pipeline, "conv1_power") == 7.5
        await send(pipeline, measured("conveyor_1", "ns=2;s=Line1.Motor1.Power", 8))
        assert value(pipeline, "conv1_power") == 8


async def test_a_topic_may_be_a_sensors_source(tmp_path: Path) -> None:
    line = {
        "name": "l",
        "sensors": [
            {"id": "level", "source": "tank/level"},
            {"id": "flow", "source": "pipe"},
            {"id": "heat", "source": "pipe"},
        ],
    }
    async with running(tmp_path, digital_twins=[line], sensor_ingestion=mqtt(unbound="dead_letter")) as pipeline:
        assert (await publish(pipeline, "tank/level", b"4.25")).accepted == 1
        assert value(pipeline, "l.level") == 4.25
        await publish(
            pipeline,
            "pipe",
            {"device_id": "x", "measurements": [{"name": "flow", "value": 1}, {"name": "heat", "value": 2}]},
        )
        assert (value(pipeline, "l.flow"), value(pipeline, "l.heat")) == (1, 2)


async def test_a_device_whose_message_names_nothing(tmp_path: Path) -> None:
    schema = {"device_id": "$.d", "value": "$.v"}
    ingestion = mqtt({"pattern": "sensors/+/+", "schema": schema}, unbound="dead_letter")
    async with running(tmp_path, sensor_ingestion=ingestion) as pipeline:
        await publish(pipeline, "sensors/a/speed", {"d": "conveyor_1", "v": 1})
        await publish(pipeline, "sensors/a/temperature", {"d": "conveyor_1", "v": 50})
        await publish(pipeline, "sensors/a/x", {"d": "conv1_status", "v": "running"})
        assert value(pipeline, SPEED) == 1
        assert value(pipeline, "conv1_motor_temp") == 50
        assert value(pipeline, "conv1_status") == "running"


async def test_units_are_converted_to_the_signals(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=NONE) as pipeline:
        for unit, number in (("fahrenheit", 212.0), ("K", 373.15), ("celsius", 100), (None, 100), ("CEL", 100)):
            assert (await send(pipeline, measured("conveyor_1", "conv1_motor_temp", number, unit))).accepted == 1
            assert value(pipeline, "conv1_motor_temp") == pytest.approx(100)
        receipt = await send(pipeline, measured("conveyor_1", "conv1_motor_temp", 1, "m/s"))
        assert receipt.dead_lettered == 1
        assert "cannot be converted" in receipt.reasons[0]
        receipt = await send(pipeline, measured("conveyor_1", "conv1_motor_temp", 1, "celsiuss"))
        assert "did you mean" in receipt.reasons[0]
        assert value(pipeline, "conv1_motor_temp") == pytest.approx(100)


async def test_texts_and_truth_values_are_labels(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=NONE) as pipeline:
        for given, shown in [("running", "running"), (0, "stopped"), ("jammed", "jammed"), (True, "true")]:
            await send(pipeline, measured("conveyor_1", "status", given))
            assert value(pipeline, "conv1_status") == shown
        for length, kept in ((1_000, True), (1_001, False)):
            receipt = await send(pipeline, measured("conveyor_1", "status", str(length % 7) * length))
            assert (receipt.accepted == 1) is kept
        assert "at most 1,000 characters" in receipt.reasons[0] and len(receipt.reasons[0]) < 200
        for given, shown in [(True, "true"), ("off", "false"), (1, "true"), ("False", "false")]:
            await send(pipeline, measured("robot_arm_1", "gripper", given))
            assert value(pipeline, "gripper") == shown
        assert len(reasons(pipeline)) == 1


@pytest.mark.parametrize(("first", "data_type"), [("weld", "text"), (True, "boolean"), (3, None)])
async def test_the_first_reading_decides_an_open_type(tmp_path: Path, first: Any, data_type: str | None) -> None:
    async with running(tmp_path, sensor_ingestion=NONE) as pipeline:
        receipt = await send(pipeline, measured("robot_arm_1", "program", first))
        assert receipt.accepted == 1
        assert twin_of(pipeline).graph.find_signal("program").data_type == data_type
        assert value(pipeline, "program") == ("true" if first is True else first)
        wrong = await send(pipeline, measured("robot_arm_1", "program", "paint" if first != "weld" else 5))
        assert wrong.dead_lettered == 1
        # What a reading decides is no difference to the definition.
        assert plan(project(sensor_ingestion=NONE), twin_of(pipeline).graph).empty
    async with running(tmp_path, sensor_ingestion=NONE) as pipeline:  # and it stays decided
        assert (
            await send(pipeline, measured("robot_arm_1", "program", "paint" if first != "weld" else 5))
        ).dead_lettered


async def test_lists_are_joints(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=NONE) as pipeline:
        joints = "production_line_1.robot_arm_1.arm1_joint_positions"
        receipt = await send(pipeline, measured("robot_arm_1", "arm1_joint_positions", [0, 45, -30, None, 90, 0]))
        assert receipt.accepted == 5
        assert [value(pipeline, f"{joints}.value[{i}]") for i in range(6)] == [0, 45, -30, None, 90, 0]
        await send(pipeline, measured("robot_arm_1", "arm1_joint_positions[3]", 12))
        assert value(pipeline, f"{joints}.value[3]") == 12
        for wrong, words in [
            ([1, 2], "takes 6 values, not 2"),
            (5, "a list of 6 values, not 5"),
            ([None] * 6, "nothing but nulls"),
            ([1, 2, 3, 4, 5, "x"], "is a number; 'x' is not"),
        ]:
            receipt = await send(pipeline, measured("robot_arm_1", "arm1_joint_positions", wrong))
            assert receipt.accepted == 0
            assert words in receipt.reasons[0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (2**53 + 1, "beyond 2^53"),
        (-(10**30), "beyond 2^53"),
        (None, "no value"),
        ("fast", "is a number; 'fast' is not"),
        (True, "is a number; true is not"),
        ([1.0], "a list of 1 is not"),
    ],
)
async def test_values_that_a_number_cannot_take(tmp_path: Path, given: Any, words: str) -> None:
    async with running(tmp_path, sensor_ingestion=NONE) as pipeline:
        await send(pipeline, measured("conveyor_1", "speed", 1.0))
        receipt = await send(pipeline, measured("conveyor_1", "speed", given))
        assert (receipt.accepted, receipt.dead_lettered) == (0, 1)
        assert words in receipt.reasons[0]
        assert SPEED in receipt.reasons[0]
        assert value(pipeline, SPEED) == 1.0


async def test_numbers_that_fit_exactly(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=NONE) as pipeline:
        for given in (2**53, -(2**53), "1.25", 1e300, -0.5, 0):
            await send(pipeline, measured("conveyor_1", "speed", given))
            assert value(pipeline, SPEED) == float(given)


async def test_an_ambiguous_device_needs_its_line(tmp_path: Path) -> None:
    lines = [{"name": name, "components": [{"id": "pump", "sensors": [{"id": "flow"}]}]} for name in ("north", "south")]
    async with running(tmp_path, digital_twins=lines, sensor_ingestion=NONE) as pipeline:
        receipt = await send(pipeline, measured("pump", "flow", 1))
        assert "ambiguous: it may be north.pump, south.pump" in receipt.reasons[0]
        for line, number in (("south", 2), ("north", 3), ("south", 4)):
            assert (await send(pipeline, measured("pump", "flow", number, metadata={"line": line}))).accepted == 1
            assert value(pipeline, f"{line}.pump.flow") == number
        assert value(pipeline, "north.pump.flow") == 3


async def test_another_revision_binds_anew(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=NONE) as pipeline:
        twin = twin_of(pipeline)
        await send(pipeline, measured("conveyor_1", "speed", 1))
        sensor = twin.graph.find(SPEED)
        await twin.change_async(lambda edit: edit.update_node(sensor.key, name="velocity"), "test")
        receipt = await send(pipeline, measured("conveyor_1", "speed", 2), measured("conveyor_1", "velocity", 3))
        assert (receipt.accepted, receipt.dead_lettered) == (1, 1)
        assert value(pipeline, SPEED) == 3


async def test_what_is_derived_is_not_for_sources_to_set(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        twin = twin_of(pipeline)
        arm = twin.graph.find("robot_arm_1")
        await twin.change_async(lambda edit: edit.add_signal(arm.key, "health", role="derived"), "test")
        receipt = await send(pipeline, measured("robot_arm_1", "health", 100))
        assert "not for a source to set" in receipt.reasons[0]
