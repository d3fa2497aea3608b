"""Our CoAP server: libcoap's client and npm's send to it; answers, blocks, duplicates, pressure."""

import asyncio
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
import servers
from adapter_contract import Store, running, stop, until
from service_fixtures import PLANT, service, write_plant

from iotsense.ingest import coap_inbox
from iotsense.ingest.coap import coap_adapter
from iotsense.ingest.configured import configured_sources
from iotsense.ingest.message import Receipt
from iotsense.ingest.reconnecting import ReconnectingAdapter, Surroundings
from iotsense.ingest.source_state import SourceState
from iotsense.service import Service
from iotsense.twin.backoff import Backoff
from iotsense.twin.define_project import Project

JSON, CBOR, TEXT = "50", "60", "0"


class Telling(Store):
    """A store that tells what became of each message."""

    receipt = Receipt(1)

    async def deliver(self, messages) -> None:
        await super().deliver(messages)
        if not self.refusing and self.acking:
            for message in messages:
                message.told(self.receipt)


def adapter_for(url: str, **settings: Any) -> ReconnectingAdapter:
    protocol = {"name": "coap", "listen": url, **settings}
    (source,) = configured_sources(Project.model_validate({"sensor_ingestion": {"protocols": [protocol]}}))
    adapter = coap_adapter(source, Surroundings(Path("unused")))
    adapter._backoff = Backoff(0.05, 0.2)
    return adapter


@pytest.fixture
def url() -> str:
    return f"coap://127.0.0.1:{servers.free_port()}"


async def send(url: str, payload: bytes, kind: str = JSON, *options: str, method: str = "post") -> str:
    """Sends by libcoap's client; what it prints: nothing for 2.04, else the code and the diagnostic payload."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(payload)
        file.flush()
        body = ["-f", file.name] if payload else []
        command = [servers.program("libcoap"), "-m", method, "-t", kind, "-B", "10", *body, *options, url]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = await process.communicate()
    return said.decode().strip()


@pytest.fixture
async def plant(tmp_path: Path, url: str) -> AsyncIterator[Service]:
    text = f"""{PLANT}
sensor_ingestion:
  protocols:
    - name: coap
      listen: {url}
      resources:
        - path: /short/+
          schema: {{device_id: "${{topic.split('/')[1]}}", name: speed, value: $.v}}
