"""The unified namespace: how nodes are called there, and whose a message is by its topic alone."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from ingest_fixtures import T, measured, mqtt, publish, reasons, running, twin_of, value

from iotsense.ingest.content_types import parser_of
from iotsense.twin.define_mqtt import MqttTopic
from iotsense.twin.graph import Graph
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level, Origin
from iotsense.twin.unified_namespace import uns_topic


def plant(*path: tuple[Level, str]) -> tuple[Graph, dict[str, int]]:
    edit = GraphEdit(Graph(), "test")
    keys: dict[str, int] = {}
    parent = None
    for level, id in path:
        parent = keys[id] = edit.add_node(id=id, level=level, parent=parent).key
    return edit.graph, keys


FILLER = (
    (Level.ENTERPRISE, "acme"),
    (Level.SITE, "berlin"),
    (Level.LINE, "line_1"),
    (Level.COMPONENT, "line_1.filler_1"),
    (Level.COMPONENT, "line_1.filler_1.motor"),
    (Level.SENSOR, "line_1.filler_1.motor.speed"),
)


def test_a_node_has_a_topic_by_its_path() -> None:
    graph, keys = plant(*FILLER)
    assert uns_topic(graph, keys["line_1.filler_1.motor.speed"]) == "acme/berlin/line_1/filler_1/motor/speed"
    assert uns_topic(graph, keys["line_1.filler_1"], "health") == "acme/berlin/line_1/filler_1/health"
    assert uns_topic(graph, keys["line_1.filler_1.motor.speed"], "value[0]").endswith("/speed/value[0]")
    assert uns_topic(graph, keys["line_1"], "a/b+#") == "acme/berlin/line_1/a_b_"


@pytest.mark.parametrize(
    ("told", "parser"),
    [
        ("application/json; charset=utf-8", "json"),
        ("Application/CBOR", "cbor"),
        ("application/senml+json", "json"),
        ("application/senml+cbor", "cbor"),
        ("text/csv", "csv"),
        ("application/x-protobuf", "protobuf"),
        ("application/msgpack", "msgpack"),
        ("image/png", None),
        ("", None),
        (None, None),
    ],
)
def test_a_content_type_names_a_parser(told: Any, parser: Any) -> None:
    assert parser_of(told) == parser


# Inwards

TOPIC = "acme/berlin/filling/line_1/filler_1"


def uns(pattern: str = "acme/#", namespace: str = "uns", **fields: Any) -> dict[str, Any]:
    return mqtt({"pattern": pattern, "namespace": namespace}, **fields)


async def test_a_topic_tells_where_a_new_device_stands(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=uns()) as pipeline:
        await publish(pipeline, f"{TOPIC}/speed", b"1.5")
        await publish(pipeline, f"{TOPIC}/temperature", {"value": 21, "unit": "celsius", "timestamp": T})
        await publish(pipeline, f"{TOPIC}/motor", {"current": 3, "state": "on", "ts": T})
        await publish(pipeline, f"{TOPIC}/gearbox/oil/level", b"7")
        graph = twin_of(pipeline).graph
        found = {node.id: node for node in graph.nodes(origin=Origin.DISCOVERED)}
        assert [(str(node.level), id) for id, node in found.items()][:6] == [
            ("enterprise", "acme"),
            ("site", "berlin"),
            ("area", "filling"),
            ("line", "line_1"),
            ("component", "line_1.filler_1"),
            ("sensor", "line_1.filler_1.speed"),
        ]
        assert value(pipeline, "line_1.filler_1.temperature") == 21
        assert graph.find_signal("line_1.filler_1.temperature").unit == "celsius"
        assert value(pipeline, "line_1.filler_1.motor_current") == 3
        assert value(pipeline, "line_1.filler_1.gearbox.oil.level") == 7
        for topic in (f"{TOPIC}/speed", f"{TOPIC}/gearbox/oil/level"):
            sensor = graph.find(topic.removeprefix("acme/berlin/filling/").replace("/", "."))
            assert uns_topic(graph, sensor.key) == topic
        revision = graph.revision
        await publish(pipeline, f"{TOPIC}/speed", b"2.5")
        assert value(pipeline, "line_1.filler_1.speed") == 2.5
        assert twin_of(pipeline).graph.revision == revision
        assert not reasons(pipeline)


async def test_a_topic_finds_what_an_engineer_has_defined(tmp_path: Path) -> None:
    """The fixture's plant has a line with a conveyor, and neither a site nor an enterprise."""
    async with running(tmp_path, sensor_ingestion=uns(unbound="dead_letter")) as pipeline:
        await publish(pipeline, "acme/berlin/filling/production_line_1/conveyor_1/speed", b"1.5")
        await publish(pipeline, "acme/berlin/filling/production_line_2/conveyor_1/speed", b"9")
        assert value(pipeline, "conveyor_1.conv1_speed") == 1.5
        assert "fits no sensor" in reasons(pipeline)[0][1]


