"""MQTT 3.1.1 and 5: subscribes at a broker, and acknowledges a message once it is durable.

Needs the extra `mqtt`, which is loaded when a connection is made.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from ..twin.backoff import Backoff
from ..twin.errors import InvalidValueError, IoTSenseError, MissingExtraError, SourceError
from ..twin.times import NS, now_ns
from .adapter import Deliver
from .message import Message
from .mqtt_broker import MqttBroker
from .mqtt_packets import Publish
from .mqtt_session import MqttSession
from .source_state import SourceStatus
from .topics import TopicMatcher

if TYPE_CHECKING:
    from .mqtt_connection import MqttConnection

log = logging.getLogger("iotsense.mqtt")

_UNSUPPORTED_VERSION = 132
_CREDENTIALS = {134, 135, 4, 5}
_TAKEN_OVER = 142
# A connection that held this long [s] was a good one; the next attempt is made soon.
_STEADY = 5.0


class MqttAdapter:
    """One broker. It reconnects by itself, resumes its session, and lets the broker wait when the plant is slow.

    A message of QoS 1 or 2 is acknowledged (PUBACK, PUBREC) once `Message.ack` says that it is durable, in order of
    receipt. If storage refuses one, the connection is given up, and the broker sends it again after the next connect.
    """

    def __init__(self, broker: MqttBroker, backoff: Backoff | None = None) -> None:
        self.name = broker.name
        self.status = SourceStatus(broker.name, "mqtt", broker.url)
        self._broker = broker
        self._backoff = backoff or Backoff()
        self._session = MqttSession()
        self._subscribed = False
        self._version5 = broker.settings.version == "5.0"
        self._wanted = TopicMatcher((pattern, True) for pattern, _ in broker.subscriptions)
        self._unwanted: set[str] = set()
        self._connection: MqttConnection | None = None
        self._cut_short = 0

    async def run(self, deliver: Deliver) -> None:
        """Delivers what the broker publishes until cancelled."""
        # What an earlier run had not handed over must not pass for something that we have.
        self._session = MqttSession()
        self._subscribed = False
        try:
            while True:
                self.status.connecting()
                await self._pause(await self._attempt(deliver))
        except (MissingExtraError, InvalidValueError) as error:
            # Only somebody who installs a library or sets a variable can help.
            self.status.failed(str(error))
            log.error("source %s: %s", self.name, error)
        except asyncio.CancelledError:
            self.status.stopped()
            raise

    async def _attempt(self, deliver: Deliver) -> str:
        """One connection from beginning to end. Why it ended."""
        try:
            import aiomqtt

            from .mqtt_connection import MqttConnection
        except ImportError:
            raise MissingExtraError("MQTT", "mqtt") from None
        try:
            async with MqttConnection(self._broker, self._session, self._version5) as connection:
                self._connection = connection
                # At the same time, for what the session has kept comes before the broker's answer.
                subscribing = asyncio.create_task(self._subscribe(connection))
                subscribing.add_done_callback(_fails(connection))
                try:
                    await self._listen(connection, deliver)
                finally:
                    subscribing.cancel()
        except aiomqtt.MqttError as error:
            return self._explain(error)
        except (SourceError, OSError) as error:
            return (str(error) or type(error).__name__) + self._suspicion()

    async def _listen(self, connection: "MqttConnection", deliver: Deliver) -> NoReturn:
        began = time.monotonic()
        self._cut_short += 1
        while True:
            messages = self._messages(await connection.receive(), connection)
            if time.monotonic() - began > _STEADY:
                self._backoff.reset()
                self._cut_short = 0
            try:
                await deliver(messages)
            except IoTSenseError as error:
                for message in messages:
                    if message.refuse is not None:
                        message.refuse(error)

    async def _subscribe(self, connection: "MqttConnection") -> None:
        refused: list[str] = []
        # Subscriptions that the session has are left as they are: anew they would bring every retained message again.
        if not (connection.session_present and self._subscribed):
            refused = await connection.subscribe_all(self._broker.subscriptions)
            self._subscribed = True
        self.status.running()
        if refused:
            self.status.error = f"the broker does not let us subscribe to {', '.join(refused)}"
            log.warning("source %s: %s", self.name, self.status.error)

    async def _pause(self, reason: str) -> None:
        wait = self._backoff.next()
        self.status.backoff(reason, now_ns() + round(wait * NS))
        log.warning("source %s: %s; next attempt in %.1f s", self.name, reason, wait)
        await asyncio.sleep(wait)

    def _explain(self, error: Exception) -> str:
        code = getattr(error, "rc", None)
        number = getattr(code, "value", code)
        if number == _UNSUPPORTED_VERSION and self._version5:
            self._version5 = "version" in self._broker.settings.model_fields_set
            return "the broker does not speak MQTT 5" + ("" if self._version5 else "; 3.1.1 is tried next")
        if number in _CREDENTIALS:
            user = self._broker.settings.username
            return f"the broker refuses us ({code}): check username and password" + (f" of {user}" if user else "")
        if number == _TAKEN_OVER:
            return f"another client uses our client id {self._broker.client_id}: give each its own `client_id`"
        return f"{error}"

    def _suspicion(self) -> str:
        # Brokers that do not tell (MQTT 3.1.1 cannot) throw the elder of two clients of one name out without a word.
        if self._cut_short < 3:
            return ""
        return f"; if that goes on, another client may be using our client id {self._broker.client_id}"

    # Messages

    def _messages(self, packets: list[Publish], connection: "MqttConnection") -> list[Message]:
        received = now_ns()
        return [m for packet in packets if (m := self._message(packet, received, connection)) is not None]

    def _message(self, packet: Publish, received: int, connection: "MqttConnection") -> Message | None:
        message = Message(
            self.name,
            packet.payload,
            packet.topic,
            content_type=packet.content_type,
            metadata=packet.user,
            received=received,
            retained=packet.retain,
        )
        if packet.qos:
            delivery = self._session.received(packet)
            if delivery is None:
                return None

            def refuse(error: IoTSenseError) -> None:
                self._session.refused(delivery)
                connection.fail(SourceError(f"messages cannot be stored: {error}"))

            # The broker sends what is refused again behind what it has sent already, which must not be stored before.
            message.order = connection.order
            message.ack = delivery.ack
            message.refuse = refuse
        if self._wanted.match(packet.topic) is None:
            self._leave(message)
            return None
        return message

    def _leave(self, message: Message) -> None:
        """A session may still bring topics that are no longer configured: nobody wants them, so they are answered."""
        if message.topic not in self._unwanted and len(self._unwanted) < 1000:
            self._unwanted.add(message.topic or "")
            log.warning("source %s: %s is no longer subscribed to, but the session has it", self.name, message.topic)
        if message.ack is not None:
            message.ack()


def _fails(connection: "MqttConnection") -> Callable[["asyncio.Task[None]"], None]:
    """A connection whose subscribing failed is of no use."""

    def done(task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            connection.fail(error)

    return done
