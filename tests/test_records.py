"""Many payloads in one message, and positions: each record has its own fate, and nothing is taken in twice."""

import json
from pathlib import Path
from typing import Any

from ingest_fixtures import T_NS, reasons, running, twin_of, value

from iotsense.ingest.message import Message
from iotsense.ingest.pipeline import Pipeline
from iotsense.ingest.records import Records
from iotsense.twin.times import NS

KAFKA = {
    "sensor_ingestion": {
        "protocols": [
            {
                "name": "kafka",
                "bootstrap_servers": ["127.0.0.1:9092"],
                "topics": [
                    {
                        "topic": "plant",
                        "schema": {"device_id": "$.d", "name": "$.n", "value": "$.v", "unit": "$.u"},
                    }
                ],
            }
        ]
    }
}
SPEED = "production_line_1.conveyor_1.conv1_speed"
POSITION = "source:kafka:g:plant:0"


def record(value: Any, device: str = "conveyor_1", name: str = "speed", unit: str | None = None) -> bytes:
    return json.dumps({"d": device, "n": name, "v": value, "u": unit}).encode()


def message(*payloads: bytes, position: int | None = None, **columns: Any) -> Message:
    at = None if position is None else (POSITION, position)
    return Message("kafka", topic="plant", via="plant", records=Records(payloads, **columns), position=at)


def counted(pipeline: Pipeline) -> tuple[int, ...]:
    counters = pipeline.counters["kafka"]
    assert counters.adds_up
    return (counters.received, counters.accepted, counters.duplicate, counters.stored, counters.dead_lettered)


async def test_each_record_has_its_own_fate(tmp_path: Path) -> None:
    async with running(tmp_path, **KAFKA) as pipeline:
        sent = [record(1.0), b"{", record(3600.0, unit="km/h"), record("fast"), record(2.0, unit="kelvin"), record(4.0)]
        receipt = await pipeline.submit(message(*sent))
        assert (receipt.accepted, receipt.dead_lettered) == (3, 3)
        assert counted(pipeline) == (6, 6, 0, 3, 3)
        letters = twin_of(pipeline).dead_letters()
        assert [letter.payload for letter in letters] == [sent[1], sent[3], sent[4]]
        assert {letter.topic for letter in letters} == {"plant"}
        assert [stage for stage, _ in reasons(pipeline)] == ["parse", "bind", "bind"]
        assert value(pipeline, SPEED) == 4.0


async def test_records_of_devices_that_are_new(tmp_path: Path) -> None:
    async with running(tmp_path, **KAFKA) as pipeline:
        metadata = [{"line": "hall_2"}, None, {"line": "hall_3"}]
        records = message(record(1, "new_1"), record(2), record(3, "new_2"), metadata=metadata.__getitem__)
        receipt = await pipeline.submit(records)
        assert receipt.dead_lettered == 0
        assert counted(pipeline) == (3, 3, 0, 3, 0)
        graph = twin_of(pipeline).graph
        assert graph.find("hall_2.new_1") and graph.find("hall_3.new_2")


async def test_the_time_of_a_record_counts_where_its_payload_says_none(tmp_path: Path) -> None:
    async with running(tmp_path, **KAFKA) as pipeline:
        await pipeline.submit(message(record(1.0), record(2.0), times=[T_NS, T_NS + NS]))
        twin = twin_of(pipeline)
        reading = twin.state.read(twin.graph.find_signal(SPEED).index)
        assert reading is not None and reading.time == T_NS + NS
        # A dead letter keeps it.
        await pipeline.submit(message(record("x"), times=[T_NS + 2 * NS]))
        (letter,) = twin.dead_letters()
        assert letter.metadata["source_time"] == T_NS + 2 * NS


async def test_what_is_not_beyond_the_position_is_a_duplicate(tmp_path: Path) -> None:
    async with running(tmp_path, **KAFKA) as pipeline:
        assert not (await pipeline.submit(message(record(1.0), position=1))).duplicate
        both = [
            pipeline.submit(message(record(7.0), record(7.0), position=1)),
            pipeline.submit(message(record(2.0), position=2)),
        ]
        assert [(await each).duplicate for each in both] == [True, False]
        assert counted(pipeline) == (4, 2, 2, 2, 0)
        assert value(pipeline, SPEED) == 2.0
    async with running(tmp_path, **KAFKA) as pipeline:  # and after a restart
        assert twin_of(pipeline).position(POSITION) == 2
        assert (await pipeline.submit(message(record(9.0), position=2))).duplicate
        assert not (await pipeline.submit(message(b"{", position=3))).duplicate
        assert twin_of(pipeline).position(POSITION) == 3


async def test_positions_of_sources_do_not_hold_the_journal(tmp_path: Path) -> None:
    async with running(tmp_path, **KAFKA) as pipeline:
        await pipeline.submit(message(record(1.0), position=1))
        twin = twin_of(pipeline)
        kept = twin.budget.look(twin.graph.definition, {POSITION: 1, "monitor": 7})
        assert 1 not in kept and 7 in kept
