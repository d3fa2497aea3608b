"""The specification's normalization rules, on readings that come in."""

from pathlib import Path
from typing import Any

import pytest
from ingest_fixtures import T_NS, T, measured, mqtt, publish, reasons, running, send, twin_of, value

from iotsense.twin.times import parse_time

SCHEMA = {"device_id": "$.deviceId", "value": "$.temp", "unit": "$.unit", "timestamp": "$.ts"}
TOPIC = {"pattern": "sensors/+/temperature", "parser": "json", "schema": SCHEMA}
TEMPERATURE = "conv1_motor_temp"
FAHRENHEIT = {"type": "unit_conversion", "from_field": "value", "from_unit": "fahrenheit", "to_unit": "celsius"}


def rules(source: str, *transforms: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"rules": [{"source": source, "transforms": list(transforms)}], **fields}


@pytest.mark.parametrize(
    ("source", "groups", "applies"),
    [
        ("sensors/+/temperature", {}, True),
        ("sensors/#", {}, True),
        ("mqtt", {}, True),
        ("conveyor_1", {}, True),
        ("conv1_motor_temp", {}, True),
        ("production_line_1", {}, True),
        ("temperature_sensors", {"temperature_sensors": ["machines/#", "sensors/+/temperature"]}, True),
        ("temperature_sensors", {"temperature_sensors": ["conveyor_1"]}, True),
        ("temperature_sensors", {}, False),
        ("robot_arm_1", {}, False),
        ("machines/#", {}, False),
    ],
)
async def test_a_rule_names_a_topic_a_device_a_source_or_a_group(
    tmp_path: Path, source: str, groups: dict[str, list[str]], applies: bool
) -> None:
    async with running(
        tmp_path, sensor_ingestion=mqtt(TOPIC), normalization=rules(source, FAHRENHEIT, groups=groups)
    ) as pipeline:
        for _ in range(2):
            await publish(pipeline, "sensors/a/temperature", {"deviceId": "conveyor_1", "temp": 212, "ts": T})
            assert value(pipeline, TEMPERATURE) == pytest.approx(100 if applies else 212)


async def test_a_reading_that_says_its_unit_is_believed(tmp_path: Path) -> None:
    async with running(tmp_path, normalization=rules("conveyor_1", FAHRENHEIT)) as pipeline:
        await send(pipeline, measured("conveyor_1", TEMPERATURE, 99, "celsius"))
        assert value(pipeline, TEMPERATURE) == 99
        await send(pipeline, measured("conveyor_1", TEMPERATURE, 373.15, "K"))
        assert value(pipeline, TEMPERATURE) == pytest.approx(100)
        # A rule about temperatures does not concern a speed that names its unit.
        await send(pipeline, measured("conveyor_1", "speed", 7.2, "km/h"))
        assert value(pipeline, "conv1_speed") == pytest.approx(2)


async def test_a_rule_may_concern_one_measurement(tmp_path: Path) -> None:
    one = FAHRENHEIT | {"from_field": TEMPERATURE}
    async with running(tmp_path, normalization=rules("http", one)) as pipeline:
        await send(pipeline, measured("conveyor_1", TEMPERATURE, 212), measured("conveyor_1", "speed", 2))
        assert value(pipeline, TEMPERATURE) == pytest.approx(100)
        assert value(pipeline, "conv1_speed") == 2


async def test_a_field_of_the_payload_may_be_named(tmp_path: Path) -> None:
    one = FAHRENHEIT | {"from_field": "temp"}
    async with running(tmp_path, sensor_ingestion=mqtt(TOPIC), normalization=rules("mqtt", one)) as pipeline:
        await publish(pipeline, "sensors/a/temperature", {"deviceId": "conveyor_1", "temp": 212})
        assert value(pipeline, TEMPERATURE) == pytest.approx(100)


async def test_a_discovered_signal_has_the_rules_unit(tmp_path: Path) -> None:
    async with running(tmp_path, normalization=rules("http", FAHRENHEIT)) as pipeline:
        await send(pipeline, measured("oven", "heat", 212))
        assert value(pipeline, "oven.heat") == pytest.approx(100)
        assert twin_of(pipeline).graph.find_signal("oven.heat").unit == "celsius"


