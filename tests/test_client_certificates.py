"""Mutual TLS: certificates of clients act as the keys that were made for their names, and as nothing else."""

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
import websockets
from service_fixtures import API, Process, document, process, run_cli, write_plant
from test_cli import typed
from test_session import PROTOCOLS, keys
from test_tls import certificate
from websockets.sync.client import connect

from iotsense.rest.certificate_authentication import CertificateAuthentication
from iotsense.rest.key_authentication import KeyAuthentication
from iotsense.tls import ServerTls
from iotsense.twin.access import Role, Scope
from iotsense.twin.errors import (
    ConflictError,
    ForbiddenError,
    InvalidValueError,
    OverloadedError,
    UnauthenticatedError,
)
from iotsense.twin.key_store import KeyStore
from iotsense.twin.times import now_ns

VIEWER = sorted(Role.VIEWER.scopes)


def issued(folder: Path, subject: str, authority: tuple[Path, Path] | None = None) -> tuple[Path, Path]:
    """A certificate and its key; signed by an authority, or one itself."""
    name = subject.replace("/", "_").replace("=", "_")
    files = folder / f"{name}.pem", folder / f"{name}.key"
    how = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj"
    command: list[Any] = [servers.program("openssl"), *how.split(), subject, "-out", files[0], "-keyout", files[1]]
    if authority is not None:
        command += ["-CA", authority[0], "-CAkey", authority[1], "-addext", "basicConstraints=CA:FALSE"]
    subprocess.run(command, check=True, capture_output=True)
    return files


