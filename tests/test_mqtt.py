"""The MQTT adapter against a real broker: both versions, every quality of service, and everything that goes wrong."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import aiomqtt
import pytest
import servers
from adapter_contract import AdapterContract, Store, running, until
from ingest_fixtures import mqtt, publish, twin_of, value
from ingest_fixtures import running as pipeline_of
from mosquitto_fixtures import Mosquitto
from node_fixtures import node_program
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from peer_server import listening

from iotsense.ingest.adapter import Adapter
from iotsense.ingest.message import Message
from iotsense.ingest.mqtt import MqttAdapter
from iotsense.ingest.mqtt_broker import MqttBroker, mqtt_brokers
from iotsense.ingest.points import Point
from iotsense.ingest.source_state import SourceState
from iotsense.twin.backoff import Backoff
from iotsense.twin.define_mqtt import MqttConnection
from iotsense.twin.define_project import Project
from iotsense.twin.errors import SourceError

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

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def send(self, payloads: Sequence[bytes], topic: str = "plant/a", **options) -> None:
        if len(payloads) >= 1000 and servers.find("mosquitto-clients") and not any(b"\n" in each for each in payloads):
            # The same, but quick.
            command = [
                servers.program("mosquitto-clients"),
                "-p",
                str(self.port),
                "-t",
                topic,
                "-q",
                str(self.qos),
                "-l",
            ]
            await asyncio.to_thread(subprocess.run, command, input=b"\n".join(payloads) + b"\n", check=True)
            return
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

    async with listening(broker, unused_tcp_port):
        adapter = adapter_for(f"mqtt://127.0.0.1:{unused_tcp_port}", client_id="same", topics=())
        async with running(adapter, Store(), wait=False):
            await until(lambda: "another client uses our client id same" in str(adapter.status.error))


async def test_a_peer_that_is_no_broker(unused_tcp_port: int) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with listening(hang_up, unused_tcp_port):
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

    async with listening(old_broker, unused_tcp_port):
        adapter = adapter_for(f"mqtt://127.0.0.1:{unused_tcp_port}")
        async with running(adapter, Store()):
            assert adapter.status.state is SourceState.RUNNING
    assert spoken == [5, 4]


async def test_a_broker_that_is_silent_to_mqtt_5(unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iotsense.ingest.mqtt_connection._HANDSHAKE", 0.2)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(silent, unused_tcp_port):
        for settings, hinted in (({}, True), ({"version": "3.1.1"}, False)):
            adapter = adapter_for(f"mqtt://127.0.0.1:{unused_tcp_port}", **settings)
            async with running(adapter, Store(), wait=False):
                await until(lambda adapter=adapter: adapter.status.state is SourceState.BACKOFF)
                said = adapter.status.error or ""
            assert "does not answer as an MQTT broker within 0.2 s" in said
            assert ("try version 3.1.1" in said) is hinted


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


@pytest.mark.needs("mosquitto-clients")
@pytest.mark.parametrize("version", ["3.1.1", "5.0"])
async def test_a_slow_store_loses_nothing_that_was_acknowledged(broker: Broker, version: str) -> None:
    """A client with a bounded queue answers what the queue threw away: here 20,000 meet a store that is slower."""

    class Slow(Store):
        async def deliver(self, messages: Sequence[Message]) -> None:
            await asyncio.sleep(0.02)
            await super().deliver(messages)

    adapter = adapter_for(broker.url, version=version)
    async with running(adapter, Store()):
        pass
    sent = [b"%05d" % i for i in range(20_000)]
    await broker.send(sent)
    first, second = Slow(), Slow()
    async with running(MqttAdapter(adapter._broker), first):
        await until(lambda: len(first.messages) > 2000)
    async with running(MqttAdapter(adapter._broker), second):
        await until(lambda: len(set(first.payloads + second.payloads)) == len(sent))
    assert second.payloads == sorted(second.payloads)


# Sharing, and what MQTT 5 has besides


def sharing(broker: Broker, client_id: str, /, **settings) -> MqttAdapter:
    fields = {"name": "mqtt", "broker": broker.url, "client_id": client_id, "topics": [{"pattern": "plant/#"}]}
    (one,) = mqtt_brokers(Project.model_validate({"sensor_ingestion": {"protocols": [fields | settings]}}))
    return MqttAdapter(one, Backoff(0.05, 0.2))


@pytest.mark.parametrize("settings", [{"share": "group"}, {"topics": [{"pattern": "$share/group/plant/#"}]}])
@pytest.mark.parametrize("version", ["3.1.1", "5.0"])
async def test_services_of_a_group_share_the_work(broker: Broker, version: str, settings: dict) -> None:
    first, second = Store(), Store()
    one, other = (sharing(broker, name, version=version, **settings) for name in ("one", "other"))
    sent = [b"%d" % i for i in range(400)]
    async with running(one, first), running(other, second):
        await broker.send(sent)
        await until(lambda: len(first.messages) + len(second.messages) >= len(sent))
        await asyncio.sleep(0.1)
        assert min(len(first.messages), len(second.messages)) > 50
    assert sorted(first.payloads + second.payloads) == sorted(sent)


async def test_what_a_service_of_a_group_leaves_goes_to_the_others(broker: Broker) -> None:
    first, second = Store(), Store()
    first.acking = False
    settings = {"share": "group", "session_expiry": "1s"}
    async with running(sharing(broker, "one", **settings), first):
        await broker.send([b"%d" % i for i in range(20)])
        await until(lambda: len(first.messages) == 20)
    other, one = (sharing(broker, name, **settings) for name in ("other", "one"))
    async with running(other, second), running(one, second):
        await until(lambda: len(set(second.payloads)) == 20)


async def test_messages_on_a_shared_topic_are_read_as_their_own(tmp_path: Path) -> None:
    topic = {"pattern": "$share/group/plant/+/temp", "schema": {"device_id": "conveyor_1", "name": "conv1_motor_temp"}}
    async with pipeline_of(tmp_path, sensor_ingestion=mqtt(topic)) as pipeline:
        await publish(pipeline, "plant/1/temp", b'{"value": 21}')
        assert value(pipeline, "conveyor_1.conv1_motor_temp") == 21


async def test_what_expired_before_it_could_be_stored_is_uncertain(broker: Broker, tmp_path: Path) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = 1
    async with pipeline_of(tmp_path, sensor_ingestion=mqtt()) as pipeline:
        store = Store()
        async with running(adapter_for(broker.url), store):
            store.door.clear()
            async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
                await client.publish("conveyor_1/conv1_speed", b"1.5", qos=1)
                await client.publish("plant/conveyor_1/conv1_speed", b"1.5", qos=1, properties=properties)
                await client.publish("plant/conveyor_1/conv1_motor_temp", b"21", qos=1)
            await asyncio.sleep(1.3)
            store.door.set()
            await until(lambda: len(store.messages) == 2)
        for message in store.messages:
            message.topic = message.topic.removeprefix("plant/")
            await pipeline.submit(message)
        speed, temperature = (
            twin_of(pipeline).state.read(twin_of(pipeline).graph.find_signal(f"conveyor_1.{name}").index)
            for name in ("conv1_speed", "conv1_motor_temp")
        )
    assert (speed.value, speed.quality) == (1.5, 68)
    assert temperature.quality == 192


@pytest.mark.needs("node")
async def test_topic_aliases(unused_tcp_port: int) -> None:
    publishes = [{"topic": f"plant/{name}", "payload": f"{i}"} for i, name in enumerate("abab")]
    store = Store()
    async with node_program("mqtt5_broker.js", MQTT_PORT=str(unused_tcp_port), PUBLISHES=publishes) as peer:
        await until(lambda: peer.heard)
        async with running(adapter_for(f"mqtt://127.0.0.1:{unused_tcp_port}"), store):
            await until(lambda: [each.get("cmd") for each in peer.heard].count("puback") == 4)
        assert peer.heard[1]["properties"]["topicAliasMaximum"] == 1024
    assert [(m.topic, m.payload) for m in store.messages] == [(p["topic"], p["payload"].encode()) for p in publishes]


@pytest.mark.needs("node")
async def test_an_alias_that_stands_for_nothing(unused_tcp_port: int) -> None:
    publishes = [{"topic": "plant/a", "payload": "1", "alias": 7}]
    async with node_program("mqtt5_broker.js", MQTT_PORT=str(unused_tcp_port), PUBLISHES=publishes) as peer:
        await until(lambda: peer.heard)
        adapter = adapter_for(f"mqtt://127.0.0.1:{unused_tcp_port}")
        async with running(adapter, Store(), wait=False):
            await until(lambda: "the topic alias 7 without having said" in str(adapter.status.error))


@pytest.mark.needs("node")
async def test_reasons_of_the_broker_are_told(unused_tcp_port: int) -> None:
    port = str(unused_tcp_port)
    async with node_program("mqtt5_broker.js", MQTT_PORT=port, PUBLISHES=[], REFUSE="135") as peer:
        await until(lambda: peer.heard)
        adapter = adapter_for(f"mqtt://127.0.0.1:{port}")
        async with running(adapter, Store()):
            await until(lambda: "subscribe to plant/# (Not authorized)" in str(adapter.status.error))
    leave = {"reasonString": "we move", "serverReference": "broker-2.factory.local"}
    async with node_program("mqtt5_broker.js", MQTT_PORT=port, PUBLISHES=[], LEAVE=leave) as peer:
        await until(lambda: peer.heard)
        adapter = adapter_for(f"mqtt://127.0.0.1:{port}")
        async with running(adapter, Store(), wait=False):
            await until(lambda: "we move; use the broker broker-2.factory.local" in str(adapter.status.error))
            assert "Server moved" in str(adapter.status.error)


# Setting values

SET = {"name": "speed", "device": "filler_1", "topic": "plant/filler_1/set", "state": "shown/filler_1"}


def writer(broker: Broker, /, *commands: dict, **settings) -> MqttAdapter:
    return sharing(broker, "writer", writable=True, commands=list(commands), **settings)


async def test_values_are_set_and_shown(broker: Broker) -> None:
    payload = '{"to": ${value}, "at": ${time_ms}}'
    adapter = writer(
        broker, SET | {"payload_template": payload, "unit": "rpm"}, {"name": "mode", "topic": "plant/mode"}
    )
    speed, mode = adapter.writable()
    assert speed == Point("speed", "filler_1", "rpm")
    store = Store()
    with pytest.raises(SourceError, match="no connection"):
        await adapter.write(speed, 1.0)
    async with running(adapter, store):
        for value_set in (1200.0, 0.5, True, 'a"b'):
            await adapter.write(speed, value_set)
        await adapter.write(mode, "auto")
        await until(lambda: len(store.messages) == 5)
        with pytest.raises(SourceError, match="nothing has come on shown/filler_1 yet"):
            await adapter.read(speed)
        with pytest.raises(SourceError, match="name it as the command's `state`"):
            await adapter.read(mode)
        for shown, read in ((b"7", 7), (b'{"value": 8}', 8), (b"auto", "auto")):
            await broker.send([shown], "shown/filler_1")
            await until(lambda shown=shown: (adapter._writer.states["shown/filler_1"] or [b""])[0] == shown)
            assert (await adapter.read(speed)).value == read
    told = [json.loads(message.payload) for message in store.messages[:4]]
    assert [each["to"] for each in told] == [1200, 0.5, True, 'a"b']
    assert told[0]["at"] > 1_700_000_000_000
    assert store.payloads[4] == b"auto"


async def test_nobody_listens(broker: Broker) -> None:
    adapter = writer(broker, SET | {"topic": "elsewhere/set"})
    async with running(adapter, Store()):
        with pytest.raises(SourceError, match="nobody is subscribed to elsewhere/set"):
            await adapter.write(adapter.writable()[0], 1.0)


async def test_a_command_whose_connection_breaks_has_failed(broker: Broker) -> None:
    async with Proxy(broker.port) as proxy:
        adapter = writer(broker, SET, broker=f"mqtt://127.0.0.1:{proxy.port}")
        async with running(adapter, Store()):
            broker.pause()
            writing = asyncio.create_task(adapter.write(adapter.writable()[0], 1.0))
            await asyncio.sleep(0.1)
            proxy.cut()
            with pytest.raises(SourceError, match="the connection ended before the broker confirmed it"):
                await writing
            broker.resume()
            await until(lambda: adapter.status.connects == 2)
            await adapter.write(adapter.writable()[0], 2.0)


async def test_a_source_is_read_only_unless_it_says_otherwise(broker: Broker) -> None:
    assert list(sharing(broker, "reader", commands=[SET]).writable()) == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (SET | {"topic": "plant/+/set"}, "without wildcards"),
        (SET | {"payload_template": "${value"}, "column"),
        (SET | {"payload_template": "${speed}"}, r"expected \${value}, \${time} or"),
    ],
)
def test_commands_that_make_no_sense_are_refused(broker: Broker, command: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        writer(broker, command)


# Another broker


class Aedes:
    """A broker in JavaScript, which speaks 3.1.1 and keeps sessions in memory."""

    lossless = True
    qos = 1

    def __init__(self) -> None:
        self.port = servers.free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = os.environ | {"MQTT_PORT": str(self.port), "NODE_PATH": str(servers.node_modules())}
        program = Path(__file__).parent / "peers" / "aedes_broker.js"
        self._process = subprocess.Popen([servers.program("node"), str(program)], env=environment)
        for _ in range(1000):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.01)
        raise RuntimeError("aedes does not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    send = Broker.send


@pytest.mark.needs("node")
class TestAedes(AdapterContract):
    """Every adapter's promises at a broker of other people."""

    most_buffered = 5000

    @pytest.fixture
    def peer(self):
        peer = Aedes()
        peer.start()
        yield peer
        peer.kill()

    # At QoS 2 aedes 1.2 sends some messages again that we have answered with PUBREC and PUBCOMP.
    @pytest.fixture
    def adapter(self, peer: Aedes) -> MqttAdapter:
        return adapter_for(peer.url, peer.qos, version="3.1.1")

    def buffered(self, adapter: Adapter) -> int:
        return len(adapter._connection._inbox)

    def made_anew(self, adapter: Adapter) -> MqttAdapter:
        return MqttAdapter(adapter._broker, Backoff(0.05, 0.2))
