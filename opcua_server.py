"""The OPC UA server that shows the twin to SCADA, MES and historians: nodes, live values, history, alarms."""

import asyncio
import contextlib
import copy
import logging
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import __version__
from .config import AddressInUseError
from .ingest.commands import Commands
from .twin.audit_trail import AuditTrail
from .twin.command_limits import WRITABLE
from .twin.define_opcua_server import OpcUaServerConfig, listen_address
from .twin.errors import InvalidValueError, MissingExtraError
from .twin.graph import VALUE
from .twin.model import Node, Signal
from .twin.state_subscription import StateSubscription
from .twin.twin import Twin

if TYPE_CHECKING:
    from asyncua import Server, ua

    from .opcua_space import Space

log = logging.getLogger("iotsense.opcua_server")

NAMESPACE = "urn:iotsense:twin"
TRUST = "trust"
LOOK_S = 0.5
CLOCK_S = 1.0
# What one client may make us keep.
_MOST_SUBSCRIPTIONS = 100
_MOST_UNACKNOWLEDGED = 100
_LONGEST_QUEUE = 1000


class OpcUaServer:
    """One server; `run` ends when it is cancelled. `url` is where it answers, `problem` why it cannot.

    directory: of the data; the certificates that are trusted lie in its folder `trust`. commands: take in what is set;
    trail: records it.
    """

    def __init__(
        self,
        twin: Twin,
        config: OpcUaServerConfig,
        directory: Path,
        commands: Commands | None = None,
        trail: AuditTrail | None = None,
    ) -> None:
        self.config = config
        self.url: str | None = None
        self.problem: str | None = None
        self._twin = twin
        self._commands = commands
        self._trail = trail
        self._trust = directory / TRUST
        self._pause = config.publishing_interval_ms / 1000

    async def run(self) -> None:
        """Serves until cancelled; raises AddressInUseError. `problem` tells what only somebody else can change."""
        try:
            async with self._serving() as (server, space):
                await self._follow(server, space)
        except (MissingExtraError, InvalidValueError) as error:
            self.problem = str(error)
            log.error("the OPC UA server cannot run: %s", error)
            await asyncio.Event().wait()
        finally:
            self.url = None

    @contextlib.asynccontextmanager
    async def _serving(self) -> "AsyncIterator[tuple[Server, Space]]":
        await asyncio.to_thread(_load)
        server = await self._server()
        space = await self._space(server)
        host, port = listen_address(self.config.listen)
        try:
            await server.start()
        except OSError as error:
            raise AddressInUseError(f"cannot listen on {self.config.listen}: {error.strerror or error}") from error
        try:
            bound = server.bserver.port if server.bserver is not None else port
            self.url = f"opc.tcp://[{host}]:{bound}" if ":" in host else f"opc.tcp://{host}:{bound}"
            log.info("OPC UA server at %s", self.url)
            yield server, space
        finally:
            await server.stop()

    async def _server(self) -> "Server":
        from .ingest.trust_store import TrustStore
        from .opcua_access import GuardedServer, Users, identity_tokens, policies

        trust, config = TrustStore(self._trust), self.config
        server = GuardedServer(user_manager=Users(config, trust))
        server.trust(trust)
        _bound(server.iserver)
        uri = config.application_uri or f"urn:{socket.gethostname()}:iotsense"
        server.set_endpoint(f"opc.tcp://{config.listen}")
        server.set_server_name("IoTSense")
        server.set_security_policy(policies(config))
        server.set_identity_tokens(identity_tokens(config))
        await server.init()
        await server.set_application_uri(uri)
        await server.set_build_info(NAMESPACE, "IoTSense", "IoTSense", __version__, "", datetime.now(UTC))
        certificate, key = await asyncio.to_thread(trust.own, uri, socket.gethostname())
        await server.load_certificate(certificate)
        await server.load_private_key(key)
        return server

    async def _space(self, server: "Server") -> "Space":
        from .opcua_history import HistoryReads
        from .opcua_nodes import Items
        from .opcua_space import Space
        from .opcua_writes import Writes

        internal = server.iserver
        namespace = await server.register_namespace(NAMESPACE)
        items = Items(namespace, self.config.publishing_interval_ms, self._settable)
        space = Space(internal.aspace, items, self._latest)
        commands = self._commands if self.config.writable else None
        internal.attribute_service = Writes(space, internal.aspace, commands, self._twin, self._trail)
        history: Any = HistoryReads(self._twin, space)
        internal.history_manager = history
        await space.follow(self._twin.graph)
        return space

    def _settable(self, node: Node, signal: Signal) -> bool:
        return self.config.writable and signal.name == VALUE and WRITABLE in node.properties

    def _latest(self, index: int) -> "ua.DataValue":
        from .opcua_values import gone, latest

        signal = self._twin.graph.signal_map.get(index)
        # The space follows the graph a moment later.
        return gone() if signal is None else latest(signal, self._twin.state.read(index), self._twin.label)

    # Following the twin

    async def _follow(self, server: "Server", space: "Space") -> None:
        from .opcua_alarms import Alarms, tell_changes

        session = server.iserver.isession
        changes = self._twin.subscribe_state()
        alarms = Alarms(session, self._twin, space)
        await alarms.tell_open()
        ticked = 0.0
        while True:
            if self._twin.graph is not space.graph:
                await tell_changes(session, await space.follow(self._twin.graph))
            await space.push((await _changed(changes)).tolist())
            await alarms.follow()
            if (now := asyncio.get_running_loop().time()) - ticked >= CLOCK_S:
                ticked = now
                await _tell_time(server)
            await asyncio.sleep(self._pause)


