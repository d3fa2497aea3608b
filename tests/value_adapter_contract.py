"""What every adapter does whose values are read instead of sent: OPC UA, Modbus, BACnet.

A test module derives from `ValueAdapterContract` and says what the peer is and how an adapter for it is made: one that
has the points `POINTS`, and between them `MISSING`, which the peer does not have; with short backoff, and polling or
publishing every few hundredths of a second. Points are known by their `address`.
"""

import asyncio
import math
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import pytest
from adapter_contract import ConnectionContract, Store, running, stop, until

from iotsense.ingest.adapter import Adapter
from iotsense.ingest.message import Message
from iotsense.ingest.source_state import SourceState
from iotsense.twin.model import Quality

POINTS = ("a", "b", "c")
MISSING = "missing"


class ValuePeer(Protocol):
    """A device of which values are read.

    When it starts, each of `POINTS` is 0; `port` is where it is reached. kill: as if the power failed.
    """

    port: int

    def start(self) -> None: ...
    def kill(self) -> None: ...
    async def set(self, values: Mapping[str, float]) -> None:
        """Returns when the device holds them."""


class Reading(NamedTuple):
    """One value of a point. time [ns], 0 if the arrival is meant."""

    address: str
    value: float
    quality: int
    time: int

    @property
    def good(self) -> bool:
        return self.quality >= Quality.GOOD


