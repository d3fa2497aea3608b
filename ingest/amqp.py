"""AMQP 0-9-1: consumes queues, and acknowledges by runs what is durable.

Needs the extra `amqp`, which is loaded when a connection is made.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..twin.backoff import Backoff
from ..twin.define_protocols import AmqpProtocol
from ..twin.errors import IoTSenseError, MissingExtraError, SourceError
from ..twin.times import NS, now_ns
from .adapter import Deliver
from .amqp_deliveries import Deliveries
from .amqp_topology import connection, declare
from .amqp_wire import Delivery, header_values
from .configured import Configured
from .message import Message
from .reconnecting import ReconnectingAdapter, Surroundings

if TYPE_CHECKING:
    from aiormq import Connection
    from aiormq.abc import AbstractChannel, DeliveredMessage

# How long closing may take [s]: for what is being stored, and for the connection itself.
_SETTLE_S = 0.4
_CLOSE_S = 0.8


class AmqpAdapter(ReconnectingAdapter):
    """One broker. It sends at most `prefetch` messages ahead of what is durable, which is how it is slowed."""

    protocol = "amqp"

    def __init__(self, source: Configured, surroundings: Surroundings, backoff: Backoff | None = None) -> None:
        self._source = source
        self._settings: AmqpProtocol = source.settings
        super().__init__(source, surroundings, self._settings.url, backoff)
        self._queues = {queue.queue: queue for queue in self._settings.queues}
        self._inbox: list[Delivery] = []
        self._arrived = asyncio.Event()
        self._trouble: IoTSenseError | None = None

    async def attempt(self, deliver: Deliver) -> None:
        """One connection with one channel."""
        try:
            from aiormq.exceptions import AMQPError, ChannelInvalidStateError
        except ImportError:
            raise MissingExtraError("AMQP", "amqp") from None
        # It tells each failure with its trace; the status of the source says it once, in better words.
        logging.getLogger("aiormq").setLevel(logging.CRITICAL)
        self._inbox, self._trouble = [], None
        made = await connection(self._settings, f"iotsense-{self.name}", self._receive)
        deliveries: Deliveries | None = None
        try:
            for queue in self._settings.queues:
                await declare(made, queue)
            channel = await made.channel(publisher_confirms=False)
            deliveries = Deliveries(channel, self._fail)
            await self._consume(channel)
            self.connected()
            await self._pass_on(deliveries, deliver)
        except (AMQPError, ChannelInvalidStateError) as error:
            raise SourceError(f"the connection broke: {error}") from None
        finally:
            await self._close(made, deliveries)

    async def _consume(self, channel: "AbstractChannel") -> None:
        await channel.basic_qos(prefetch_count=self._settings.prefetch)
        channel.on_consumer_cancel_callbacks.add(
            lambda frame: self._fail(SourceError(f"the queue {frame.consumer_tag} was deleted at the broker"))
        )
        channel.closing.add_done_callback(self._closed)
        for queue in self._queues:
            await channel.basic_consume(queue, _unused, consumer_tag=queue)

    def _receive(self, deliveries: Sequence[Delivery]) -> None:
        self._inbox += deliveries
        self._arrived.set()

    def _closed(self, closing: "asyncio.Future[Any]") -> None:
        error = None if closing.cancelled() else closing.exception()
        words = error.args[-1] if error is not None and error.args else "the broker is gone"
        self._fail(SourceError(f"the connection broke: {words}"))

    def _fail(self, error: IoTSenseError) -> None:
        """The connection is to be given up: the first reason counts."""
        if self._trouble is None:
            known = isinstance(error, SourceError)
            self._trouble = error if known else SourceError(f"messages cannot be stored: {error}")
        self._arrived.set()

    async def _pass_on(self, deliveries: Deliveries, deliver: Deliver) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            if self._trouble is not None:
                raise self._trouble
            arrived, self._inbox = self._inbox, []
            messages = [self._message(delivery, deliveries) for delivery in arrived]
            try:
                await deliver(messages)
            except IoTSenseError as error:
                for message in messages:
                    if message.refuse is not None:
                        message.refuse(error)
            except BaseException:
                deliveries.waiting -= len(messages)
                raise

    def _message(self, delivery: Delivery, deliveries: Deliveries) -> Message:
        queue = delivery.consumer
        message = Message(
            self.name,
            delivery.body,
            delivery.routing_key,
            content_type=delivery.content_type,
            via=queue,
            metadata=_metadata(delivery.headers) if delivery.headers is not None else None,
            received=now_ns(),
        )
        if delivery.timestamp is not None:
            message.time = delivery.timestamp * NS
        if delivery.message_id:
            message.identity = f"amqp:{self.name}:{queue}:{delivery.message_id}"
        deliveries.follow(message, delivery.tag, self._queues[queue].reject)
        return message

    async def _close(self, made: "Connection", deliveries: Deliveries | None) -> None:
        if deliveries is not None:
            await deliveries.settle(_SETTLE_S if self._trouble is None else 0.0)
            # What is still on its way comes again, and must not be stored behind that.
            deliveries.order.refused = deliveries.waiting > 0
        closing = asyncio.ensure_future(made.close())
        await asyncio.wait([closing], timeout=_CLOSE_S)
        if not closing.done():
            closing.cancel()
            await asyncio.wait([closing])
        closing.cancelled() or closing.exception()


async def _unused(message: "DeliveredMessage") -> None:
    raise AssertionError("deliveries are taken out of the stream")


def _metadata(table: bytes) -> dict[str, Any] | None:
    """Headers that are plain values; what else brokers put there (x-death) is theirs."""
    headers = header_values(table)
    return {name: value for name, value in headers.items() if isinstance(value, str | int | float | bool)} or None
