"""Debezium's events over a real broker: as its connectors write them, with and without their schema part."""

import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from adapter_contract import running, until
from ingest_fixtures import running as pipeline_running
from ingest_fixtures import twin_of
from kafka_fixtures import Kafka, KafkaPeer

from iotsense.ingest.change import UNCHANGED
from iotsense.ingest.change_mapping import ChangeMapping
from iotsense.ingest.configured import Configured, configured_sources
from iotsense.ingest.debezium import DebeziumAdapter
from iotsense.ingest.debezium_envelope import change_of
from iotsense.ingest.reconnecting import Surroundings
from iotsense.twin.backoff import Backoff
from iotsense.twin.define_project import Project
from iotsense.twin.errors import InvalidValueError, StorageFullError

EXAMPLES = Path(__file__).parent / "debezium"
NS = 10**9
TIME = 1768473000123
SIGNALS = {"device_id": "$.machine", "timestamp": "$.at", "columns": [{"column": "speed", "unit": "m/s"}]}
NODES = {"id": "$.id", "parent": "production_line_1", "name": "$.label", "type": "$.kind"}


def event(op: str, before: Any = None, after: Any = None, **more: Any) -> bytes:
    source = {"connector": "postgresql", "ts_ms": TIME, "table": "machine", "lsn": 34359738368}
    document = {"before": before, "after": after, "source": source, "op": op, "ts_ms": TIME + 500, **more}
    return json.dumps(document).encode()


def with_schema(document: bytes, columns: list[dict[str, Any]]) -> bytes:
    row = {"type": "struct", "optional": True, "fields": columns}
    fields = [row | {"field": "before"}, row | {"field": "after"}, {"type": "string", "field": "op"}]
    return json.dumps({"schema": {"type": "struct", "fields": fields}, "payload": json.loads(document)}).encode()


# Envelopes ------------------------------------------------------------------------------------------------------------


def test_an_envelope() -> None:
    change = change_of(event("u", {"id": 1, "a": 1}, {"id": 1, "a": 2}), "mes.machine")
    assert change is not None
    assert (change.operation, change.table, change.time) == ("update", "mes.machine", TIME * 10**6)
    assert (change.before, change.after) == ({"id": 1, "a": 1}, {"id": 1, "a": 2})
    operations = [change_of(event(op), "t") for op in "crudt"]
    assert [each and each.operation for each in operations] == ["insert", "read", "update", "delete", "truncate"]


def test_the_finest_time_counts() -> None:
    source = {"ts_ms": TIME, "ts_us": TIME * 1000 + 7, "ts_ns": TIME * 10**6 + 7001}
    change = change_of(event("c", None, {}, source=source), "t")
    assert change is not None and change.time == TIME * 10**6 + 7001
    change = change_of(event("r", None, {}, source={"ts_ms": 0}), "t")  # a snapshot that knows no commit
    assert change is not None and change.time == (TIME + 500) * 10**6


