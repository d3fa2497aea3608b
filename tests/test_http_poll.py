"""Asking HTTP addresses: against the server of the standard library, and everything that goes wrong."""

import asyncio
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import servers
from adapter_contract import ConnectionContract, Store, running, until
from service_fixtures import PLANT, service, write_plant

from iotsense.ingest.configured import configured_sources
from iotsense.ingest.http_poll import HttpPollAdapter
from iotsense.ingest.reconnecting import Surroundings
from iotsense.ingest.source_state import SourceState
from iotsense.twin.backoff import Backoff
from iotsense.twin.define_project import Project

Answer = tuple[int, dict[str, str], bytes]


class Device:
    """An HTTP server with a value at every path; `answers` says more by path. It remembers what it was asked."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.port = servers.free_port()
        self.value: Any = 0
        self.answers: dict[str, Callable[[dict[str, str]], Answer]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.sockets: list[socket.socket] = []
        self._certificate = certificate
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self._certificate else ''}://127.0.0.1:{self.port}"

    def start(self) -> None:
        device = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                device.asked.append((self.path, headers))
                answer = device.answers.get(self.path, device.plain)
                status, more, body = answer(headers)
                with suppress(OSError):
                    self.send_response(status)
                    for name, value in {"Content-Length": str(len(body)), **more}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self) -> Any:
                found = super().get_request()
                device.sockets.append(found[0])
                return found

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def kill(self) -> None:
        if self._server is None:
            return
        server, self._server = self._server, None
        server.shutdown()
        server.server_close()
        for each in self.sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.sockets.clear()

    async def set(self, value: Any) -> None:
        self.value = value

    def plain(self, _: dict[str, str]) -> Answer:
        return 200, {"Content-Type": "application/json"}, json.dumps(self.value).encode()


def adapter_for(*endpoints: dict[str, Any], **more: Any) -> HttpPollAdapter:
    protocol = {"name": "http", "endpoints": [{"interval": "30ms", **each} for each in endpoints], **more}
    project = Project.model_validate({"sensor_ingestion": {"protocols": [protocol]}})
    (source,) = configured_sources(project)
    return HttpPollAdapter(source, Surroundings(Path("unused")), Backoff(0.05, 0.2))


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    device.start()
    yield device
    device.kill()


class TestContract(ConnectionContract):
    """Every adapter's promises; a value is what is there when it is looked at."""

    @pytest.fixture
    def peer(self, device: Device) -> Device:
        return device

    @pytest.fixture
    def adapter(self, peer: Device) -> HttpPollAdapter:
        return adapter_for({"url": peer.url, "retries": 0})

    async def give(self, peer: Device, number: int) -> None:
        await peer.set(number)

    def taken(self, store: Store) -> list[int]:
        values = [0, *(int(payload) for payload in store.payloads)]
        return [new for old, new in pairwise(values) if new not in (old, 0)]

    async def flood(self, peer: Device) -> None:
        await peer.set(1)

    async def test_it_asks_no_more_while_nobody_takes(
        self, peer: Device, adapter: HttpPollAdapter, store: Store
    ) -> None:
        async with running(adapter, store):
            store.door.clear()
            await until(lambda: peer.asked)
            asked = len(peer.asked)
            await until(lambda: len(peer.asked) <= asked + 1)
            before = adapter.status.stretched
            await asyncio.sleep(0.3)
            assert len(peer.asked) <= asked + 1
            store.door.set()
            await until(lambda: adapter.status.stretched > before)
            assert adapter.status.connects == 1


async def test_what_is_known_is_no_reading(device: Device) -> None:
    device.value = 7

    def tagged(headers: dict[str, str]) -> Answer:
        tag = f'"{device.value}"'
        known = headers.get("if-none-match") == tag
        return (304, {}, b"") if known else (200, {"ETag": tag}, str(device.value).encode())

    device.answers["/"] = tagged
    store = Store()
    store.acking = False
    async with running(adapter_for({"url": device.url + "/"}), store):
        await until(lambda: len(store.messages) >= 3)  # nothing of it is durable yet, so it is asked for again
        store.acking = True
        store.ack_all()
        await until(lambda: sum("if-none-match" in headers for _, headers in device.asked) >= 5)
        known = len(store.messages)
        device.value = 8
        await until(lambda: store.payloads[-1] == b"8")
        assert len(store.messages) == known + 1


async def test_headers_carry_secrets(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE_TOKEN", "tell-nobody")
    endpoint = {"url": device.url + "/v", "headers": {"Authorization": "Bearer ${DEVICE_TOKEN}"}, "method": "POST"}
    store = Store()
    async with running(adapter_for(endpoint), store):
        await until(lambda: store.messages)
    assert device.asked[0][1]["authorization"] == "Bearer tell-nobody"
    message = store.messages[0]
    assert (message.via, message.content_type) == (device.url + "/v", "application/json")
    monkeypatch.delenv("DEVICE_TOKEN")
    adapter = adapter_for(endpoint)
    async with running(adapter, store, wait=False) as task:
        await until(task.done)
    assert (adapter.status.state, adapter.status.error) == (
        SourceState.FAILED,
        "the variable DEVICE_TOKEN is not set",
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {}, b""), "it refuses us (401 Unauthorized): check the credentials in `headers`"),
        ((404, {}, b""), "there is nothing there (404 Not Found): check the `url`"),
        (
            (302, {"Location": "https://evil.example/"}, b""),
            "it redirects to https://evil.example/: make that the `url`",
        ),
        ((503, {}, b""), "it answers 503 Service Unavailable"),
        ((204, {}, b""), "it answers 204 No Content; 200 is expected"),
        ((200, {"Content-Length": str(17 << 20)}, b" " * (17 << 20)), "its answer is larger than 16777216 bytes"),
    ],
)
async def test_answers_in_words(device: Device, answer: Answer, words: str) -> None:
    device.answers["/"] = lambda _: answer
    adapter, store = adapter_for({"url": device.url + "/", "retries": 1}), Store()
    async with running(adapter, store, wait=False):
        await until(lambda: adapter.status.state is SourceState.BACKOFF)
        assert adapter.status.error == words
    assert store.messages == []


