"""Publishing to a Kafka cluster. Needs the extra `kafka`, which is loaded when a connection is made."""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..twin.define_publishing import KafkaPublishing
from ..twin.errors import MissingExtraError, SourceError
from .kafka_cluster import security, unreachable
from .publish_message import Outgoing
from .publish_sender import RefusedMessageError

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

_TIMEOUT_MS = 10_000


class KafkaSender:
    """One cluster: all replicas acknowledge, and a record that is sent again by the client is stored once."""

    default_topics = ("iotsense.state", "iotsense.events", "iotsense.twins")

    def __init__(self, settings: KafkaPublishing) -> None:
        self.address = ", ".join(settings.bootstrap_servers)
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def open(self) -> None:
        """Connects."""
        try:
            from aiokafka import AIOKafkaProducer
            from aiokafka.errors import KafkaError
        except ImportError:
            raise MissingExtraError("Kafka", "kafka") from None
        # It tells each of its attempts, many a second; the status says it once, in better words.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap_servers,
            client_id=f"iotsense-{self._settings.id}",
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            request_timeout_ms=_TIMEOUT_MS,
            **security(self._settings),
        )
        try:
            await producer.start()
        except (KafkaError, OSError) as error:
            await producer.stop()
            raise await unreachable(self._settings) from error
        self._producer = producer

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """All at once; those of one key keep their order."""
        from aiokafka import errors

        assert self._producer is not None
        try:
            async with asyncio.timeout(2 * _TIMEOUT_MS / 1000):
                waiting = [await self._one(message) for message in messages]
                await asyncio.gather(*waiting)
        except errors.MessageSizeTooLargeError as error:
            raise RefusedMessageError(f"a record is larger than the cluster takes: {error}") from None
        except errors.TopicAuthorizationFailedError as error:
            raise SourceError(f"the cluster does not let us write to {error}: grant WRITE to our user") from None
        except TimeoutError:
            raise SourceError("the cluster does not acknowledge what is sent in time") from None
        except errors.KafkaError as error:
            raise SourceError(str(error) or type(error).__name__) from None

    async def _one(self, message: Outgoing) -> "asyncio.Future[object]":
        from aiokafka.errors import UnknownTopicOrPartitionError

        assert self._producer is not None
        plain = None if message.is_document else {"type": message.type, "data": message.data}
        headers = [("id", message.id.encode()), ("type", message.type.encode())]
        headers.append(("content-type", message.media_type.encode()))
        topic = message.topic.replace("/", ".")  # Kafka's topics know no slash
        value, key, stamp = message.encoded(plain), message.key.encode(), message.time // 1_000_000
        try:
            future: asyncio.Future[object] = await self._producer.send(
                topic, value, key, timestamp_ms=stamp, headers=headers
            )
        except UnknownTopicOrPartitionError:
            raise SourceError(f"the cluster has no topic {topic}, and makes none by itself: create it") from None
        return future

    async def lost(self) -> None:
        """Never: the client finds its brokers again by itself, and what is sent meanwhile fails in time."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Ends the connection."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()
