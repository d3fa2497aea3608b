"""What an adapter hands over, and what it is told afterwards."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ..twin.errors import IoTSenseError
from ..twin.model import Quality
from .telemetry import TelemetryDocument

Value = float | int | bool | str | list[float] | None


class Sample(msgspec.Struct):
    """One value of one address, before it is known whose signal it is.

    `address` is the measurement's name or the tag's address at the source; "" if the message does not say.
    `time` [ns since the epoch] is None where the source gave none: the arrival time is taken. `quality` is an OPC
    quality byte. `unit` is what the value is in, if the source says. `device` is the device that measured.
    """

    address: str
    value: Any
    time: int | None = None
    quality: int = int(Quality.GOOD)
    unit: str | None = None
    device: str | None = None
    metadata: dict[str, Any] | None = None


class Order:
    """Messages whose order counts, such as those of one connection.

    refused: one of them could not be stored, so those behind it must not be either: it will be sent again, and would
    come after them; a correction would be undone by what it corrects.
    """

    __slots__ = ("refused",)

    def __init__(self) -> None:
        self.refused = False


class Message(msgspec.Struct):
    """What came from a source in one piece: a payload that is still to be parsed, documents, or samples.

    source: name of the configured source. received: arrival [ns since the epoch], 0 for now. identity: two messages of
    one identity within 24 hours are the same message. size [bytes]: what it takes of the pipeline's buffer, 0 for an
    estimate. retained: the source kept it and gives it to every newcomer, so it is no new reading: it counts only for
    a signal that has no value yet, or with a source time that is newer than the signal's. `ack` is called on the event
    loop once the message is durable, in the order of receipt; `refuse` instead of it if storage refuses, and then the
    source must not be told that we have it. order: messages that share one are stored in their order or not at all.
    """

    source: str
    payload: bytes | None = None
    topic: str | None = None
    content_type: str | None = None
    documents: Sequence[TelemetryDocument] = ()
    samples: Sequence[Sample] = ()
    metadata: dict[str, Any] | None = None
    received: int = 0
    identity: str | None = None
    size: int = 0
    retained: bool = False
    ack: Callable[[], None] | None = None
    refuse: Callable[[IoTSenseError], None] | None = None
    order: Order | None = None


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
