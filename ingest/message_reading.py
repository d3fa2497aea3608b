"""What the pipeline reads in a message, for somebody who looks: the same parsers, without columns and without haste."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ..twin.errors import InvalidValueError, IoTSenseError
from .binding import Address
from .columns import Columns
from .lane import Lane, Lanes
from .message import Message
from .parsers import Failures, bare_value
from .sample import Sample
from .telemetry import TelemetryDocument, decode_documents, quality_byte

MAX_SHOWN = 10_000


class Measured(msgspec.Struct):
    """A measurement as it stands in the message. time [ns]: None if the message does not say one."""

    address: Address
    value: Any
    time: int | None
    quality: int


def messages_in(message: Message) -> Iterator[Message]:
    """The message, or each of its records as one."""
    records = message.records
    if records is None:
        yield message
        return
    for number in range(len(records)):
        part = records.message(message)
        records.show(number, part)
        yield part


def read_message(lanes: Lanes, lane: Lane, message: Message, failures: Failures) -> list[Measured]:
    """Its measurements, at most MAX_SHOWN; what cannot be read is added to `failures`. Raises InvalidValueError."""
    documents: Sequence[TelemetryDocument] = ()
    samples = message.samples
    if message.unreadable is not None:
        raise InvalidValueError(message.unreadable)
    if message.readings is not None:
        readings = message.readings
        rows = range(min(len(readings), MAX_SHOWN))
        times = [None] * len(rows) if readings.time is None else readings.time.tolist()
        qualities = [192] * len(rows) if readings.quality is None else readings.quality.tolist()
        given = zip(readings.point.tolist(), readings.value.tolist(), times, qualities, strict=False)
        samples = [
            _sample(readings.points.sample(p, v, t or 0, q), t) for (p, v, t, q), _ in zip(given, rows, strict=False)
        ]
    elif message.telemetry is not None:
        documents = decode_documents(message.telemetry)
    elif message.payload is not None:
        documents, samples = _parse(lanes, lane, message, message.payload, failures)
    found = [_of_document(lane, document, item, message) for document in documents for item in document.measurements]
    return [*found, *(_of_sample(sample, message, samples) for sample in samples)][:MAX_SHOWN]


def _sample(sample: Sample, time: int | None) -> Sample:
    sample.time = time
    return sample


def _parse(lanes: Lanes, lane: Lane, message: Message, payload: bytes, failures: Failures) -> tuple[Any, Any]:
    if lane.lines is not None:
        received = message.received
        return lane.lines.afresh().read(payload, Columns(), {}, received, received, failures), ()
    reader = lanes.reader(lane, message.content_type) if message.content_type else lane.reader
    if reader.refusal is not None:
        raise InvalidValueError(reader.refusal)
    if reader.samples is not None:
        return (), reader.samples(payload, failures)
    try:
        return reader.documents(payload, failures), ()
    except InvalidValueError:
        value = bare_value(payload)
        if value is None:
            raise
        return (), (Sample("", value),)


def _of_document(lane: Lane, document: TelemetryDocument, item: Any, message: Message) -> Measured:
    alone = len(document.measurements) == 1
    metadata = (message.metadata or {}) | (document.metadata or {})
    address = Address(document.device_id or None, item.name or "", item.unit, metadata or None, alone)
    time = None
    if document.timestamp is not None:
        time = lane.device_clocks.get(document.device_id or "", lane.clock)(document.timestamp)
    return Measured(address, item.value, time, quality_byte(item.quality))


def _of_sample(sample: Sample, message: Message, samples: Any) -> Measured:
    alone = sum(each.device == sample.device for each in samples) == 1
    metadata = (message.metadata or {}) | (sample.metadata or {})
    address = Address(sample.device or None, sample.address, sample.unit, metadata or None, alone, sample.tag)
    return Measured(address, sample.value, sample.time, sample.quality)


def failure_words(error: IoTSenseError | None, failures: Failures) -> list[str]:
    """Why parts of it could not be read."""
    return ([str(error)] if error is not None else []) + [failure.reason for failure in failures]
