"""What an adapter hands over, and what it is told afterwards."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ..twin.errors import IoTSenseError
from .points import PointReadings
from .records import Records
from .sample import Sample

_SAMPLE_BYTES = 96
_COLUMNS_BYTES = 21


class Order:
    """Messages whose order counts, such as those of one connection.

    refused: one of them could not be stored, so those behind it must not be either: it will be sent again, and would
    come after them; a correction would be undone by what it corrects.
    """

    __slots__ = ("refused",)

    def __init__(self) -> None:
        self.refused = False


class Message(msgspec.Struct):
    """What came from a source in one piece: a payload that is still to be parsed, telemetry, samples, or columns.

    telemetry: the specification's documents as JSON, read only when they are laid into columns, for until then they are
    a fifth of the memory; what is no such document is refused, and no dead letter, since its sender is told. records:
    many payloads at once, instead of `payload`. raw: what `samples` were read from, if one wants to see it.

    source: name of the configured source. received: arrival [ns since the epoch], 0 for now. identity: two messages of
    one identity within 24 hours are the same message. position: (name, number), for sources that number what they
    send: journalled in the same transaction, and whatever is not beyond the journal's number is a duplicate; it costs
    no memory, and nothing is forgotten. time [ns since the epoch]: the source's, for measurements without a stamp of
    their own. size [bytes]: what it takes of the pipeline's buffer, 0 for an estimate. retained: the source kept it
    and gives it to every newcomer, so it is no new reading: it counts only for a signal that has no value yet, or with
    a source time that is newer than the signal's. expires [ns since the epoch]: what could not be stored by then was
    true once, and is uncertain. `ack` is called on the event loop once the message is durable, in the order of
    receipt; `told` before it, with what became of the message; `refuse` instead of both if storage refuses, and then
    the source must not be told that we have it; `reject`, where there is one, instead of `ack` if nothing of the
    message could be used (it is a dead letter, durable). order: messages that share one are stored in their order or
    not at all. via: the configured item by which it came (a queue, a path), which says how it is parsed; None: the
    topic says it. unreadable: why the adapter could not read the payload, which is then a dead letter. under: keys of
    the nodes at and below which it may write, by whoever sent it; None: anywhere.
    """

    source: str
    payload: bytes | None = None
    topic: str | None = None
    content_type: str | None = None
    telemetry: bytes | None = None
    samples: Sequence[Sample] = ()
    raw: bytes | None = None
    readings: PointReadings | None = None
    records: Records | None = None
    via: str | None = None
    metadata: dict[str, Any] | None = None
    received: int = 0
    time: int | None = None
    identity: str | None = None
    position: tuple[str, int] | None = None
    size: int = 0
    retained: bool = False
    expires: int | None = None
    told: "Callable[[Receipt], None] | None" = None
    ack: Callable[[], None] | None = None
    refuse: Callable[[IoTSenseError], None] | None = None
    reject: Callable[[], None] | None = None
    order: Order | None = None
    unreadable: str | None = None
    under: frozenset[int] | None = None

    @property
    def count(self) -> int:
        """How many messages of its source it is."""
        return 1 if self.records is None else len(self.records)

    @property
    def estimate(self) -> int:
        """What it takes of a buffer, roughly [bytes]."""
        if self.records is not None:
            return sum(map(len, self.records.payloads))
        if self.payload is not None:
            return len(self.payload) + len(self.topic or "")
        if self.telemetry is not None:
            return len(self.telemetry)
        columns = 0 if self.readings is None else len(self.readings) * _COLUMNS_BYTES
        return len(self.samples) * _SAMPLE_BYTES + columns

    def stamp(self, latest: int) -> int:
        """The time [ns] of measurements without one: the source's unless it is after `latest`, else the arrival."""
        return self.received if self.time is None or self.time > latest else self.time


class Receipt(msgspec.Struct, frozen=True):
    """What became of a message, once that is durable.

    accepted: readings stored. dead_lettered: measurements (or whole payloads) that went to the dead letters.
    duplicate: the message had been taken in before, so nothing was done. reasons: why the first few of the dead
    letters could not be used.
    """

    accepted: int = 0
    dead_lettered: int = 0
    duplicate: bool = False
    reasons: tuple[str, ...] = ()
