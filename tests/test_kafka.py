"""The Kafka adapter against a real broker, with records that kafkajs has sent."""

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from adapter_contract import AdapterContract, Store, running, until
from aiokafka import AIOKafkaConsumer, TopicPartition
from database_fixtures import PASSWORD
from ingest_fixtures import running as pipeline_running
from ingest_fixtures import twin_of
from kafka_fixtures import USER, Kafka, KafkaPeer

from iotsense.ingest.adapter import Adapter
from iotsense.ingest.configured import Configured, configured_sources
from iotsense.ingest.kafka import KafkaAdapter
from iotsense.ingest.kafka_group import ConsumerGroup
from iotsense.ingest.pipeline import Pipeline
from iotsense.ingest.reconnecting import Surroundings
from iotsense.ingest.source_state import SourceCounters, SourceState
from iotsense.twin.backoff import Backoff
from iotsense.twin.define_project import Project
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

pytestmark = [pytest.mark.needs("kafka", "openssl", "node")]

SPEED = "production_line_1.conveyor_1.conv1_speed"


def section(server: str, *topics: str, **fields: Any) -> dict[str, Any]:
    schema = {"device_id": "$.d", "name": "$.n", "value": "$.v"}
    protocol = {
        "name": "kafka",
        "bootstrap_servers": [server],
        "topics": [{"topic": topic, "schema": schema} for topic in topics],
        "session_timeout": "3s",
        **fields,
    }
    return {"sensor_ingestion": {"protocols": [protocol]}}


def configured(server: str, *topics: str, **fields: Any) -> Configured:
    (source,) = configured_sources(Project.model_validate(section(server, *topics, **fields)))
    return source


def adapter_for(source: Configured, twin: Twin | None = None) -> KafkaAdapter:
    return KafkaAdapter(source, Surroundings(Path("unused"), twin), Backoff(0.05, 0.2))


@pytest.fixture(autouse=True)
def _passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    monkeypatch.setenv("KAFKA_WRONG", "not the password")


class Topic:
    """A topic of the session's broker, as the contract's peer."""

    lossless = True

    def __init__(self, server: Kafka, peer: KafkaPeer, partitions: int = 1) -> None:
        self.server = server
        self.peer = peer
        self.name = peer.topic(partitions)

    def start(self) -> None:
        self.server.start()

    def kill(self) -> None:
        self.server.kill()

    async def send(self, payloads: Sequence[bytes | None], **fields: Any) -> None:
        await self.peer.send_soon(self.name, payloads, **fields)

    def source(self, **fields: Any) -> Configured:
        return configured(self.server.address, self.name, group_id=f"g-{self.name}", **fields)

    def committed(self) -> int:
        """What the group has committed of partition 0; -1 for nothing."""
        topics = self.peer.ask("group", group=f"g-{self.name}")
        offsets = [
            p["offset"] for t in topics if t["topic"] == self.name for p in t["partitions"] if p["partition"] == 0
        ]
        return int(offsets[0]) if offsets else -1


@pytest.fixture
def topic(kafka_server: Kafka, kafka_peer: KafkaPeer):
    yield Topic(kafka_server, kafka_peer)
    if kafka_server.process is None:
        kafka_server.start()


class TestContract(AdapterContract):
    """Every adapter's promises."""

    most_buffered = 5000

    @pytest.fixture
    def peer(self, topic: Topic) -> Topic:
        return topic

    @pytest.fixture
    def adapter(self, topic: Topic) -> KafkaAdapter:
        return adapter_for(topic.source())

    def buffered(self, adapter: Adapter) -> int:
        # What is fetched and was not asked for is aiokafka's: at most 1 MiB of a partition.
        return 0

    def made_anew(self, adapter: Adapter) -> KafkaAdapter:
        return adapter_for(adapter._source)


def record(number: float, device: str = "conveyor_1", name: str = "speed") -> bytes:
    return json.dumps({"d": device, "n": name, "v": number}).encode()


class Plant:
    """A pipeline on a twin, with one Kafka source that can be stopped and begun anew."""

    def __init__(self, pipeline: Pipeline, source: Configured) -> None:
        self.pipeline = pipeline
        self.source = source
        self.twin = twin_of(pipeline)

    def connected(self, deliver: Any = None):
        adapter = adapter_for(self.source, self.twin)
        self.pipeline.attach(adapter.status)
        return running(adapter, _Front(deliver or self.pipeline.deliver))

    @property
    def counts(self) -> tuple[int, int, int]:
        counters = self.pipeline.counters["kafka"]
        return counters.accepted, counters.stored, counters.dead_lettered


class _Front:
    def __init__(self, deliver: Any) -> None:
        self.deliver = deliver


def plant(tmp_path: Path, topic: Topic, **fields: Any):
    sections = section(topic.server.address, topic.name, group_id=f"g-{topic.name}", **fields)
    return pipeline_running(tmp_path, **sections), topic.source(**fields)