class Site:
    """A service that asks for certificates, an authority, and clients with and without one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = issued(folder, "/CN=devices")
        self.server = certificate(folder)
        self.running: Process | None = None

    def trusting(self, files: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.server[0]))
        if files is not None:
            context.load_cert_chain(*files)
        return context

    def client(self, files: tuple[Path, Path] | None = None, **headers: str) -> httpx.Client:
        assert self.running is not None
        return httpx.Client(base_url=self.running.url, verify=self.trusting(files), headers=headers)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("mutual")
    made = Site(folder)
    data = folder / "iotsense-data"
    assert run_cli("apply", str(write_plant(folder)), cwd=folder).returncode == 0
    keys(folder, "create", "first", "--role", "admin")
    options = ["--tls-cert", *made.server[:1], "--tls-key", *made.server[1:], "--tls-client-ca", made.authority[0]]
    with process(data, *map(str, options)) as running:
        assert running.url
        made.running = running
        yield made


@pytest.mark.needs("openssl")
def test_a_certificate_acts_as_the_key_of_its_name(site: Site) -> None:
    edge = issued(site.folder, "/O=plant/CN=edge-7", site.authority)
    done = run_cli("keys", "create", "edge-7", "--certificate", "--scope", "telemetry:write", cwd=site.folder)
    assert done.returncode == 0 and done.stdout == "" and "common name is edge-7" in done.stderr
    sent = document("conveyor", "speed", 1.5)
    with site.client(edge) as http:
        assert http.get(f"{API}/session").json()["name"] == "key edge-7"
        assert http.post(f"{API}/telemetry", json=sent).status_code == 202
        assert http.get(f"{API}/nodes").status_code == 403, "it may do what the key may, and no more"
        foreign = {"Origin": "https://elsewhere.example"}
        assert http.post(f"{API}/telemetry", json=sent, headers=foreign).status_code == 403
    with site.client() as http:
        assert http.post(f"{API}/telemetry", json=sent).status_code == 401
        assert http.get("/livez").status_code == 200, "it is asked for, and not demanded"
    listed = next(line for line in keys(site.folder, "list").splitlines() if "edge-7" in line)
    assert "certificate" in listed and "never" not in listed
    rotated = run_cli("keys", "rotate", "edge-7", cwd=site.folder)
    assert rotated.returncode != 0 and "has no text" in rotated.stderr
    with site.client(edge) as http:
        assert http.get(f"{API}/session").json()["name"] == "key edge-7"
        keys(site.folder, "revoke", "edge-7")
        assert http.get(f"{API}/session").json()["name"] is None, "on a connection that is open, too"


@pytest.mark.needs("openssl")
def test_other_certificates_act_as_nobody(site: Site) -> None:
    text = keys(site.folder, "create", "admin", "--role", "admin")
    keys(site.folder, "create", "edge-8", "--certificate", "--role", "viewer")
    for subject in ("/CN=admin", "/CN=nobody", "/O=edge-8", "/CN=edge-8/CN=edge-8", "/CN=EDGE-8"):
        with site.client(issued(site.folder, subject, site.authority)) as http:
            assert http.get(f"{API}/nodes").status_code == 401, subject
            assert http.get(f"{API}/nodes", headers={"X-API-Key": text}).status_code == 200
    impostor = issued(site.folder, "/CN=edge-8")
    with site.client(impostor) as http, pytest.raises(httpx.TransportError):
        http.get("/livez")
    forged = {"x-client-cert": "CN=edge-8", "x-ssl-client-s-dn": "CN=edge-8"}
    with site.client(**forged) as http:
        assert http.get(f"{API}/nodes").status_code == 401
    assert run_cli("nodes", cwd=site.folder).returncode in (0, 2), "the verbs need none"


@pytest.mark.needs("openssl")
def test_websockets_know_it_and_end_with_its_key(site: Site) -> None:
    files = issued(site.folder, "/CN=hmi", site.authority)
    keys(site.folder, "create", "hmi", "--certificate", "--role", "viewer")
    assert site.running is not None
    address = site.running.url.replace("http", "ws") + f"{API}/stream?format=json"
    with connect(address, ssl=site.trusting(files)) as socket:
        socket.recv()
        socket.send('{"type":"subscribe"}')
        assert "unauthenticated" not in str(socket.recv())
        keys(site.folder, "revoke", "hmi")
        with pytest.raises(websockets.ConnectionClosed):
            for _ in range(100):
                socket.send('{"type":"resnapshot"}')
                socket.recv()
    keys(site.folder, "create", "hmi", "--certificate", "--role", "viewer")
    with pytest.raises(websockets.InvalidStatus):
        connect(address, ssl=site.trusting(files), origin=websockets.Origin("https://elsewhere.example"))
    graphql = site.running.url.replace("http", "ws") + "/graphql"
    with connect(graphql, ssl=site.trusting(files), subprotocols=PROTOCOLS) as socket:
        socket.send('{"type":"connection_init"}')
        assert "connection_ack" in str(socket.recv())
        socket.send('{"id":"1","type":"subscribe","payload":{"query":"{ twins { id } }"}}')
        assert "line_1" in str(socket.recv())


async def test_a_key_for_a_certificate_has_limits_as_others_have(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    key, token = store.create("edge-7", VIEWER, kind="certificate", rate=1)
    assert (token, key.digest, key.hint) == ("", "", "")
    again = KeyStore(tmp_path)
    assert again.of_certificate("edge-7") == key
    for text in ("", "edge-7"):
        with pytest.raises(UnauthenticatedError):
            again.find(text, now_ns())
    with pytest.raises(ConflictError, match="has no text"):
        again.rotate("edge-7", 0)
    now = [1000.0]
    by_certificate = CertificateAuthentication(store, KeyAuthentication(store), lambda: now[0])
    peer = {"client_cert_common_name": "edge-7", "client_cert_expires": 2000.0}
    scope: dict[str, Any] = {"type": "http", "method": "POST", "headers": [], "extensions": {"tls": peer}}
    proven = await by_certificate.authenticate(scope)
    assert proven is not None and proven.scopes == {Scope.PLANT_READ} and proven.still is not None
    with pytest.raises(OverloadedError):
        await by_certificate.authenticate(scope)
    proven.still()
    now[0] = 2001.0
    with pytest.raises(UnauthenticatedError, match="certificate of edge-7 has expired"):
        proven.still()
    with pytest.raises(UnauthenticatedError, match="has expired"):
        await by_certificate.authenticate(scope)
    now[0] = 1000.0
    with pytest.raises(ForbiddenError):
        await by_certificate.authenticate(scope | {"headers": [(b"host", b"plant"), (b"origin", b"https://x.example")]})
    store.revoke("edge-7")
    store.create("edge-7", VIEWER, kind="certificate")
    with pytest.raises(UnauthenticatedError, match="revoked"):
        proven.still()
    store.create("late", VIEWER, kind="certificate", expires=now_ns() - 1)
    late = scope | {"extensions": {"tls": peer | {"client_cert_common_name": "late"}}}
    with pytest.raises(UnauthenticatedError, match="the key late has expired"):
        await by_certificate.authenticate(late)


@pytest.mark.needs("openssl")
def test_wrong_files_of_authorities_say_what_is_wrong(tmp_path: Path) -> None:
    server = certificate(tmp_path)
    with pytest.raises(InvalidValueError, match="there is no certificate at"):
        ServerTls(*server, tmp_path / "nowhere.pem")
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(InvalidValueError, match="cannot be used"):
        ServerTls(*server, tmp_path / "empty.pem")
    code, _, told = typed("run", "--tls-client-ca", str(server[0]))
    assert code == 2 and "--tls-cert" in told