async def _changed(changes: StateSubscription) -> NDArray[np.int32]:
    """The signals that changed since the last time; none if nothing does for a while, as other things are due too."""
    try:
        return await asyncio.wait_for(changes.changed(), LOOK_S)
    except TimeoutError:
        return np.zeros(0, dtype=np.int32)


async def _tell_time(server: "Server") -> None:
    """The clock that clients take for a sign of life. The server's own would make it end a second late."""
    internal = server.iserver
    status = copy.copy(await internal.server_status_node.read_value())
    status.CurrentTime = datetime.now(UTC)
    await internal.server_status_node.write_value(status)
    await internal.current_time_node.write_value(status.CurrentTime)


def _bound(internal: Any) -> None:
    internal.disabled_clock = True
    internal.bind_condition_methods = True
    internal.allow_remote_admin = False
    internal.register_server = internal.register_server2 = _refuse_registration
    internal.max_subscriptions = _MOST_SUBSCRIPTIONS
    internal.max_unacked_messages_per_subscription = _MOST_UNACKNOWLEDGED
    internal.max_monitored_item_queue_size = _LONGEST_QUEUE


def _refuse_registration(*_: object, **__: object) -> None:
    """We are no discovery server, and whoever asks has no session yet."""
    from asyncua import ua
    from asyncua.common.utils import ServiceError

    raise ServiceError(ua.StatusCodes.BadServiceUnsupported)


def _load() -> None:
    """The library takes its time to load; the service has other things to do."""
    try:
        import asyncua  # noqa: F401
    except ImportError:
        raise MissingExtraError("the OPC UA server", "opcua") from None
    from . import opcua_access, opcua_alarms, opcua_history, opcua_space, opcua_writes  # noqa: F401

    # They tell of every request of every client, and of clients' mistakes as if they were ours.
    for name in ("server.server", "server.internal_server", "server.internal_session", "server.uaprocessor",
                 "server.address_space", "server.binary_server_asyncio", "crypto.uacrypto"):  # fmt: skip
        logging.getLogger(f"asyncua.{name}").setLevel(logging.CRITICAL)
