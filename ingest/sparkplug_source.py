"""Sparkplug at one broker: what its messages become, what edge nodes are asked, and what they are told of us."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from ..twin.define_mqtt import Sparkplug
from ..twin.times import now_ns
from .message import Message
from .mqtt_packets import Publish
from .sparkplug_host import Heard, SparkplugHost
from .sparkplug_topic import NAMESPACE, SparkplugTopic, sparkplug_topic, state_topic

if TYPE_CHECKING:
    from .mqtt_connection import MqttConnection

_MS = 1_000_000


class SparkplugSource:
    """Our part as a host application at one broker."""

    def __init__(self, settings: Sparkplug) -> None:
        self.host = SparkplugHost(settings.rebirth_interval)
        self._state = state_topic(settings.host_id) if settings.host_id else None
        self._since = 0
        self.patience = settings.rebirth_interval

    def will(self) -> tuple[str, bytes] | None:
        """Topic and payload that the broker publishes when we are gone; None if nobody is told of us."""
        self._since = now_ns() // _MS
        return None if self._state is None else (self._state, _state(False, self._since))

    def begin(self, connection: "MqttConnection") -> None:
        """We are there: edge nodes that wait for us may send."""
        if self._state is not None:
            connection.send(self._state, _state(True, self._since), qos=1, retain=True)
        self.host.reconnected()
        self.ask(connection)

    async def end(self, connection: "MqttConnection") -> None:
        """We go: a farewell in order keeps the broker from publishing the will."""
        if self._state is not None:
            await connection.send_surely(self._state, _state(False, now_ns() // _MS), qos=1, retain=True)

    def ask(self, connection: "MqttConnection") -> None:
        """Sends the requests for rebirth that are due."""
        for topic, payload in self.host.rebirths():
            connection.send(topic, payload)

    def concerns(self, topic: str) -> bool:
        """Whether a message is Sparkplug's."""
        return topic.startswith(f"{NAMESPACE}/")

    def messages(self, packet: Publish, message: Message, connection: "MqttConnection") -> list[Message]:
        """What a message becomes: `message` brings source, arrival and what to do when it is durable, or is refused."""
        topic = sparkplug_topic(packet.topic)
        found: list[Message] = []
        if topic is None:
            self._hear_state(packet, connection)
        elif not packet.retain:  # births are never retained: one that is may be years old
            heard = self.host.take(topic, packet.payload, message.received, may_wait=packet.qos == 0)
            self.ask(connection)
            found = [each for one in heard for each in _messages(one, message)]
        if not found:
            if message.ack is not None:
                message.ack()
            return []
        found[-1].ack = message.ack
        return found

    def silent(self, message: Message) -> list[Message]:
        """What becomes of the edge nodes that have not answered within `patience` [s] after `begin`."""
        return [each for heard in self.host.silent(now_ns()) for each in _messages(heard, message)]

    def given_up(self, message: Message) -> list[Message]:
        """What waited for birth certificates when the connection ended."""
        return [each for heard in self.host.give_up() for each in _messages(heard, message)]

    def _hear_state(self, packet: Publish, connection: "MqttConnection") -> None:
        # The will of an earlier connection of ours may come late: it must not stand.
        if packet.topic == self._state and not _is_online(packet.payload):
            connection.send(packet.topic, _state(True, self._since), qos=1, retain=True)


def _messages(heard: Heard, like: Message) -> Iterator[Message]:
    common = {"topic": _text(heard.topic), "received": heard.received, "ack": None}
    if heard.samples:
        yield msgspec.structs.replace(like, **common, payload=None, samples=heard.samples, raw=heard.payload)
    if heard.unread:
        yield msgspec.structs.replace(like, **common, payload=heard.payload)


def _text(topic: SparkplugTopic) -> str:
    return "/".join(part for part in (NAMESPACE, topic.group, topic.kind, topic.node, topic.device) if part)


def _state(online: bool, since: int) -> bytes:
    return json.dumps({"online": online, "timestamp": since}).encode()


def _is_online(payload: bytes) -> bool:
    try:
        told = json.loads(payload)
    except ValueError:
        return False
    return isinstance(told, dict) and told.get("online") is True
