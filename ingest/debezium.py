"""Debezium's topics in Kafka: changes of databases become readings and nodes."""

from collections.abc import Sequence
from typing import Any

from ..twin.backoff import Backoff
from ..twin.errors import IoTSenseError, SourceError, StorageError
from .change_mapping import ChangeMapping, Taken
from .configured import Configured
from .debezium_envelope import change_of
from .kafka import KafkaAdapter
from .message import Message
from .reconnecting import Surroundings


class DebeziumAdapter(KafkaAdapter):
    """A member of a consumer group, as `KafkaAdapter` is, that understands what it reads.

    Nodes are brought up to date before the readings behind them are handed over.
    """

    protocol = "debezium"

    def __init__(self, source: Configured, surroundings: Surroundings, backoff: Backoff | None = None) -> None:
        super().__init__(source, surroundings, backoff)
        tables = {topic.topic: topic for topic in source.settings.topics}
        self._mapping = ChangeMapping(self.name, tables, source.settings.timezone)

    async def _read_records(self, topic: str, records: Sequence[Any]) -> list[Message]:
        taken = Taken()
        for record in records:
            if record.value is None:
                continue  # the tombstone behind a deletion, for the topic's compaction
            try:
                change = change_of(record.value, topic)
            except IoTSenseError as error:
                taken.unreadable.append((topic, record.value, str(error)))
                continue
            if change is not None:
                self._mapping.take(topic, change, taken)
        try:
            await self._mapping.change_nodes(self._surroundings.twin, taken)
        except StorageError as error:
            raise SourceError(f"changes cannot be stored: {error}") from None
        return self._mapping.messages(taken)
