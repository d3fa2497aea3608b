"""A message on its way through the pipeline, and what became of it so far."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

import msgspec

from ..twin.errors import IoTSenseError
from .dead_letters import Misfit
from .message import Message, Receipt
from .parsers import Failure
from .sample import Sample
from .telemetry import TelemetryDocument

log = logging.getLogger("iotsense.ingest")
_REASONS = 5


class Entry(msgspec.Struct):
    """A message on its way. `letter`: it was a dead letter, and is not written down as one again.

    size: what it takes of the buffer; bytes: what came. rows: readings that it came to. ahead: how many of them bore a
    time too far in the future. error: why it is refused, though storage would take it; nothing of it is stored. parts:
    those of a message's records that could not be used as they are.
    """

    message: Message
    size: int = 0
    bytes: int = 0
    future: "asyncio.Future[Receipt] | None" = None
    letter: bool = False
    documents: Sequence[TelemetryDocument] = ()
    samples: Sequence[Sample] = ()
    rows: int = 0
    ahead: int = 0
    duplicate: bool = False
    error: IoTSenseError | None = None
    failures: list[Failure] = []
    misfits: list[Misfit] = []
    devices: Counter[str | None] | None = None
    parts: list["Entry"] = []

    @property
    def is_out_of_order(self) -> bool:
        """Whether a message before it, with which its order counts, was refused."""
        return self.message.order is not None and self.message.order.refused

    def is_alone(self, device: str | None) -> bool:
        """Whether the message has only one sample of this device."""
        if self.devices is None:
            self.devices = Counter(sample.device for sample in self.samples)
        return self.devices[device] == 1

    @property
    def dead(self) -> int:
        """Measurements and payloads that could not be used."""
        own = len(self.misfits) + sum(failure.count for failure in self.failures)
        return own + sum(part.dead for part in self.parts)

    @property
    def useless(self) -> bool:
        """Whether nothing of it could be used."""
        return bool(self.failures or self.misfits) and not self.read

    @property
    def read(self) -> int:
        """Readings, those included for which the graph had to change first."""
        return self.rows + sum(part.rows for part in self.parts)

    def settle(self, error: IoTSenseError | None) -> None:
        """Tells its source what became of it: it is durable, or was refused."""
        future, message, error = self.future, self.message, error or self.error
        if future is not None and not future.done():
            if error is None:
                future.set_result(self.receipt())
            else:
                future.set_exception(error)
        try:
            if error is None:
                if message.told is not None:
                    message.told(self.receipt())
                tell = message.reject if message.reject is not None and self.useless else message.ack
                if tell is not None:
                    tell()
            elif message.refuse is not None:
                message.refuse(error)
        except Exception:
            # A source whose connection is gone must not keep the others from being told.
            log.exception("source %s could not be told what became of its message", message.source)

    def receipt(self) -> Receipt:
        """What became of it."""
        if not self.misfits and not self.failures and not self.parts:
            return Receipt(self.rows, 0, self.duplicate)
        all_of = (self, *self.parts)
        reasons = dict.fromkeys(each.reason for entry in all_of for each in entry.failures)
        reasons |= dict.fromkeys(each.reason for entry in all_of for each in entry.misfits)
        return Receipt(self.read, self.dead, self.duplicate, tuple(reasons)[:_REASONS])
