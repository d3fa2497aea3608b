"""The MQTT adapter against a real broker: both versions, every quality of service, and everything that goes wrong."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import aiomqtt
import pytest
import servers
from adapter_contract import AdapterContract, Store, running, until
from mosquitto_fixtures import Mosquitto
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from iotsense.ingest.adapter import Adapter
from iotsense.ingest.mqtt import MqttAdapter
from iotsense.ingest.mqtt_broker import MqttBroker, mqtt_brokers
from iotsense.ingest.source_state import SourceState
from iotsense.twin.backoff import Backoff
from iotsense.twin.define_mqtt import MqttConnection
from iotsense.twin.define_project import Project

pytestmark = [pytest.mark.needs("mosquitto")]


class Broker(Mosquitto):
    """A broker, and a publisher of one quality of service."""

    qos = 1

    @property
    def lossless(self) -> bool:
        return self.qos > 0

    def kill(self) -> None:
        # Its sessions are on the disk: mosquitto writes them from time to time, not at the moment of SIGKILL.
        self.save()
        super().kill()

    async def send(self, payloads: Sequence[bytes], topic: str = "plant/a", **options) -> None:
        async with aiomqtt.Client("127.0.0.1", self.port, max_inflight_messages=20) as client:
            paho = client._client
            infos = [paho.publish(topic, payload, self.qos, **options) for payload in payloads]
            for info in infos:
                await until(info.is_published)


class Proxy:
    """Stands between adapter and broker, and cuts the line without either of them having died."""

    def __init__(self, to: int) -> None:
        self.to = to
        self.port = servers.free_port()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        self._writers += [writer, far_writer]
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


def adapter_for(url: str, qos: int = 1, topics: Sequence[str] = ("plant/#",), **settings) -> MqttAdapter:
    broker = MqttBroker("mqtt", url, tuple((topic, qos) for topic in topics), MqttConnection(**settings))
    return MqttAdapter(broker, Backoff(0.05, 0.2))


@pytest.fixture
def broker(tmp_path: Path):
    broker = Broker(tmp_path / "mosquitto")
    broker.start()
    yield broker
    broker.stop()


class TestContract(AdapterContract):
    """Every adapter's promises, in both versions and at every quality of service."""

    most_buffered = 5000

    @pytest.fixture(params=[("3.1.1", 0), ("3.1.1", 1), ("3.1.1", 2), ("5.0", 1), ("5.0", 2)])
    def spoken(self, request) -> tuple[str, int]:
        return request.param

    @pytest.fixture
    def peer(self, broker: Broker, spoken: tuple[str, int]) -> Broker:
        broker.qos = spoken[1]
        return broker

    @pytest.fixture
    def adapter(self, peer: Broker, spoken: tuple[str, int]) -> MqttAdapter:
        return adapter_for(peer.url, spoken[1], version=spoken[0])

    def buffered(self, adapter: Adapter) -> int:
        connection = adapter._connection
        return len(connection._inbox)

    def made_anew(self, adapter: Adapter) -> MqttAdapter:
        return MqttAdapter(adapter._broker, Backoff(0.05, 0.2))


@pytest.mark.parametrize("version", ["3.1.1", "5.0"])
@pytest.mark.parametrize("qos", [1, 2])
async def test_a_redelivery_of_what_we_have_is_not_taken_in_twice(broker: Broker, version: str, qos: int) -> None:
    broker.qos = qos
    store = Store()
    store.acking = False
    async with Proxy(broker.port) as proxy:
        adapter = adapter_for(f"mqtt://127.0.0.1:{proxy.port}", qos, version=version)
        async with running(adapter, store):
            await broker.send([b"same", b"same", b"other"])
            await until(lambda: len(store.messages) == 3)
            store.messages[0].ack()
            proxy.cut()
            await until(lambda: adapter.status.connects == 2)
            await asyncio.sleep(0.2)
            assert store.payloads == [b"same", b"same", b"other"]
            store.ack_all()
            await broker.send([b"same"])
            await until(lambda: len(store.messages) == 4)
            store.ack_all()
            await asyncio.sleep(0.1)
        never = Store()
        async with running(adapter_for(broker.url, qos, version=version, client_id=adapter._broker.client_id), never):
            await asyncio.sleep(0.3)
    assert never.payloads == []


