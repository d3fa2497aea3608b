"""The AMQP adapter against a real RabbitMQ."""

import asyncio
import json
import re
import struct
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aiormq
import pytest
import servers
from adapter_contract import AdapterContract, Store, running, until
from database_fixtures import PASSWORD
from ingest_fixtures import running as pipeline_running
from ingest_fixtures import twin_of
from peer_server import listening
from rabbitmq_fixtures import USER, RabbitMQ

from iotsense.ingest.adapter import Adapter
from iotsense.ingest.amqp import AmqpAdapter
from iotsense.ingest.amqp_wire import Delivery, DeliveryReader, header_values
from iotsense.ingest.configured import Configured, configured_sources
from iotsense.ingest.pipeline import Pipeline
from iotsense.ingest.reconnecting import Surroundings
from iotsense.ingest.source_state import SourceState
from iotsense.twin.backoff import Backoff
from iotsense.twin.define_project import Project
from iotsense.twin.times import parse_time

pytestmark = [pytest.mark.needs("rabbitmq", "openssl")]
SPEED = "production_line_1.conveyor_1.conv1_speed"
SCHEMA = {"device_id": "$.d", "name": "$.n", "value": "$.v"}


def section(url: str, *queues: dict[str, Any], **fields: Any) -> dict[str, Any]:
    given = {"name": "amqp", "url": url, "queues": list(queues), "username": USER, "password": "${AMQP_PASSWORD}"}
    return {"sensor_ingestion": {"protocols": [given | fields]}}


def configured(url: str, *queues: dict[str, Any], **fields: Any) -> Configured:
    (source,) = configured_sources(Project.model_validate(section(url, *queues, **fields)))
    return source


def adapter_for(source: Configured) -> AmqpAdapter:
    return AmqpAdapter(source, Surroundings(Path("unused")), Backoff(0.05, 0.2))


@pytest.fixture(autouse=True)
def _passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_PASSWORD", PASSWORD)
    monkeypatch.setenv("AMQP_WRONG", "not the password")


class Queue:
    """A queue of the session's broker, as the contract's peer."""

    lossless = True

    def __init__(self, server: RabbitMQ) -> None:
        self.server = server
        self.made = False
        self.name = f"q{uuid4().hex[:12]}"

    @property
    def url(self) -> str:
        return f"amqp://{USER}:{quote(PASSWORD)}@127.0.0.1:{self.server.port}/"

    def start(self) -> None:
        self.server.start()

    def kill(self) -> None:
        time.sleep(0.5)  # it writes acknowledgements to the disk when it has a moment
        self.server.kill()

    async def send(self, payloads: Sequence[bytes], exchange: str = "", key: str | None = None, **fields: Any) -> None:
        async with aiormq.Connection(self.url) as connection:
            channel = await connection.channel()
            if not exchange and not self.made:
                await channel.queue_declare(self.name, durable=True)
            for first in range(0, len(payloads), 500):
                await asyncio.gather(
                    *(
                        channel.basic_publish(
                            payload,
                            exchange=exchange,
                            routing_key=self.name if key is None else key,
                            properties=aiormq.spec.Basic.Properties(delivery_mode=2, **fields),
                        )
                        for payload in payloads[first : first + 500]
                    )
                )

    async def depth(self, name: str | None = None) -> int:
        """How many messages wait in a queue."""
        async with aiormq.Connection(self.url) as connection:
            channel = await connection.channel()
            count = (await channel.queue_declare(name or self.name, passive=True)).message_count
            return count or 0

    @property
    def section(self) -> dict[str, Any]:
        return section(self.server.address, {"queue": self.name, "schema": SCHEMA})

    def source(self, **fields: Any) -> Configured:
        return configured(self.server.address, {"queue": self.name, "schema": SCHEMA}, **fields)


@pytest.fixture
def queue(rabbitmq_server: RabbitMQ):
    yield Queue(rabbitmq_server)
    if rabbitmq_server.process is None:
        rabbitmq_server.start()


class TestContract(AdapterContract):
    """Every adapter's promises."""

    most_buffered = 1000

    @pytest.fixture
    def peer(self, queue: Queue) -> Queue:
        return queue

    @pytest.fixture
    def adapter(self, queue: Queue) -> AmqpAdapter:
        return adapter_for(queue.source())

    def buffered(self, adapter: Adapter) -> int:
        return len(adapter._inbox)

    def made_anew(self, adapter: Adapter) -> AmqpAdapter:
        return adapter_for(adapter._source)


def reading(number: float, device: str = "conveyor_1", name: str = "speed") -> bytes:
    return json.dumps({"d": device, "n": name, "v": number}).encode()


def connected(pipeline: Pipeline, source: Configured):
    adapter = adapter_for(source)
    pipeline.attach(adapter.status)
    return running(adapter, pipeline)  # type: ignore[arg-type]


