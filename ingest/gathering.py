"""One group of messages on its way to one transaction: parsed, normalised, bound, and laid into columns.

The loop over documents is the busiest of the product: a measurement whose address its lane knows costs a dictionary
look-up and four appends. All else takes the slow way through the binder.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from ..twin.entry import DeadLetter
from ..twin.errors import InvalidValueError, IoTSenseError
from ..twin.graph_edit import GraphEdit
from ..twin.model import Node, Quality
from ..twin.twin import Twin
from .binding import Address, Binder, Unbound, Undecided
from .columns import Columns
from .dead_letters import Misfit, Redaction, letters_of
from .discovery import Budget, Discovery, NoBudgetError
from .lane import Lane, Lanes
from .message import Message, Receipt, Sample
from .parsers import PARSE, Failure, bare_value
from .tally import Tally
from .targets import EXACT
from .telemetry import TelemetryDocument, quality_byte

log = logging.getLogger("iotsense.ingest")
BIND, DISCOVERY = "bind", "discovery"
AUTHOR = "discovery"
_QUALITY: dict[Any, int] = {None: 192, "good": 192, "uncertain": 64, "bad": 0} | {byte: byte for byte in range(256)}
_REASONS = 5


class Entry(msgspec.Struct):
    """A message on its way. `letter`: it was a dead letter, and is not written down as one again.

    size: what it takes of the buffer; bytes: what came. rows: readings that it came to. ahead: how many of them bore a
    time too far in the future.
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

    @property
    def dead(self) -> int:
        """Measurements and payloads that could not be used."""
        return len(self.misfits) + sum(failure.count for failure in self.failures)

    def receipt(self) -> Receipt:
        """What became of it."""
        if not self.misfits and not self.failures:
            return Receipt(self.rows, 0, self.duplicate)
        reasons = dict.fromkeys([f.reason for f in self.failures] + [m.reason for m in self.misfits])
        return Receipt(self.rows, self.dead, self.duplicate, tuple(reasons)[:_REASONS])


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
        if entry.message.retained:
            self._drop_known(rows, entry.message.received)
        entry.rows = len(columns) - rows
        self.tally.extend(entry.message.source, entry.rows)

    def _take(self, entry: Entry) -> None:
        message = entry.message
        lane = self._lanes.of(message.source, message.topic)
        if message.documents:
            entry.documents = message.documents
        elif message.payload is None:
            entry.samples = message.samples
        elif lane.refusal is not None:
            raise InvalidValueError(lane.refusal)
        elif lane.parse_samples is not None:
            entry.samples = lane.parse_samples(message.payload, entry.failures)
        else:
            self._parse_telemetry(entry, lane, message.payload)
        if entry.documents:
            self._take_documents(entry, lane, entry.documents)
        for item, sample in enumerate(entry.samples):
            self._take_sample(entry, lane, sample, item)

    def _parse_telemetry(self, entry: Entry, lane: Lane, payload: bytes) -> None:
        try:
            entry.documents = lane.parse_documents(payload, entry.failures)
        except InvalidValueError:
            value = bare_value(payload)
            if value is None:
                raise
            entry.samples = (Sample("", value),)

    def _take_documents(self, entry: Entry, lane: Lane, documents: Sequence[TelemetryDocument]) -> None:
        columns = self.columns
        put_signal, put_time = columns.signal.append, columns.time.append
        put_value, put_quality = columns.value.append, columns.quality.append
        plain, quality_of, clock = lane.plain.get, _QUALITY.get, lane.clock
        received = entry.message.received
        latest = received + self._max_ahead
        for number, document in enumerate(documents):
            device, stamp = document.device_id, document.timestamp
            time = received
            if stamp is not None:
                try:
                    time = (lane.device_clocks.get(device, clock) if lane.device_clocks and device else clock)(stamp)
                except InvalidValueError as error:
                    self._misfits(entry, number, str(error))
                    continue
            ahead = time > latest
            if ahead:
                time = received
            for item, measurement in enumerate(document.measurements):
                value = measurement.value
                known = plain((device, measurement.name, measurement.unit))
                quality = quality_of(measurement.quality)
                if (
                    known is None
                    or quality is None
                    or ahead
                    or (value.__class__ is not float and value.__class__ is not int)
                    or not -EXACT <= value <= EXACT
                ):
                    self._take_measurement(entry, lane, document, number, item, time, ahead)
                else:
                    index, scale, offset = known
                    put_signal(index)
                    put_time(time)
                    put_value(value * scale + offset)
                    put_quality(quality)

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
        time, quality = sample.time, sample.quality
        if time is None:
            time = message.received
        elif time > message.received + self._max_ahead:
            entry.ahead += 1
            time, quality = message.received, min(quality, Quality.UNCERTAIN)
        known = lane.plain.get((sample.device, sample.address or None, sample.unit))
        value = sample.value
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
        alone = len(entry.samples) == 1 or sum(other.device == sample.device for other in entry.samples) == 1
        address = Address(sample.device or None, sample.address, sample.unit, metadata, alone)
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
        try:
            bound = self._binder.bind(lane, address, value)
            if isinstance(bound, Unbound | Undecided):
                self._waiting.append(_Waiting(entry, lane, address, value, time, quality, document, item, bound))
            else:
                bound.place(value, time, quality, self.columns)
        except IoTSenseError as error:
            entry.misfits.append(Misfit(BIND, str(error), document, item))

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
                    binder.follow_edit(edit.graph, discovery.added[made:])
            except NoBudgetError as error:
                reasons[number] = (DISCOVERY, str(error))
            except IoTSenseError as error:
                reasons[number] = (BIND, str(error))
        return discovery.added

    def _decide(self, edit: GraphEdit, undecided: Undecided) -> None:
        for signal in undecided.signals:
            if edit.graph.signal(signal.index).data_type is None:
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
        if (entry.failures or entry.misfits) and not entry.letter:
            found += letters_of(entry.message, entry.documents, entry.samples, entry.failures, entry.misfits, redaction)
    return found