async def test_nobody_there() -> None:
    adapter = adapter_for({"url": f"http://127.0.0.1:{servers.free_port()}", "retries": 0})
    async with running(adapter, Store(), wait=False):
        await until(lambda: adapter.status.state is SourceState.BACKOFF)
        assert adapter.status.error == "it cannot be reached: Connection refused"


async def test_a_mistake_that_passes_is_tried_again_at_once(device: Device) -> None:
    device.answers["/"] = lambda _: (503, {"Retry-After": "0"}, b"") if len(device.asked) < 3 else device.plain({})
    adapter, store = adapter_for({"url": device.url + "/", "interval": "1h"}), Store()
    async with running(adapter, store):
        await until(lambda: store.messages)
        assert adapter.status.error is None


async def test_one_that_fails_does_not_disturb_the_others(device: Device) -> None:
    gate = threading.Event()
    device.answers |= {"/missing": lambda _: (404, {}, b""), "/slow": lambda _: (gate.wait(5), device.plain({}))[1]}
    urls = [device.url + path for path in ("/good", "/missing", "/slow")]
    adapter, store = adapter_for(*({"url": url, "timeout": "200ms", "retries": 0} for url in urls)), Store()
    async with running(adapter, store):
        await until(lambda: adapter.status.error and "/slow" in adapter.status.error)
        assert f"{urls[1]}: there is nothing there" in str(adapter.status.error)
        assert f"{urls[2]}: it does not answer within 200ms (`timeout`)" in str(adapter.status.error)
        assert adapter.status.state is SourceState.RUNNING
        del device.answers["/missing"]
        gate.set()
        await until(lambda: adapter.status.error is None)
        await until(lambda: {message.via for message in store.messages} == set(urls))
        assert adapter.status.connects == 1


async def test_what_cannot_be_stored_is_said_and_asked_for_again(device: Device) -> None:
    device.answers["/"] = lambda _: (200, {"ETag": '"1"'}, b"1")
    adapter, store = adapter_for({"url": device.url + "/"}), Store()
    store.refusing = True
    async with running(adapter, store):
        await until(lambda: "cannot be stored: the disk is full" in str(adapter.status.error))
        store.refusing = False
        await until(lambda: store.payloads == [b"1"])
        await until(lambda: adapter.status.error is None)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and its own certificate, in one file, and the certificate by itself in cert.pem."""
    openssl = servers.program("openssl")
    request = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=device -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [openssl, *request.split(), "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    both = tmp_path / "both.pem"
    both.write_text((tmp_path / "key.pem").read_text() + (tmp_path / "cert.pem").read_text())
    return both


@pytest.mark.needs("openssl")
async def test_tls(tmp_path: Path, certificate: Path) -> None:
    device, store = Device(certificate), Store()
    device.start()
    try:
        stranger = adapter_for({"url": device.url, "retries": 0})
        async with running(stranger, store, wait=False):
            await until(lambda: stranger.status.state is SourceState.BACKOFF)
            assert "certificate is not trusted" in str(stranger.status.error)
        async with running(adapter_for({"url": device.url}, tls={"ca": str(tmp_path / "cert.pem")}), store):
            await until(lambda: store.payloads)
        lost = adapter_for({"url": device.url}, tls={"ca": str(tmp_path / "lost.pem")})
        async with running(lost, store, wait=False):
            await until(lambda: "lost.pem cannot be used: No such file" in str(lost.status.error))
    finally:
        device.kill()


async def test_a_service_asks(tmp_path: Path, device: Device) -> None:
    device.value = {"readings": [{"tag": "speed", "v": 2.5}, {"tag": "motor_temperature", "v": 41}]}
    text = f"""{PLANT}
sensor_ingestion:
  protocols:
    - name: http
      endpoints:
        - url: {device.url}/api
          interval: 50ms
          schema: {{device_id: conveyor, name: "$.readings[*].tag", value: "$.readings[*].v"}}
"""
    async with service(tmp_path / "data", write_plant(tmp_path, text)) as plant:

        def value(id: str) -> float | None:
            reading = plant.twin.state.read(plant.twin.graph.find_signal(id).index)
            return reading and reading.value

        await until(lambda: (value("conveyor.speed"), value("conveyor.motor_temperature")) == (2.5, 41))
        device.value = "nonsense"
        await until(lambda: plant.pipeline.counters["http_poll"].dead_lettered)
        assert plant.sources["http_poll"].status.state is SourceState.RUNNING
        assert isinstance(plant.sources["http_poll"], HttpPollAdapter)