class ValueStore(Store):
    """Counts who waits at the door, and takes messages apart."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = self.most_waiting = 0

    async def deliver(self, messages: Sequence[Message]) -> None:
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        try:
            await super().deliver(messages)
        finally:
            self.waiting -= 1

    def readings(self, address: str | None = None) -> list[Reading]:
        """All readings so far, or those of one point, in order."""
        found = [reading for message in self.messages for reading in readings_of(message)]
        return found if address is None else [reading for reading in found if reading.address == address]

    def values(self, address: str) -> list[float]:
        """The good values of a point, one that came again and again only once."""
        values = [reading.value for reading in self.readings(address) if reading.good]
        return values[:1] + [new for old, new in pairwise(values) if new != old]

    def latest(self, address: str) -> Reading | None:
        """The last reading of a point."""
        readings = self.readings(address)
        return readings[-1] if readings else None


def readings_of(message: Message) -> Iterator[Reading]:
    """What is in a message, as columns or as samples."""
    for sample in message.samples:
        value = math.nan if sample.value is None else sample.value
        yield Reading(sample.address, value, sample.quality, sample.time or 0)
    columns = message.readings
    if columns is None:
        return
    for row, point in enumerate(columns.point.tolist()):
        quality = int(Quality.GOOD) if columns.quality is None else int(columns.quality[row])
        stamp = 0 if columns.time is None else int(columns.time[row])
        yield Reading(columns.points.points[point].address, float(columns.value[row]), quality, stamp)


class Babbler:
    """Whoever answers on a port with rubbish, over TCP and UDP."""

    def __init__(self, port: int) -> None:
        self.spoken_to = 0
        self._tcp = socket.create_server(("127.0.0.1", port))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._udp.bind(("127.0.0.1", port))
        self._sockets = [self._tcp, self._udp]
        for work in (self._accept, self._datagrams):
            threading.Thread(target=work, daemon=True).start()

    def close(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._tcp.accept()
                self._sockets.append(connection)
                threading.Thread(target=self._stream, args=(connection,), daemon=True).start()

    def _stream(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while connection.recv(4096):
                self.spoken_to += 1
                connection.sendall(os.urandom(64))

    def _datagrams(self) -> None:
        with suppress(OSError):
            while True:
                _, address = self._udp.recvfrom(4096)
                if address is None:
                    return  # closed
                self.spoken_to += 1
                self._udp.sendto(os.urandom(64), address)


@contextmanager
def babbling(port: int) -> Iterator[Babbler]:
    """Rubbish on a port that is free now."""
    babbler = Babbler(port)
    try:
        yield babbler
    finally:
        babbler.close()


class ValueAdapterContract(ConnectionContract):
    """Derive, and give the fixtures `peer` (a running ValuePeer) and `adapter`."""

    most_waiting = 1
    """How many deliveries may be under way at once."""
    most_buffered = 0
    """Readings that it may hold while nobody takes them."""

    @pytest.fixture
    def store(self) -> ValueStore:
        return ValueStore()

    async def give(self, peer: ValuePeer, number: int) -> None:
        await peer.set({POINTS[0]: number})

    def taken(self, store: ValueStore) -> list[int]:
        return [int(value) for value in store.values(POINTS[0]) if value]

    async def flood(self, peer: ValuePeer) -> None:
        for number in range(1, 20):
            await self.give(peer, number)

    async def test_values_come_in_order(self, peer: ValuePeer, adapter: Adapter, store: ValueStore) -> None:
        assert adapter.status.state is SourceState.STOPPED
        async with running(adapter, store):
            for number in range(1, 6):
                wanted = {point: float(number * 10 + i) for i, point in enumerate(POINTS)}
                await peer.set(wanted)
                await until(lambda wanted=wanted: {p: store.values(p)[-1:] for p in POINTS} == _lists(wanted))
            assert adapter.status.error is None
        for i, point in enumerate(POINTS):
            assert [value for value in store.values(point) if value] == [n * 10 + i for n in range(1, 6)]
            times = [reading.time for reading in store.readings(point)]
            assert times == sorted(times)
        assert {message.source for message in store.messages} == {adapter.name}
        assert adapter.status.state is SourceState.STOPPED

    async def test_one_bad_point_disturbs_no_other(self, peer: ValuePeer, adapter: Adapter, store: ValueStore) -> None:
        async with running(adapter, store):
            for number in (1.0, 2.0):
                await peer.set(dict.fromkeys(POINTS, number))
                await until(lambda number=number: all(store.values(point)[-1:] == [number] for point in POINTS))
            assert adapter.status.state is SourceState.RUNNING
            assert adapter.status.connects == 1
        assert store.values(MISSING) == []

    async def test_nothing_is_invented_while_the_peer_is_away(
        self, peer: ValuePeer, adapter: Adapter, store: ValueStore
    ) -> None:
        async with running(adapter, store):
            await peer.set(dict.fromkeys(POINTS, 7.0))
            await until(lambda: all(store.values(point)[-1:] == [7.0] for point in POINTS))
            peer.kill()
            await until(lambda: adapter.status.state is SourceState.BACKOFF)
            known = self._good(store)
            await asyncio.sleep(0.3)
            assert self._good(store) == known
            # Whoever looks at the twin meanwhile sees that the values are not known.
            latest = [store.latest(point) for point in POINTS]
            assert all(
                reading.quality < Quality.UNCERTAIN and math.isnan(reading.value) for reading in latest if reading
            )
            peer.start()
            await until(lambda: adapter.status.state is SourceState.RUNNING)
            await peer.set(dict.fromkeys(POINTS, 8.0))
            await until(lambda: all(store.values(point)[-1:] == [8.0] for point in POINTS))

    async def test_rubbish_is_no_value(self, peer: ValuePeer, adapter: Adapter, store: ValueStore) -> None:
        peer.kill()
        with babbling(peer.port) as babbler:
            async with running(adapter, store, wait=False) as task:
                await until(lambda: babbler.spoken_to > 2)
                assert not task.done()
                babbler.close()
                peer.start()
                await peer.set({POINTS[0]: 3})
                await until(lambda: self.taken(store) == [3])
        assert {reading.value for reading in store.readings() if reading.good} <= {0.0, 3.0}

    async def test_a_slow_store_is_waited_for(self, peer: ValuePeer, adapter: Adapter, store: ValueStore) -> None:
        async with running(adapter, store):
            await peer.set({POINTS[0]: 1})
            await until(lambda: self.taken(store) == [1])
            store.door.clear()
            await until(lambda: store.waiting)
            for number in range(2, 12):
                await peer.set({POINTS[0]: number})
                await asyncio.sleep(0.05)
            assert store.most_waiting <= self.most_waiting
            assert self.buffered(adapter) <= self.most_buffered
            store.door.set()
            await until(lambda: self.taken(store)[-1:] == [11])
            assert adapter.status.connects == 1
        assert self.taken(store) == sorted(self.taken(store))

    async def test_a_store_that_refuses_is_tried_again(
        self, peer: ValuePeer, adapter: Adapter, store: ValueStore
    ) -> None:
        store.refusing = True
        async with running(adapter, store) as task:
            await peer.set({POINTS[0]: 1})
            await asyncio.sleep(0.3)
            assert not task.done() and not store.messages
            store.refusing = False
            await peer.set({POINTS[0]: 2})
            await until(lambda: self.taken(store)[-1:] == [2])

    async def test_it_stops_at_once_while_the_peer_talks_rubbish(
        self, peer: ValuePeer, adapter: Adapter, store: ValueStore
    ) -> None:
        peer.kill()
        with babbling(peer.port) as babbler:
            task = asyncio.create_task(adapter.run(store.deliver))
            await until(lambda: babbler.spoken_to)
            began = time.monotonic()
            await stop(task)
            assert time.monotonic() - began < 2.0
        assert adapter.status.state is SourceState.STOPPED

    def buffered(self, adapter: Any) -> int:
        """Readings that the adapter has and has not delivered."""
        return 0

    @staticmethod
    def _good(store: ValueStore) -> int:
        return sum(reading.good for reading in store.readings())


def _lists(values: Mapping[str, float]) -> dict[str, list[float]]:
    return {point: [value] for point, value in values.items()}