async def test_devices_of_one_name_stand_apart(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=uns()) as pipeline:
        for number, line in enumerate(("a", "b")):
            await publish(pipeline, f"acme/berlin/filling/{line}/filler/speed", str(number).encode())
        assert [value(pipeline, f"{line}.filler.speed") for line in "ab"] == [0, 1]
        # A short topic ends early: what stands on the line itself.
        await publish(pipeline, "acme/berlin/filling/a/output", b"5")
        assert value(pipeline, "a.output") == 5


async def test_devices_of_one_name_below_many_lines(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=uns(discovery_limit="off")) as pipeline:
        lines = [f"{site}/hall/line_{number}" for site in ("berlin", "munich") for number in range(50)]
        for payload in (b"1", b"2"):
            for line in lines:
                await publish(pipeline, f"acme/{line}/filler/speed", payload)
        assert [value(pipeline, name) for name in ("line_49.filler.speed", "line_49_2.filler.speed")] == [2, 2]
        assert len(list(twin_of(pipeline).graph.nodes(Level.SENSOR, origin=Origin.DISCOVERED))) == 100
        assert not reasons(pipeline)


async def test_a_document_names_devices_within_the_cell(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=uns()) as pipeline:
        # As our own publishing writes it: the device's id ends in the cell of the topic.
        await publish(pipeline, f"{TOPIC}/f_speed", measured("line_1.filler_1", "speed", 1.5))
        await publish(pipeline, "acme/berlin/filling/line_1/gateway/data", measured("press", "force", 3))
        assert value(pipeline, "line_1.filler_1.speed") == 1.5
        assert value(pipeline, "line_1.gateway.press.force") == 3
        revision = twin_of(pipeline).graph.revision
        await publish(pipeline, f"{TOPIC}/f_speed", measured("line_1.filler_1", "speed", 2.5, timestamp=None))
        await publish(
            pipeline, "acme/berlin/filling/line_1/gateway/data", measured("press", "force", 4, timestamp=None)
        )
        assert value(pipeline, "line_1.filler_1.speed") == 2.5
        assert value(pipeline, "line_1.gateway.press.force") == 4
        assert twin_of(pipeline).graph.revision == revision
        assert not reasons(pipeline)


async def test_other_levels(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=uns("#", "area/line/signal")) as pipeline:
        await publish(pipeline, "packing/line_9/speed", b"4")
        assert value(pipeline, "line_9.speed") == 4
        assert str(twin_of(pipeline).graph.find("packing").level) == "area"


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"{", "not JSON"),
        (b"{}", "no value in the payload"),
        (b'{"a": {"b": 1}}', "a is an object"),
        (b'{"value": 1, "timestamp": "yesterday"}', "yesterday"),
        (b'{"value": 1, "quality": "superb"}', "superb"),
    ],
)
async def test_a_payload_that_cannot_be_read_is_a_dead_letter(tmp_path: Path, payload: bytes, words: str) -> None:
    async with running(tmp_path, sensor_ingestion=uns()) as pipeline:
        await publish(pipeline, f"{TOPIC}/speed", payload)
        assert words in reasons(pipeline)[0][1]


@pytest.mark.parametrize("namespace", ["site/enterprise/signal", "signal", "site/area", "plant/signal", ""])
def test_levels_that_make_no_sense_are_refused(namespace: str) -> None:
    with pytest.raises(ValueError, match="expected `uns` or levels of enterprise/site"):
        MqttTopic.model_validate({"pattern": "a/#", "namespace": namespace})


async def test_other_encodings_than_json(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=uns()) as pipeline:
        packed = msgspec.msgpack.encode({"value": 8.5, "unit": "bar"})
        await publish(pipeline, f"{TOPIC}/pressure", packed, content_type="application/msgpack")
        document = {"measurements": [{"name": "level", "value": 2.5}], "timestamp": T}
        await publish(pipeline, f"{TOPIC}/tank", msgspec.msgpack.encode(document), content_type="application/msgpack")
        assert value(pipeline, "filler_1.pressure") == 8.5
        assert value(pipeline, "filler_1.level") == 2.5
        assert not reasons(pipeline)
