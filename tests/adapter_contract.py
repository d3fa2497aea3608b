"""What every protocol adapter does, whatever the protocol: one class of tests that each of them passes.

A test module derives from `AdapterContract` and says what the peer is and how an adapter for it is made.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import pytest

from iotsense.ingest.adapter import Adapter
from iotsense.ingest.message import Message
from iotsense.ingest.source_state import SourceState
from iotsense.twin.errors import StorageFullError

PATIENCE = 20.0


class Peer(Protocol):
    """What an adapter is connected to. `lossless`: it sends again what was not acknowledged."""

    lossless: bool

    def start(self) -> None: ...
    def kill(self) -> None: ...
    async def send(self, payloads: Sequence[bytes]) -> None: ...


class Store:
    """Stands in for the pipeline. `door` shut: it takes nothing in. `acking` off: nothing becomes durable."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.door = asyncio.Event()
        self.door.set()
        self.acking = True
        self.refusing = False

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload or b"" for message in self.messages]

    async def deliver(self, messages: Sequence[Message]) -> None:
        await self.door.wait()
        for message in messages:
            if self.refusing:
                if message.refuse is not None:
                    message.refuse(StorageFullError("the disk is full"))
                continue
            parts = each_record(message)
            self.messages += parts
            if self.acking:
                for part in parts:
                    self._ack(part)

    def ack_all(self) -> None:
        for message in self.messages:
            self._ack(message)

    @staticmethod
    def _ack(message: Message) -> None:
        if message.ack is not None:
            message.ack()


def each_record(message: Message) -> list[Message]:
    """A message for each record that it brings; the last one acknowledges them all."""
    if message.records is None:
        return [message]
    parts = []
    for number in range(len(message.records)):
        part = message.records.message(message)
        message.records.show(number, part)
        parts.append(part)
    if parts:
        parts[-1].ack = message.ack
    elif message.ack is not None:
        message.ack()
    return parts


async def until(condition) -> None:
    """Waits until it holds; fails when patience is at its end."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)


async def stop(task: asyncio.Task) -> None:
    """Cancels an adapter and waits until it has gone."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def running(adapter: Adapter, store: Store, wait: bool = True) -> AsyncIterator[asyncio.Task]:
    """An adapter that runs in a task of its own, and is connected if `wait`."""
    task = asyncio.create_task(adapter.run(store.deliver))
    try:
        if wait:
            await until(lambda: adapter.status.state is SourceState.RUNNING or task.done())
        yield task
    finally:
        await stop(task)


class ConnectionContract:
    """The life of a connection, whatever comes over it.

    Derive, and give the fixtures `peer` (running) and `adapter` (for this peer, with short backoff).
    """

    @pytest.fixture
    def store(self) -> Store:
        return Store()

    async def give(self, peer: Any, number: int) -> None:
        """Has the peer say a number above 0."""
        raise AssertionError("to be said by the contract")

    def taken(self, store: Store) -> list[int]:
        """The numbers that have come."""
        raise AssertionError("to be said by the contract")

    async def test_a_peer_that_starts_late_is_awaited(self, peer: Any, adapter: Adapter, store: Store) -> None:
        peer.kill()
        async with running(adapter, store, wait=False):
            await until(lambda: adapter.status.state is SourceState.BACKOFF)
            assert adapter.status.error
            assert adapter.status.retry_at
            peer.start()
            await until(lambda: adapter.status.state is SourceState.RUNNING)
            assert adapter.status.error is None
            await self.give(peer, 1)
            await until(lambda: self.taken(store) == [1])

    async def test_a_peer_that_dies_is_found_again(self, peer: Any, adapter: Adapter, store: Store) -> None:
        async with running(adapter, store):
            await self.give(peer, 1)
            await until(lambda: self.taken(store) == [1])
            peer.kill()
            await until(lambda: adapter.status.state is SourceState.BACKOFF)
            peer.start()
            await until(lambda: adapter.status.state is SourceState.RUNNING)
            assert adapter.status.connects == 2
            await self.give(peer, 2)
            await until(lambda: 2 in self.taken(store))
        assert self.taken(store) == [1, 2]

    @pytest.mark.parametrize("what", ["idle", "blocked", "alone"])
    async def test_it_stops_at_once(self, peer: Any, adapter: Adapter, store: Store, what: str) -> None:
        if what == "alone":
            peer.kill()
        task = asyncio.create_task(adapter.run(store.deliver))
        state = SourceState.BACKOFF if what == "alone" else SourceState.RUNNING
        await until(lambda: adapter.status.state is state)
        if what == "blocked":
            store.door.clear()
            await self.flood(peer)
        began = time.monotonic()
        await stop(task)
        assert time.monotonic() - began < 2.0
        assert adapter.status.state is SourceState.STOPPED

    async def flood(self, peer: Any) -> None:
        """More than is taken."""
        raise AssertionError("to be said by the contract")