async def test_a_long_wait_for_the_store_is_no_reason_to_part(broker: Broker) -> None:
    store = Store()
    adapter = adapter_for(broker.url, keep_alive="2s")
    sent = [b"%06d" % i for i in range(10_000)]
    async with running(adapter, store):
        store.door.clear()
        await broker.send(sent)
        await asyncio.sleep(5.5)
        store.door.set()
        await until(lambda: len(store.messages) >= len(sent))
        assert adapter.status.connects == 1
    assert store.payloads == sent


@pytest.mark.parametrize("version", ["3.1.1", "5.0"])
async def test_what_a_session_has_kept_may_be_more_than_we_take_at_once(broker: Broker, version: str) -> None:
    broker.stop()
    broker.settings = "max_inflight_messages 0\n"
    broker.start()
    adapter = adapter_for(broker.url, version=version, receive_maximum=65535)
    async with running(adapter, Store()):
        pass
    sent = [b"%06d" % i * 100 for i in range(12_000)]
    await broker.send(sent)
    store = Store()
    async with running(MqttAdapter(adapter._broker), store):
        await until(lambda: len(store.messages) >= len(sent))
    assert store.payloads == sent


@pytest.mark.parametrize("version", ["3.1.1", "5.0"])
async def test_a_retained_message_is_marked_and_comes_once(broker: Broker, version: str) -> None:
    await broker.send([b"old"], "plant/r", retain=True)
    store = Store()
    async with Proxy(broker.port) as proxy:
        adapter = adapter_for(f"mqtt://127.0.0.1:{proxy.port}", version=version)
        async with running(adapter, store):
            await until(lambda: len(store.messages) == 1)
            await broker.send([b"new"], "plant/r", retain=True)
            await until(lambda: len(store.messages) == 2)
            proxy.cut()
            await until(lambda: adapter.status.connects == 2)
            await asyncio.sleep(0.2)
    assert [(message.payload, message.retained) for message in store.messages] == [(b"old", True), (b"new", False)]


async def test_a_session_keeps_what_comes_while_we_are_away(broker: Broker) -> None:
    first, second = Store(), Store()
    async with running(adapter_for(broker.url), first):
        pass
    await broker.send([b"1", b"2"])
    async with running(adapter_for(broker.url), second):
        await until(lambda: len(second.messages) == 2)
    assert second.payloads == [b"1", b"2"]


async def test_a_clean_start_forgets_the_session(broker: Broker) -> None:
    async with running(adapter_for(broker.url), Store()):
        pass
    await broker.send([b"1"])
    store = Store()
    async with running(adapter_for(broker.url, clean_start=True), store):
        await asyncio.sleep(0.2)
    assert store.payloads == []


async def test_topics_that_are_no_longer_configured_are_left_alone(broker: Broker) -> None:
    async with running(adapter_for(broker.url, topics=["plant/#", "old/#"]), Store()):
        pass
    store = Store()
    async with running(adapter_for(broker.url), store):
        await broker.send([b"1"], "old/x")
        await broker.send([b"2"], "plant/x")
        await until(lambda: len(store.messages) == 1)
    assert store.payloads == [b"2"]


async def test_content_type_and_user_properties_of_mqtt_5(broker: Broker) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "application/json"
    properties.UserProperty = [("plant", "works 1"), ("größe", "7")]
    properties.MessageExpiryInterval = 100
    store = Store()
    async with running(adapter_for(broker.url), store):
        async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.publish("plant/x", b"1", qos=1, properties=properties)
        await until(lambda: len(store.messages) == 1)
    (message,) = store.messages
    assert (message.topic, message.content_type) == ("plant/x", "application/json")
    assert message.metadata == {"plant": "works 1", "größe": "7"}


