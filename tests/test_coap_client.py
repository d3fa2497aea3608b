"""Reading CoAP servers: npm's coap and libcoap's server, and everything that goes wrong."""

import asyncio
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import servers
from adapter_contract import ConnectionContract, Store, running, until
from node_fixtures import NodePeer

from iotsense.ingest import coap_resource
from iotsense.ingest.coap import coap_adapter
from iotsense.ingest.configured import configured_sources
from iotsense.ingest.reconnecting import ReconnectingAdapter, Surroundings
from iotsense.ingest.source_state import SourceState
from iotsense.twin.backoff import Backoff
from iotsense.twin.define_project import Project


def adapter_for(url: str, *resources: dict[str, Any], **more: Any) -> ReconnectingAdapter:
    protocol = {"name": "coap", "endpoint": url, "resources": list(resources), **more}
    (source,) = configured_sources(Project.model_validate({"sensor_ingestion": {"protocols": [protocol]}}))
    adapter = coap_adapter(source, Surroundings(Path("unused")))
    adapter._backoff = Backoff(0.05, 0.2)
    return adapter


class Device(NodePeer):
    """A device whose /value is observed."""

    def __init__(self) -> None:
        self.port = servers.free_port()
        super().__init__("coap_device.js", PORT=self.port)

    @property
    def url(self) -> str:
        return f"coap://127.0.0.1:{self.port}"

    async def tell_soon(self, command: str, argument: Any = True) -> Any:
        return await asyncio.to_thread(self.tell, command, argument)


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    device.start()
    yield device
    device.kill()


def values(store: Store) -> list[int]:
    found = [0, *(int(payload) for payload in store.payloads)]
    return [new for old, new in pairwise(found) if new not in (old, 0)]


@pytest.mark.needs("node")
class TestContract(ConnectionContract):
    """Every adapter's promises, observed and asked."""

    @pytest.fixture
    def peer(self, device: Device) -> Device:
        return device

    @pytest.fixture(params=["observed", "asked"])
    def adapter(self, peer: Device, request: pytest.FixtureRequest) -> ReconnectingAdapter:
        observe = request.param == "observed"
        resource = {"path": "/value", "observe": observe, "interval": "300ms" if observe else "30ms"}
        return adapter_for(peer.url, resource)

    async def give(self, peer: Device, number: int) -> None:
        await peer.tell_soon("set", number)

    def taken(self, store: Store) -> list[int]:
        return values(store)

    async def flood(self, peer: Device) -> None:
        await peer.tell_soon("count", 50)


@pytest.mark.needs("node")
async def test_each_change_is_taken_in_order(device: Device) -> None:
    store = Store()
    async with running(adapter_for(device.url, {"path": "/value"}), store):
        await device.tell_soon("count", 300)
        await until(lambda: values(store)[-1:] == [300])
        assert (await device.tell_soon("asked", "/value"))["times"] == 1
    assert values(store) == list(range(1, 301))
    message = store.messages[-1]
    assert (message.via, message.topic, message.content_type) == ("/value", "value", "application/json")


@pytest.mark.needs("node")
async def test_a_server_that_falls_silent_is_registered_with_again(device: Device) -> None:
    store = Store()
    await device.tell_soon("quiet", True)
    async with running(adapter_for(device.url, {"path": "/value", "interval": "200ms"}), store):
        await until(lambda: store.messages)
        await device.tell_soon("set", 5)
        await until(lambda: values(store) == [5])
        assert (await device.tell_soon("asked", "/value"))["times"] > 1


@pytest.mark.needs("node")
async def test_a_slow_store_makes_the_device_wait(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coap_resource, "MOST_NOTIFICATIONS", 20)
    adapter, store = adapter_for(device.url, {"path": "/value"}), Store()
    waiting: list[int] = []
    on_told = coap_resource.ObservedResource._on_told

    def watched(resource: coap_resource.ObservedResource, answer: Any) -> None:
        on_told(resource, answer)
        waiting.append(len(resource._told))

    monkeypatch.setattr(coap_resource.ObservedResource, "_on_told", watched)
    async with running(adapter, store):
        await until(lambda: store.messages)
        store.door.clear()
        await device.tell_soon("count", coap_resource.MOST_NOTIFICATIONS * 5)
        await device.tell_soon("set", 4321)
        store.door.set()
        await until(lambda: values(store)[-1:] == [4321])  # registered again, it has what it missed in between
        assert adapter.status.state is SourceState.RUNNING
    assert max(waiting) <= 21


