"""One group of messages on its way to one transaction: parsed, normalised, bound, and laid into columns.

The loop over documents is the busiest of the product: a measurement whose address its lane knows costs a dictionary
look-up and four appends. All else takes the slow way through the binder.
"""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np

from ..twin.entry import DeadLetter
from ..twin.errors import InvalidValueError, IoTSenseError
from ..twin.graph_edit import GraphEdit
from ..twin.model import Node, Quality
from ..twin.times import now_ns
from ..twin.twin import Twin
from .binding import Address, Binder, Unbound, Undecided
from .burst import Burst
from .columns import Columns
from .dead_letters import Misfit, Redaction, letters_of
from .discovery import Budget, Discovery, NoBudgetError
from .document_rows import Times
from .entry import Entry
from .lane import Lane, Lanes
from .parsers import PARSE, Failure, bare_value
from .points import PointReadings
from .records import Records, take_plainly
from .sample import Sample
from .tally import Tally
from .targets import EXACT, is_missing
from .telemetry import TelemetryDocument, decode_documents, quality_byte

log = logging.getLogger("iotsense.ingest")
# OPC quality: uncertain, the last usable value.
LAST_USABLE = 0x44
BIND, DISCOVERY = "bind", "discovery"
AUTHOR = "discovery"


class _Waiting(msgspec.Struct):
    """A measurement that waits for the graph to change."""

    entry: Entry
    lane: Lane
    address: Address
    value: Any
    time: int
    quality: int
    document: int
    item: int
    bound: Unbound | Undecided

    def misfit(self, stage: str, reason: str) -> None:
        """It cannot be stored."""
        self.entry.misfits.append(Misfit(stage, reason, self.document, self.item))