async def test_readings_with_what_their_properties_say(tmp_path: Path, queue: Queue) -> None:
    async with pipeline_running(tmp_path, **queue.section) as pipeline:
        async with connected(pipeline, queue.source()):
            stamp = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
            await queue.send([reading(1.5), b"{"], timestamp=stamp, headers={"line": "hall_2", "x": [1]})
            await queue.send([reading(2, "new_one")], headers={"line": "hall_2"})
            counters = pipeline.counters["amqp"]
            await until(lambda: (counters.accepted, counters.stored, counters.dead_lettered) == (3, 2, 1))
        twin = twin_of(pipeline)
        found = twin.state.read(twin.graph.find_signal(SPEED).index)
        assert found is not None and (found.value, found.time) == (1.5, parse_time("2026-01-15T10:30:00Z"))
        (letter,) = twin.dead_letters()
        assert (letter.payload, letter.topic, letter.metadata["line"]) == (b"{", queue.name, "hall_2")
        assert twin.graph.find("hall_2.new_one")
        assert await queue.depth() == 0


async def test_a_message_of_one_id_counts_once(tmp_path: Path, queue: Queue) -> None:
    async with pipeline_running(tmp_path, **queue.section) as pipeline:
        for count in (1, 2):
            async with connected(pipeline, queue.source()):
                await queue.send([reading(1.5)], message_id="42")
                await until(partial(lambda n: pipeline.counters["amqp"].acknowledged == n, count))
        counters = pipeline.counters["amqp"]
        assert (counters.accepted, counters.duplicate, counters.stored) == (1, 1, 1)


