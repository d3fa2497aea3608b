"""Dead letters: what they keep, what they hide, and that they can be taken in again."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from ingest_fixtures import T_NS, measured, mqtt, publish, running, send, twin_of, value

from iotsense.ingest.dead_letters import MAX_PAYLOAD, Redaction, joined
from iotsense.ingest.ingest_config import IngestConfig
from iotsense.ingest.message import Message
from iotsense.ingest.sample import Sample
from iotsense.twin.model import Level
from iotsense.twin.twin import Twin

NONE = {"unbound": "dead_letter", "protocols": []}
SCHEMA = {"device_id": "$.d", "name": "$.items[*].n", "value": "$.items[*].v"}
TOPIC = {"pattern": "m/#", "schema": SCHEMA}


def add_sensor(twin: Twin, device: str, sensor: str, **fields: Any) -> None:
    def build(edit: Any) -> None:
        node = edit.add_node(
            id=f"{device}.{sensor}", level=Level.SENSOR, parent=edit.graph.find(device).key, name=sensor
        )
        edit.add_signal(node.key, **fields)

    twin.change(build, "test")


async def test_what_cannot_be_parsed_is_kept_as_it_came(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=mqtt(TOPIC)) as pipeline:
        received = T_NS + 5
        await publish(pipeline, "m/1", b"\x00\xff not json", received=received, content_type="text/plain")
        (letter,) = twin_of(pipeline).dead_letters()
        assert (letter.payload, letter.topic, letter.source) == (b"\x00\xff not json", "m/1", "mqtt")
        assert (letter.stage, letter.time) == ("parse", received)
        assert "not JSON" in letter.reason
        assert letter.metadata["content_type"] == "text/plain"


async def test_of_a_document_only_what_failed_is_kept(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=NONE) as pipeline:
        document = measured("conveyor_1", "speed", 1.5, metadata={"line": "production_line_1"})
        document["measurements"] += [
            {"name": "noise", "value": 3},
            {"name": "dust", "value": 4},
            {"name": "speed", "value": "x"},
        ]
        receipt = await send(pipeline, measured("conveyor_1", "speed", 1), document)
        assert (receipt.accepted, receipt.dead_lettered) == (2, 3)
        (letter,) = twin_of(pipeline).dead_letters()
        kept = json.loads(letter.payload)
        assert [item["name"] for item in kept["measurements"]] == ["noise", "dust", "speed"]
        assert kept["timestamp"] == document["timestamp"]
        assert kept["metadata"] == {"line": "production_line_1"}
        for words in ("conveyor_1.noise fits no sensor", "conveyor_1.dust fits no sensor", "'x' is not"):
            assert words in letter.reason


async def test_a_letter_goes_in_once_there_is_a_place_for_it(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=NONE) as pipeline:
        twin = twin_of(pipeline)
        await send(pipeline, measured("conveyor_1", "noise", 61, "dB"), measured("nobody", "x", 1))
        letters = twin.dead_letters()
        assert await pipeline.replay(letters) == (0, 2)
        assert twin.dead_letters() == letters
        add_sensor(twin, "production_line_1.conveyor_1", "noise")
        assert await pipeline.replay(letters) == (1, 1)
        assert value(pipeline, "noise") == 61
        reading = twin.state.read(twin.graph.find_signal("noise").index)
        assert reading is not None
        assert reading.time == T_NS
        assert [letter.metadata["payload_shape"] for letter in twin.dead_letters()] == ["telemetry"]
        assert len(twin.dead_letters(pending_only=False)) == 2


async def test_a_raw_message_is_replayed_with_the_time_of_its_arrival(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=mqtt(TOPIC, unbound="dead_letter")) as pipeline:
        twin = twin_of(pipeline)
        items = [{"n": "speed", "v": 1}, {"n": "noise", "v": 2}]
        received = T_NS + 77
        receipt = await publish(pipeline, "m/1", {"d": "conveyor_1", "items": items}, received=received)
        assert (receipt.accepted, receipt.dead_lettered) == (1, 1)
        add_sensor(twin, "production_line_1.conveyor_1", "noise")
        assert await pipeline.replay(twin.dead_letters()) == (1, 0)
        speed = twin.graph.find_signal("conv1_speed").index
        assert twin.history(speed, 0, 2**62).time.tolist() == [received]  # taken in twice, there once
        assert twin.history(twin.graph.find_signal("noise").index, 0, 2**62).time.tolist() == [received]


async def test_samples_are_replayed_too(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=NONE) as pipeline:
        twin = twin_of(pipeline)
        samples = (Sample("speed", 1.0, T_NS), Sample("noise", 2.0, T_NS, 64, "dB", "conveyor_1", {"a": 1}))
        await pipeline.submit(Message("opcua", samples=samples))
        (letter,) = twin.dead_letters()
        add_sensor(twin, "production_line_1.conveyor_1", "noise")
        assert await pipeline.replay([letter]) == (1, 0)
        reading = twin.state.read(twin.graph.find_signal("noise").index)
        assert reading is not None
        assert (reading.value, reading.time, reading.quality) == (2.0, T_NS, 64)


async def test_secrets_are_blacked_out(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=mqtt({"pattern": "x/#"})) as pipeline:
        pipeline.configure(IngestConfig(secrets=["s3cr3t-word"]))
        payload = b'{"Password": "abc\\"d", "api_key":"k", "note": "s3cr3t-word!", "tokenless": 1'
        metadata = {"authorization": "Bearer x", "by": "s3cr3t-word"}
        await publish(pipeline, "x/s3cr3t", payload, metadata=metadata)
        (letter,) = twin_of(pipeline).dead_letters()
        assert letter.payload == b'{"Password": "***", "api_key":"***", "note": "***!", "tokenless": 1'
        assert letter.metadata == {"authorization": "***", "by": "***", "payload_shape": "raw"}


def test_short_secrets_do_not_black_out_everything() -> None:
    assert Redaction(["a", ""]).text("an apple") == "an apple"


def test_many_reasons_become_few() -> None:
    assert joined(["a", "b", "a"]) == "a; b"
    assert joined(str(i) for i in range(9)) == "0; 1; 2; 3; 4; and 4 more"


async def test_an_enormous_payload_keeps_its_beginning(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        await publish(pipeline, "x", b"z" * (MAX_PAYLOAD + 10))
        (letter,) = twin_of(pipeline).dead_letters()
        assert len(letter.payload) == MAX_PAYLOAD
        assert letter.metadata["cut_from_bytes"] == MAX_PAYLOAD + 10
        assert await pipeline.replay([letter]) == (0, 1)


async def test_there_are_never_more_than_so_many(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=NONE) as pipeline:
        pipeline._held.limit, pipeline._held.interval = 10, 0.02
        for i in range(25):
            await send(pipeline, measured("nobody", "x", i))
        while pipeline.dead_letter_counts()["pending"] > 10:  # noqa: ASYNC110 - it happens in its own time
            await asyncio.sleep(0.02)
        twin = twin_of(pipeline)
        kept = twin.dead_letters()
        assert [json.loads(letter.payload)["measurements"][0]["value"] for letter in kept] == list(range(15, 25))
        given_up = [letter for letter in twin.dead_letters(pending_only=False) if letter.resolved]
        assert [(letter.resolved, letter.payload) for letter in given_up] == [("purged", b"")] * 15
        assert pipeline.dead_letter_counts()["given_up"] == 15


async def test_without_its_schema_file_a_parser_keeps_its_messages(tmp_path: Path) -> None:
    topic = {"pattern": "v/#", "parser": "protobuf", "schema_file": "v.proto"}
    async with running(tmp_path, sensor_ingestion=mqtt(topic)) as pipeline:
        assert [notice.partition(":")[0] for notice in pipeline.notices()] == ["topic v/#"]
        await publish(pipeline, "v/1", b"\x08\x96\x01")
        (letter,) = twin_of(pipeline).dead_letters()
        assert letter.payload == b"\x08\x96\x01"
        assert letter.reason == "the schema file v.proto is not there"


@pytest.mark.parametrize(
    "payload", [b"[" * 100_000, b'{"a":' * 50_000, b'"' + b"\xf0\x9f" + b'"', b"[[]]", b'[{"d":{}}]']
)
async def test_no_payload_stops_the_others(tmp_path: Path, payload: bytes) -> None:
    async with running(tmp_path, sensor_ingestion=mqtt(TOPIC)) as pipeline:
        for topic in ("m/1", "elsewhere"):
            receipt = await publish(pipeline, topic, payload)
            assert (receipt.accepted, receipt.dead_lettered > 0) == (0, True)
        assert (await send(pipeline, measured("conveyor_1", "speed", 1))).accepted == 1


async def test_the_count_follows_what_others_purge(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion=NONE) as pipeline:
        pipeline._held.interval = 0.01
        await send(pipeline, measured("nobody", "x", 1), measured("nobody", "y", 1))
        twin = twin_of(pipeline)
        twin.resolve_dead_letters([letter.id for letter in twin.dead_letters(limit=1)], "purged")
        while pipeline.dead_letter_counts()["pending"] != 1:  # noqa: ASYNC110 - it happens in its own time
            await asyncio.sleep(0.01)