@pytest.mark.needs("node")
async def test_what_cannot_be_stored_is_asked_for_again(device: Device) -> None:
    adapter, store = adapter_for(device.url, {"path": "/value"}), Store()
    async with running(adapter, store):
        await until(lambda: store.messages)
        store.refusing = True
        await device.tell_soon("set", 9)
        await until(lambda: "cannot be stored: the disk is full" in str(adapter.status.error))
        store.refusing = False
        await until(lambda: values(store) == [9])
        await until(lambda: adapter.status.error is None)


@pytest.mark.needs("node")
async def test_what_is_known_is_no_reading(device: Device) -> None:
    store = Store()
    store.acking = False
    async with running(adapter_for(device.url, {"path": "/tagged", "observe": False, "interval": "30ms"}), store):
        await until(lambda: len(store.messages) >= 3)
        store.acking = True
        store.ack_all()
        while (await device.tell_soon("asked", "/tagged"))["known"] < 3:
            pass
        known = len(store.messages)
        await device.tell_soon("set", 8)
        await until(lambda: values(store) == [8])
        assert len(store.messages) == known + 1


@pytest.mark.needs("node")
async def test_one_that_fails_does_not_disturb_the_others(device: Device) -> None:
    paths = [{"path": path, "interval": "100ms", "observe": False} for path in ("/value", "/missing", "/big")]
    adapter, store = adapter_for(device.url, *paths), Store()
    async with running(adapter, store):
        await until(lambda: {message.via for message in store.messages} == {"/value", "/big"})
        await until(lambda: adapter.status.error)
        assert adapter.status.error == "/missing: it answers 4.04 Not Found: no such sensor; check the `path`"
        big = next(message.payload for message in store.messages if message.via == "/big")
        assert len(big or b"") > 4000
        assert adapter.status.connects == 1


async def test_nobody_there() -> None:
    adapter = adapter_for(f"coap://127.0.0.1:{servers.free_port()}", {"path": "/a"})
    async with running(adapter, Store(), wait=False):
        await until(lambda: adapter.status.state is SourceState.BACKOFF)
        assert adapter.status.error == "it cannot be reached: Connection refused"
    lost = adapter_for("coap://no-such-host.invalid", {"path": "/a"}, timeout="2s")
    async with running(lost, Store(), wait=False):
        await until(lambda: lost.status.state is SourceState.BACKOFF)
        assert "cannot be resolved" in str(lost.status.error) or "does not answer" in str(lost.status.error)


async def test_dtls_says_what_it_needs() -> None:
    adapter = adapter_for("coaps://127.0.0.1", {"path": "/a"}, psk_identity="me", psk="${PATH}")
    async with running(adapter, Store(), wait=False) as task:
        await until(lambda: task.done() or adapter.status.error)
        if task.done():
            assert adapter.status.state is SourceState.FAILED
            assert "pip install 'iotsense[coap-dtls]'" in str(adapter.status.error)


@pytest.fixture
def libcoap() -> Iterator[str]:
    """libcoap's server, in which clients may make resources."""
    url = f"coap://127.0.0.1:{servers.free_port()}"
    server = Path(servers.program("libcoap")).with_name("coap-server-openssl")
    command = [server, "-A", "127.0.0.1", "-p", url.rpartition(":")[2], "-d", "10"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield url
    process.kill()
    process.wait()


async def libcoap_client(method: str, url: str, payload: str = "") -> None:
    command = [servers.program("libcoap"), "-B", "5", "-m", method, *(["-e", payload] if payload else []), url]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    await process.wait()


@pytest.mark.needs("libcoap")
async def test_one_that_cannot_be_observed_is_asked(libcoap: str) -> None:
    store = Store()
    async with running(adapter_for(libcoap, {"path": "/time"}, {"path": "/", "interval": "200ms"}), store):
        await until(lambda: len({m.payload for m in store.messages if m.via == "/time"}) >= 3)
        assert sum(b"made with libcoap" in payload for payload in store.payloads) >= 3


@pytest.mark.needs("libcoap")
async def test_an_observation_that_the_server_ends_is_begun_again(libcoap: str) -> None:
    adapter, store = adapter_for(libcoap, {"path": "/made", "interval": "500ms"}, {"path": "/time"}), Store()
    await libcoap_client("put", libcoap + "/made", "5")
    async with running(adapter, store):
        await until(lambda: b"5" in store.payloads)
        await libcoap_client("delete", libcoap + "/made")
        await until(lambda: "/made: it answers 4.04" in str(adapter.status.error))
        await libcoap_client("put", libcoap + "/made", "6")
        await until(lambda: b"6" in store.payloads)
        assert adapter.status.error is None
        await libcoap_client("put", libcoap + "/made", "7")
        await until(lambda: b"7" in store.payloads)
