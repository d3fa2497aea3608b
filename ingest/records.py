"""Records: payloads that came together from one topic, for sources so fast that a message each would cost too much."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from .columns import Columns
from .points import Key
from .targets import EXACT

if TYPE_CHECKING:
    from .message import Message
    from .parsers import Failures, SamplesParser


class Records(msgspec.Struct):
    """Columns of equal length `(n,)`: each record is parsed and bound by itself, and becomes its own dead letter.

    times: when each was so [ns since the epoch], if its payload does not say; None: the arrival counts. metadata: of
    the record of a number, asked only where it counts; None: there is none.
    """

    payloads: Sequence[bytes]
    times: Sequence[int] | None = None
    metadata: Callable[[int], dict[str, Any] | None] | None = None

    def __len__(self) -> int:
        return len(self.payloads)

    def message(self, whole: "Message") -> "Message":
        """A message for one of them at a time, like the one that brought them all."""
        return msgspec.structs.replace(whole, records=None, size=0, identity=None, position=None, ack=None, refuse=None)

    def show(self, number: int, message: "Message") -> None:
        """Makes the message that of one record."""
        message.payload = self.payloads[number]
        if self.times is not None:
            message.time = self.times[number]
        if self.metadata is not None:
            message.metadata = self.metadata(number)


def take_plainly(
    records: Records,
    parse: "SamplesParser",
    known: Mapping[Key, tuple[int, float, float]],
    columns: Columns,
    received: int,
    latest: int,
    otherwise: Callable[[int], None],
) -> None:
    """The tight loop: a record that is one number of a signal that its lane knows; all else goes `otherwise`.

    received, latest [ns]: arrival, and the last stamp that is believed.
    """
    put_signal, put_time = columns.signal.append, columns.time.append
    put_value, put_quality = columns.value.append, columns.quality.append
    plain, times = known.get, records.times
    failures: Failures = []
    for number, payload in enumerate(records.payloads):
        try:
            samples = parse(payload, failures)
        except Exception:  # told by the ordinary way
            samples = []
        if len(samples) == 1 and not failures:
            sample = samples[0]
            found, value, time = plain((sample.device, sample.address or None, sample.unit)), sample.value, sample.time
            if time is None:
                time = received if times is None else times[number]
            if (
                found is not None
                and time <= latest
                and (value.__class__ is float or value.__class__ is int)
                and -EXACT <= value <= EXACT
                and sample.metadata is None
            ):
                put_signal(found[0])
                put_time(time)
                put_value(value * found[1] + found[2])
                put_quality(sample.quality)
                continue
        failures.clear()
        otherwise(number)
