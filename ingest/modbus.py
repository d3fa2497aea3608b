"""Modbus TCP and RTU: registers read in blocks, decoded as columns, and written."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ..twin.backoff import Backoff
from ..twin.define_modbus import ModbusRegister
from ..twin.errors import InvalidValueError, SourceError
from ..twin.model import DataType, Quality
from ..twin.times import now_ns
from .adapter import Deliver
from .bad_quality import BadQuality
from .configured import Configured
from .harvest import Harvest
from .modbus_line import Line, LineSettings, SilentError, shared_line
from .modbus_pdu import DEVICE_FAILURE, ILLEGAL_FUNCTION, ILLEGAL_VALUE, ModbusRefusal
from .modbus_plan import Block, Item, Limits
from .modbus_poll import AGAIN_S, Poll
from .modbus_unit import Unit
from .modbus_values import Decoder, Spec
from .modbus_writing import is_writable, write
from .points import Point, Points
from .polling import Pace
from .reconnecting import ReconnectingAdapter, Surroundings
from .sample import Sample
from .source_state import SourceState

# Readings that are handed over together [rows].
_ENOUGH = 4096
_TOLD_AT_MOST = 10
# Addresses that are seldom meant as counted from 0.
_LIKE_NOTATION = range(30_001, 50_000)
_DATA_TYPES = {"bool": DataType.BOOLEAN, "string": DataType.TEXT}


class ModbusAdapter(ReconnectingAdapter):
    """One configured device: its registers, whatever units they are in."""

    protocol = "modbus"

    def __init__(self, source: Configured, surroundings: Surroundings, backoff: Backoff | None = None) -> None:
        self._settings = source.settings
        self._line_settings = LineSettings.of(self._settings)
        super().__init__(source, surroundings, self._line_settings.address, backoff)
        self._specs: list[Spec] = []
        self._items: list[Item] = []
        points: list[Point] = []
        for register in self._settings.registers:
            for element in range(register.elements or 1):
                self._items.append(self._item(register, element))
                self._specs.append(Spec.of(register, self._settings))
                points.append(self._point(register, element))
        self.points = Points(points)
        self._rows = {key: row for row, key in enumerate(self.points.keys)}
        self._harvest = Harvest(self.name, self.points)
        self._units: dict[int, Unit] = {}

    def _item(self, register: ModbusRegister, element: int) -> Item:
        table, first = register.place(self._settings.addressing)
        size = register.registers
        return Item(len(self._items), self._settings.unit_of(register), table, first + element * size, size)

    def _point(self, register: ModbusRegister, element: int) -> Point:
        name = register.name if register.elements is None else f"{register.name}[{element}]"
        item = self._items[-1]
        tag = f"{self.name}/{item.unit}/{item.table}/{item.first}"
        if register.bit is not None:
            tag += f"/{register.bit}"
        data_type = _DATA_TYPES.get(register.type, DataType.NUMBER)
        return Point(name, register.device or self._settings.device, register.unit, tag, data_type)

    async def attempt(self, deliver: Deliver) -> None:
        """Reads until the line is lost or no unit answers."""
        with shared_line(self._line_settings) as line:
            numbers = {item.unit for item in self._items} or {self._settings.unit_id}
            self._units = {number: Unit(number, line, self._settings) for number in numbers}
            try:
                await self._read(line, deliver)
            except (SourceError, OSError):
                # Whoever looks at the twin must not take the last values for present ones.
                self._harvest.lost(np.arange(len(self.points), dtype=np.int32), BadQuality.COMMUNICATION)
                await self._harvest.deliver(deliver)
                raise
            finally:
                self._units = {}

    async def _read(self, line: Line, deliver: Deliver) -> None:
        polls = self._polls()
        if not polls:
            await self._hold(line)
        try:
            async with asyncio.TaskGroup() as tasks:
                for poll in polls:
                    tasks.create_task(self._poll(poll, self._harvest.beside(), deliver))
        except BaseExceptionGroup as errors:
            raise _first(errors) from None

    async def _hold(self, line: Line) -> None:
        """Nothing is to be read: shows whether it could be."""
        wire = await line.open(self._settings.timeout)
        self.connected()
        await wire.closed.wait()
        raise SourceError(wire.lost or "the connection was lost")

    def _polls(self) -> list[Poll]:
        limits = Limits.of(self._settings)
        intervals: defaultdict[float, list[Item]] = defaultdict(list)
        for item in self._items:
            own = self._specs[item.row].register.polling_interval_ms
            intervals[(own or self._settings.polling_interval_ms) / 1000].append(item)
        return [Poll(interval, items, self._specs, limits) for interval, items in sorted(intervals.items())]

    async def _poll(self, poll: Poll, harvest: Harvest, deliver: Deliver) -> None:
        pace = Pace(poll.interval, self.status)
        while True:
            await pace.tick()
            for block in poll.blocks:
                if not self._units[block.unit].resting:
                    await self._read_block(poll, block, harvest)
                if harvest.rows >= _ENOUGH:
                    await harvest.deliver(deliver)
            await self._retry(poll, harvest)
            await harvest.deliver(deliver)

    async def _read_block(self, poll: Poll, block: Block, harvest: Harvest) -> None:
        unit = self._units[block.unit]
        try:
            data = await self._ask(unit, block)
        except ModbusRefusal as refusal:
            await self._divide(poll, block, refusal, harvest)
        except SilentError as error:
            self._miss(unit, str(error), harvest)
        else:
            self._take(poll, block, data, harvest)

    async def _ask(self, unit: Unit, block: Block) -> bytes:
        try:
            data = await unit.read(block)
        except ModbusRefusal:
            self._heard()
            raise
        self._heard()
        return data

    def _heard(self) -> None:
        if self.status.state is not SourceState.RUNNING:
            self.connected()

    def _take(self, poll: Poll, block: Block, data: bytes, harvest: Harvest) -> None:
        decoder, time = poll.decoder(block), now_ns()
        if len(decoder.rows):
            harvest.add(decoder.rows, *decoder.numbers(data), time)
        for row, text in decoder.texts(data):
            harvest.add_text(row, text, time)

    def _miss(self, unit: Unit, reason: str, harvest: Harvest) -> None:
        """A unit is silent: its points are, and if all units are, the connection is as good as lost."""
        if all(other.silent is not None for other in self._units.values()):
            raise SourceError(reason)
        rows = [item.row for item in self._items if item.unit == unit.number]
        if harvest.lost(np.array(rows, np.int32), BadQuality.COMMUNICATION):
            self.log.warning("source %s: %s; the other units are read on", self.name, reason)

    # Writing

    def writable(self) -> Sequence[Point]:
        """The registers and coils that the definition lets be written."""
        return [self.points.points[item.row] for item in self._items if self._may_write(item)]

    def _may_write(self, item: Item) -> bool:
        return is_writable(item, self._specs[item.row], self._settings.writable)

    async def write(self, point: Point, value: float | bool | str) -> None:
        """Sets a register or coil [unit of the point]; returns when the device has confirmed it.

        Raises SourceError if it cannot be reached or refuses, InvalidValueError if the register cannot hold the value.
        """
        item = self._find(point)
        if not self._may_write(item):
            raise InvalidValueError(
                f"{point.address} ({item}) may not be written: that takes `writable: true` at the source, and a "
                "holding register or a coil"
            )
        try:
            await write(self._unit(item), item, self._specs[item.row], value)
        except ModbusRefusal as refusal:
            raise SourceError(f"{point.address} ({item}) cannot be written: {refusal}") from None

    async def read(self, point: Point) -> Sample:
        """What the device holds now; raises SourceError."""
        item = self._find(point)
        block = Block.of([item])
        try:
            data = await self._unit(item).read(block)
        except ModbusRefusal as refusal:
            raise SourceError(f"{point.address} ({item}) cannot be read: {refusal}") from None
        decoder = Decoder(block, self._specs)
        if texts := decoder.texts(data):
            return self.points.sample(item.row, texts[0][1], now_ns(), Quality.GOOD)
        values, quality = decoder.numbers(data)
        return self.points.sample(item.row, float(values[0]), now_ns(), int(quality[0]))

    def _find(self, point: Point) -> Item:
        row = self._rows.get(point.key)
        if row is None:
            raise InvalidValueError(f"source {self.name} has no point {point.address}")
        return self._items[row]

    def _unit(self, item: Item) -> Unit:
        unit = self._units.get(item.unit)
        if unit is None:
            raise SourceError(f"source {self.name} is not connected: {self.status.error or 'it has not begun'}")
        return unit

    # What a device refuses

    async def _divide(self, poll: Poll, block: Block, refusal: ModbusRefusal, harvest: Harvest) -> None:
        unit = self._units[block.unit]
        try:
            parts = await poll.divide(lambda part: self._ask(unit, part), block, refusal)
        except SilentError as error:
            self._miss(unit, str(error), harvest)
            return
        for part, outcome in parts:
            if isinstance(outcome, bytes):
                self._take(poll, part, outcome, harvest)
            else:
                self._refused(part.items, outcome, harvest)

    def _refused(self, items: Sequence[Item], refusal: ModbusRefusal, harvest: Harvest) -> None:
        if not harvest.lost(np.array([item.row for item in items], np.int32), _quality(refusal)):
            return
        names = [f"{self.points.points[item.row].address} ({item})" for item in items[:_TOLD_AT_MOST]]
        if len(items) > _TOLD_AT_MOST:
            names.append(f"and {len(items) - _TOLD_AT_MOST} more")
        again = f"every {AGAIN_S:g} s" if refusal.code <= DEVICE_FAILURE else "in the next round"
        self.log.warning(
            "source %s: %s cannot be read: %s; %s. It is tried again %s, and all else is read on",
            self.name, ", ".join(names), refusal, _advice(refusal, items), again,
        )  # fmt: skip

    async def _retry(self, poll: Poll, harvest: Harvest) -> None:
        async def read(block: Block) -> bytes:
            unit = self._units[block.unit]
            if unit.resting:
                raise SilentError("it was silent a moment ago")
            return await self._ask(unit, block)

        try:
            for block, data in await poll.retry(read):
                self._take(poll, block, data, harvest)
                self.log.info("source %s: %s can be read again", self.name, block.items[0])
        except SilentError:
            return  # the next round finds out


def _quality(refusal: ModbusRefusal) -> BadQuality:
    return BadQuality.CONFIGURATION if refusal.code <= ILLEGAL_VALUE else BadQuality.DEVICE


def _advice(refusal: ModbusRefusal, items: Sequence[Item]) -> str:
    if refusal.code == ILLEGAL_FUNCTION:
        return "the device has no such table: check `table`"
    if refusal.code <= ILLEGAL_VALUE and any(item.first in _LIKE_NOTATION for item in items):
        return "an `address` in 40001 notation must stand in quotes, or take `addressing: modicon`"
    if refusal.code <= ILLEGAL_VALUE:
        return "check `address` (counted from 0, unless `addressing` says otherwise), `table` and `count`"
    return "the device itself has a fault"


def _first(errors: BaseExceptionGroup[Exception]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
