"""A session at an OPC UA server: requests split by the server's limits, and node ids that survive another order of
its namespaces."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from ..twin.errors import SourceError
from ..twin.times import datetime_to_ns, now_ns
from .opcua_errors import translated
from .opcua_publication import Publication, read_publish_response, read_republish_response
from .opcua_security import Approach

T = TypeVar("T")
R = TypeVar("R")
# What is asked at once, even if the server takes more: asyncua makes objects of the answer in one go.
_AT_ONCE = 500
_LIMITS = {"read": 11705, "browse": 11710, "items": 11714, "history": 12165, "write": 11707, "subscription": 24104}
_NAMESPACES = 2255


class OpcUaSession:
    """One session. Use `open`; all methods raise SourceError."""

    def __init__(self, approach: Approach) -> None:
        self._approach = approach
        self.client = approach.client
        self.resumed = False
        self.namespaces: list[str] = []
        self._limits: dict[str, int] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._unrenewed: BaseException | None = None

    async def open(self, token: str | None = None, nonce: bytes | None = None) -> None:
        """Connects and logs in; `resumed` says whether the session of this token went on."""
        client = self.client
        with translated(f"connecting to {client.server_url.geturl()}"):
            await client.connect_socket()
            await client.send_hello()
            await client.open_secure_channel()
            if token is not None:
                self.resumed = await self._resume(token, nonce)
            if not self.resumed:
                await client.create_session()
                self._require_expected()
                await self._activate()
        self._renewing = asyncio.create_task(self._renew())
        with translated("reading what the server is able to do"):
            await self._look_around()

    async def close(self) -> None:
        """Ends the session, its subscriptions with it."""
        with suppress(Exception):
            await asyncio.wait_for(self.client.uaclient.close_session(True), 1.0)
            await asyncio.wait_for(self.client.close_secure_channel(), 0.5)
        await self.drop()

    async def drop(self) -> None:
        """Lets the connection go and leaves the session to the server, to be resumed."""
        if self._renewing is not None:
            self._renewing.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewing
        with suppress(Exception):
            self.client.uaclient.protocol.transport.abort()
        self.client.disconnect_socket()

    @property
    def token(self) -> str:
        """With `nonce`, what another connection needs to resume this session."""
        return str(self.client.uaclient.session.authentication_token.to_string())

    @property
    def nonce(self) -> bytes | None:
        """The server's last nonce."""
        nonce: bytes | None = self.client._server_nonce
        return nonce

    # Requests

    async def request(self, request: Any) -> Any:
        """Any of asyncua's requests; its response, whose result is good. Raises asyncua's errors."""
        from asyncua import ua
        from asyncua.common.utils import Buffer
        from asyncua.ua.ua_binary import struct_from_binary

        body = Buffer(await self.ask(request))
        response = struct_from_binary(getattr(ua, type(request).__name__.replace("Request", "Response")), body)
        response.ResponseHeader.ServiceResult.check()
        return response

    async def ask(self, request: Any, *, patient: bool = False) -> bytes:
        """Any of asyncua's requests; the bytes of its response. Raises asyncua's errors.

        patient: wait for the answer as long as the connection lasts.
        """
        protocol = self.client.uaclient.protocol
        if protocol is None:
            raise SourceError("the connection is closed")
        return bytes(await protocol.send_request(request, 0 if patient else None))

    async def publish(self, acknowledgements: Sequence[tuple[int, int]]) -> Publication:
        """One Publish request; waits until the server answers it."""
        from asyncua import ua

        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = [
            ua.SubscriptionAcknowledgement(subscription, sequence) for subscription, sequence in acknowledgements
        ]
        return read_publish_response(await self.ask(request, patient=True))

    async def republish(self, subscription: int, sequence: int) -> Publication:
        """A notification message once more; asyncua's UaStatusCodeError if the server has it no more."""
        from asyncua import ua

        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId, request.Parameters.RetransmitSequenceNumber = subscription, sequence
        return read_republish_response(await self.ask(request), subscription)

    def limit(self, kind: str) -> int:
        """How many the server takes at once of `read`, `browse`, `items`, `history`, `write`; 0: it does not say."""
        return self._limits.get(kind, 0)

    async def in_parts(
        self, kind: str, items: Sequence[T], ask: Callable[[Sequence[T]], Awaitable[Sequence[R]]]
    ) -> list[R]:
        """Asks for many items in requests that the server takes; the answers in the order of the items."""
        at_once = min(self.limit(kind) or _AT_ONCE, _AT_ONCE)
        found: list[R] = []
        for start in range(0, len(items), at_once):
            with translated(f"{kind} request"):
                found += await ask(items[start : start + at_once])
        return found

    async def read(self, nodes: Sequence[Any], attribute: int = 13) -> list[Any]:
        """Data values of an attribute (13: the value) of nodes."""
        from asyncua import ua

        async def ask(part: Sequence[Any]) -> Sequence[Any]:
            parameters = ua.ReadParameters()
            parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            parameters.NodesToRead = [ua.ReadValueId(node, ua.AttributeIds(attribute)) for node in part]
            found: Sequence[Any] = await self.client.uaclient.session.read(parameters)
            return found

        return await self.in_parts("read", nodes, ask)

    async def browse(self, descriptions: Sequence[Any]) -> list[list[Any]]:
        """The references of each of asyncua's BrowseDescriptions, continuation points followed."""
        from asyncua import ua

        session = self.client.uaclient.session

        async def ask(part: Sequence[Any]) -> Sequence[list[Any]]:
            parameters = ua.BrowseParameters(NodesToBrowse=list(part))
            parameters.View = ua.ViewDescription()
            found = []
            for result in await session.browse(parameters):
                references = list(result.References or ())
                while result.ContinuationPoint:
                    following = ua.BrowseNextParameters(False, [result.ContinuationPoint])
                    result = (await session.browse_next(following))[0]
                    references += result.References or ()
                found.append(references)
            return found

        return await self.in_parts("browse", descriptions, ask)

    async def alive(self) -> None:
        """Asks something small; raises SourceError if no answer comes."""
        from asyncua import ua

        if self._unrenewed is not None:
            raise SourceError(f"the secure channel could not be renewed: {self._unrenewed}")
        await self.read([ua.NodeId(ua.ObjectIds.Server_ServerStatus_State)])

    async def time(self) -> int:
        """The server's clock [ns since the epoch]; ours if it shows none."""
        from asyncua import ua

        value = (await self.read([ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)]))[0].Value
        moment = value.Value if value is not None else None
        return datetime_to_ns(moment) if isinstance(moment, datetime) else now_ns()

    async def forget_subscriptions(self, ids: Sequence[int]) -> None:
        """Has the server end subscriptions; those that it does not have do not matter."""
        with suppress(SourceError), translated("ending subscriptions"):
            await self.client.uaclient.session.delete_subscriptions(ids)

    def node_id(self, text: str, earlier: Sequence[str] = ()) -> Any:
        """The node id that a text of the configuration means in this session.

        earlier: the namespaces when `ns=` was first understood; one that has moved since is followed by its URI.
        Raises SourceError where it names a namespace that the server does not have.
        """
        from asyncua import ua

        if text.startswith("nsu="):
            uri, _, rest = text[4:].partition(";")
            while rest and rest[:2] not in ("i=", "s=", "g=", "b="):  # a URI may contain semicolons
                more, _, rest = rest.partition(";")
                uri = f"{uri};{more}"
            if uri not in self.namespaces:
                raise SourceError(f"the server has no namespace {uri}")
            text = f"ns={self.namespaces.index(uri)};{rest}"
            earlier = ()
        try:
            found = ua.NodeId.from_string(text)
        except (ua.UaError, ValueError) as error:
            raise SourceError(f"{text} is no node id: {error}") from None
        index = found.NamespaceIndex
        # The first two are the standard's and the server's own, which has the name of its host.
        if 1 < index < len(earlier) and self.namespaces[index : index + 1] != [earlier[index]]:
            if earlier[index] not in self.namespaces:
                raise SourceError(f"the server has no namespace {earlier[index]} any more, which was {index}")
            return ua.NodeId(found.Identifier, self.namespaces.index(earlier[index]))
        return found

    # Within

    async def _resume(self, token: str, nonce: bytes | None) -> bool:
        from asyncua import ua
        from asyncua.ua.uaerrors import UaError

        session = self.client.uaclient.session
        session.restore_authentication_token(ua.NodeId.from_string(token))
        self.client._server_nonce = nonce
        try:
            await self._activate()
        except UaError:
            session.reset_authentication_token()
            self.client._server_nonce = None
            return False
        return True

    def _require_expected(self) -> None:
        expected, shown = self._approach.expected, self.client.security_policy.peer_certificate
        # asyncua keeps the first of a chain.
        if expected is not None and (not shown or not expected.startswith(shown)):
            raise SourceError("the server shows another certificate than its endpoint: the password was not sent")

    async def _activate(self) -> None:
        approach = self._approach
        # asyncua would take the first of its kind, which may be one that does not encrypt the password.
        self.client._policy_ids = [approach.user_token]
        await self.client.activate_session(
            username=approach.username, password=approach.password, certificate=self.client.user_certificate
        )

    async def _renew(self) -> None:
        """A secure channel lives as long as the server says; it is renewed when three quarters of that are over."""
        try:
            while True:
                await asyncio.sleep(self.client.secure_channel_timeout * 0.75 / 1000)
                await self.client.open_secure_channel(renew=True)
                self.client.uaclient.revolve_security_token()
        except Exception as error:
            self._unrenewed = error

    async def _look_around(self) -> None:
        from asyncua import ua

        nodes = [ua.NodeId(_NAMESPACES), *(ua.NodeId(number) for number in _LIMITS.values())]
        values = [each.Value.Value if each.Value is not None else None for each in await self._read_one_by_one(nodes)]
        self.namespaces = list(values[0] or ())
        self._limits = {
            name: value for name, value in zip(_LIMITS, values[1:], strict=True) if isinstance(value, int) and value
        }

    async def _read_one_by_one(self, nodes: Sequence[Any]) -> list[Any]:
        """In one request; one by one if the server takes no more at once."""
        try:
            return await self.read(nodes)
        except SourceError:
            return [(await self.read([node]))[0] for node in nodes]
