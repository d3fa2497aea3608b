"""Devices that nobody defined: where they come to stand, how many may come, and what becomes of the others."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ingest_fixtures import T_NS, measured, mqtt, publish, reasons, running, send, twin_of, value

from iotsense.ingest.discovery import Budget
from iotsense.ingest.message import Message
from iotsense.ingest.pipeline import Pipeline
from iotsense.ingest.sample import Sample
from iotsense.twin.model import Level, Origin

SPECIFIED: dict[str, Any] = {
    "device_id": "sensor_001",
    "timestamp": "2024-01-15T10:30:00.123Z",
    "measurements": [
        {"name": "temperature", "value": 72.5, "unit": "celsius", "quality": "good"},
        {"name": "vibration_rms", "value": 2.3, "unit": "mm/s", "quality": "good"},
    ],
    "metadata": {"plant": "factory_1", "line": "assembly_1", "equipment": "motor_001"},
}


def discovered(pipeline: Pipeline) -> list[str]:
    return [node.id for node in twin_of(pipeline).graph.nodes(origin=Origin.DISCOVERED)]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the journal's thread has no event to wait for
        await asyncio.sleep(0.02)


async def test_the_specifications_document_finds_its_place(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        revision = twin_of(pipeline).graph.revision
        receipt = await send(pipeline, SPECIFIED, SPECIFIED)
        assert receipt.accepted == 4
        assert discovered(pipeline) == [
            "factory_1",
            "assembly_1",
            "assembly_1.motor_001",
            "assembly_1.motor_001.sensor_001",
            "assembly_1.motor_001.sensor_001.temperature",
            "assembly_1.motor_001.sensor_001.vibration_rms",
        ]
        graph = twin_of(pipeline).graph
        assert graph.revision == revision + 1
        assert [str(node.level) for node in graph.nodes(origin=Origin.DISCOVERED)][:3] == ["site", "line", "component"]
        assert graph.find_signal("sensor_001.temperature").unit == "celsius"
        assert value(pipeline, "sensor_001.vibration_rms") == 2.3
        assert (await send(pipeline, SPECIFIED)).accepted == 2
        assert twin_of(pipeline).graph.revision == revision + 1
        assert not reasons(pipeline)


@pytest.mark.parametrize(
    ("metadata", "parents"),
    [
        (None, ["unassigned"]),
        ({"colour": "red"}, ["unassigned"]),
        ({"plant": "p"}, ["p"]),
        ({"line": "l"}, ["l"]),
        ({"line": "production_line_1"}, ["production_line_1"]),
        ({"equipment": "conveyor_1"}, ["production_line_1.conveyor_1", "production_line_1"]),
        (
            {"line": "production_line_1", "equipment": "conveyor_1"},
            ["production_line_1.conveyor_1", "production_line_1"],
        ),
        ({"equipment": "e"}, ["unassigned.e", "unassigned"]),
        ({"plant": "p", "area": "a", "line": "l", "equipment": "e"}, ["l.e", "l", "a", "p"]),
        ({"plant": "p", "equipment": "dev"}, ["p"]),
    ],
)
async def test_where_a_device_comes_to_stand(
    tmp_path: Path, metadata: dict[str, str] | None, parents: list[str]
) -> None:
    async with running(tmp_path) as pipeline:
        await send(pipeline, measured("dev", "x", 1, metadata=metadata))
        graph = twin_of(pipeline).graph
        device = graph.find("dev")
        assert device.level is Level.COMPONENT
        assert [node.id for node in graph.ancestors(device.key)] == parents
        await send(pipeline, measured("dev", "y", 2, metadata=metadata), measured("dev", "x", 3))
        assert [sensor.short_id for sensor in twin_of(pipeline).graph.sensors(device.key)] == ["x", "y"]
        assert value(pipeline, "dev.x") == 3


async def test_a_known_device_gets_the_sensor_that_it_lacks(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        await send(pipeline, measured("conveyor_1", "noise", 61.5, "dB"))
        assert discovered(pipeline) == ["production_line_1.conveyor_1.noise"]
        # A sensor that measures something else beside itself gets a sibling.
        document = measured("conv1_motor_temp", "temperature", 40)
        document["measurements"].append({"name": "humidity", "value": 30})
        for _ in range(2):
            await send(pipeline, document)
        assert discovered(pipeline)[1:] == ["production_line_1.conveyor_1.conv1_motor_temp_humidity"]
        assert value(pipeline, "conv1_motor_temp") == 40
        assert value(pipeline, "conv1_motor_temp_humidity") == 30


async def test_odd_names_are_kept_and_found_again(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        for device in ("Pumpe 7/ä", "Pumpe 7_ä"):
            await send(pipeline, measured(device, "Durch fluss", 1))
        assert (await send(pipeline, measured("Pumpe 7/ä", "Durch fluss", 2))).accepted == 1
        assert discovered(pipeline)[1:] == [
            "unassigned.Pumpe_7_",
            "unassigned.Pumpe_7_.Durch_fluss",
            "unassigned.Pumpe_7__",
            "unassigned.Pumpe_7__.Durch_fluss",
        ]
        graph = twin_of(pipeline).graph
        assert [graph.find(id).name for id in ("Pumpe_7_", "Pumpe_7__")] == ["Pumpe 7/ä", "Pumpe 7_ä"]
        assert value(pipeline, "Pumpe_7_.Durch_fluss") == 2
        assert value(pipeline, "Pumpe_7__.Durch_fluss") == 1
        long = await send(pipeline, measured("x" * 201, "y", 1), measured("d", "y" * 201, 1))
        assert long.dead_lettered == 2
        assert "longer than 200 characters" in long.reasons[0]


async def test_readings_without_a_device_or_name(tmp_path: Path) -> None:
    schema = {"value": "$.v"}
    async with running(tmp_path, sensor_ingestion=mqtt({"pattern": "plant/#", "schema": schema})) as pipeline:
        samples = (Sample("tank_level", 1.5, T_NS), Sample("flow_rate", 2.5, T_NS))
        for _ in range(2):
            assert (await pipeline.submit(Message("modbus", samples=samples))).accepted == 2
            assert (await publish(pipeline, "plant/mill/power", {"v": 3})).accepted == 1
        assert value(pipeline, "unassigned.modbus.tank_level") == 1.5
        assert value(pipeline, "unassigned.plant_mill.power") == 3
        assert len(discovered(pipeline)) == 6


async def test_texts_truth_values_and_lists(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        await send(
            pipeline, measured("d", "state", "idle"), measured("d", "open", True), measured("d", "xyz", [1, 2.5])
        )
        assert value(pipeline, "d.state") == "idle"
        assert value(pipeline, "d.open") == "true"
        assert [value(pipeline, f"d.xyz.value[{i}]") for i in range(2)] == [1, 2.5]
        graph = twin_of(pipeline).graph
        assert [graph.find_signal(f"d.{name}").stepped for name in ("state", "open")] == [True, True]
        receipt = await send(pipeline, measured("d", "wave", [0.0] * 65), measured("d", "none", None))
        assert "a list of 65 values" in receipt.reasons[0]
        assert "no value (null)" in receipt.reasons[1]


async def test_unbound_readings_may_be_dead_letters(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion={"unbound": "dead_letter"}) as pipeline:
        receipt = await send(pipeline, SPECIFIED)
        assert (receipt.accepted, receipt.dead_lettered) == (0, 2)
        ((stage, reason),) = reasons(pipeline)
        assert stage == "bind"
        assert "sensor_001.temperature fits no sensor" in reason
        assert not discovered(pipeline)


async def test_a_flood_of_devices_waits_for_its_turn(tmp_path: Path) -> None:
    clock = [0.0]
    async with running(tmp_path) as pipeline:
        pipeline._budget = Budget(100, lambda: clock[0])
        pipeline._held.interval = 0.02
        documents = [measured(f"dev_{i}", "x", i) for i in range(80)]
        receipt = await send(pipeline, *documents, measured("conveyor_1", "speed", 1))
        # The area and 49 devices with their sensors are 99 nodes; the 100th would be a device without its sensor.
        assert (receipt.accepted, receipt.dead_lettered) == (50, 31)
        assert len(discovered(pipeline)) == 99
        assert {stage for stage, _ in reasons(pipeline)} == {"discovery"}
        await asyncio.sleep(0.1)
        assert len(discovered(pipeline)) == 99
        clock[0] = 30.0
        await until(lambda: len(reasons(pipeline)) <= 6)
        assert len(discovered(pipeline)) == 149
        clock[0] = 60.0
        await until(lambda: not reasons(pipeline))
        assert [value(pipeline, f"dev_{i}.x") for i in range(80)] == list(range(80))
        twin = twin_of(pipeline)
        reading = twin.state.read(twin.graph.find_signal("dev_79.x").index)
        assert reading is not None
        assert reading.time == T_NS
        assert {letter.resolved for letter in twin.dead_letters(pending_only=False)} == {"replayed"}


async def test_what_waits_is_found_again_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion={"discovery_limit": 0}) as pipeline:
        assert (await send(pipeline, measured("dev", "x", 5))).dead_lettered == 1
    async with running(tmp_path) as pipeline:
        pipeline._held.interval = 0.02
        await until(lambda: not reasons(pipeline))
        assert value(pipeline, "dev.x") == 5


def test_the_ration() -> None:
    clock = [0.0]
    budget = Budget(60, lambda: clock[0])
    assert budget.left() == 60
    budget.spend(60)
    assert budget.left() == 0
    clock[0] = 10.0
    assert budget.left() == 10
    clock[0] = 10_000.0
    assert budget.left() == 60
    assert Budget(0, lambda: clock[0]).left() == 0
    assert Budget(None).left() > 10**9


async def test_a_revision_that_slips_in_between_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as pipeline:
        twin, late = twin_of(pipeline), twin_of(pipeline).change_async

        async def after_another(build: Callable[..., Any], author: str) -> Any:
            line = twin.graph.find("production_line_1")
            twin.change(lambda edit: edit.add_node(id="area_9", level=Level.AREA), "somebody else")
            assert twin.graph.find("production_line_1") == line
            return await late(build, author)

        monkeypatch.setattr(twin, "change_async", after_another)
        receipt = await send(pipeline, measured("new_1", "speed", 1.0), measured("new_2", "speed", 2.0))
        assert (receipt.accepted, receipt.dead_lettered) == (2, 0)
        assert value(pipeline, "unassigned.new_2.speed") == 2.0
        assert "area_9" in twin.graph
