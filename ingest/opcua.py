"""OPC UA: subscribes at a server, and acknowledges a notification once its values are durable.

Needs the extra `opcua`, which is loaded when a connection is made.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from ..twin.backoff import Backoff
from ..twin.define_opcua import OpcUaProtocol
from ..twin.errors import InvalidValueError, IoTSenseError, SourceError
from ..twin.times import now_ns
from .adapter import Deliver
from .bad_quality import BadQuality
from .configured import Configured
from .opcua_conversation import Conversation
from .opcua_memory import Memory
from .opcua_past import known_until
from .opcua_publishing import SubscriptionsEndedError
from .opcua_security import approach
from .opcua_session import OpcUaSession
from .opcua_values import read_values, write_value
from .opcua_variables import Variable
from .points import Point
from .reconnecting import ReconnectingAdapter, Surroundings
from .sample import Sample
from .trust_store import TrustStore

TRUST = "trust"
"""The folder of a data directory that holds the certificates."""


class OpcUaAdapter(ReconnectingAdapter):
    """One server. It resumes its session, fills outages from history, and is never less secure than configured."""

    protocol = "opcua"

    def __init__(self, source: Configured, surroundings: Surroundings, backoff: Backoff | None = None) -> None:
        self._settings: OpcUaProtocol = source.settings
        super().__init__(source, surroundings, self._settings.endpoint, backoff)
        # One application has one certificate and one trust list, whatever the number of its servers.
        self._trust = TrustStore(surroundings.directory.parent.parent / TRUST)
        self._memory: Memory | None = None
        self._conversation: Conversation | None = None
        self._points = {node.name or node.id: number for number, node in enumerate(self._settings.nodes)}

    async def attempt(self, deliver: Deliver) -> None:
        """One session from beginning to end."""
        self.status.remarks = ()
        found = await approach(self._settings.endpoint, self._settings, self._trust)
        memory = self._remembered()
        session = OpcUaSession(found)
        talk = Conversation(self.name, self._settings, session, memory, deliver)
        token, nonce = memory.take_token()
        try:
            await session.open(token, nonce)
            await talk.look_up()
            self._recall(talk, memory)
            await talk.begin(self._surroundings.twin)
            self._conversation = talk
            self.connected()
            talk.tell(lambda remarks: self._remark([*found.remarks, *remarks]))
            await talk.run()
        except asyncio.CancelledError:
            await session.close()
            memory.forget_session()
            raise
        except SubscriptionsEndedError:
            await session.close()
            memory.forget_session()
            await self._tell_unknown(talk, memory, deliver)
            raise
        except BaseException:
            await session.drop()
            await self._tell_unknown(talk, memory, deliver)
            raise
        finally:
            self._conversation = None

    def _remembered(self) -> Memory:
        if self._memory is None:
            self._memory = Memory(self._settings, self._settings.endpoint, self._surroundings.directory)
        return self._memory

    def _recall(self, talk: Conversation, memory: Memory) -> None:
        """In the first session of a process: what the twin knows of the points."""
        twin = self._surroundings.twin
        if twin is not None and not memory.latest:
            memory.latest, memory.marked = known_until(twin, self.name, talk.readings.points)

    def _remark(self, remarks: Sequence[str]) -> None:
        for remark in remarks:
            if remark not in self.status.remarks:
                self.log.warning("source %s: %s", self.name, remark)
        self.status.remarks = tuple(remarks)

    async def _tell_unknown(self, talk: Conversation, memory: Memory, deliver: Deliver) -> None:
        """Nobody is to take the last values for present ones while the server is away."""
        if self._conversation is None or talk.refused:
            return
        memory.marked = now_ns()
        if messages := talk.readings.unknown(memory.marked, BadQuality.COMMUNICATION):
            with suppress(IoTSenseError):  # why the connection ended is told, not that this cannot be stored
                await deliver(messages)

    @property
    def unread(self) -> int:
        """Notifications that have come and wait until somebody takes them."""
        return self._conversation.unread if self._conversation is not None else 0

    # Writing

    def writable(self) -> Sequence[Point]:
        """The points that may be written; their units are known while the source is connected."""
        if not self._settings.writable:
            return ()
        nodes = self._settings.nodes
        points = [Point(node.name or node.id, unit=node.unit, tag=node.id) for node in nodes]
        if self._conversation is not None:
            points = list(self._conversation.readings.points.points)
        return [point for node, point in zip(nodes, points, strict=True) if node.writable]

    async def write(self, point: Point, value: float | bool | str) -> None:
        """Sets a variable; raises SourceError or InvalidValueError."""
        if not self._settings.writable or not self._settings.nodes[self._number(point)].writable:
            raise InvalidValueError(f"{point.address} may not be written: {self.name} does not say `writable: true`")
        talk, variable = self._variable(point)
        if not variable.writable:
            raise SourceError(f"the server lets nobody write {point.address}, or not us")
        await write_value(talk.session, variable, value)

    async def read(self, point: Point) -> Sample:
        """What a variable holds now; raises SourceError."""
        talk, variable = self._variable(point)
        number = self._number(point)
        changes = await read_values(talk.session, {number: variable.id})
        return talk.readings.sample(changes, now_ns())

    def _number(self, point: Point) -> int:
        number = self._points.get(point.address)
        if number is None:
            raise InvalidValueError(f"{self.name} has no point {point.address}")
        return number

    def _variable(self, point: Point) -> tuple[Conversation, Variable]:
        number, talk = self._number(point), self._conversation
        if talk is None:
            raise SourceError(f"{self.name} is not connected: {self.status.error or self.status.state}")
        variable = talk.variables[number]
        if variable.problem is not None:
            raise SourceError(f"{point.address}: {variable.problem}")
        return talk, variable
