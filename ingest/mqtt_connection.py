"""One connection to an MQTT broker: aiomqtt for the handshake, our own eye on what the broker publishes.

aiomqtt 2 acknowledges what its bounded queue threw away, and at QoS 2 takes a message over before anybody has it; it
also costs a task per message. So the stream is read here: PUBLISH and PUBREL are ours, all other packets go to paho.
"""

import asyncio
import math
import struct
import time
from collections.abc import Sequence
from typing import Any

import aiomqtt
from paho.mqtt.client import Client as Paho
from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessageInfo, error_string
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ..twin.errors import SourceError
from ..twin.substitution import reveal
from .message import Order
from .mqtt_broker import MqttBroker
from .mqtt_packets import PUBLISH, PUBREL, PacketStream, Publish, decode_publish
from .mqtt_session import MqttSession
from .mqtt_tls import tls_context

_READ = 65_536
_FULL_MESSAGES = 4096
_FULL_BYTES = 4 * 1024 * 1024
_REFUSED = 128
_HANDSHAKE = 10.0
_FAREWELL = 1.0
# MQTT 5 section 3.8.3.1: retained messages only for a subscription that the session does not have yet.
_RETAINED_IF_NEW = 1
_ALIASES = 1024
_PUBLISHED = 10.0
_NOBODY_LISTENS = 16