"""
    async with service(tmp_path / "data", write_plant(tmp_path, text)) as running:
        await until(lambda: running.sources["coap"].status.state is SourceState.RUNNING)
        yield running


def value(plant: Service, id: str) -> float | None:
    reading = plant.twin.state.read(plant.twin.graph.find_signal(id).index)
    return reading and reading.value


@pytest.mark.needs("libcoap")
async def test_readings_are_durable_when_answered(plant: Service, url: str) -> None:
    document = {"device_id": "conveyor", "measurements": [{"name": "speed", "value": 1.5}]}
    assert await send(url, json.dumps(document).encode()) == ""
    assert value(plant, "conveyor.speed") == 1.5
    document["measurements"][0]["value"] = 2.5
    assert await send(url + "/any/path", cbor2.dumps(document), CBOR, method="put") == ""
    assert value(plant, "conveyor.speed") == 2.5
    assert await send(url + "/conveyor/motor_temperature", b"41.5", TEXT) == ""
    assert value(plant, "conveyor.motor_temperature") == 41.5
    assert await send(url + "/short/conveyor", b'{"v": 3.5}') == ""
    assert value(plant, "conveyor.speed") == 3.5
    many = [{"device_id": "conveyor", "timestamp": 1.7e9 + i, "measurements": [{"name": "speed", "value": i}]}
            for i in range(300)]  # fmt: skip
    assert await send(url, json.dumps(many).encode(), JSON, "-b", "512") == ""
    assert plant.pipeline.counters["coap"].stored == 304


@pytest.mark.needs("libcoap")
async def test_what_cannot_be_used_is_told(plant: Service, url: str) -> None:
    assert (await send(url, b"{not json")).startswith("4.00 0 stored, 1 not: the payload is not JSON")
    mixed = {"device_id": "conveyor", "measurements": [{"name": "speed", "value": 1}, {"name": "speed", "value": "x"}]}
    said = await send(url, json.dumps(mixed).encode())
    assert said.startswith("4.00 1 stored, 1 not: line_1.conveyor.c_speed")
    assert plant.pipeline.counters["coap"].dead_lettered == 2
    assert "4.05" in await send(url, b"", method="get")
    assert '</short/+>;rt="iotsense.telemetry"' in await send(url + "/.well-known/core", b"", method="get")


@pytest.mark.needs("libcoap")
async def test_blocks_are_put_together_up_to_a_limit(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coap_inbox, "LARGEST", 20_000)
    store, body = Telling(), os.urandom(15_000)
    async with running(adapter_for(url), store):
        for size in ("64", "1024"):
            assert await send(url, body, "42", "-b", size) == ""
        assert store.payloads == [body, body]
        assert "4.13" in await send(url, os.urandom(30_000), "42", "-b", "1024")
    assert len(store.messages) == 2


@pytest.mark.needs("libcoap")
async def test_uploads_are_bounded_and_forgotten(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coap_inbox, "MOST_UPLOADS", 1)
    store, body = Telling(), os.urandom(3000)
    async with running(adapter_for(url), store):
        for _ in range(3):  # none of them is kept
            assert await send(url, body, "42", "-b", "1024") == ""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(("127.0.0.1", int(url.rpartition(":")[2])))
            # The first of two blocks of 16 bytes, and never the second.
            client.send(b"\x41\x02\x00\x01T" + b"\xc1\x32" + b"\xd1\x02\x08" + b"\xff" + b"x" * 16)
            answer = await asyncio.get_running_loop().sock_recv(client, 100)
            assert answer[1] == 0x5F  # 2.31 Continue
        assert "5.03" in await send(url, body, "42", "-b", "1024")
        assert await send(url, b"small", "42") == ""
    assert store.payloads == [body] * 3 + [b"small"]


def datagram(number: int, payload: bytes) -> bytes:
    """A confirmable POST with JSON, and no library."""
    return b"\x41\x02" + number.to_bytes(2, "big") + b"T" + b"\xc1\x32" + b"\xff" + payload


async def test_a_message_that_comes_again_is_taken_in_once(url: str) -> None:
    store = Telling()
    port = int(url.rpartition(":")[2])
    async with running(adapter_for(url), store):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(("127.0.0.1", port))
            loop = asyncio.get_running_loop()
            answers = []
            for number in (7, 7, 8):
                client.send(datagram(number, b"1"))
                answers.append(await loop.sock_recv(client, 100))
    assert len(store.messages) == 2
    assert answers[0] == answers[1] == b"\x61\x44\x00\x07T"  # 2.04 in the acknowledgement
    assert answers[2] == b"\x61\x44\x00\x08T"


@pytest.mark.needs("libcoap")
async def test_nothing_is_answered_before_it_is_durable(url: str) -> None:
    store = Telling()
    store.door.clear()
    async with running(adapter_for(url), store):
        sending = asyncio.create_task(send(url, b"1"))
        await asyncio.sleep(0.5)
        assert not sending.done()
        store.door.set()
        assert await sending == ""


@pytest.mark.needs("libcoap")
async def test_it_stops_at_once(url: str) -> None:
    store = Telling()
    store.door.clear()
    task = asyncio.create_task(adapter_for(url).run(store.deliver))
    await asyncio.sleep(0.3)
    sending = asyncio.create_task(send(url, b"1", JSON, "-B", "2"))
    await asyncio.sleep(0.5)
    began = time.monotonic()
    await stop(task)
    assert time.monotonic() - began < 2.0
    await sending
    again = Telling()
    async with running(adapter_for(url), again):  # the port is free
        assert await send(url, b"2") == ""


@pytest.mark.needs("libcoap")
async def test_under_pressure_it_asks_to_come_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coap_inbox, "MOST_WAITING", 2)
    store = Telling()
    store.door.clear()
    async with running(adapter_for(url), store):
        waiting = [asyncio.create_task(send(url, b"1")) for _ in range(2)]
        await asyncio.sleep(0.5)
        assert (await send(url, b"2")).startswith("5.03 more readings wait to be stored")
        store.door.set()
        assert await asyncio.gather(*waiting) == ["", ""]
        store.refusing = True
        assert (await send(url, b"3")).startswith("5.03 the disk is full")
        store.refusing = False
        assert await send(url, b"4") == ""
    assert store.payloads == [b"1", b"1", b"4"]


async def test_rubbish_does_not_end_it(url: str) -> None:
    store = Telling()
    adapter = adapter_for(url)
    async with running(adapter, store):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", int(url.rpartition(":")[2])))
            for size in range(200):
                client.send(os.urandom(size))
            client.send(datagram(1, b"1"))
            await until(lambda: b"1" in store.payloads)
        assert adapter.status.state is SourceState.RUNNING


async def test_a_port_that_is_taken_is_awaited(url: str) -> None:
    adapter, other, store = adapter_for(url), adapter_for(url), Telling()
    async with running(adapter, store), running(other, store, wait=False):
        await asyncio.sleep(0.3)
        if other.status.state is SourceState.BACKOFF:
            assert "Address already in use" in str(other.status.error)
    assert adapter.status.state is SourceState.STOPPED


@pytest.mark.needs("libcoap")
async def test_tcp(url: str) -> None:
    store, tcp = Telling(), url.replace("coap:", "coap+tcp:")
    async with running(adapter_for(tcp), store):
        assert await send(tcp, b"12") == ""
    assert store.payloads == [b"12"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"listen": "coap://0.0.0.0"}, "anybody could send readings"),
        ({"listen": "coap://127.0.0.1", "endpoint": "coap://a"}, "expected either `endpoint`"),
        ({"endpoint": "coap://a"}, "expected `resources` of the endpoint"),
        ({"listen": "coap://127.0.0.1", "psk_identity": "a", "psk": "${A}"}, "a `psk` is for coaps://"),
        ({"listen": "coaps://127.0.0.1", "psk_identity": "a"}, "belong together"),
    ],
)
def test_wrong_settings(settings: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Project.model_validate({"sensor_ingestion": {"protocols": [{"name": "coap", **settings}]}})


def test_open_to_all_if_somebody_says_so() -> None:
    adapter_for("coap://0.0.0.0", anonymous=True)