class AdapterContract(ConnectionContract):
    """What comes is sent in messages. Derive, and give the fixtures `peer` and `adapter`."""

    async def give(self, peer: Peer, number: int) -> None:
        await peer.send([b"%d" % number])

    def taken(self, store: Store) -> list[int]:
        return [int(payload) for payload in store.payloads]

    async def flood(self, peer: Peer) -> None:
        await peer.send([b"x" * 1000] * 5000)

    async def test_it_delivers_in_order(self, peer: Peer, adapter: Adapter, store: Store) -> None:
        sent = [f'{{"n": {i}}}'.encode() for i in range(500)]
        assert adapter.status.state is SourceState.STOPPED
        async with running(adapter, store):
            await peer.send(sent)
            await until(lambda: len(store.messages) >= len(sent))
            assert adapter.status.error is None
        assert store.payloads == sent
        assert {message.source for message in store.messages} == {adapter.name}
        assert adapter.status.state is SourceState.STOPPED

    async def test_payloads_are_not_its_business(self, peer: Peer, adapter: Adapter, store: Store) -> None:
        sent = [b"", b"{", b"\xff\xfe\x00", os.urandom(100_000), b"1"]
        async with running(adapter, store):
            await peer.send(sent)
            await until(lambda: len(store.messages) == len(sent))
        assert store.payloads == sent

    async def test_it_stops_reading_while_nobody_takes(self, peer: Peer, adapter: Adapter, store: Store) -> None:
        sent = [b"%06d " % i + b"x" * 400 for i in range(10_000)]
        async with running(adapter, store):
            store.door.clear()
            await peer.send(sent)
            await asyncio.sleep(0.3)
            assert self.buffered(adapter) <= self.most_buffered
            store.door.set()
            await until(lambda: len(store.messages) >= len(sent))
            await asyncio.sleep(0.1)
        assert store.payloads == sent

    async def test_what_is_not_durable_comes_again(self, peer: Peer, adapter: Adapter, store: Store) -> None:
        if not peer.lossless:
            pytest.skip("this peer forgets what it has sent")
        store.acking = False
        sent = [b"%d" % i for i in range(50)]
        async with running(adapter, store):
            await peer.send(sent[:20])
            await until(lambda: len(store.messages) == 20)
        again = Store()
        async with running(self.made_anew(adapter), again):
            await until(lambda: len(again.messages) == 20)
            await peer.send(sent[20:])
            await until(lambda: len(again.messages) == 50)
            await asyncio.sleep(0.2)
        assert again.payloads == sent
        never = Store()
        async with running(self.made_anew(adapter), never):
            await asyncio.sleep(0.3)
        assert never.payloads == []

    async def test_what_storage_refuses_comes_again(self, peer: Peer, adapter: Adapter, store: Store) -> None:
        if not peer.lossless:
            pytest.skip("this peer forgets what it has sent")
        store.refusing = True
        async with running(adapter, store):
            await peer.send([b"1", b"2", b"3"])
            await until(lambda: adapter.status.state is SourceState.BACKOFF)
            assert "cannot be stored: the disk is full" in str(adapter.status.error)
            store.refusing = False
            await until(lambda: len(store.messages) >= 3)
            await asyncio.sleep(0.2)
        assert store.payloads == [b"1", b"2", b"3"]

    most_buffered: int

    def buffered(self, adapter: Adapter) -> int:
        """Messages that the adapter has read and not delivered."""
        raise AssertionError("to be said by the protocol's tests")

    def made_anew(self, adapter: Adapter) -> Adapter:
        """The same source in a process that has just started."""
        raise AssertionError("to be said by the protocol's tests")