async def test_acknowledgements_are_runs(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    acks: list[tuple[int, bool]] = []
    real = aiormq.Channel.basic_ack

    async def counted(self: Any, tag: int, multiple: bool = False, wait: bool = True) -> None:
        acks.append((tag, multiple))
        await real(self, tag, multiple, wait)

    monkeypatch.setattr(aiormq.Channel, "basic_ack", counted)
    await queue.send([b"%d" % i for i in range(3000)])
    store = Store()
    async with running(adapter_for(queue.source()), store):
        await until(lambda: len(store.messages) == 3000)
    assert acks[-1] == (3000, True)
    assert len(acks) < 1500
    assert await queue.depth() == 0


async def test_what_cannot_be_used_is_rejected_where_that_is_wanted(tmp_path: Path, queue: Queue) -> None:
    dead = f"{queue.name}.dead"
    async with aiormq.Connection(queue.url) as connection:
        await (await connection.channel()).queue_declare(dead, durable=True)
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
    wanted = {"queue": queue.name, "schema": SCHEMA, "arguments": arguments, "reject": True}
    async with pipeline_running(tmp_path, **section(queue.server.address, wanted)) as pipeline:
        async with connected(pipeline, configured(queue.server.address, wanted)):
            queue.made = True
            await queue.send([reading(1), b"{", reading(2), b"}"])
            counters = pipeline.counters["amqp"]
            await until(lambda: (counters.stored, counters.dead_lettered) == (2, 2))
        assert await queue.depth(dead) == 2
        assert await queue.depth() == 0
        assert [letter.payload for letter in twin_of(pipeline).dead_letters()] == [b"{", b"}"]


async def test_what_is_missing_is_made(queue: Queue) -> None:
    exchange = f"x{queue.name}"
    wanted = {"queue": queue.name, "exchange": exchange, "routing_key": "plant.*.speed"}
    store = Store()
    async with running(adapter_for(configured(queue.server.address, wanted)), store):
        await queue.send([b"1"], exchange, "plant.line_1.speed")
        await queue.send([b"2"], exchange, "plant.line_1.power")
        await queue.send([b"3"], exchange, "plant.line_2.speed")
        await until(lambda: len(store.messages) == 2)
    assert [(m.payload, m.topic, m.via) for m in store.messages] == [
        (b"1", "plant.line_1.speed", queue.name),
        (b"3", "plant.line_2.speed", queue.name),
    ]
    async with running(adapter_for(configured(queue.server.address, wanted)), Store()):
        pass  # and is taken as it is the next time


@pytest.mark.needs("amqp-tools")
async def test_lines_of_another_client(queue: Queue) -> None:
    """librabbitmq's."""
    store = Store()
    async with running(adapter_for(queue.source()), store):
        login = ["--username", USER, "--password", PASSWORD, "-s", "127.0.0.1", "--port", str(queue.server.port)]
        command = [servers.program("amqp-tools"), *login, "-r", queue.name, "-p", "-l", "-C", "text/plain"]
        lines = b"".join(b"%d\n" % i for i in range(200))
        await asyncio.to_thread(lambda: subprocess.run(command, input=lines, check=True))
        await until(lambda: len(store.messages) == 200)
    assert [payload.strip() for payload in store.payloads] == [b"%d" % i for i in range(200)]
    assert store.messages[0].content_type == "text/plain"


async def test_tls(queue: Queue) -> None:
    url = f"amqps://localhost:{queue.server.tls_port}"
    store = Store()
    trusted = configured(url, {"queue": queue.name}, tls={"ca": str(queue.server.ca)})
    async with running(adapter_for(trusted), store):
        await queue.send([b"1"])
        await until(lambda: store.payloads == [b"1"])
    await _fails(configured(url, {"queue": queue.name}), "certificate is not trusted .*check `tls.ca`")


async def _fails(source: Configured, words: str) -> None:
    adapter = adapter_for(source)
    async with running(adapter, Store(), wait=False):
        await until(lambda: adapter.status.state in (SourceState.BACKOFF, SourceState.FAILED))
        assert re.search(words, str(adapter.status.error)), adapter.status.error


async def test_it_says_why_it_is_not_let_in(queue: Queue) -> None:
    address, one = queue.server.address, {"queue": queue.name}
    await _fails(configured(address, one, password="${AMQP_WRONG}"), "does not let plant in: check username")
    await _fails(configured(f"{address}/nowhere", one), "virtual host /nowhere")
    await _fails(configured(address, one | {"declare": "passive"}), f"has no queue {queue.name}: make it there, or say")
    async with running(adapter_for(configured(address, one)), Store()):
        pass
    await _fails(configured(address, one | {"durable": False}), "is there with other settings; say `declare: passive`")
    async with running(adapter_for(configured(address, one | {"durable": False, "declare": "passive"})), Store()):
        pass


async def test_a_queue_that_is_deleted(queue: Queue) -> None:
    adapter = adapter_for(configured(queue.server.address, {"queue": queue.name}))
    async with running(adapter, Store()):
        async with aiormq.Connection(queue.url) as connection:
            await (await connection.channel()).queue_delete(queue.name)
        await until(lambda: adapter.status.connects == 2)  # and it is declared again


async def test_a_broker_of_amqp_1_0() -> None:
    """Such a broker answers with the header of its own protocol (AMQP 1.0, 2.2)."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"AMQP\x00\x01\x00\x00")

    async with listening(answer) as port:
        await _fails(configured(f"amqp://127.0.0.1:{port}", {"queue": "q"}), "AMQP 1.0 .* is another protocol")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tls": {"ca": "ca.pem"}}, "found `tls` with amqp://"),
        ({"password": None}, "found a `username` without a `password`"),
        ({"prefetch": 0}, "greater than or equal to 1|at least"),
    ],
)
def test_settings_that_contradict_each_other(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        configured("amqp://127.0.0.1:5672", {"queue": "q"}, **fields)


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


async def test_deliveries_are_taken_out_of_the_stream_wherever_it_is_cut() -> None:
    """All properties, an empty body, one of several frames, a heartbeat in between; aiormq's codec wrote them."""
    from pamqp import commands, header
    from pamqp.frame import marshal

    properties = commands.Basic.Properties(
        content_type="application/json",
        content_encoding="x",
        headers={"line": "a", "n": 5},
        delivery_mode=2,
        priority=3,
        correlation_id="c",
        reply_to="r",
        expiration="1",
        message_id="id-7",
        timestamp=datetime(2026, 1, 15, tzinfo=UTC),
        app_id="app",
    )
    body = b"x" * 70_000
    stream = marshal(commands.Basic.Deliver("q", 1, False, "", "key.a"), 2)
    stream += marshal(header.ContentHeader(0, len(body), properties), 2)
    stream += frame(3, 2, body[:40_000]) + frame(8, 0, b"") + frame(3, 2, body[40_000:])
    stream += marshal(commands.Basic.Deliver("q", 2, True, "x", ""), 2)
    stream += marshal(header.ContentHeader(0, 0, commands.Basic.Properties()), 2)
    ok = marshal(commands.Basic.QosOk(), 2)
    for size in (1, 7, 1000, len(stream) + len(ok)):
        found: list[Delivery] = []
        reader = DeliveryReader(found.extend)
        data = stream + ok
        for at in range(0, len(data), size):
            reader.feed_data(data[at : at + size])
        reader.feed_eof()
        first, second = found
        assert (first.consumer, first.tag, first.routing_key, first.body) == ("q", 1, "key.a", body)
        assert (first.content_type, first.message_id) == ("application/json", "id-7")
        assert first.timestamp == datetime(2026, 1, 15, tzinfo=UTC).timestamp()
        assert first.headers is not None and header_values(first.headers) == {"line": "a", "n": 5}
        assert (second.tag, second.body, second.headers) == (2, b"", None)
        passed = await reader.read()
        assert passed.replace(frame(8, 0, b""), b"") == ok
