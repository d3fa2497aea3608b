"""Kafka: reads the partitions that its consumer group gives us, and commits below what is durable.

Needs the extra `kafka`, which is loaded when a connection is made.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..twin.backoff import Backoff
from ..twin.define_protocols import KafkaConnection
from ..twin.errors import IoTSenseError, MissingExtraError, SourceError
from .adapter import Deliver
from .configured import Configured
from .kafka_cluster import consumer, in_words, unreachable
from .kafka_group import ConsumerGroup
from .kafka_partition import Partition, records_message
from .message import Message
from .reconnecting import ReconnectingAdapter, Surroundings

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

# Records that are asked for at once, how long their coming is awaited, and how often what is durable is committed [ms].
_MOST = 5000
_WAIT_MS = 200
_COMMIT_S = 0.2
# How long the pipeline may be full before the group is told that we are alive [s].
_ALIVE_S = 5.0
# How long closing may take [s]: first for what is being stored, then for the consumer itself.
_SETTLE_S = 0.4
_CLOSE_S = 0.8


class KafkaAdapter(ReconnectingAdapter):
    """One cluster. What the journal has is never read again, whether or not it was committed (`ConsumerGroup`)."""

    protocol = "kafka"

    def __init__(self, source: Configured, surroundings: Surroundings, backoff: Backoff | None = None) -> None:
        self._settings: KafkaConnection = source.settings
        self._source = source
        super().__init__(source, surroundings, ",".join(self._settings.bootstrap_servers), backoff)
        self._topics = [topic.topic for topic in source.settings.topics]
        self._read: dict[str, int] = {}
        self._leaving: list[Partition] = []
        self._trouble: IoTSenseError | None = None
        self._closing = False

    async def attempt(self, deliver: Deliver) -> None:
        """One membership of the group."""
        try:
            from aiokafka.errors import KafkaConnectionError, KafkaError
        except ImportError:
            raise MissingExtraError("Kafka", "kafka") from None
        self._trouble, self._closing = None, False
        client = consumer(self._settings, f"iotsense-{self.name}")
        group = self._group(client)
        try:
            try:
                await client.start()
            except KafkaConnectionError:
                raise await unreachable(self._settings) from None
            await self._subscribe(client, group)
            # Apart from reading: with the brokers gone a commit would wait for ever, and nobody would notice.
            committing = asyncio.create_task(_commit(group))
            try:
                await self._consume(client, group, deliver)
            finally:
                committing.cancel()
        except KafkaError as error:
            raise SourceError(in_words(error, self._settings)) from None
        except asyncio.CancelledError:
            # aiokafka's own, when one of its tasks ends before another.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise SourceError("the connection broke") from None
        finally:
            await self._close(client, group)

    def _group(self, client: "AIOKafkaConsumer") -> ConsumerGroup:
        settings = self._settings
        twin, reset = self._surroundings.twin, settings.auto_offset_reset
        return ConsumerGroup(client, settings.group_id, reset, twin, self._read, self._leaving, self._fail)

    def _fail(self, error: IoTSenseError) -> None:
        """The connection is to be given up: the first reason counts."""
        if self._trouble is None and not self._closing:
            known = isinstance(error, SourceError)
            self._trouble = error if known else SourceError(f"messages cannot be stored: {error}")

    async def _subscribe(self, client: "AIOKafkaConsumer", group: ConsumerGroup) -> None:
        there = await client.topics()
        missing = [topic for topic in self._topics if topic not in there]
        reason = f"the cluster has no topic {', '.join(missing)} (or hides it from our user): create it, or correct it"
        if len(missing) == len(self._topics):
            raise SourceError(reason)
        client.subscribe(self._topics, listener=_listener(group))
        while not group.assigned.is_set():
            await self._look(client)
            await asyncio.sleep(0.01)
        self.connected()
        if missing:
            self.status.error = reason
            self.log.warning("source %s: %s", self.name, reason)

    async def _consume(self, client: "AIOKafkaConsumer", group: ConsumerGroup, deliver: Deliver) -> None:
        while True:
            fetched = await client.getmany(timeout_ms=_WAIT_MS, max_records=_MOST)
            messages = await self._messages(group, fetched)
            if messages:
                await self._hand_over(client, deliver, messages)
            else:
                await self._look(client)
            if self._trouble is not None:
                raise self._trouble

    async def _messages(self, group: ConsumerGroup, fetched: dict[Any, Sequence[Any]]) -> list[Message]:
        messages: list[Message] = []
        for partition, records in fetched.items():
            ours = group.partitions.get(partition)
            if ours is None:
                continue  # it is fetched again when its place is known
            try:
                messages += await ours.messages(partition.topic, records, self._read_records, group.journalled)
            except BaseException:
                _refuse(messages, SourceError("the source was stopped"))
                raise
        return messages

    async def _read_records(self, topic: str, records: Sequence[Any]) -> list[Message]:
        """What records are; the last message moves the position on."""
        return [records_message(self.name, topic, records)]

    async def _hand_over(self, client: "AIOKafkaConsumer", deliver: Deliver, messages: list[Message]) -> None:
        """Waits while the pipeline is full, and keeps our place in the group meanwhile."""
        handing = asyncio.ensure_future(deliver(messages))
        try:
            while not (await asyncio.wait([handing], timeout=_ALIVE_S))[0]:
                paused = client.assignment()
                client.pause(*paused)
                await client.getmany(timeout_ms=0)
                client.resume(*(paused & client.assignment()))
            handing.result()
        except BaseException as error:
            handing.cancel()
            self._closing = not isinstance(error, IoTSenseError)
            reason = error if isinstance(error, IoTSenseError) else SourceError("the source was stopped")
            _refuse(messages, reason)
            if not isinstance(error, IoTSenseError):
                raise

    async def _look(self, client: "AIOKafkaConsumer") -> None:
        """aiokafka would try for ever and say nothing: without any connection there is none."""
        if self._trouble is not None:
            raise self._trouble
        client._coordinator.check_errors()
        if not any(connection.connected() for connection in client._client._conns.values()):
            raise await unreachable(self._settings)

    async def _close(self, client: "AIOKafkaConsumer", group: ConsumerGroup) -> None:
        self._closing = True
        await group.close(_SETTLE_S if self._trouble is None else 0.0)
        # A task of its own: on its way out aiokafka cancels tasks and awaits them, which looks like being cancelled.
        stopping = asyncio.create_task(client.stop())
        await asyncio.wait([stopping], timeout=_CLOSE_S)
        if not stopping.done():
            stopping.cancel()
            await asyncio.wait([stopping])
        if not stopping.cancelled() and (error := stopping.exception()) is not None:
            self.log.info("source %s: closing: %s", self.name, error)
        for connection in list(client._client._conns.values()):
            connection.close()


def _refuse(messages: Sequence[Message], reason: IoTSenseError) -> None:
    for message in messages:
        if message.refuse is not None:
            message.refuse(reason)


async def _commit(group: ConsumerGroup) -> None:
    while True:
        await asyncio.sleep(_COMMIT_S)
        await group.commit()


def _listener(group: ConsumerGroup) -> Any:
    from aiokafka import ConsumerRebalanceListener

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        on_partitions_revoked = staticmethod(group.on_partitions_revoked)
        on_partitions_assigned = staticmethod(group.on_partitions_assigned)

    return Listener()
