"""TLS of the service: shown to real clients, renewed without a restart, and wrong files that say what is wrong."""

import shutil
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import servers
from service_fixtures import API, process, write_plant
from test_cli import typed
from test_session import PROTOCOLS
from websockets.sync.client import connect

from iotsense import IoTSense
from iotsense.tls import ServerTls
from iotsense.twin.errors import InvalidValueError


def certificate(folder: Path, name: str = "server", *more: str) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signed itself, and its key."""
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / f"{name}.pem", folder / f"{name}.key"
    request = "req -x509 -newkey rsa:2048 -days 2 -subj /CN=plant -addext subjectAltName=IP:127.0.0.1"
    protection = more or ("-nodes",)
    command = [servers.program("openssl"), *request.split(), "-out", files[0], "-keyout", files[1], *protection]
    subprocess.run(command, check=True, capture_output=True)
    return files


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


@pytest.mark.needs("openssl")
def test_it_is_served_and_renewed_without_a_restart(tmp_path: Path) -> None:
    shown, key = certificate(tmp_path)
    data, plant = tmp_path / "data", write_plant(tmp_path)
    with process(data, "-c", str(plant), "--tls-cert", str(shown), "--tls-key", str(key)) as running:
        url = running.url
        assert url.startswith("https://")
        port = httpx.URL(url).port
        trusting = ssl.create_default_context(cafile=str(shown))
        with httpx.Client(base_url=url, verify=trusting) as http:
            assert http.get(f"{API}/twins").json()["twins"][0]["id"] == "line_1"
            begun = http.post(f"{API}/session", json={"key": "x"})
            assert begun.status_code in (400, 401)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/livez")  # nobody vouches for it
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/livez")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with pytest.warns(DeprecationWarning):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/livez", verify=old)
        assert typed("twins", "--data", str(data))[0] == 0, "the socket of the data directory stays as it is"
        with IoTSense(url=url, transport=httpx.HTTPTransport(verify=trusting)) as iot:
            assert iot.twins()

        with connect(f"wss://127.0.0.1:{port}/graphql", ssl=trusting, subprotocols=PROTOCOLS) as socket:
            socket.send('{"type":"connection_init"}')
            assert "connection_ack" in str(socket.recv())

        def presented() -> str:
            return ssl.get_server_certificate(("127.0.0.1", port or 0))

        first = presented()
        renewed = certificate(tmp_path / "renewed")
        for source, target in zip(renewed, (shown, key), strict=True):
            shutil.copyfile(source, target)
        until(lambda: presented() != first)
        second = presented()
        assert second.strip() == renewed[0].read_text().strip()
        shown.write_text("no certificate at all")
        until(lambda: "the former one still is" in running.log)
        assert presented() == second
        health = httpx.get(f"{url}/health", verify=ssl.create_default_context(cafile=str(renewed[0]))).json()
        assert health["status"] == "degraded"
        assert any("not a certificate and a key" in each for each in health["reasons"])


@pytest.mark.needs("openssl")
def test_wrong_files_say_what_is_wrong(tmp_path: Path) -> None:
    shown, key = certificate(tmp_path)
    _, foreign = certificate(tmp_path, "other")
    _, locked = certificate(tmp_path, "locked", "-passout", "pass:secret")
    for files, words in (
        ((tmp_path / "nowhere.pem", key), "there is no certificate at"),
        ((shown, tmp_path / "nowhere.key"), "there is no key at"),
        ((shown, foreign), "the key is not the certificate's"),
        ((shown, locked), "protected by a password"),
        ((key, key), "not a certificate and a key in PEM"),
    ):
        with pytest.raises(InvalidValueError, match=words):
            ServerTls(*files)
    with process(tmp_path / "data", "--tls-cert", str(shown), "--tls-key", str(foreign)) as running:
        assert running.wait() != 0
        assert "the key is not the certificate's" in running.log and "Traceback" not in running.log
    code, _, told = typed("run", "--tls-cert", str(shown))
    assert code == 2 and "--tls-key" in told
