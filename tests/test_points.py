"""Columns of points: the fast way of sources that know beforehand what they read."""

import math
from pathlib import Path

import numpy as np
import pytest
from ingest_fixtures import running, twin_of, value

from iotsense.ingest.message import Message
from iotsense.ingest.points import Point, PointReadings, Points
from iotsense.twin.model import DataType
from iotsense.twin.times import now_ns

SPEED = "production_line_1.conveyor_1.conv1_speed"
TEMPERATURE = "production_line_1.conveyor_1.conv1_motor_temp"
POWER = "production_line_1.conveyor_1.conv1_power"
GRIPPER = "production_line_1.robot_arm_1.gripper"


def columns(points: Points, *rows: tuple[int, float, int, int]) -> Message:
    point, values, times, qualities = zip(*rows, strict=True)
    readings = PointReadings(
        points,
        np.array(point, np.int32),
        np.array(values, np.float64),
        np.array(times, np.int64),
        np.array(qualities, np.uint8),
    )
    return Message("plc", readings=readings)


async def test_columns_become_readings_in_the_units_of_their_signals(tmp_path: Path) -> None:
    points = Points(
        [
            Point("speed", "conveyor_1", "mm/s"),
            Point("conv1_motor_temp", unit="fahrenheit"),
            Point("motor_power", unit="watt", tag="ns=2;s=Line1.Motor1.Power"),
            Point("gripper", "robot_arm_1"),
        ]
    )
    now = now_ns()
    async with running(tmp_path) as pipeline:
        for offset in (0, 10):  # the second time by the table
            rows = [(0, 1500.0, now + offset, 192), (1, 212.0, now + offset - 1, 64), (2, 2e3, now + offset, 192)]
            receipt = await pipeline.submit(columns(points, *rows, (3, 1.0, now + offset, 192)))
            assert (receipt.accepted, receipt.dead_lettered) == (4, 0)
        assert [value(pipeline, id) for id in (SPEED, TEMPERATURE, POWER)] == [1.5, pytest.approx(100), 2.0]
        assert value(pipeline, GRIPPER) == "true"
        twin = twin_of(pipeline)
        temperature = twin.state.read(twin.graph.find_signal(TEMPERATURE).index)
        assert temperature is not None and (temperature.quality, temperature.time) == (64, now + 9)
        assert pipeline.counters["plc"].stored == 8


async def test_a_bad_reading_may_lack_a_value_and_a_good_one_may_not(tmp_path: Path) -> None:
    points = Points([Point("conv1_motor_temp"), Point("conv1_speed"), Point("gripper")])
    now = now_ns()
    async with running(tmp_path) as pipeline:
        receipt = await pipeline.submit(
            columns(points, (0, math.nan, now, 24), (1, math.nan, now, 192), (2, math.nan, now, 0))
        )
        assert (receipt.accepted, receipt.dead_lettered) == (2, 1)
        assert receipt.reasons == ("production_line_1.conveyor_1.conv1_speed: nan is not a finite number",)
        twin = twin_of(pipeline)
        for id, quality in ((TEMPERATURE, 24), (GRIPPER, 0)):
            reading = twin.state.read(twin.graph.find_signal(id).index)
            assert reading is not None and math.isnan(reading.value) and reading.quality == quality


async def test_that_an_unknown_point_cannot_be_read_makes_no_node(tmp_path: Path) -> None:
    points = Points([Point("nobody_knows_it"), Point("conv1_motor_temp"), Point("door", data_type=DataType.BOOLEAN)])
    now = now_ns()
    async with running(tmp_path) as pipeline:
        receipt = await pipeline.submit(columns(points, *((row, math.nan, now, 24) for row in range(3))))
        assert (receipt.accepted, receipt.dead_lettered) == (1, 0)
        for value_now, quality in ((1.0, 192), (math.nan, 24)):
            receipt = await pipeline.submit(columns(points, (2, value_now, now + 1, quality)))
            assert (receipt.accepted, receipt.dead_lettered) == (1, 0)
        graph = twin_of(pipeline).graph
        (door,) = [node for node in graph.node_map.values() if node.short_id == "door"]
        assert graph.signals_of(door.key)[0].data_type is DataType.BOOLEAN
        assert not [node for node in graph.node_map.values() if node.short_id.startswith("nobody")]


async def test_points_that_nobody_defined_are_discovered_once(tmp_path: Path) -> None:
    points = Points([Point("pressure", "conveyor_1", "bar"), Point("level", "tank", "m")])
    now = now_ns()
    async with running(tmp_path) as pipeline:
        for offset in (0, 2):
            receipt = await pipeline.submit(columns(points, (0, 1.0, now + offset, 192), (1, 2.0, now + offset, 192)))
            assert receipt.accepted == 2
        graph = twin_of(pipeline).graph
        pressure = graph.find_signal("production_line_1.conveyor_1.pressure")
        assert (pressure.unit, pressure.data_type) == ("bar", DataType.NUMBER)
        assert [node.id for node in graph.node_map.values() if node.short_id.startswith("level")] == [
            "unassigned.tank.level"
        ]


async def test_a_stamp_too_far_ahead_is_not_believed(tmp_path: Path) -> None:
    points, now = Points([Point("conv1_speed")]), now_ns()
    async with running(tmp_path) as pipeline:
        await pipeline.submit(columns(points, (0, 1.0, now, 192), (0, 2.0, now + 3600 * 10**9, 192)))
        twin = twin_of(pipeline)
        reading = twin.state.read(twin.graph.find_signal(SPEED).index)
        assert reading is not None and (reading.value, reading.quality) == (2.0, 64)
        assert reading.time < now + 3600 * 10**9
        assert pipeline.counters["plc"].ahead == 1


async def test_what_cannot_be_stored_is_kept_and_taken_in_again(tmp_path: Path) -> None:
    points = Points([Point("conv1_speed", unit="kelvin"), Point("conv1_motor_temp")])
    async with running(tmp_path) as pipeline:
        receipt = await pipeline.submit(columns(points, (0, 1.0, now_ns(), 192), (1, 20.0, now_ns(), 192)))
        assert (receipt.accepted, receipt.dead_lettered) == (1, 1)
        (letter,) = twin_of(pipeline).dead_letters()
        assert b'"conv1_speed"' in letter.payload and "kelvin" in letter.reason
