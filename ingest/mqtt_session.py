"""What a broker has sent us and may send again: acknowledged in order once it is durable, and taken in only once.

A session outlives connections. The broker sends what it knows no acknowledgement of again, with the same packet
identifier and the DUP flag (MQTT 5.0 section 4.4); the acknowledgement may have been on its way when the connection
broke. Packet identifiers are 16 bits, so this table has at most 65,535 entries.

At QoS 2 the PUBREC makes us the owner of a message, so it is the PUBREC that waits until the message is durable.
"""

from collections import deque
from collections.abc import Callable

from ..twin.errors import IoTSenseError, SourceError
from .mqtt_packets import PUBACK_HEADER, PUBCOMP_HEADER, PUBREC_HEADER, Publish, answer

Send = Callable[[bytes], None]
Fail = Callable[[Exception], None]


class Delivery:
    """A message of QoS 1 or 2 on its way to the journal. `stored` once it is durable there."""

    __slots__ = ("_fail", "_session", "content", "mid", "qos", "stored")

    def __init__(self, session: "MqttSession", packet: Publish, content: int, fail: Fail | None) -> None:
        self._session = session
        self._fail = fail
        self.mid = packet.mid
        self.qos = packet.qos
        self.content = content
        self.stored = False

    def ack(self) -> None:
        """It is durable."""
        self.stored = True
        self._session.acknowledge()

    def refuse(self, error: IoTSenseError) -> None:
        """It could not be stored: the connection that it came by is given up, so that the broker sends it again."""
        self._session.refused(self)
        if self._fail is not None:
            self._fail(SourceError(f"messages cannot be stored: {error}"))


class MqttSession:
    """The deliveries of one session by packet identifier, and in order of receipt those of this connection."""

    def __init__(self) -> None:
        self._deliveries: dict[int, Delivery] = {}
        self._unanswered: deque[Delivery] = deque()
        self._send: Send | None = None
        self._fail: Fail | None = None

    def connected(self, send: Send, present: bool, fail: Fail | None = None) -> None:
        """A connection begins; `fail` gives it up. If the broker has no session of ours, identifiers begin anew."""
        self._send, self._fail = send, fail
        self._unanswered.clear()
        if not present:
            self._deliveries.clear()

    def disconnected(self) -> None:
        """Nothing can be answered; what becomes durable meanwhile is remembered."""
        self._send = None
        self._unanswered.clear()

    def received(self, packet: Publish) -> Delivery | None:
        """A message of QoS 1 or 2 has come: its delivery if it is new, None if we have it or are about to."""
        content = hash((packet.topic, packet.payload))
        known = self._deliveries.get(packet.mid) if packet.duplicate else None
        if known is not None and known.content == content and known.qos == packet.qos:
            self._unanswered.append(known)
            self.acknowledge()
            return None
        delivery = self._deliveries[packet.mid] = Delivery(self, packet, content, self._fail)
        self._unanswered.append(delivery)
        return delivery

    def released(self, mid: int) -> None:
        """The broker has given a message of QoS 2 up to us (PUBREL); its identifier is free now."""
        self._deliveries.pop(mid, None)
        if self._send is not None:
            self._send(answer(PUBCOMP_HEADER, mid))

    def refused(self, delivery: Delivery) -> None:
        """It could not be stored, so that a redelivery is welcome."""
        if self._deliveries.get(delivery.mid) is delivery:
            del self._deliveries[delivery.mid]

    def acknowledge(self) -> None:
        """Answers what is durable, up to the first message that is not: answers go in order of receipt."""
        waiting = self._unanswered
        answers = b""
        while waiting and waiting[0].stored and self._send is not None:
            delivery = waiting.popleft()
            answers += answer(PUBACK_HEADER if delivery.qos == 1 else PUBREC_HEADER, delivery.mid)
        if answers and self._send is not None:
            self._send(answers)
