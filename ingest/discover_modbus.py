"""Looking at a Modbus device: which registers and coils can be read, and what they hold.

Modbus says neither names nor types nor units, and often not even whether a register that reads 0 is one. What is
proposed is what was seen: registers that hold something, and those of which the device refuses the neighbours.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from ..twin.define_modbus import BITS, LAST, ModbusDevice, Order, Table
from ..twin.errors import InvalidValueError, SourceError
from .checked_settings import checked
from .found import DataType, Found, FoundNode, FoundPoint, Look
from .modbus_line import LineSettings, SilentError, shared_line
from .modbus_pdu import IDENTIFY, ILLEGAL_FUNCTION, MalformedError, ModbusRefusal, identification
from .modbus_plan import Block, Item
from .modbus_unit import Unit

_TABLES: tuple[Table, ...] = ("holding", "input", "coil", "discrete")
_AT_ONCE = 100
# A table of which so many requests were refused is left.
_REFUSALS = 60
# One in so many that is refused is much.
_MUCH = 4
_SCHEMES = {"tcp": "tcp", "modbus": "tcp", "rtu_over_tcp": "rtu_over_tcp", "rtu": "rtu"}


async def discover(
    url: str,
    look: Look,
    *,
    units: str = "1",
    registers: str = "0-99",
    timeout: str = "1s",  # noqa: ASYNC109 a setting of the connection
    baudrate: int = 9600,
    parity: str = "none",
    stop_bits: int = 1,
) -> Found:
    """Asks units one after another for ranges of all four tables, a request at a time.

    url: tcp://host:502, rtu_over_tcp://host:4001 or rtu:///dev/ttyUSB0. units, registers: such as 1-10,20.
    Raises SourceError if no unit answers, InvalidValueError, MissingExtraError.
    """
    device = _device(url, timeout, baudrate, parity, stop_bits)
    numbers, spans = _ranges(units, "units", 255), _ranges(registers, "registers", LAST)
    search = _Search(device, look, spans)
    with shared_line(LineSettings.of(device)) as line:
        for first, last in numbers:
            for number in range(first, last + 1):
                await search.unit(Unit(number, line, device))
    if not search.nodes:
        reason = search.silent or "no register was readable"
        raise SourceError(f"{url}: {reason}. Units {units} were asked; name others with --units")
    notes = [*search.notes, _CAVEAT]
    return Found(_source(device), search.nodes, "modbus", notes)


_CAVEAT = (
    "Modbus tells neither names nor units nor types: compare each register with the device's manual. Registers that "
    "hold 0 in a range that can be read as a whole were left out, for nobody can tell whether they are there"
)


def _device(url: str, timeout: str, baudrate: int, parity: str, stop_bits: int) -> ModbusDevice:
    parts = urlsplit(url)
    transport = _SCHEMES.get(parts.scheme)
    if transport is None:
        raise InvalidValueError(
            f"found {url!r}, expected tcp://host:502, rtu_over_tcp://host:4001 or rtu:///dev/ttyUSB0"
        )
    where: dict[str, Any] = {"host": parts.hostname, "port": parts.port or 502}
    if transport == "rtu":
        where = {"serial_port": parts.path, "baudrate": baudrate, "parity": parity, "stop_bits": stop_bits}
    settings = {"transport": transport, "timeout": timeout, "retries": 0, "pause_ms": 5.0}
    return checked(ModbusDevice, settings | where)


def _source(device: ModbusDevice) -> dict[str, Any]:
    names = ("serial_port", "baudrate", "parity", "stop_bits") if device.transport == "rtu" else ("host", "port")
    given = {name: getattr(device, name) for name in names}
    return {"name": "modbus"} | ({} if device.transport == "tcp" else {"transport": device.transport}) | given


def _ranges(text: str, what: str, last: int) -> list[tuple[int, int]]:
    """`1-10,20` as pairs of a first and a last number."""
    found = []
    for part in str(text).split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        pair = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not pair[0] <= pair[1] <= last:
            raise InvalidValueError(f"found {what} {text!r}, expected numbers up to {last} such as 1 or 1-10,20", what)
        found.append(pair)
    return found


@dataclass(frozen=True, slots=True)
class _Span:
    """Neighbours that can be read. certain: the device refuses much else in the table, so what it gives is there."""

    first: int
    values: list[int]
    certain: bool


class _Search:
    def __init__(self, device: ModbusDevice, look: Look, spans: Sequence[tuple[int, int]]) -> None:
        self._device = device
        self._look = look
        self._spans = spans
        self.nodes: list[FoundNode] = []
        self.notes: list[str] = []
        self.silent: str | None = None
        self._count = 0

    async def unit(self, unit: Unit) -> None:
        """Looks at one unit; of a silent one a note remains."""
        try:
            model = await self._identify(unit) if self._device.transport == "tcp" else None
            points: list[FoundPoint] = []
            for table in _TABLES:
                self._look.tell(f"unit {unit.number}, table {table}", self._count)
                points += self._points(unit, table, await self._table(unit, table))
        except SilentError as error:
            self.silent = str(error)
            self.notes.append(f"unit {unit.number} did not answer")
            return
        if points:
            self.nodes.append(FoundNode(f"unit_{unit.number}", points, model=model))
            self._count += len(points)

    async def _identify(self, unit: Unit) -> str | None:
        """Make and model, if the device tells them (function 43/14)."""
        try:
            return identification(await unit.ask(IDENTIFY))
        except (ModbusRefusal, MalformedError):
            return None
        except SilentError:
            # Devices that do not know the function may say nothing at all.
            unit.silent = None
            return None

    async def _table(self, unit: Unit, table: Table) -> list[_Span]:
        found: dict[int, int] = {}
        refused: set[int] = set()
        for first, last in self._spans:
            for begin in range(first, last + 1, _AT_ONCE):
                count = min(_AT_ONCE, last + 1 - begin)
                if not await self._read(unit, table, begin, count, found, refused):
                    return _joined(found, refused)
        return _joined(found, refused)

    async def _read(
        self, unit: Unit, table: Table, first: int, count: int, found: dict[int, int], refused: set[int]
    ) -> bool:
        """Reads a range, in halves what is refused; whether to go on with this table."""
        if len(refused) > _REFUSALS:
            self.notes.append(f"unit {unit.number}, {table}: left at {first}, for most of it is refused")
            return False
        try:
            item = Item(0, unit.number, table, first, count)
            data = await unit.read(Block(unit.number, table, first, count, (item,)))
        except ModbusRefusal as refusal:
            if refusal.code == ILLEGAL_FUNCTION:
                return False
            if count == 1:
                refused.add(first)
                return True
            half = count // 2
            return await self._read(unit, table, first, half, found, refused) and await self._read(
                unit, table, first + half, count - half, found, refused
            )
        found.update(zip(range(first, first + count), _values(table, data, count), strict=True))
        return True

    def _points(self, unit: Unit, table: Table, spans: Sequence[_Span]) -> list[FoundPoint]:
        points: list[FoundPoint] = []
        for span in spans:
            number = left_out = 0
            while number < len(span.values):
                size, point = self._point(unit.number, table, span, number)
                points += [point] if point else []
                left_out += point is None
                number += size
            if left_out:
                last = span.first + len(span.values) - 1
                self.notes.append(f"unit {unit.number}, {table} {span.first} to {last}: {left_out} hold 0, left out")
        return points

    def _point(self, unit: int, table: Table, span: _Span, number: int) -> tuple[int, FoundPoint | None]:
        """What begins at a place of a span, and how many registers it takes."""
        address, values = span.first + number, span.values[number : number + 3]
        name = f"u{unit}_{table}_{address}"
        register: dict[str, Any] = {"address": address, "type": "bool" if table in BITS else "uint16", "name": name}
        if table != ("coil" if table in BITS else "holding"):
            register["table"] = table
        if unit != self._device.unit_id:
            register["unit_id"] = unit
        looks_like = None if table in BITS else _float(values)
        if looks_like is not None:
            order, value = looks_like
            register |= {"type": "float32"} | ({} if order == "big" else {"word_order": order})
            note = f"as a float32 it holds {value:.6g} now, as integers {values[0]} and {values[1]}"
            return 2, FoundPoint(name, {"registers": [register]}, name, "number", note=note)
        if not values[0] and not span.certain:
            return 1, None
        data_type: DataType = "boolean" if table in BITS else "number"
        return 1, FoundPoint(name, {"registers": [register]}, name, data_type, note=f"it holds {values[0]} now")


def _values(table: Table, data: bytes, count: int) -> list[int]:
    if table in BITS:
        return [int(bit) for bit in np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="little")]
    return [int(value) for value in np.frombuffer(data, ">u2")]


def _float(values: Sequence[int]) -> tuple[Order, float] | None:
    """What begins at the first of three registers, if two of them look like a number of ordinary size."""
    if len(values) < 2:
        return None
    if (value := _ordinary(values[0], values[1])) is not None:
        return "big", value
    # A zero before a number looks like the low word of one in the other order.
    is_before_another = values[0] == 0 and len(values) == 3 and _ordinary(values[1], values[2]) is not None
    value = None if is_before_another else _ordinary(values[1], values[0])
    return None if value is None else ("little", value)


def _ordinary(high: int, low: int) -> float | None:
    value = float(np.array((high, low), ">u2").view(">f4")[0])
    return value if 1e-2 <= abs(value) <= 1e6 else None


def _joined(found: dict[int, int], refused: set[int]) -> list[_Span]:
    spans: list[_Span] = []
    addresses, begin = sorted(found), 0
    certain = _MUCH * len(refused) >= len(found)
    for number in range(1, len(addresses) + 1):
        if number == len(addresses) or addresses[number] != addresses[number - 1] + 1:
            some = addresses[begin:number]
            spans.append(_Span(some[0], [found[address] for address in some], certain))
            begin = number
    return spans