class Gathering:
    """Takes the messages of one group. max_ahead [ns]; create: whether unknown devices are discovered."""

    def __init__(self, twin: Twin, lanes: Lanes, binder: Binder, max_ahead: int, create: bool) -> None:
        self._twin = twin
        self._lanes = lanes
        self._binder = binder
        self._max_ahead = max_ahead
        self._create = create
        self._waiting: list[_Waiting] = []
        self.columns = Columns()
        self.tally = Tally()

    def take(self, entry: Entry) -> None:
        """Lays a message's readings into the columns; what cannot be used is noted in the entry."""
        rows, waiting = len(self.columns), len(self._waiting)
        self._take_safely(entry)
        if entry.message.expires is not None and now_ns() > entry.message.expires:
            self._doubt(rows, waiting)
        if entry.message.retained:
            self._drop_known(rows, entry.message.received)
        entry.rows = len(self.columns) - rows
        self.tally.extend(entry.message.source, entry.rows)

    def _take_safely(self, entry: Entry) -> None:
        columns = self.columns
        rows, waiting = len(columns), len(self._waiting)
        try:
            self._take(entry)
        except IoTSenseError as error:
            entry.failures.append(Failure(PARSE, str(error)))
        except Exception as error:
            # Whatever is in one message must not stop all others; it is kept, with the mistake, for us to look at.
            log.exception("a message from %s could not be read", entry.message.source)
            columns.truncate(rows)
            del self._waiting[waiting:]
            entry.misfits = []
            entry.failures = [Failure(PARSE, f"unexpected {type(error).__name__}: {error}")]

    def _take(self, entry: Entry) -> None:
        message = entry.message
        lane = self._lanes.of(message.source, message.topic, message.via, message.under)
        if message.readings is not None:
            self._take_readings(entry, lane, message.readings)
        elif message.records is not None:
            self._take_records(entry, lane, message.records)
        elif message.telemetry is not None:
            try:
                entry.documents = decode_documents(message.telemetry)
            except InvalidValueError as error:
                entry.error = error
        elif message.unreadable is not None:
            raise InvalidValueError(message.unreadable)
        elif message.payload is None:
            entry.samples = message.samples
        elif lane.lines is not None:
            latest = message.received + self._max_ahead
            known, columns = lane.plain, self.columns
            entry.documents = lane.lines.read(message.payload, columns, known, message.received, latest, entry.failures)
        else:
            self._parse(entry, lane, message.payload, message.content_type)
        if entry.documents:
            self._take_documents(entry, lane, entry.documents)
        for item, sample in enumerate(entry.samples):
            self._take_sample(entry, lane, sample, item)

    def _take_readings(self, entry: Entry, lane: Lane, readings: PointReadings) -> None:
        """Columns of points: those whose signals are known go as they are, the others one by one."""
        received, rows = entry.message.received, len(readings)
        table = lane.point_table(readings.points)
        if (unknown := table.signal[readings.point] < 0).any():
            table.learn(lane, np.unique(readings.point[unknown]))
        time = np.full(rows, received) if readings.time is None else readings.time
        quality = np.full(rows, Quality.GOOD, np.uint8) if readings.quality is None else readings.quality
        ahead = time > received + self._max_ahead
        if ahead.any():
            entry.ahead += int(ahead.sum())
            time = np.where(ahead, received, time)
            quality = np.where(ahead, np.minimum(quality, Quality.UNCERTAIN), quality).astype(np.uint8)
        signal = table.signal[readings.point]
        # A good reading without a value is a mistake of the source's, which the slow way tells.
        usable = np.isfinite(readings.value) | (np.isnan(readings.value) & (quality < Quality.UNCERTAIN))
        known = (signal >= 0) & usable
        point = readings.point[known]
        value = readings.value[known] * table.scale[point] + table.offset[point]
        self.columns.extend(signal[known], time[known], value, quality[known])
        if not known.all():
            rest = np.flatnonzero(~known)
            columns = (readings.point[rest], readings.value[rest], time[rest], quality[rest])
            entry.samples = [readings.points.sample(*row) for row in zip(*(c.tolist() for c in columns), strict=True)]

    def _take_records(self, entry: Entry, lane: Lane, records: Records) -> None:
        """Each by itself, as if it had come alone; what cannot be used of one is nobody else's concern."""
        message, reader = entry.message, lane.reader

        def take_one(number: int) -> None:
            part = Entry(records.message(message))
            records.show(number, part.message)
            waiting = len(self._waiting)
            self._take_safely(part)
            entry.ahead += part.ahead
            if part.failures or part.misfits or len(self._waiting) > waiting:
                entry.parts.append(part)

        if reader.samples is None or reader.refusal is not None or message.content_type is not None:
            for number in range(len(records)):
                take_one(number)
            return
        latest = message.received + self._max_ahead
        take_plainly(records, reader.samples, lane.plain, self.columns, message.received, latest, take_one)

    def _parse(self, entry: Entry, lane: Lane, payload: bytes, content_type: str | None) -> None:
        reader = lane.reader
        if content_type:
            reader = lane.by_content.get(content_type) or self._lanes.reader(lane, content_type)
        if reader.refusal is not None:
            raise InvalidValueError(reader.refusal)
        if reader.samples is not None:
            entry.samples = reader.samples(payload, entry.failures)
            return
        try:
            entry.documents = reader.documents(payload, entry.failures)
        except InvalidValueError:
            value = bare_value(payload)
            if value is None:
                raise
            entry.samples = (Sample("", value),)

    def _take_documents(self, entry: Entry, lane: Lane, documents: Sequence[TelemetryDocument]) -> None:
        received = entry.message.received
        latest = received + self._max_ahead
        times = Times(lane.clock, lane.device_clocks, received, entry.message.stamp(latest), latest)

        def slow(number: int, item: int, time: int, ahead: bool) -> None:
            self._take_measurement(entry, lane, documents[number], number, item, time, ahead)

        waiting = len(self._waiting)
        lane.rows.lay(documents, self.columns, lane.plain, times, slow, partial(self._misfits, entry))
        if not entry.misfits and len(self._waiting) == waiting:
            # Nobody asks for them again. To let go of them while they are in the CPU's cache is cheaper: with their
            # reading just before, 5.9 µs a document instead of 9.2.
            entry.documents = ()

    def _misfits(self, entry: Entry, number: int, reason: str) -> None:
        for item in range(len(entry.documents[number].measurements)):
            entry.misfits.append(Misfit(PARSE, reason, number, item))

    def _take_measurement(
        self, entry: Entry, lane: Lane, document: TelemetryDocument, number: int, item: int, time: int, ahead: bool
    ) -> None:
        measurement = document.measurements[item]
        metadata = document.metadata
        if entry.message.metadata:
            metadata = entry.message.metadata | (metadata or {})
        try:
            quality = quality_byte(measurement.quality)
        except InvalidValueError as error:
            entry.misfits.append(Misfit(PARSE, str(error), number, item))
            return
        if ahead:
            entry.ahead += 1
            quality = min(quality, Quality.UNCERTAIN)
        address = Address(
            document.device_id or None,
            measurement.name or "",
            measurement.unit,
            metadata,
            len(document.measurements) == 1,
        )
        self._place(entry, lane, address, measurement.value, time, quality, number, item)

    def _take_sample(self, entry: Entry, lane: Lane, sample: Sample, item: int) -> None:
        message = entry.message
        time, quality, value = sample.time, sample.quality, sample.value
        # The last sample of a burst is the newest: without a stamp it is the one that has just been taken.
        length, count = (value.length, len(value)) if value.__class__ is Burst else (0, 1)
        if time is None:
            time = message.stamp(message.received + self._max_ahead) - length
        elif time + length > message.received + self._max_ahead:
            entry.ahead += count
            time, quality = message.received - length, min(quality, Quality.UNCERTAIN)
        known = lane.plain.get((sample.device, sample.address or None, sample.unit))
        if (
            known is not None
            and (value.__class__ is float or value.__class__ is int)
            and -EXACT <= value <= EXACT
            and sample.metadata is None
        ):
            index, scale, offset = known
            self.columns.append(index, time, value * scale + offset, quality)
            return
        metadata = sample.metadata
        if message.metadata:
            metadata = message.metadata | (metadata or {})
        alone = entry.is_alone(sample.device)
        address = Address(sample.device or None, sample.address, sample.unit, metadata, alone, sample.tag)
        self._place(entry, lane, address, value, time, quality, 0, item)

    def _place(
        self,
        entry: Entry,
        lane: Lane,
        address: Address,
        value: Any,
        time: int,
        quality: int,
        document: int,
        item: int,
    ) -> None:
        # That something cannot be read is no news of what was never known: neither its type nor its place is told.
        nothing = quality < Quality.UNCERTAIN and is_missing(value)
        try:
            bound = self._binder.bind(lane, address, None if nothing else value)
            if isinstance(bound, Unbound | Undecided):
                if nothing:
                    return
                self._waiting.append(_Waiting(entry, lane, address, value, time, quality, document, item, bound))
            else:
                bound.place(value, time, quality, self.columns)
        except IoTSenseError as error:
            if not nothing:
                entry.misfits.append(Misfit(BIND, str(error), document, item))

    def _doubt(self, rows: int, waiting: int) -> None:
        """What expired before it could be stored is not believed to be so still."""
        quality = self.columns.quality
        for row in range(rows, len(self.columns)):
            quality[row] = min(quality[row], LAST_USABLE)
        for one in self._waiting[waiting:]:
            one.quality = min(one.quality, LAST_USABLE)

    def _drop_known(self, rows: int, received: int) -> None:
        """Of a retained message only what the twin does not know yet is a reading."""
        columns = self.columns
        kept = []
        for row in range(rows, len(columns)):
            reading = self._twin.state.read(columns.signal[row])
            if reading is None or (columns.time[row] != received and columns.time[row] > reading.time):
                kept.append((columns.signal[row], columns.time[row], columns.value[row], columns.quality[row]))
        columns.truncate(rows)
        for reading_row in kept:
            columns.append(*reading_row)

    # What needs another revision of the graph

    async def settle(self, budget: Budget) -> None:
        """Makes the nodes and decides the types that measurements wait for, as one revision, and places them.

        Raises StorageError if the revision cannot be written.
        """
        waiting, self._waiting = self._waiting, []
        if not self._create:
            waiting = [one for one in waiting if not self._refused(one)]
        if not waiting:
            return
        left = budget.left()
        reasons: dict[int, tuple[str, str]] = {}
        if left or any(isinstance(one.bound, Undecided) for one in waiting):
            added = await self._twin.change_async(lambda edit: self._build(edit, waiting, left, reasons), AUTHOR)
            budget.spend(len(added))
            self._binder.follow(self._twin.graph)
            for number, one in enumerate(waiting):
                self._place_again(one, reasons.get(number))
            return
        for one in waiting:
            one.misfit(DISCOVERY, f"{one.address.text} is unknown, and no more nodes may be discovered this minute")

    def _refused(self, one: _Waiting) -> bool:
        if isinstance(one.bound, Undecided):
            return False
        one.misfit(BIND, f"{one.address.text} fits no sensor, and `unbound: dead_letter` lets none be made")
        return True

    def _build(
        self, edit: GraphEdit, waiting: Sequence[_Waiting], left: int, reasons: dict[int, tuple[str, str]]
    ) -> list[Node]:
        binder = self._binder
        binder.follow_edit(edit.graph)
        binder.follow_edit(edit.view)
        discovery = Discovery(edit, binder.book, left)
        for number, one in enumerate(waiting):
            try:
                if isinstance(one.bound, Undecided):
                    self._decide(edit, one.bound)
                    continue
                # What was made for the measurements before may have room for this one.
                bound = binder.bind(one.lane, one.address, one.value)
                if isinstance(bound, Unbound):
                    made = len(discovery.added)
                    discovery.place(bound, one.value)
                    binder.follow_edit(edit.view, discovery.added[made:])
            except NoBudgetError as error:
                reasons[number] = (DISCOVERY, str(error))
            except IoTSenseError as error:
                reasons[number] = (BIND, str(error))
        return discovery.added

    def _decide(self, edit: GraphEdit, undecided: Undecided) -> None:
        for signal in undecided.signals:
            if edit.view.signal(signal.index).data_type is None:
                edit.update_signal(signal.index, data_type=undecided.data_type)

    def _place_again(self, one: _Waiting, reason: tuple[str, str] | None) -> None:
        columns = self.columns
        rows = len(columns)
        try:
            bound = self._binder.bind(one.lane, one.address, one.value)
            if isinstance(bound, Unbound):
                stage, words = reason or (DISCOVERY, f"{one.address.text} is unknown, and must wait to be discovered")
                one.misfit(stage, words)
            elif isinstance(bound, Undecided):
                one.misfit(BIND, f"{one.address.text}: its type could not be decided")
            else:
                bound.place(one.value, one.time, one.quality, columns)
        except IoTSenseError as error:
            one.misfit(BIND, str(error))
        one.entry.rows += len(columns) - rows
        self.tally.extend(one.entry.message.source, len(columns) - rows)

    @property
    def unsettled(self) -> bool:
        """Whether measurements wait for `settle`."""
        return bool(self._waiting)


def letters(entries: Sequence[Entry], redaction: Redaction) -> list[DeadLetter]:
    """The dead letters of a group."""
    found: list[DeadLetter] = []
    for entry in entries:
        found += letters(entry.parts, redaction)
        if (entry.failures or entry.misfits) and not entry.letter:
            found += letters_of(entry.message, entry.documents, entry.samples, entry.failures, entry.misfits, redaction)
    return found