def test_values_by_their_schema() -> None:
    columns = [
        {"field": "n", "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}},
        {"field": "v", "type": "struct", "name": "io.debezium.data.VariableScaleDecimal"},
        {"field": "us", "type": "int64", "name": "io.debezium.time.MicroTimestamp"},
        {"field": "ms", "type": "int64", "name": "io.debezium.time.Timestamp"},
        {"field": "day", "type": "int32", "name": "io.debezium.time.Date"},
        {"field": "z", "type": "string", "name": "io.debezium.time.ZonedTimestamp"},
        {"field": "j", "type": "string", "name": "io.debezium.data.Json"},
        {"field": "t", "type": "string"},
        {"field": "b", "type": "boolean"},
    ]
    row = {
        "n": "/+s=",  # -21
        "v": {"scale": 3, "value": "Bnk="},  # 1657
        "us": 1768473000123456,
        "ms": TIME,
        "day": 20468,
        "z": "2026-01-15T10:30:00Z",
        "j": '{"a": [1]}',
        "t": "__debezium_unavailable_value",
        "b": True,
    }
    change = change_of(with_schema(event("c", None, row), columns), "t")
    assert change is not None and change.after is not None
    assert change.after == {
        "n": -0.21,
        "v": 1.657,
        "us": 1768473000123456000,
        "ms": TIME * 10**6,
        "day": 20468 * 86400 * NS,
        "z": "2026-01-15T10:30:00Z",
        "j": {"a": [1]},
        "t": UNCHANGED,
        "b": True,
    }


@pytest.mark.parametrize(
    "other",
    [
        {"ts_ms": TIME},  # a heartbeat
        {"status": "END", "id": "571:53195832", "event_count": 2, "data_collections": []},  # transaction metadata
        {"source": {}, "databaseName": "mes", "ddl": "ALTER TABLE x", "tableChanges": []},  # schema history
        {"op": "m", "message": {"prefix": "p", "content": ""}, "source": {}},  # a logical message
    ],
)
def test_what_changes_no_row(other: dict[str, Any]) -> None:
    assert change_of(json.dumps(other).encode(), "t") is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"{", "is not JSON"),
        (b"[1]", "expected an object"),
        (b'{"id": 1, "speed": 2}', "it has no `op`; if the transformation ExtractNewRecordState"),
        (b'{"op": "c", "after": 5}', "`before` and `after` are rows"),
    ],
)
def test_what_is_no_event(value: bytes, words: str) -> None:
    with pytest.raises(InvalidValueError, match=words):
        change_of(value, "t")


RECORDED = {
    "sqlserver": ("update", {"id": 7, "machine": "press_1", "speed": 1.5}, {"speed": 1.75}),
    "oracle": ("insert", None, {"ID": 7.0, "MACHINE": "press_1", "SPEED": 1.75}),
    "mysql": ("delete", {"id": 7, "machine": "press_1", "speed": 1.75}, None),
}


@pytest.mark.parametrize("connector", RECORDED)
def test_events_as_other_connectors_write_them(connector: str) -> None:
    operation, before, after = RECORDED[connector]
    change = change_of((EXAMPLES / f"{connector}.json").read_bytes(), "t")
    assert change is not None and change.operation == operation and change.time is not None
    for told, expected in ((change.before, before), (change.after, after)):
        assert (told is None) == (expected is None)
        assert expected is None or (told or {}).items() >= expected.items()


# Over Kafka -----------------------------------------------------------------------------------------------------------


class Topics:
    def __init__(self, server: Kafka, peer: KafkaPeer) -> None:
        self.server = server
        self.peer = peer
        self.readings, self.machines = peer.topic(), peer.topic()

    def section(self, **nodes: Any) -> dict[str, Any]:
        given = {
            "name": "debezium",
            "bootstrap_servers": [self.server.address],
            "group_id": f"g-{self.readings}",
            "session_timeout": "3s",
            "topics": [
                {"topic": self.readings, "signals": SIGNALS},
                {"topic": self.machines, "nodes": NODES | nodes},
            ],
        }
        return {"sensor_ingestion": {"protocols": [given]}}


@pytest.fixture
def topics(kafka_server: Kafka, kafka_peer: KafkaPeer) -> Topics:
    return Topics(kafka_server, kafka_peer)


@asynccontextmanager
async def connected(pipeline, source: Configured):
    adapter = DebeziumAdapter(source, Surroundings(Path("unused"), twin_of(pipeline)), Backoff(0.05, 0.2))
    pipeline.attach(adapter.status)
    async with running(adapter, pipeline):
        yield adapter