async def test_overlapping_subscriptions_bring_a_message_once(broker: Broker) -> None:
    store = Store()
    project = Project.model_validate(
        {
            "sensor_ingestion": {
                "protocols": [{"name": "mqtt", "broker": broker.url, "topics": [{"pattern": "plant/+", "qos": 2}]}]
            },
            "iotsense": {
                "ingestion": {"mqtt": {"brokers": [{"url": broker.url, "client_id": "me"}], "topics": ["plant/#"]}}
            },
        }
    )
    (one,) = mqtt_brokers(project)
    assert (one.client_id, one.subscriptions) == ("me", (("plant/#", 2),))
    async with running(MqttAdapter(one), store):
        await broker.send([b"1"])
        await until(lambda: store.messages)
        await asyncio.sleep(0.1)
    assert store.payloads == [b"1"]


# Who may come in


async def test_a_wrong_password_is_said(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    broker.stop()
    broker.password("iotsense", "right")
    broker.start()
    monkeypatch.setenv("MQTT_PASSWORD", "wrong")
    for version in ("3.1.1", "5.0"):
        adapter = adapter_for(broker.url, version=version, username="iotsense", password="${MQTT_PASSWORD}")
        monkeypatch.setenv("MQTT_PASSWORD", "wrong")
        async with running(adapter, Store(), wait=False):
            await until(lambda adapter=adapter: adapter.status.state is SourceState.BACKOFF)
            error = str(adapter.status.error)
            assert "check username and password of iotsense" in error
            assert "wrong" not in error
            monkeypatch.setenv("MQTT_PASSWORD", "right")
            await until(lambda adapter=adapter: adapter.status.state is SourceState.RUNNING)


async def test_a_password_that_nobody_set_is_no_reason_to_try_again(broker: Broker) -> None:
    adapter = adapter_for(broker.url, username="me", password="${IOTSENSE_TEST_UNSET}")
    await asyncio.wait_for(adapter.run(Store().deliver), 5)
    assert adapter.status.state is SourceState.FAILED
    assert "IOTSENSE_TEST_UNSET is not set" in str(adapter.status.error)


async def test_a_missing_library_is_said_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "iotsense.ingest.mqtt_connection", None)
    adapter = adapter_for("mqtt://127.0.0.1:1")
    await asyncio.wait_for(adapter.run(Store().deliver), 5)
    assert adapter.status.state is SourceState.FAILED
    assert "pip install 'iotsense[mqtt]'" in str(adapter.status.error)


async def test_a_topic_that_the_broker_forbids_is_said(broker: Broker) -> None:
    broker.stop()
    (broker.folder / "acl").write_text("topic read plant/#\n")
    broker.settings = f"acl_file {broker.folder}/acl\n"
    broker.start()
    adapter = adapter_for(broker.url, topics=["plant/#", "secret/#"], version="3.1.1")
    async with running(adapter, Store()):
        error = adapter.status.error
    # mosquitto 2.0 grants every subscription and forwards nothing of what may not be read.
    assert error is None or "secret/#" in error


async def test_two_clients_of_one_name_are_suspected(broker: Broker) -> None:
    first, second = adapter_for(broker.url, client_id="same"), adapter_for(broker.url, client_id="same")
    async with running(first, Store()), running(second, Store()):
        await until(lambda: "another client may be using our client id same" in f"{first.status.error}")


async def test_a_broker_that_says_why_is_quoted(unused_tcp_port: int) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"\x20\x03\x00\x00\x00\xe0\x02\x8e\x00")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(broker, "127.0.0.1", unused_tcp_port):
        adapter = adapter_for(f"mqtt://127.0.0.1:{unused_tcp_port}", client_id="same", topics=())
        async with running(adapter, Store(), wait=False):
            await until(lambda: "another client uses our client id same" in str(adapter.status.error))


async def test_a_peer_that_is_no_broker(unused_tcp_port: int) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", unused_tcp_port)
    async with server:
        adapter = adapter_for(f"mqtt://127.0.0.1:{unused_tcp_port}")
        async with running(adapter, Store(), wait=False):
            await until(lambda: adapter.status.state is SourceState.BACKOFF)
            assert adapter.status.error


