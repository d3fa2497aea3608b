"""Our share of a Kafka consumer group: which partitions are ours, from where each goes on, and what is committed.

The journal knows how far each partition was read, in the same transaction as the readings; the offset that the group
has committed follows it. What we commit bears a mark. If the mark is still there when a partition becomes ours again,
the journal's position counts, which may be beyond the commit. If it is not (an operator has set the offset, another
member had the partition, the topic was made anew), the group's offset counts, and a new epoch begins.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from ..twin.errors import IoTSenseError
from ..twin.plant_identity import plant_identity
from ..twin.twin import Twin
from .kafka_partition import Partition, epoch_and_offset, position_name

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition

log = logging.getLogger("iotsense.kafka")
_MARK = "iotsense"
# How long a partition that goes to another member may take to become durable [s], and how often that is looked at.
_SETTLE_S = 5.0
_LOOK_S = 0.01
_COMMIT_S = 0.5


class ConsumerGroup:
    """Is told by aiokafka what is assigned and revoked (its ConsumerRebalanceListener)."""

    def __init__(
        self,
        consumer: "AIOKafkaConsumer",
        group: str,
        reset: str,
        twin: Twin | None,
        read: dict[str, int],
        leaving: list[Partition],
        failed: Callable[[IoTSenseError], None],
    ) -> None:
        self.partitions: dict[TopicPartition, Partition] = {}
        self.assigned = asyncio.Event()
        self._consumer = consumer
        self._group = group
        self._reset = reset
        self._twin = twin
        self._read = read
        self._leaving = leaving
        self._failed = failed

    @property
    def journalled(self) -> bool:
        """Whether there is a journal that knows positions."""
        return self._twin is not None

    async def on_partitions_revoked(self, revoked: Collection["TopicPartition"]) -> None:
        """Waits until what was read is durable, commits it, and gives the partitions up."""
        gone = {partition: self.partitions.pop(partition) for partition in revoked if partition in self.partitions}
        await self._settled(gone.values(), _SETTLE_S)
        await self.commit(gone)
        self._leave(gone.values())

    async def on_partitions_assigned(self, assigned: Collection["TopicPartition"]) -> None:
        """Goes on where the journal or the group says; nothing is read before that is known."""
        self._consumer.pause(*assigned)
        try:
            # What we had before and was still on its way is durable or refused now; only then the journal can tell.
            await self._settled(self._leaving)
            self._leaving.clear()
            await self._begin(assigned)
        except Exception as error:
            self._failed(IoTSenseError(f"the assigned partitions cannot be read: {error}"))
            return
        self._consumer.resume(*assigned)
        self.assigned.set()

    async def commit(self, partitions: "dict[TopicPartition, Partition] | None" = None) -> None:
        """Tells the group what is durable; a commit that fails is made good by the next, or by the journal."""
        from aiokafka.errors import KafkaError
        from aiokafka.structs import OffsetAndMetadata

        partitions = self.partitions if partitions is None else partitions
        behind = {tp: each.durable for tp, each in partitions.items() if each.durable != each.committed}
        if not behind:
            return
        mark = {tp: OffsetAndMetadata(offset, self._mark(partitions[tp].epoch)) for tp, offset in behind.items()}
        try:
            await self._consumer.commit(mark)
        except KafkaError as error:
            log.info("offsets of group %s are committed later: %s", self._group, error)
            return
        for tp, offset in behind.items():
            partitions[tp].committed = offset

    async def close(self, patience: float) -> None:
        """Commits what becomes durable within `patience` [s], and gives all partitions up."""
        ours = dict(self.partitions)
        self.partitions.clear()
        await self._settled(ours.values(), patience)
        try:
            async with asyncio.timeout(_COMMIT_S):
                await self.commit(ours)
        except TimeoutError:
            pass
        finally:
            self._leave(ours.values())

    def _leave(self, partitions: Collection[Partition]) -> None:
        for partition in partitions:
            partition.fence()
            if partition.waiting:
                self._leaving.append(partition)

    @staticmethod
    async def _settled(partitions: Collection[Partition], patience: float | None = None) -> None:
        deadline = None if patience is None else asyncio.get_running_loop().time() + patience
        while any(partition.waiting for partition in partitions):
            if deadline is not None and asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(_LOOK_S)

    async def _begin(self, assigned: Collection["TopicPartition"]) -> None:
        consumer: Any = self._consumer
        committed = await consumer._coordinator.fetch_committed_offsets(list(assigned))
        first, end = await consumer.beginning_offsets(assigned), await consumer.end_offsets(assigned)
        for tp in assigned:
            begin = first[tp] if self._reset == "earliest" else end[tp]
            partition = self._partition(tp, committed.get(tp), begin, end[tp])
            if partition.next < first[tp]:
                log.warning("%s: offsets %d to %d are gone at the cluster, unread", tp, partition.next, first[tp] - 1)
                partition.next = partition.durable = first[tp]
            self.partitions[tp] = partition
            consumer.seek(tp, partition.next)
        # Before the first record is taken, or it could not be told later whose offset it is.
        await self.commit()

    def _partition(self, tp: "TopicPartition", committed: Any, begin: int, end: int) -> Partition:
        """begin: where one starts of which the group knows nothing. end: behind the last offset that there is."""
        name = position_name(self._group, tp.topic, tp.partition)
        journalled = self._twin.position(name) if self._twin is not None else 0
        epoch, read = epoch_and_offset(max(journalled, self._read.get(name, 0)))
        if committed is None:
            epoch, start = epoch + 1, begin
        elif committed.metadata == self._mark(epoch):
            start = read
            if committed.offset > read:
                log.warning(
                    "%s is committed up to %d, our journal has it up to %d: read from there", tp, committed.offset, read
                )
        else:
            epoch, start = epoch + 1, committed.offset
        if start > end:
            log.warning("%s has no offset %d any more, as if it were a new one; it is read from its start", tp, start)
            epoch, start = epoch + 1, begin
        return Partition(name, epoch, start, self._read, self._failed)

    def _mark(self, epoch: int) -> str:
        plant = plant_identity(self._twin.directory) if self._twin is not None else ""
        return f"{_MARK} {plant} {epoch}"
