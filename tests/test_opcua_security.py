"""Security with node-opcua: certificates of both sides, users, and words for everything that does not fit."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from adapter_contract import running, until
from asyncua import ua
from opcua_fixtures import NodeOpcUa
from test_opcua import adapter_for
from value_adapter_contract import ValueStore

from iotsense.ingest.opcua import OpcUaAdapter
from iotsense.ingest.opcua_security import Approach, log_in
from iotsense.ingest.source_state import SourceState
from iotsense.ingest.trust_store import TrustStore
from iotsense.twin.define_opcua import OpcUaConnection
from iotsense.twin.errors import InvalidValueError, SourceError

pytestmark = [pytest.mark.needs("node")]
POLICY = {"security_policy": "Basic256Sha256"}
URI = "http://opcfoundation.org/UA/SecurityPolicy#"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeOpcUa]:
    place = tmp_path_factory.mktemp("secured")
    server = NodeOpcUa(place, secured=True, accept=False, users={"op": "secret"}, variables={"a": {"value": 4}})
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def home(server: NodeOpcUa, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that trusts the server, and that the server trusts, users' certificates included."""
    place = tmp_path_factory.mktemp("home")
    assert "is not trusted" in asyncio.run(refused(adapter_for(server.url, place, ["a"], **POLICY)))
    trust = TrustStore(place / "data" / "trust")
    trust.add(trust.entries()[0].thumbprint)
    words = asyncio.run(refused(adapter_for(server.url, place, ["a"], **POLICY)))
    assert "perhaps the server does not trust our certificate" in words
    (own,) = (server.directory / "clients" / "rejected").iterdir()
    shutil.copy(own, server.directory / "users" / "trusted" / "certs")
    shutil.move(own, server.directory / "clients" / "trusted" / "certs")
    server.tell(reload=True)  # it watches its folders too, but misses a file now and then
    return place


async def refused(adapter: OpcUaAdapter) -> str:
    """Why it does not come to run."""
    async with running(adapter, ValueStore(), wait=False) as task:
        await until(lambda: adapter.status.state in (SourceState.BACKOFF, SourceState.FAILED) or task.done())
        return str(adapter.status.error)


async def value_of(adapter: OpcUaAdapter) -> list[float]:
    store = ValueStore()
    async with running(adapter, store):
        await until(lambda: store.values("a") or adapter.status.error)
        assert adapter.status.error is None
    return store.values("a")


@pytest.mark.parametrize(
    "settings",
    [
        {"security_policy": "Basic256Sha256"},
        {"security_policy": "Aes128_Sha256_RsaOaep", "security_mode": "Sign"},
        {"security_policy": "Aes256_Sha256_RsaPss", "username": "op", "password": "${OPCUA_PASSWORD}"},
    ],
)
async def test_policies_and_users(
    server: NodeOpcUa, home: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPCUA_PASSWORD", "secret")
    assert await value_of(adapter_for(server.url, home, ["a"], **settings)) == [4]


async def test_a_user_with_a_certificate(server: NodeOpcUa, home: Path) -> None:
    own = home / "data" / "trust" / "own"
    user = {"user_certificate": str(own / "certificate.der"), "user_private_key": str(own / "private_key.pem")}
    assert await value_of(adapter_for(server.url, home, ["a"], **POLICY, **user)) == [4]


async def test_a_pinned_certificate(server: NodeOpcUa, home: Path, tmp_path: Path) -> None:
    trust = home / "data" / "trust"
    (known,) = (trust / "trusted").iterdir()
    # The trust list does not count then: this directory has none.
    own = {"certificate": str(trust / "own" / "certificate.der"), "private_key": str(trust / "own" / "private_key.pem")}
    pinned = adapter_for(server.url, tmp_path, ["a"], server_certificate=str(known), **own, **POLICY)
    assert await value_of(pinned) == [4]
    other = adapter_for(server.url, home, ["a"], server_certificate=own["certificate"], **POLICY)
    assert "the server shows the certificate" in await refused(other)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "the server does not offer security_policy None with security_mode None; it offers Aes128"),
        ({"security_policy": "Basic256"}, "does not offer security_policy Basic256 with security_mode SignAndEncrypt"),
        ({**POLICY, "username": "op", "password": "${OPCUA_WRONG}"}, "check `username` and `password`"),
        ({**POLICY, "username": "op", "password": "${OPCUA_NOWHERE}"}, "the variable OPCUA_NOWHERE is not set"),
        ({**POLICY, "certificate": "/nowhere/a.der"}, "certificate /nowhere/a.der cannot be read: No such file"),
        ({**POLICY, "server_certificate": "/nowhere/a.der"}, "server_certificate /nowhere/a.der cannot be read"),
        ({"server_certificate": "/nowhere/a.der"}, "does not offer security_policy None"),
    ],
)
async def test_what_does_not_fit_says_what_to_do(
    server: NodeOpcUa, home: Path, settings: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPCUA_WRONG", "wrong")
    assert words in await refused(adapter_for(server.url, home, ["a"], **settings))


async def test_keys_that_do_not_fit(server: NodeOpcUa, home: Path, tmp_path: Path) -> None:
    own = home / "data" / "trust" / "own" / "certificate.der"
    lonely = shutil.copy(own, tmp_path / "lonely.der")
    assert "has no key beside it" in await refused(
        adapter_for(server.url, home, ["a"], certificate=str(lonely), **POLICY)
    )
    wrong = adapter_for(server.url, home, ["a"], certificate=str(own), private_key=str(own), **POLICY)
    assert "cannot be used" in await refused(wrong)
    (tmp_path / "lonely.key").write_bytes((own.parent / "private_key.pem").read_bytes())
    assert await value_of(adapter_for(server.url, home, ["a"], certificate=str(lonely), **POLICY)) == [4]


def endpoint(*policies: str) -> ua.EndpointDescription:
    """An endpoint without security that takes user names, the password encrypted by these policies."""
    found = ua.EndpointDescription(SecurityPolicyUri=f"{URI}None")
    found.UserIdentityTokens = [
        ua.UserTokenPolicy(each, ua.UserTokenType.UserName, SecurityPolicyUri=f"{URI}{each}") for each in policies
    ]
    return found


async def test_a_password_is_encrypted_if_the_server_takes_it_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPCUA_PASSWORD", "secret")
    user = {"username": "op", "password": "${OPCUA_PASSWORD}"}
    found = Approach(None, endpoint("None", "Basic256Sha256"))
    await log_in(found, OpcUaConnection.model_validate(user))
    assert found.user_token.PolicyId == "Basic256Sha256"
    found = Approach(None, endpoint("None"))
    with pytest.raises(InvalidValueError, match="would take the password in plain text: set `security_policy`"):
        await log_in(found, OpcUaConnection.model_validate(user))
    await log_in(found, OpcUaConnection.model_validate({**user, "plain_password": True}))
    assert found.password == "secret"
    with pytest.raises(SourceError, match="does not let us in with no user; it takes a `username`"):
        await log_in(found, OpcUaConnection.model_validate({}))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("opc.tcp://127.0.0.1:1", "nobody listens there"),
        ("opc.wss://127.0.0.1:4840", "opc.wss is not spoken here"),
    ],
)
async def test_addresses_that_lead_nowhere(tmp_path: Path, url: str, words: str) -> None:
    assert words in await refused(adapter_for(url, tmp_path, ["a"]))
