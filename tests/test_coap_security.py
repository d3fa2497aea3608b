"""CoAP over DTLS and TLS against libcoap. DTLS needs the library DTLSSocket, which has no wheels."""

import asyncio
import importlib.util
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import servers
from adapter_contract import Store, running, until
from test_coap_client import adapter_for as reading
from test_coap_server import Telling, send
from test_coap_server import adapter_for as listening

from iotsense.ingest.source_state import SourceState

pytestmark = [pytest.mark.needs("libcoap")]
dtls = pytest.mark.skipif(importlib.util.find_spec("DTLSSocket") is None, reason="DTLSSocket is not installed")


@asynccontextmanager
async def libcoap(port: int, *options: str) -> AsyncIterator[None]:
    server = Path(servers.program("libcoap")).with_name("coap-server-openssl")
    command: Sequence[str] = [str(server), "-A", "127.0.0.1", "-p", str(port), *options]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """A certificate of this machine, and its key."""
    request = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    command = [servers.program("openssl"), *request.split(), "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")


@dtls
async def test_devices_send_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COAP_PSK", "secret-key")
    url, store = f"coaps://127.0.0.1:{servers.free_port()}", Telling()
    async with running(listening(url, psk_identity="press", psk="${COAP_PSK}"), store):
        assert await send(url, b"1", "50", "-k", "secret-key", "-u", "press") == ""
        assert await send(url, b"2" * 5000, "50", "-k", "secret-key", "-u", "press") == ""
        assert "cannot send" in await send(url, b"3", "50", "-k", "wrong-key", "-u", "press")
        assert "cannot send" in await send(url, b"4", "50", "-k", "secret-key", "-u", "stranger")
    assert store.payloads == [b"1", b"2" * 5000]


@dtls
async def test_a_server_is_read_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COAP_PSK", "secret-key")
    port, store = servers.free_port(), Store()
    async with libcoap(port, "-k", "secret-key", "-u", "hint"):
        options = {"psk_identity": "us", "psk": "${COAP_PSK}", "timeout": "2s"}
        async with running(reading(f"coaps://127.0.0.1:{port + 1}", {"path": "/time"}, **options), store):
            await until(lambda: len(set(store.payloads)) >= 2)
        monkeypatch.setenv("COAP_PSK", "wrong-key")
        adapter = reading(f"coaps://127.0.0.1:{port + 1}", {"path": "/time"}, **options)
        async with running(adapter, store, wait=False):
            await until(lambda: adapter.status.state is SourceState.BACKOFF)
            assert "a wrong `psk`" in str(adapter.status.error)


@pytest.mark.needs("openssl")
async def test_devices_send_over_tls(certificate: tuple[str, str]) -> None:
    url, store = f"coaps+tcp://127.0.0.1:{servers.free_port()}", Telling()
    cert, key = certificate
    async with running(listening(url, tls={"certificate": cert, "key": key}), store):
        assert await send(url.replace("127.0.0.1", "localhost"), b"1", "50", "-R", cert) == ""
    assert store.payloads == [b"1"]


@pytest.mark.needs("openssl")
async def test_a_server_is_read_over_tls(certificate: tuple[str, str]) -> None:
    cert, key = certificate
    port, store = servers.free_port(), Store()
    url = f"coaps+tcp://localhost:{port + 1}"
    async with libcoap(port, "-c", cert, "-j", key, "-n"):
        stranger = reading(url, {"path": "/time"})
        async with running(stranger, store, wait=False):
            await until(lambda: "certificate is not trusted" in str(stranger.status.error))
        async with running(reading(url, {"path": "/time"}, tls={"ca": cert}), store):
            await until(lambda: len(set(store.payloads)) >= 2)
