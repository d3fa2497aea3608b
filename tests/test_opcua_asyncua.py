"""asyncua's own server as the peer: what it does otherwise than node-opcua."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import servers
from adapter_contract import running, until
from asyncua import Server, ua
from asyncua.server.user_managers import User, UserManager, UserRole
from test_opcua import adapter_for
from test_opcua_session import values
from value_adapter_contract import ValueStore

from iotsense.ingest.source_state import SourceState
from iotsense.ingest.trust_store import TrustStore
from iotsense.twin.errors import SourceError

pytestmark = [pytest.mark.asyncio(loop_scope="module")]


class Users(UserManager):
    def get_user(
        self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None
    ) -> User | None:
        return User(role=UserRole.Admin) if username is None or (username, password) == ("op", "secret") else None


class Machine:
    """A server in this process; `nodes` are its variables by name."""

    def __init__(self) -> None:
        self.port = servers.free_port()
        self.url = f"opc.tcp://127.0.0.1:{self.port}/machine"
        self.nodes: dict[str, Any] = {}

    async def prepare(self, place: Path) -> Server:
        server = Server(user_manager=Users())
        await server.init()
        server.set_endpoint(self.url)
        uri = "urn:plant:asyncua"
        await server.set_application_uri(uri)
        certificate, key = TrustStore(place).own(uri, "127.0.0.1")
        await server.load_certificate(str(certificate))
        await server.load_private_key(str(key))
        policies = [ua.SecurityPolicyType.NoSecurity, ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
        server.set_security_policy(policies)
        index = await server.register_namespace("urn:plant")
        for name, value in {"speed": 1.0, "count": 3, "list": [1.0, 2.0], "text": "ab"}.items():
            node = await server.nodes.objects.add_variable(ua.NodeId(name, index), name, value)
            self.nodes[name] = node
        await self.nodes["speed"].set_writable()
        return server


# Its address space takes some seconds to be made.
@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    machine = Machine()
    async with await machine.prepare(tmp_path_factory.mktemp("asyncua")):
        yield machine


async def test_values_come_and_go(machine: Machine, tmp_path: Path) -> None:
    store = ValueStore()
    adapter = adapter_for(machine.url, tmp_path, ["speed", "count", "list", "text", "gone"], writable=True)
    async with running(adapter, store):
        await until(lambda: values(store, "text") == ["ab"] and values(store, "list") == [[1.0, 2.0]])
        assert values(store, "count") == [3]
        for number in (2.0, 3.0):
            await machine.nodes["speed"].write_value(number)
            await until(lambda number=number: values(store, "speed")[-1:] == [number])
        speed, count = adapter.writable()[:2]
        await adapter.write(speed, 4.5)
        assert await machine.nodes["speed"].read_value() == 4.5 and (await adapter.read(speed)).value == 4.5
        with pytest.raises(SourceError, match="lets nobody write count"):
            await adapter.write(count, 4)
        await machine.nodes["speed"].write_value(
            ua.DataValue(ua.Variant(0.0), StatusCode=ua.StatusCode(ua.StatusCodes.BadSensorFailure))
        )
        await until(lambda: store.readings("speed")[-1].quality == 16)
    assert store.values("speed") == [1.0, 2.0, 3.0, 4.5]


async def test_a_password_goes_only_to_a_server_that_is_trusted(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is not encrypted, but the password is: for whoever shows a certificate."""
    monkeypatch.setenv("OPCUA_PASSWORD", "secret")
    await machine.nodes["speed"].write_value(1.0)
    adapter = adapter_for(machine.url, tmp_path, ["speed"], username="op", password="${OPCUA_PASSWORD}")
    store = ValueStore()
    async with running(adapter, store, wait=False):
        await until(lambda: adapter.status.state is SourceState.BACKOFF)
        assert "is not trusted" in str(adapter.status.error)
        trust = TrustStore(tmp_path / "data" / "trust")
        trust.add(trust.entries()[0].thumbprint)
        await until(lambda: store.values("speed"))


async def test_subscriptions_are_taken_over_by_another_session(machine: Machine, tmp_path: Path) -> None:
    """As when the server has forgotten the session, but not what it subscribed to."""
    from iotsense.ingest.opcua_memory import _File

    store = ValueStore()
    store.acking = False
    file = tmp_path / "data" / "sources" / "opcua" / "session"
    adapter = adapter_for(machine.url, tmp_path, ["speed"])
    await machine.nodes["speed"].write_value(1.0)
    async with running(adapter, store):
        await until(lambda: values(store, "speed") == [1.0])
        await machine.nodes["speed"].write_value(2.0)
        await until(lambda: values(store, "speed") == [1.0, 2.0])
        known = msgspec.msgpack.decode(file.read_bytes(), type=_File)
        known.token = None
        file.write_bytes(msgspec.msgpack.encode(known))
        second = ValueStore()
        async with running(adapter_for(machine.url, tmp_path, ["speed"]), second):
            await machine.nodes["speed"].write_value(3.0)
            await until(lambda: 3.0 in values(second, "speed"))
    # What the first session did not acknowledge, and what came then.
    assert second.values("speed") == [1.0, 2.0, 3.0]