async def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1(unused_tcp_port: int) -> None:
    spoken: list[int] = []

    async def old_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.read(1000)
        spoken.append(hello[8])
        writer.write(b"\x20\x02\x00\x01" if hello[8] == 5 else b"\x20\x02\x00\x00")
        while chunk := await reader.read(1000):
            if chunk[0] == 0x82:
                writer.write(b"\x90\x03" + chunk[2:4] + b"\x01")
        writer.close()

    async with await asyncio.start_server(old_broker, "127.0.0.1", unused_tcp_port):
        adapter = adapter_for(f"mqtt://127.0.0.1:{unused_tcp_port}")
        async with running(adapter, Store()):
            assert adapter.status.state is SourceState.RUNNING
    assert spoken == [5, 4]


# TLS


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """ca.pem, and server.pem and client.pem with their keys, that it signed."""

    def openssl(*arguments: str) -> None:
        subprocess.run([servers.program("openssl"), *arguments], cwd=tmp_path, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA")
    for name, alternative in (("server", "DNS:broker.factory.local"), ("client", "DNS:iotsense")):
        (tmp_path / "ext").write_text(f"subjectAltName={alternative}\n")
        openssl("req", *key[:-2], "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext"]
        openssl("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.pem")
        (tmp_path / f"{name}.key").chmod(0o600)
    return tmp_path


@pytest.fixture
def secured(broker: Broker, certificates: Path) -> Broker:
    """A broker that speaks TLS and wants a certificate of its clients."""
    broker.stop()
    broker.settings = "".join(
        f"{name} {certificates}/{file}\n"
        for name, file in (("cafile", "ca.pem"), ("certfile", "server.pem"), ("keyfile", "server.key"))
    )
    broker.settings += "require_certificate true\n"
    broker.start()
    return broker


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("version", ["3.1.1", "5.0"])
async def test_tls(secured: Broker, certificates: Path, version: str) -> None:
    tls = {
        "ca": str(certificates / "ca.pem"),
        "certificate": str(certificates / "client.pem"),
        "key": str(certificates / "client.key"),
        "server_name": "broker.factory.local",
    }
    url = secured.url.replace("mqtt:", "mqtts:")
    sent = [b"%05d" % i * 200 for i in range(5000)]
    store = Store()
    async with running(adapter_for(url, version=version, tls=tls), store):
        publish = ["-p", str(secured.port), "--cafile", tls["ca"], "--cert", tls["certificate"], "--key", tls["key"]]
        command = [servers.program("mosquitto-clients"), *publish, "--insecure", "-t", "plant/a", "-q", "1", "-l"]
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
        await process.communicate(b"\n".join(sent) + b"\n")
        await until(lambda: len(store.messages) >= len(sent))
    assert store.payloads == sent


@pytest.mark.needs("openssl")
async def test_tls_trusts_nobody_by_itself(secured: Broker, certificates: Path) -> None:
    url = secured.url.replace("mqtt:", "mqtts:")
    ca = {"ca": str(certificates / "ca.pem")}
    for tls, words in (
        (None, "certificate verify failed"),
        (ca, "certificate is not valid for '127.0.0.1'"),
        ({"ca": str(certificates / "missing.pem")}, "missing.pem cannot be used: No such file or directory"),
        (ca | {"server_name": "another.factory.local"}, "not valid for 'another.factory.local'"),
        ({"insecure": True}, "certificate required"),
    ):
        adapter = adapter_for(url, tls=tls)
        async with running(adapter, Store(), wait=False):
            await until(lambda adapter=adapter: adapter.status.state is SourceState.BACKOFF)
            assert words in str(adapter.status.error)


async def test_websockets(broker: Broker) -> None:
    port = servers.free_port()
    broker.stop()
    broker.settings = f"listener {port} 127.0.0.1\nprotocol websockets\n"
    broker.start()
    sent = [b"%05d" % i for i in range(1000)] + [b"x" * 100_000]
    store = Store()
    async with running(adapter_for(f"ws://127.0.0.1:{port}"), store):
        await broker.send(sent)
        await until(lambda: len(store.messages) >= len(sent))
    assert store.payloads == sent
