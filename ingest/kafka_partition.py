"""A partition of a Kafka topic while it is ours: what was read, what is durable, and where it goes on."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ..twin.errors import IoTSenseError, SourceError
from ..twin.store_names import SOURCE_PREFIX
from ..twin.times import now_ns
from .message import Message, Order
from .records import Records

# A message is at most so many records: one transaction takes several, and a refused one is not too much to read again.
MOST_RECORDS = 1000
MOST_BYTES = 64 << 10
_OFFSET_BITS = 44
_MS = 10**6

Read = Callable[[str, Sequence[Any]], Awaitable[list[Message]]]
"""From a topic and its records to messages, at least one."""


class Partition:
    """From its assignment to its revocation. Offsets: `next` is read next, below `durable` everything is.

    epoch: grows when the group's offset was set by somebody else, so that the journal's position of before (`number`)
    does not count any more. read: positions by name, as the journal has them. waiting: messages that are neither
    durable nor refused. fenced: it is not ours any more.
    """

    def __init__(
        self, name: str, epoch: int, start: int, read: dict[str, int], failed: Callable[[IoTSenseError], None]
    ) -> None:
        self.name = name
        self.epoch = epoch
        self.next = start
        self.durable = start
        self.committed = -1
        self.waiting = 0
        self.fenced = False
        self.order = Order()
        self._read = read
        self._failed = failed

    def fence(self) -> None:
        """Nothing of it may become durable any more that is not being written at this moment."""
        self.fenced = True
        self.order.refused = True

    async def messages(self, topic: str, fetched: Sequence[Any], read: Read, journalled: bool) -> list[Message]:
        """Messages of records as aiokafka gives them, by `read`; `journalled`: with positions for the journal."""
        if fetched[0].offset < self.next:
            self._failed(SourceError(f"the offsets of {topic} begin anew: it was made anew, or cut short"))
            return []
        found: list[Message] = []
        first = size = 0
        for end, record in enumerate(fetched, 1):
            size += len(record.value or b"")
            if end == len(fetched) or end - first >= MOST_RECORDS or size >= MOST_BYTES:
                try:
                    messages = await read(topic, fetched[first:end])
                except BaseException:
                    self.waiting -= len(found)  # nobody will hand them over
                    raise
                found += self._followed(messages, fetched[end - 1].offset + 1, journalled)
                first, size = end, 0
        return found

    def _followed(self, messages: list[Message], end: int, journalled: bool) -> list[Message]:
        """Has the last message move the position on to `end`; if those before it come again, they are duplicates."""
        place = f"{self.name}:{self.epoch}:{self.next}"
        self.next = end
        for item, message in enumerate(messages):
            self.waiting += 1
            message.order, message.ack, message.refuse = self.order, self._done, self._refused
            if journalled:
                message.identity = f"{place}:{item}"
        last = messages[-1]

        def ack() -> None:
            self._done()
            self.durable = end
            self._read[self.name] = number(self.epoch, end)

        last.ack, last.identity = ack, None
        if journalled:
            last.position = (self.name, number(self.epoch, end))
        return messages

    def _done(self) -> None:
        self.waiting -= 1

    def _refused(self, error: IoTSenseError) -> None:
        self.waiting -= 1
        if not self.fenced:
            self._failed(error)


def records_message(source: str, topic: str, fetched: Sequence[Any]) -> Message:
    """One message of many records, each with its time, key and headers."""
    # A tombstone says that its key is gone, which is no reading.
    kept = [record for record in fetched if record.value is not None]
    return Message(
        source,
        topic=topic,
        via=topic,
        received=now_ns(),
        records=Records(
            [record.value for record in kept],
            [record.timestamp * _MS for record in kept],
            lambda number: _metadata_of(kept[number]),
        ),
        size=sum(len(record.value) + len(record.key or b"") for record in kept),
    )


def _metadata_of(record: Any) -> dict[str, Any]:
    """Key and headers, as text."""
    found = {name: value.decode(errors="replace") for name, value in record.headers if value is not None}
    if record.key is not None:
        found["key"] = record.key.decode(errors="replace")
    return found


def position_name(group: str, topic: str, partition: int) -> str:
    """Under which name the journal knows how far a partition has been read."""
    return f"{SOURCE_PREFIX}kafka:{group}:{topic}:{partition}"


def number(epoch: int, offset: int) -> int:
    """Epoch and offset as one number that only grows."""
    return epoch << _OFFSET_BITS | offset


def epoch_and_offset(position: int) -> tuple[int, int]:
    """The inverse of `number`."""
    return position >> _OFFSET_BITS, position & ((1 << _OFFSET_BITS) - 1)