class MqttConnection(aiomqtt.Client):
    """A connection that stops reading while nobody takes what has come, so that the broker keeps it."""

    def __init__(
        self, broker: MqttBroker, session: MqttSession, version5: bool, will: aiomqtt.Will | None = None
    ) -> None:
        settings = broker.settings
        password = reveal(settings.password) if settings.password is not None else None
        session_kind: dict[str, Any] = {"clean_session": settings.clean_start}
        if version5:
            session_kind = {"clean_start": settings.clean_start, "properties": _connect_properties(broker)}
        tls = tls_context(broker.tls) if broker.tls is not None else None
        super().__init__(
            broker.host,
            broker.port,
            username=reveal(settings.username) if settings.username is not None else None,
            password=password,
            identifier=broker.client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if version5 else aiomqtt.ProtocolVersion.V311,
            keepalive=max(1, round(settings.keep_alive)),
            tls_context=tls,
            transport="tcp" if broker.websocket_path is None else "websockets",
            websocket_path=broker.websocket_path,
            timeout=_HANDSHAKE,
            will=will,
            **session_kind,
        )
        self.session_present = False
        self.told = ""
        self._greeted = False
        self._tls = tls
        self._version5 = version5
        self.order = Order()
        self._session = session
        self._stream = PacketStream()
        self._inbox: list[Publish] = []
        self._inbox_bytes = 0
        self._arrived = asyncio.Event()
        self._paused = False
        self._abandoned = False
        self._ended: Exception | None = None
        self._answers = b""
        self._aliases: dict[int, str] = {}
        self._published: dict[int, asyncio.Future[ReasonCode]] = {}

    async def __aenter__(self) -> "MqttConnection":
        try:
            await self._greet()
            if self._ended is not None:
                raise self._ended
        except BaseException:
            # The thread that connects cannot be stopped: what it still opens is closed at once.
            self._abandoned = True
            self._close()
            raise
        self._session.connected(self._answer, self.session_present, self.fail)
        return self

    async def _greet(self) -> None:
        try:
            await super().__aenter__()
        except aiomqtt.MqttError:
            if self._greeted or self._ended is not None or self._client.socket() is None:
                raise
            hint = "; brokers that know only MQTT 3.1.1 may be silent to MQTT 5: try version 3.1.1"
            silence = f"it does not answer as an MQTT broker within {_HANDSHAKE:g} s"
            raise aiomqtt.MqttError(silence + hint * self._version5) from None

    async def __aexit__(self, *error: Any) -> None:
        self._session.disconnected()
        self._flush()
        self.timeout = _FAREWELL
        try:
            if self._ended is None:
                await super().__aexit__(*error)
        except aiomqtt.MqttError:
            # It goes without a farewell; what went wrong before is what counts.
            pass
        finally:
            self._close()

    def _close(self) -> None:
        self._client._sock_close()
        if self._tls is not None:
            self._tls.drop()
        for future in (self._connected, self._disconnected):
            # A failure that nobody looked at would be logged as forgotten.
            if future.done() and not future.cancelled():
                future.exception()

    async def subscribe_all(self, subscriptions: Sequence[tuple[str, int]]) -> list[str]:
        """Subscribes to filters with their QoS. The filters that the broker refused, with its reason.

        Somebody must `receive` meanwhile: what a session has kept comes before the answer, and may be a lot.
        """
        if not subscriptions:
            return []
        if self._version5:
            options = [(topic, SubscribeOptions(qos, retainHandling=_RETAINED_IF_NEW)) for topic, qos in subscriptions]
            granted: Any = await self.subscribe(options, timeout=math.inf)
        else:
            granted = await self.subscribe(list(subscriptions), timeout=math.inf)
        refused = []
        for (topic, _), code in zip(subscriptions, granted, strict=True):
            number = code.value if isinstance(code, ReasonCode) else int(code)
            if number >= _REFUSED:
                refused.append(f"{topic} ({code})" if self._version5 else topic)
        return refused

    async def receive(self) -> list[Publish]:
        """What the broker has published since the last call; waits for it. Raises MqttError if it has gone."""
        while not self._inbox:
            if self._ended is not None:
                raise self._ended
            self._arrived.clear()
            await self._arrived.wait()
        taken, self._inbox, self._inbox_bytes = self._inbox, [], 0
        self._resume()
        return taken

    @property
    def lost(self) -> bool:
        """Whether it has ended."""
        return self._ended is not None

    def send(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> MQTTMessageInfo:
        """Publishes, and does not wait until the broker has it."""
        return self._client.publish(topic, payload, qos, retain)

    async def send_surely(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        """Publishes, and returns when the broker has it (at QoS 0: when it is on its way). Raises SourceError."""
        info = self.send(topic, payload, qos, retain)
        done = self._published[info.mid] = self._loop.create_future()
        try:
            if info.is_published():
                return
            code = await asyncio.wait_for(done, _PUBLISHED)
        except TimeoutError:
            raise SourceError(f"the broker has not confirmed what was published on {topic}") from None
        except (RuntimeError, ValueError) as error:
            raise SourceError(f"nothing could be published on {topic}: {error}") from None
        finally:
            self._published.pop(info.mid, None)
        if code.value >= _REFUSED:
            raise SourceError(f"the broker refuses what is published on {topic}: {code}")
        if code.value == _NOBODY_LISTENS and not retain:
            raise SourceError(f"nobody is subscribed to {topic}")

    def fail(self, error: Exception) -> None:
        """Gives the connection up: the broker will send again what it has no acknowledgement of."""
        if self._ended is None:
            self._ended = error
        for waiting in self._published.values():
            if not waiting.done():
                waiting.set_exception(SourceError(f"the connection ended before the broker confirmed it: {error}"))
        self._arrived.set()

    # Reading

    def _on_socket_open(self, client: Paho, userdata: Any, sock: Any) -> None:
        # Runs in the thread that connects.
        if self._abandoned:
            sock.close()
            return
        self._loop.call_soon_threadsafe(self._begin, sock)

    def _begin(self, sock: Any) -> None:
        if self._abandoned or sock.fileno() < 0:
            return
        self._loop.add_reader(sock.fileno(), self._read)
        self._misc_task = self._loop.create_task(self._misc_loop())

    def _read(self) -> None:
        try:
            while not self._paused:
                chunk = self._client._sock_recv(_READ)
                if not chunk:
                    raise SourceError("the broker closed the connection")
                self._client._last_bytes_received = time.monotonic()
                for first, body in self._stream.feed(chunk):
                    self._take(first, body)
                if len(chunk) < _READ and not self._undelivered():
                    break
        except BlockingIOError:
            pass
        except (OSError, SourceError, MalformedPacket, struct.error) as error:
            self._lost(error)
        if self._inbox:
            self._arrived.set()

    def _undelivered(self) -> int:
        """Bytes that TLS has decrypted and the socket therefore does not announce."""
        pending = getattr(self._client.socket(), "pending", None)
        return int(pending()) if pending is not None else 0

    def _take(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == PUBLISH:
            packet = decode_publish(first, body, self._version5)
            if packet.alias:
                self._resolve(packet)
            self._inbox.append(packet)
            self._inbox_bytes += len(body)
            if len(self._inbox) >= _FULL_MESSAGES or self._inbox_bytes >= _FULL_BYTES:
                self._pause()
        elif kind == PUBREL and len(body) >= 2:
            self._session.released(body[0] << 8 | body[1])
        else:
            self._hand_to_paho(first, body)

    def _resolve(self, packet: Publish) -> None:
        """A topic may be told once, and then by its alias (MQTT 5 section 3.3.2.3.4)."""
        if packet.topic:
            self._aliases[packet.alias] = packet.topic
        elif (topic := self._aliases.get(packet.alias)) is not None:
            packet.topic = topic
        else:
            raise SourceError(f"the broker used the topic alias {packet.alias} without having said what it stands for")

    def _hand_to_paho(self, first: int, body: bytes) -> None:
        paho = self._client
        paho._in_packet["command"] = first
        paho._in_packet["remaining_length"] = len(body)
        paho._in_packet["packet"] = bytearray(body)
        paho._in_packet["pos"] = 0
        code = paho._packet_handle()
        paho._in_packet["command"] = 0
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._lost(SourceError(f"the broker broke the rules of MQTT: {error_string(code)}"))

    def _lost(self, error: Exception) -> None:
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError(str(error)))
        self.fail(error)
        self._client._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)

    def _pause(self) -> None:
        sock = self._client.socket()
        if not self._paused and sock is not None:
            self._paused = True
            self._loop.remove_reader(sock.fileno())

    def _resume(self) -> None:
        sock = self._client.socket()
        if self._paused:
            self._paused = False
            if sock is not None:
                self._loop.add_reader(sock.fileno(), self._read)
                # TLS may hold bytes that the socket will not announce.
                self._loop.call_soon(self._read)

    async def _misc_loop(self) -> None:
        while True:
            if self._paused:
                # We do not read, so we cannot know that the broker is alive: that is no reason to leave it.
                self._client._ping_t = 0.0
                self._client._last_bytes_received = time.monotonic()
            if self._client.loop_misc() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
            await asyncio.sleep(1)

    # Answering

    def _answer(self, packets: bytes) -> None:
        if not self._answers:
            self._loop.call_soon(self._flush)
        self._answers += packets

    def _flush(self) -> None:
        # One write for all acknowledgements of this turn of the loop.
        answers, self._answers = self._answers, b""
        if answers and self._client.socket() is not None:
            self._client._packet_queue(PacketTypes.PUBACK << 4, answers, 0, 0)

    # What paho tells

    def _on_connect(
        self,
        client: Paho,
        userdata: Any,
        flags: ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self._greeted = True
        self.session_present = bool(flags.session_present)
        self.told = _told(properties)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_publish(
        self, client: Paho, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        waiting = self._published.get(mid)
        if waiting is not None and not waiting.done():
            waiting.set_result(reason_code)
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_disconnect(
        self,
        client: Paho,
        userdata: Any,
        flags: DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.told = _told(properties) or self.told
        super()._on_disconnect(client, userdata, flags, reason_code, properties)
        self.fail(aiomqtt.MqttCodeError(reason_code, "the connection broke"))


def _connect_properties(broker: MqttBroker) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = min(round(broker.settings.session_expiry), 0xFFFFFFFF)
    properties.ReceiveMaximum = broker.settings.receive_maximum
    properties.TopicAliasMaximum = _ALIASES
    return properties


def _told(properties: Properties | None) -> str:
    """What the broker says in its own words, and where it sends us."""
    reason = getattr(properties, "ReasonString", None)
    server = getattr(properties, "ServerReference", None)
    return "; ".join(text for text in (reason, f"use the broker {server}" if server else None) if text)