@pytest.mark.needs("kafka", "openssl", "node")
async def test_rows_become_readings_and_nodes(tmp_path: Path, topics: Topics) -> None:
    section = topics.section()
    (source,) = configured_sources(Project.model_validate(section))
    async with pipeline_running(tmp_path, **section) as pipeline:
        twin = twin_of(pipeline)

        def node(id: str):
            key = twin.graph.key_by_id.get(f"production_line_1.{id}")
            return twin.graph.node_map[key] if key is not None else None

        async with connected(pipeline, source):
            machine = {"id": "press_1", "label": "Press one", "kind": "press", "serial": 17}
            await topics.peer.send_soon(topics.machines, [event("r", None, machine)])
            await until(lambda: node("press_1"))
            first = node("press_1")
            assert (first.name, first.type, first.properties["serial"]) == ("Press one", "press", 17)
            reading = {"machine": "press_1", "at": TIME, "speed": 1.5}
            sent = [event("c", None, reading), b"{", None, event("d", reading), json.dumps({"ts_ms": 1}).encode()]
            await topics.peer.send_soon(
                topics.readings, [*sent, event("c", None, reading | {"speed": 2, "at": TIME + 1})]
            )
            counters = pipeline.counters["debezium"]
            await until(lambda: (counters.stored, counters.dead_lettered) == (2, 1))
            signal = twin.graph.find_signal("production_line_1.press_1.speed.value")
            assert twin.state.read(signal.index).value == 2.0
            (letter,) = twin.dead_letters()
            assert (letter.payload, letter.topic) == (b"{", topics.readings)
            changed = event("u", {"id": "press_1"}, machine | {"label": "The press"})
            await topics.peer.send_soon(topics.machines, [changed, event("d", machine), None])
            await until(lambda: "deleted" in node("press_1").properties)
            assert (node("press_1").name, node("press_1").key) == ("The press", first.key)
        async with connected(pipeline, source):  # at the position: nothing comes again
            await topics.peer.send_soon(topics.readings, [event("c", None, reading | {"speed": 3, "at": TIME + 2})])
            await until(lambda: counters.stored == 3)
        twin.catch_up()
        assert twin.history(signal.index, 0, 2**62).value.tolist() == [1.5, 2.0, 3.0]
        assert counters.duplicate == 0


@pytest.mark.needs("kafka", "openssl", "node")
async def test_nodes_that_are_read_again_change_nothing(tmp_path: Path, topics: Topics) -> None:
    section = topics.section()
    (source,) = configured_sources(Project.model_validate(section))
    async with pipeline_running(tmp_path, **section) as pipeline:
        twin = twin_of(pipeline)
        machines = [event("c", None, {"id": f"m{n}", "label": f"Machine {n}", "kind": "press"}) for n in range(50)]
        async with connected(pipeline, source):
            await topics.peer.send_soon(topics.machines, machines)
            await until(lambda: "production_line_1.m49" in twin.graph)
        revision = twin.graph.revision
        topics.peer.ask("reset", group=f"g-{topics.readings}", topic=topics.machines, offset=0)
        more = event("c", None, {"id": "m50", "label": "Machine 50", "kind": "press"})
        async with connected(pipeline, source):
            await topics.peer.send_soon(topics.machines, [more])
            await until(lambda: "production_line_1.m50" in twin.graph)
        assert twin.graph.revision == revision + 1


@pytest.mark.needs("kafka", "openssl", "node")
async def test_nodes_that_cannot_be_written_are_read_again(
    tmp_path: Path, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotsense.ingest.kafka_partition.MOST_RECORDS", 10)
    change_nodes, calls = ChangeMapping.change_nodes, []

    async def full_at_first(self: ChangeMapping, twin: Any, taken: Any) -> None:
        calls.append(taken)
        if len(calls) == 3:
            raise StorageFullError("the disk is full")
        await change_nodes(self, twin, taken)

    monkeypatch.setattr(ChangeMapping, "change_nodes", full_at_first)
    section = topics.section()
    (source,) = configured_sources(Project.model_validate(section))
    async with pipeline_running(tmp_path, **section) as pipeline:
        rows = [{"machine": "m", "at": TIME + n, "speed": n} for n in range(50)]
        await topics.peer.send_soon(topics.readings, [event("c", None, row) for row in rows])
        async with connected(pipeline, source) as adapter:
            await until(lambda: pipeline.counters["debezium"].stored >= 50)
            assert adapter.status.connects == 2
        assert pipeline.counters["debezium"].stored == 50