async def test_a_rule_that_is_switched_off_does_nothing(tmp_path: Path) -> None:
    off = {"rules": [{"source": "http", "enabled": False, "transforms": [FAHRENHEIT]}]}
    async with running(tmp_path, normalization=off) as pipeline:
        await send(pipeline, measured("conveyor_1", TEMPERATURE, 212))
        assert value(pipeline, TEMPERATURE) == 212


# Where a telemetry document has its stamp is a matter of its topic or source, not of its device.
@pytest.mark.parametrize(
    ("source", "with_schema"),
    [("sensors/#", True), ("mqtt", True), ("conveyor_1", True), ("sensors/#", False), ("mqtt", False)],
)
async def test_stamps_at_another_place_and_in_another_zone(tmp_path: Path, source: str, with_schema: bool) -> None:
    schema = {key: path for key, path in SCHEMA.items() if key != "timestamp" or source == "conveyor_1"}
    topic = TOPIC | {"schema": schema} if with_schema else {"pattern": "sensors/#"}
    stamp = {"type": "timestamp_normalize", "from_field": "ts", "timezone": "Asia/Tokyo"}
    async with running(tmp_path, sensor_ingestion=mqtt(topic), normalization=rules(source, stamp)) as pipeline:
        document: dict[str, Any] = {"deviceId": "conveyor_1", "temp": 20, "ts": "2024-01-15T19:30:00.123"}
        if not with_schema:
            document = {
                "device_id": "conveyor_1",
                "ts": document["ts"],
                "measurements": [{"name": TEMPERATURE, "value": 20}],
            }
        await publish(pipeline, "sensors/a/temperature", document)
        twin = twin_of(pipeline)
        reading = twin.state.read(twin.graph.find_signal(TEMPERATURE).index)
        assert reading is not None
        assert reading.time == T_NS


async def test_a_format_of_stamps(tmp_path: Path) -> None:
    stamp = {"type": "timestamp_normalize", "format": "%d.%m.%Y %H:%M", "timezone": "Europe/Berlin"}
    async with running(tmp_path, normalization=rules("http", stamp)) as pipeline:
        await send(pipeline, measured("conveyor_1", "speed", 1, timestamp="15.07.2024 12:30"))
        twin = twin_of(pipeline)
        reading = twin.state.read(twin.graph.find_signal("conv1_speed").index)
        assert reading is not None
        assert reading.time == parse_time("2024-07-15T10:30:00Z")
        receipt = await send(pipeline, measured("conveyor_1", "speed", 1))
        assert "does not fit the time format" in receipt.reasons[0]


async def test_a_sources_zone(tmp_path: Path) -> None:
    ingestion = mqtt(TOPIC, broker={"timezone": "America/New_York"})
    async with running(tmp_path, sensor_ingestion=ingestion) as pipeline:
        await publish(
            pipeline, "sensors/a/temperature", {"deviceId": "conveyor_1", "temp": 1, "ts": "2024-01-15T05:30:00.123"}
        )
        twin = twin_of(pipeline)
        reading = twin.state.read(twin.graph.find_signal(TEMPERATURE).index)
        assert reading is not None
        assert reading.time == T_NS


async def test_metadata_says_where_a_device_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANT_ID", "factory_7")
    fields = {"plant_id": "${env.PLANT_ID}", "line_id": "${topic.split('/')[1]}", "lost": "${topic.split('/')[9]}"}
    normalization = rules("sensors/#", {"type": "add_metadata", "fields": fields})
    async with running(tmp_path, sensor_ingestion=mqtt(TOPIC), normalization=normalization) as pipeline:
        await publish(pipeline, "sensors/line_9/temperature", {"deviceId": "oven", "temp": 1})
        graph = twin_of(pipeline).graph
        oven = graph.find("oven")
        assert [node.id for node in graph.ancestors(oven.key)] == ["line_9", "factory_7"]
        assert oven.properties["metadata"] == {"plant_id": "factory_7", "line_id": "line_9"}
        assert value(pipeline, "line_9.oven.temperature") == 1
        assert not reasons(pipeline)
