"""A Sparkplug host application: follows births, data and deaths of edge nodes, and asks for what it has missed."""

import time
from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from ..twin.errors import InvalidValueError
from .sample import Sample
from .sparkplug_node import BD_SEQ, REBIRTH, Device, EdgeNode, Known, is_control
from .sparkplug_payload import Payload, decode_payload, encode_command
from .sparkplug_topic import SparkplugTopic
from .sparkplug_values import CODES, encode_value

MOST_NODES = 10_000
MOST_HELD = 1000
_BIRTHS = {"NBIRTH", "DBIRTH"}
_DATA = {"NDATA", "DDATA"}
# Data waits so long [s] for a birth that was asked for; then what has names is read without.
_PATIENCE = 10.0
_COMMANDS = {"NCMD", "DCMD"}


class Heard(msgspec.Struct):
    """What a message of an edge node comes to. unread: it, or a part of it, could not be used (a dead letter)."""

    topic: SparkplugTopic
    payload: bytes
    received: int
    samples: list[Sample] = []
    unread: bool = False


class SparkplugHost:
    """All edge nodes that were heard of. `take` what they send; send what `rebirths` yields."""

    def __init__(self, rebirth_interval: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        """rebirth_interval [s]: an edge node is not asked for a rebirth more often."""
        self.nodes: dict[str, EdgeNode] = {}
        self._interval = rebirth_interval
        self._clock = clock
        self._asking: dict[str, SparkplugTopic] = {}
        self._held: dict[str, deque[Heard]] = {}

    def take(self, topic: SparkplugTopic, data: bytes, received: int, may_wait: bool = False) -> list[Heard]:
        """What a message comes to, and those that waited for it.

        may_wait: whether it may be held back until a birth certificate explains it; the broker must not wait for its
        acknowledgement then.
        """
        if topic.kind in _COMMANDS:
            return []
        heard = Heard(topic, data, received, [])
        try:
            payload = decode_payload(data)
            if topic.kind == "NDEATH":
                heard.samples = self._death(topic, payload, received)
                return [heard]
            node = self._node(topic)
            node.awaited = False
            waited = self._follow(node, heard, payload)
            if may_wait and not node.device(topic.device).born and topic.kind in _DATA:
                if self._is_patient(node):
                    return self._hold(node, heard)
                waited = self._release(node, topic.device)
            if topic.kind == "DDEATH":
                heard.samples += node.device(topic.device).die(received)
            else:
                self._read(node.device(topic.device), heard, payload)
        except InvalidValueError:
            heard.unread = True
            return [heard]
        return [*waited, heard]

    def rebirths(self) -> Iterator[tuple[str, bytes]]:
        """Topic and payload of the requests that are due."""
        for topic in self._asking.values():
            now = time.time_ns()
            value = encode_value(REBIRTH, CODES["Boolean"], True)
            yield topic.command(), encode_command(REBIRTH, CODES["Boolean"], value, now)
        self._asking = {}

    def give_up(self) -> list[Heard]:
        """What waits for birth certificates that will not come any more: the connection ends."""
        held = [heard for waiting in self._held.values() for heard in waiting]
        self._held.clear()
        for heard in held:
            heard.unread = True
        return held

    def reconnected(self) -> None:
        """Nobody knows what was missed: the next message of each edge node may be any, and each is asked anew."""
        for node in self.nodes.values():
            node.seq = None
            if node.own.born:
                node.awaited = True
                self._ask(node, _own_topic(node))

    def silent(self, now: int) -> list[Heard]:
        """The edge nodes that have not spoken since we came back: they died, and nobody told us."""
        dead = [node for node in self.nodes.values() if node.awaited]
        for node in dead:
            node.awaited = False
        return [Heard(_own_topic(node), b"", now, node.die(now)) for node in dead]

    def writable(self) -> Iterator[tuple[SparkplugTopic, Known]]:
        """The metrics of births that may be set, and whose they are."""
        for address, node in self.nodes.items():
            group, _, name = address.partition("/")
            for device_name, device in ((None, node.own), *node.devices.items()):
                topic = SparkplugTopic(group, "NDATA", name, device_name)
                yield from ((topic, known) for known in device.metrics.values() if _is_writable(known))

    def device(self, address: str) -> Device | None:
        """The device of readings that bear this address."""
        group, _, rest = address.partition("/")
        name, _, device = rest.partition("/")
        node = self.nodes.get(f"{group}/{name}")
        return None if node is None else node.devices.get(device) if device else node.own

    # What comes

    def _node(self, topic: SparkplugTopic) -> EdgeNode:
        address = f"{topic.group}/{topic.node}"
        node = self.nodes.get(address)
        if node is None:
            if len(self.nodes) >= MOST_NODES:
                raise InvalidValueError(f"more than {MOST_NODES} edge nodes; {address} is not taken in")
            node = self.nodes[address] = EdgeNode(address)
        return node

    def _follow(self, node: EdgeNode, heard: Heard, payload: Payload) -> list[Heard]:
        """Sequence and births; what waited for them."""
        topic = heard.topic
        if topic.kind == "NBIRTH":
            number = payload.metric(BD_SEQ)
            bd_seq = number.raw if number is not None and isinstance(number.raw, int) else None
            if bd_seq != node.bd_seq:
                # Its death was missed: its devices are there again when their own births say so.
                heard.samples += [s for device in node.devices.values() for s in device.die(heard.received)]
            node.own.birth(payload)
            node.seq, node.bd_seq = payload.seq, bd_seq
            return self._release(node, None)
        in_order = node.follows(payload.seq)
        if topic.kind == "DBIRTH":
            node.device(topic.device).birth(payload)
        if not in_order or not node.own.born or not (topic.kind == "DDEATH" or node.device(topic.device).born):
            self._ask(node, topic)
        return self._release(node, topic.device) if topic.kind == "DBIRTH" else []

    def _ask(self, node: EdgeNode, topic: SparkplugTopic) -> None:
        now = self._clock()
        if node.asked_at is None or now - node.asked_at >= self._interval:
            node.asked_at = now
            self._asking[node.address] = topic._replace(device=None)

    def _death(self, topic: SparkplugTopic, payload: Payload, received: int) -> list[Sample]:
        node = self.nodes.get(f"{topic.group}/{topic.node}")
        number = payload.metric(BD_SEQ)
        told = number.raw if number is not None else None
        if node is None or (node.bd_seq is not None and told != node.bd_seq):
            return []  # the will of a connection that a later one has replaced
        return node.die(received)

    def _read(self, device: Device, heard: Heard, payload: Payload) -> None:
        for metric in payload.metrics:
            try:
                heard.samples += device.read(metric, payload, heard.received, heard.topic.kind in _BIRTHS)
            except InvalidValueError:
                heard.unread = True

    # What waits for a birth

    def _is_patient(self, node: EdgeNode) -> bool:
        now = self._clock()
        if node.waiting_since is None:
            node.waiting_since = now
        return now - node.waiting_since < min(self._interval, _PATIENCE)

    def _hold(self, node: EdgeNode, heard: Heard) -> list[Heard]:
        waiting = self._held.setdefault(node.address, deque())
        waiting.append(heard)
        if len(waiting) <= MOST_HELD:
            return []
        oldest = waiting.popleft()
        oldest.unread = True
        return [oldest]

    def _release(self, node: EdgeNode, device: str | None) -> list[Heard]:
        waiting = self._held.pop(node.address, ())
        ready: list[Heard] = []
        still: deque[Heard] = deque()
        for heard in waiting:
            if heard.topic.device == device:
                self._read(node.device(device), heard, decode_payload(heard.payload))
                ready.append(heard)
            else:
                still.append(heard)
        if still:
            self._held[node.address] = still
        elif node.device(device).born:
            node.waiting_since = None
        return ready


def _own_topic(node: EdgeNode) -> SparkplugTopic:
    group, _, name = node.address.partition("/")
    return SparkplugTopic(group, "NDATA", name)


def _is_writable(known: Known) -> bool:
    return not known.read_only and not is_control(known.name)