async def test_readings_their_time_and_what_cannot_be_used(tmp_path: Path, topic: Topic) -> None:
    opened, source = plant(tmp_path, topic)
    async with opened as pipeline:
        here = Plant(pipeline, source)
        stamp = now_ns() // 10**9 * 1000 - 5000
        async with here.connected():
            fields = {"key": "conveyor_1", "headers": {"line": "hall_2"}, "timestamp": str(stamp)}
            await topic.send([record(1.0), b"{", None, b"", record(7, "new_one"), record(2.5)], **fields)
            await until(lambda: here.counts == (5, 3, 2))
            await until(lambda: topic.committed() == 6)
        reading = here.twin.state.read(here.twin.graph.find_signal(SPEED).index)
        assert reading is not None and (reading.value, reading.time) == (2.5, stamp * 10**6)
        letters = here.twin.dead_letters()
        assert [letter.payload for letter in letters] == [b"{", b""]
        assert {"key": "conveyor_1", "line": "hall_2"}.items() <= letters[0].metadata.items()
        assert here.twin.graph.find("hall_2.new_one").properties["metadata"]["key"] == "conveyor_1"


async def test_what_the_journal_has_is_not_read_again_though_it_was_not_committed(
    tmp_path: Path, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, source = plant(tmp_path, topic)
    async with opened as pipeline:
        here = Plant(pipeline, source)
        with monkeypatch.context() as crash:

            async def no_commit(self: ConsumerGroup, partitions: Any = None) -> None:
                if self.partitions and not any(each.durable for each in self.partitions.values()):
                    await commit(self, partitions)

            commit = ConsumerGroup.commit
            crash.setattr(ConsumerGroup, "commit", no_commit)
            async with here.connected():
                await topic.send([record(n) for n in range(100)])
                await until(lambda: here.counts[0] == 100)
        assert topic.committed() == 0
        await topic.send([record(n) for n in range(50)])
        async with here.connected():
            await until(lambda: topic.committed() == 150)
        assert here.counts == (150, 150, 0)
        assert pipeline.counters["kafka"].duplicate == 0


async def test_an_operator_rewinds_the_group(tmp_path: Path, topic: Topic) -> None:
    opened, source = plant(tmp_path, topic)
    async with opened as pipeline:
        here = Plant(pipeline, source)
        async with here.connected():
            await topic.send([record(n) for n in range(100)])
            await until(lambda: topic.committed() == 100)
        topic.peer.ask("reset", group=f"g-{topic.name}", topic=topic.name, offset=40)
        async with here.connected():
            await until(lambda: topic.committed() == 100)
        assert here.counts == (160, 160, 0)
        async with here.connected():  # and it is not done twice
            await topic.send([record(1)])
            await until(lambda: topic.committed() == 101)
        assert here.counts == (161, 161, 0)


async def test_a_journal_that_is_older_than_the_commit(tmp_path: Path, topic: Topic) -> None:
    """A backup was restored: what it lacks is read again."""
    opened, source = plant(tmp_path, topic)
    async with opened as pipeline:
        here = Plant(pipeline, source)
        async with here.connected():
            await topic.send([record(n) for n in range(100)])
            await until(lambda: topic.committed() == 100)
        (told,) = topic.peer.ask("group", group=f"g-{topic.name}")
        mark = told["partitions"][0]["metadata"]
        assert mark.startswith("iotsense ")
        await topic.send([record(n) for n in range(50)])
        other = AIOKafkaConsumer(
            bootstrap_servers=topic.server.address, group_id=f"g-{topic.name}", enable_auto_commit=False
        )
        await other.start()
        other.assign([TopicPartition(topic.name, 0)])
        await other.commit({TopicPartition(topic.name, 0): (150, mark)})
        await other.stop()
        assert topic.committed() == 150
        async with here.connected():
            await until(lambda: here.counts[0] == 150)
        assert here.counts == (150, 150, 0)


async def test_a_topic_that_is_made_anew(tmp_path: Path, topic: Topic) -> None:
    opened, source = plant(tmp_path, topic)
    async with opened as pipeline:
        here = Plant(pipeline, source)
        async with here.connected():
            await topic.send([record(n) for n in range(20)])
            await until(lambda: topic.committed() == 20)
        topic.peer.ask("remove", topic=topic.name)
        topic.peer.ask("create", topic=topic.name, partitions=1)
        await topic.send([record(n) for n in range(10)])
        async with here.connected():
            await until(lambda: here.counts[0] == 30)
            await until(lambda: topic.committed() == 10)


async def test_members_come_and_go(
    tmp_path: Path, kafka_server: Kafka, kafka_peer: KafkaPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four partitions, a second member that joins and leaves while records come: each of them once."""
    # Two plants share no journal: once is promised where both have the time to commit what they leave to the other.
    for patience in ("kafka._SETTLE_S", "kafka._CLOSE_S", "kafka_group._SETTLE_S", "kafka_group._COMMIT_S"):
        monkeypatch.setattr(f"iotsense.ingest.{patience}", 20.0)
    topic = Topic(kafka_server, kafka_peer, partitions=4)
    opened, source = plant(tmp_path, topic, session_timeout="10s")
    other_path = tmp_path / "other"
    other_path.mkdir()
    other, _ = plant(other_path, topic, session_timeout="10s")

    sent, enough = 0, 100_000

    async def feed() -> None:
        nonlocal sent
        while sent < enough:
            await topic.send([record(n) for n in range(sent, sent + 200)])
            sent += 200
            await asyncio.sleep(0.05)

    async with opened as pipeline, other as second:
        one, two = Plant(pipeline, source), Plant(second, source)
        two.pipeline.counters.setdefault("kafka", SourceCounters())
        async with one.connected():
            feeding = asyncio.create_task(feed())
            async with two.connected():
                await until(lambda: two.counts[0] > 200)
            enough = sent + 4000
            await feeding
            await until(lambda: one.counts[0] + two.counts[0] >= sent)
            await asyncio.sleep(0.3)
        assert one.counts[0] + two.counts[0] == sent
        assert one.counts[1] + two.counts[1] == sent


async def test_a_full_pipeline_does_not_cost_us_our_partitions(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iotsense.ingest.kafka._ALIVE_S", 0.3)
    adapter, store = adapter_for(topic.source(session_timeout="1s")), Store()
    sent = [b"%d" % n for n in range(2000)]
    async with running(adapter, store):
        store.door.clear()
        await topic.send(sent)
        await asyncio.sleep(3)
        store.door.set()
        await until(lambda: len(store.messages) == len(sent))
        assert adapter.status.connects == 1
    assert store.payloads == sent


@pytest.mark.parametrize(
    ("protocol", "mechanism"),
    [("SSL", None), ("SASL_PLAINTEXT", "PLAIN"), ("SASL_PLAINTEXT", "SCRAM-SHA-256"), ("SASL_SSL", "SCRAM-SHA-512")],
)
async def test_it_is_let_in(topic: Topic, protocol: str, mechanism: str | None) -> None:
    adapter, store = adapter_for(secured(topic, protocol, mechanism)), Store()
    async with running(adapter, store):
        await topic.send([b"1"])
        await until(lambda: store.payloads == [b"1"])


def secured(topic: Topic, protocol: str, mechanism: str | None = None, **fields: Any) -> Configured:
    given: dict[str, Any] = {"security_protocol": protocol}
    if mechanism:
        given |= {"sasl_mechanism": mechanism, "username": USER, "password": "${KAFKA_PASSWORD}"}
    if protocol.endswith("SSL"):
        given["tls"] = {"ca": str(topic.server.ca)}
    port = topic.server.ports[fields.pop("port", protocol)]
    return configured(f"localhost:{port}", topic.name, group_id=f"g-{topic.name}", **given | fields)


@pytest.mark.parametrize(
    ("protocol", "mechanism", "fields", "words"),
    [
        ("SSL", None, {"tls": {}}, "the server's certificate is not trusted .*check `tls.ca`"),
        ("SASL_PLAINTEXT", "PLAIN", {"password": "${KAFKA_WRONG}"}, "does not let plant in: check username, password"),
        ("SASL_SSL", "SCRAM-SHA-256", {"username": "nobody"}, "does not let nobody in"),
        ("PLAINTEXT", None, {"port": "SASL_PLAINTEXT"}, "is `security_protocol: PLAINTEXT` what this port speaks"),
        ("SSL", None, {"port": "PLAINTEXT"}, "TLS handshake failed|what this port speaks"),
    ],
)
async def test_it_says_why_it_is_not_let_in(
    topic: Topic, protocol: str, mechanism: str | None, fields: dict[str, Any], words: str
) -> None:
    adapter = adapter_for(secured(topic, protocol, mechanism, **fields))
    async with running(adapter, Store(), wait=False):
        await until(lambda: adapter.status.state is SourceState.BACKOFF)
        assert re.search(words, str(adapter.status.error)), adapter.status.error


async def test_topics_that_are_not_there(topic: Topic) -> None:
    adapter = adapter_for(configured(topic.server.address, "not_there"))
    async with running(adapter, Store(), wait=False):
        await until(lambda: adapter.status.state is SourceState.BACKOFF)
        assert "the cluster has no topic not_there" in str(adapter.status.error)
    adapter, store = adapter_for(configured(topic.server.address, topic.name, "not_there", group_id="two")), Store()
    async with running(adapter, store):
        assert "the cluster has no topic not_there" in str(adapter.status.error)
        await topic.send([b"1"])
        await until(lambda: store.payloads == [b"1"])


async def test_an_address_that_is_none(topic: Topic) -> None:
    adapter = adapter_for(configured("kafka.local", topic.name))
    async with running(adapter, Store(), wait=False):
        await until(lambda: adapter.status.state is SourceState.FAILED)
        assert "'kafka.local' is no host:port" in str(adapter.status.error)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"security_protocol": "SASL_SSL"}, "SASL_SSL needs `username` and `password`"),
        ({"username": "me", "password": "${KAFKA_WRONG}"}, "found a login, which PLAINTEXT does not use"),
        ({"tls": {"ca": "ca.pem"}}, "found `tls`, which PLAINTEXT does not use"),
    ],
)
def test_settings_that_contradict_each_other(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        configured("127.0.0.1:9092", "a", **fields)
