"""MQTT 3.1.1 and 5: subscribes at a broker, and acknowledges a message once it is durable.

Needs the extra `mqtt`, which is loaded when a connection is made.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ..twin.backoff import Backoff
from ..twin.errors import IoTSenseError, MissingExtraError, SourceError
from ..twin.times import NS, now_ns
from .adapter import Deliver
from .configured import Configured
from .message import Message
from .mqtt_broker import MqttBroker
from .mqtt_packets import Publish
from .mqtt_session import MqttSession
from .mqtt_writer import MqttWriter
from .points import Point
from .reconnecting import ReconnectingAdapter, Surroundings
from .sample import Sample
from .sparkplug_source import SparkplugSource
from .topics import TopicMatcher

if TYPE_CHECKING:
    from .mqtt_connection import MqttConnection

_UNSUPPORTED_VERSION = 132
_CREDENTIALS = {134, 135, 4, 5}
_TAKEN_OVER = 142
_FAREWELL = 0.5


class MqttAdapter(ReconnectingAdapter):
    """One broker. It resumes its session, and lets the broker wait when the plant is slow.

    A message of QoS 1 or 2 is acknowledged (PUBACK, PUBREC) once `Message.ack` says that it is durable, in order of
    receipt. If storage refuses one, the connection is given up, and the broker sends it again after the next connect.
    """

    protocol = "mqtt"

    def __init__(self, broker: MqttBroker, backoff: Backoff | None = None) -> None:
        source = Configured(broker.name, self.protocol, broker)
        super().__init__(source, Surroundings(Path()), broker.url, backoff)
        self._broker = broker
        self._session = MqttSession()
        self._subscribed = False
        self._version5 = broker.settings.version == "5.0"
        self._wanted = TopicMatcher((pattern, True) for pattern, _ in broker.subscriptions)
        self._unwanted: set[str] = set()
        self._connection: MqttConnection | None = None
        self._cut_short = 0
        self._sparkplug = SparkplugSource(broker.sparkplug) if broker.sparkplug is not None else None
        self._writer = MqttWriter(broker, self._sparkplug)

    async def run(self, deliver: Deliver) -> None:
        """Delivers what the broker publishes until cancelled."""
        # What an earlier run had not handed over must not pass for something that we have.
        self._session = MqttSession()
        self._subscribed = False
        await super().run(deliver)

    async def attempt(self, deliver: Deliver) -> None:
        """One connection from beginning to end."""
        try:
            import aiomqtt

            from .mqtt_connection import MqttConnection
        except ImportError:
            raise MissingExtraError("MQTT", "mqtt") from None
        will = self._sparkplug.will() if self._sparkplug is not None else None
        last_will = aiomqtt.Will(*will, qos=1, retain=True) if will is not None else None
        connection = MqttConnection(self._broker, self._session, self._version5, last_will)
        try:
            async with connection:
                self._connection = connection
                await self._converse(connection, deliver)
        except aiomqtt.MqttError as error:
            raise SourceError(self._explain(error, connection.told)) from None
        except (SourceError, OSError) as error:
            raise SourceError((str(error) or type(error).__name__) + self._suspicion()) from None
        finally:
            self._connection = None

    async def _converse(self, connection: "MqttConnection", deliver: Deliver) -> None:
        # At the same time, for what the session has kept comes before the broker's answer.
        subscribing = asyncio.create_task(self._subscribe(connection, deliver))
        subscribing.add_done_callback(_fails(connection))
        try:
            await self._listen(connection, deliver)
        finally:
            subscribing.cancel()
            if self._sparkplug is not None:
                await self._part(self._sparkplug, connection, deliver)

    async def _part(self, sparkplug: SparkplugSource, connection: "MqttConnection", deliver: Deliver) -> None:
        with contextlib.suppress(IoTSenseError, TimeoutError):
            if not connection.lost:
                await asyncio.wait_for(sparkplug.end(connection), _FAREWELL)
        if held := sparkplug.given_up(Message(self.name)):
            with contextlib.suppress(IoTSenseError, TimeoutError):
                await asyncio.wait_for(deliver(held), _FAREWELL)

    async def _listen(self, connection: "MqttConnection", deliver: Deliver) -> NoReturn:
        self._cut_short += 1
        while True:
            messages = self._messages(await connection.receive(), connection)
            if self.steady:
                self._cut_short = 0
            try:
                await deliver(messages)
            except IoTSenseError as error:
                for message in messages:
                    if message.refuse is not None:
                        message.refuse(error)

    async def _subscribe(self, connection: "MqttConnection", deliver: Deliver) -> None:
        refused: list[str] = []
        # Subscriptions that the session has are left as they are: anew they would bring every retained message again.
        if not (connection.session_present and self._subscribed):
            states = [(topic, 1) for topic in self._writer.states if self._wanted.match(topic) is None]
            refused = await connection.subscribe_all([*self._broker.subscriptions, *states])
            self._subscribed = True
        self.connected()
        if refused:
            self.status.error = f"the broker does not let us subscribe to {', '.join(refused)}"
            self.log.warning("source %s: %s", self.name, self.status.error)
        if self._sparkplug is not None:
            self._sparkplug.begin(connection)
            await asyncio.sleep(self._sparkplug.patience)
            if silent := self._sparkplug.silent(Message(self.name)):
                await deliver(silent)

    def _explain(self, error: Exception, told: str) -> str:
        code = getattr(error, "rc", None)
        number = getattr(code, "value", code)
        words = f"; it says: {told}" if told else ""
        if number == _UNSUPPORTED_VERSION and self._version5:
            self._version5 = "version" in self._broker.settings.model_fields_set
            return "the broker does not speak MQTT 5" + ("" if self._version5 else "; 3.1.1 is tried next")
        if number in _CREDENTIALS:
            user = self._broker.settings.username
            whose = f" of {user}" if user else ""
            return f"the broker refuses us ({code}): check username and password{whose}{words}"
        if number == _TAKEN_OVER:
            return f"another client uses our client id {self._broker.client_id}: give each its own `client_id`"
        return f"{error}{words}"

    def _suspicion(self) -> str:
        # Brokers that do not tell (MQTT 3.1.1 cannot) throw the elder of two clients of one name out without a word.
        if self._cut_short < 3:
            return ""
        return f"; if that goes on, another client may be using our client id {self._broker.client_id}"

    # Setting values

    def writable(self) -> Sequence[Point]:
        """The configured commands, and the metrics of Sparkplug's births, if the source is `writable: true`."""
        return self._writer.points()

    async def write(self, point: Point, value: float | bool | str) -> None:
        """Publishes the command; returns when the broker has it and somebody listens, as far as it tells."""
        await self._writer.write(self._connection, point, value)

    async def read(self, point: Point) -> Sample:
        """What the device showed last. Raises SourceError if nothing shows it."""
        return self._writer.read(point)

    # Messages

    def _messages(self, packets: list[Publish], connection: "MqttConnection") -> list[Message]:
        received = now_ns()
        found: list[Message] = []
        for packet in packets:
            message = self._message(packet, received, connection)
            if message is None:
                continue
            if self._sparkplug is not None and self._sparkplug.concerns(packet.topic):
                found += self._sparkplug.messages(packet, message, connection)
            else:
                found.append(message)
        return found

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
        if packet.expiry is not None:
            message.expires = received + packet.expiry * NS
        if packet.qos:
            delivery = self._session.received(packet)
            if delivery is None:
                return None
            # The broker sends what is refused again behind what it has sent already, which must not be stored before.
            message.order = connection.order
            message.ack = delivery.ack
            message.refuse = delivery.refuse
        if self._writer.states:
            self._writer.show(packet.topic, packet.payload, received)
        if self._wanted.match(packet.topic) is None:
            self._leave(message)
            return None
        return message

    def _leave(self, message: Message) -> None:
        """A session may still bring topics that are no longer configured: nobody wants them, so they are answered."""
        topic = message.topic or ""
        if topic not in self._unwanted and topic not in self._writer.states and len(self._unwanted) < 1000:
            self._unwanted.add(topic)
            self.log.warning("source %s: %s is no longer subscribed to, but the session has it", self.name, topic)
        if message.ack is not None:
            message.ack()


def _fails(connection: "MqttConnection") -> Callable[["asyncio.Task[None]"], None]:
    """A connection whose subscribing failed is of no use."""

    def done(task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            connection.fail(error)

    return done
