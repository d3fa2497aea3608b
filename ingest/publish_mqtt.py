"""Publishing to an MQTT broker. Needs the extra `mqtt`, which is loaded when a connection is made."""

import asyncio
import contextlib
import re
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..twin.define_mqtt import MQTT_PORTS
from ..twin.define_payload import Tls
from ..twin.define_publishing import MqttPublishing
from ..twin.errors import MissingExtraError, SourceError
from ..twin.substitution import reveal
from .publish_message import Outgoing
from .tls import client_context, tls_reason

if TYPE_CHECKING:
    import aiomqtt

_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")
_UNSPECIFIED = 128  # what the library says of a connection that ended without a word
_TIMEOUT_S = 10.0
_IN_FLIGHT = 200


class MqttSender:
    """One broker. With QoS 1 a message counts when the broker has acknowledged it."""

    default_topics = ("${uns}", "${uns}/_events/${kind}", "${uns}/_${kind}")

    def __init__(self, settings: MqttPublishing) -> None:
        self.address = settings.url
        self._settings = settings
        self._client: aiomqtt.Client | None = None
        self._refusals: list[str] = []
        self._version5 = settings.version == "5.0"

    async def open(self) -> None:
        """Connects."""
        try:
            import aiomqtt
        except ImportError:
            raise MissingExtraError("MQTT", "mqtt") from None
        self._refusals = []
        client = _client(self._settings, self._version5, self._refusals)
        try:
            await client.__aenter__()
        except aiomqtt.MqttError as error:
            raise SourceError(self._explain(error)) from None
        self._client = client

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Many at a time; the broker gets them in their order."""
        import aiomqtt

        client = self._client
        assert client is not None
        try:
            for start in range(0, len(messages), _IN_FLIGHT):
                some = messages[start : start + _IN_FLIGHT]
                await asyncio.gather(*(self._publish(client, message) for message in some))
        except aiomqtt.MqttError as error:
            raise SourceError(self._explain(error)) from None
        if self._refusals:
            reasons = ", ".join(sorted(set(self._refusals)))
            self._refusals.clear()
            raise SourceError(f"the broker refuses what is published ({reasons}): let {self._who} write to its topics")

    async def _publish(self, client: "aiomqtt.Client", message: Outgoing) -> None:
        plain = {"type": message.type, "data": message.data}
        payload = message.encoded(None if message.is_document else plain)
        properties = _properties(message) if self._version5 else None
        await client.publish(message.topic, payload, self._settings.qos, message.retain, properties, timeout=_TIMEOUT_S)

    async def lost(self) -> None:
        """Raises when the broker is gone."""
        import aiomqtt

        assert self._client is not None
        try:
            async for _ in self._client.messages:
                pass  # nothing is subscribed to
        except aiomqtt.MqttError as error:
            raise SourceError(self._explain(error)) from None

    async def close(self) -> None:
        """Says good-bye, if the broker still listens."""
        import aiomqtt

        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(aiomqtt.MqttError):  # it may be gone already
                await client.__aexit__(None, None, None)

    @property
    def _who(self) -> str:
        return self._settings.username or "us"

    def _explain(self, error: BaseException) -> str:
        cause = error.__cause__ or error
        if (reason := tls_reason(cause)) is not None:
            return reason
        told = getattr(error, "rc", None) or getattr(cause, "rc", None)
        code = getattr(told, "value", told)
        if code in (134, 135, 4, 5):
            user = self._settings.username
            return "the broker refuses us: check username and password" + (f" of {user}" if user else "")
        if code == _UNSPECIFIED:
            # Some versions of mosquitto do so after a message that they deny, and what they say is lost with it.
            return f"the broker ended the connection without a word; perhaps it does not let {self._who} write"
        return str(cause) or str(error) or type(error).__name__


def _client(settings: MqttPublishing, version5: bool, refusals: list[str]) -> "aiomqtt.Client":
    import aiomqtt

    class Client(aiomqtt.Client):
        """Keeps what the broker says to a message that it does not take."""

        def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, *more: Any) -> None:
            if getattr(reason_code, "is_failure", False):
                refusals.append(str(reason_code))
            super()._on_publish(client, userdata, mid, reason_code, *more)

    parts = urlsplit(settings.url)
    websocket = parts.scheme in ("ws", "wss")
    tls = settings.tls or (Tls() if parts.scheme in ("mqtts", "wss") else None)
    made = Client(
        parts.hostname or "",
        parts.port or MQTT_PORTS[parts.scheme],
        username=None if settings.username is None else reveal(settings.username),
        password=None if settings.password is None else reveal(settings.password),
        identifier=settings.client_id or _UNFIT.sub("_", f"iotsense-{socket.gethostname()}-publish-{settings.id}"),
        protocol=aiomqtt.ProtocolVersion.V5 if version5 else aiomqtt.ProtocolVersion.V311,
        transport="websockets" if websocket else "tcp",
        websocket_path=(parts.path or "/mqtt") if websocket else None,
        tls_context=client_context(tls) if tls is not None and tls.enabled else None,
        timeout=_TIMEOUT_S,
        max_inflight_messages=_IN_FLIGHT,
    )
    made.pending_calls_threshold = _IN_FLIGHT
    return made


def _properties(message: Outgoing) -> Any:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = message.media_type
    properties.UserProperty = [("id", message.id), ("type", message.type)]
    return properties
