"""Registers and what they mean: whole blocks become columns of numbers, and single numbers become registers.

The order of bytes and words is worked out here once per block, as an index that brings each value's bytes into the
order of the network; after that numpy's big-endian types read them.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..twin.define_modbus import BITS, ModbusDevice, ModbusRegister, Order
from ..twin.errors import InvalidValueError
from ..twin.model import Quality
from .bad_quality import BadQuality
from .modbus_plan import Block

_DTYPES: Final = {
    "int16": ">i2", "uint16": ">u2", "int32": ">i4", "uint32": ">u4", "int64": ">i8", "uint64": ">u8",
    "float32": ">f4", "float64": ">f8",
}  # fmt: skip
# From here on a whole number and its neighbour may be the same float.
_EXACT = 2.0**53
Raw = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Spec:
    """How a register is read: its definition, with what the device says for all."""

    register: ModbusRegister
    byte_order: Order
    word_order: Order

    @classmethod
    def of(cls, register: ModbusRegister, device: ModbusDevice) -> "Spec":
        """What applies to a register of a device."""
        return cls(register, register.byte_order or device.byte_order, register.word_order or device.word_order)

    @property
    def bytes(self) -> list[int]:
        """Where the bytes of its value are, beginning with the most significant, counted from its first register."""
        words = range(self.register.registers)
        # The registers of a text are its letters one after another, whatever the order of a number's.
        turned = self.word_order == "little" and self.register.type != "string"
        low, high = (1, 0) if self.byte_order == "little" else (0, 1)
        return [2 * word + byte for word in (reversed(words) if turned else words) for byte in (low, high)]


class Decoder:
    """Reads one block. `rows` `(n,)` int32 are the points of its numbers, in the order of `numbers`' columns."""

    def __init__(self, block: Block, specs: Sequence[Spec]) -> None:
        self._bits = block.table in BITS
        self._texts: list[tuple[int, Spec, int]] = []
        self._groups: list[tuple[Callable[[Raw], NDArray[np.float64]], NDArray[np.intp]]] = []
        kinds: defaultdict[str, list[int]] = defaultdict(list)
        for number, item in enumerate(block.items):
            spec = specs[item.row]
            if spec.register.type == "string":
                self._texts.append((item.row, spec, 2 * (item.first - block.first)))
            else:
                kinds["bit" if self._bits else spec.register.type].append(number)
        order = [number for numbers in kinds.values() for number in numbers]
        registers = [specs[block.items[number].row].register for number in order]
        self.rows = np.array([block.items[number].row for number in order], np.int32)
        for kind, numbers in kinds.items():
            items = [block.items[number] for number in numbers]
            self._add(kind, [item.first - block.first for item in items], [specs[item.row] for item in items])
        self._scale = np.array([register.scale for register in registers])
        self._offset = np.array([register.offset for register in registers])
        self._scaled = bool((self._scale != 1).any() or self._offset.any())
        self._none = np.array([np.nan if register.no_value is None else register.no_value for register in registers])
        self._marked = not np.isnan(self._none).all()
        self._wide = any(register.type in ("int64", "uint64") for register in registers)

    def _add(self, kind: str, firsts: list[int], specs: list[Spec]) -> None:
        if kind == "bit":
            self._groups.append((_unpacked, np.array(firsts, np.intp)))
            return
        index = np.array([[2 * first + byte for byte in spec.bytes] for first, spec in zip(firsts, specs, strict=True)])
        if kind == "bool":
            bits = [spec.register.bit for spec in specs]
            self._groups.append((_bool_reader(bits), index))
        else:
            self._groups.append((_reader(kind), index))

    def numbers(self, data: bytes) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Values [units of the points] and OPC qualities, one for each of `rows`; NaN where the device has no value."""
        raw = np.frombuffer(data, np.uint8)
        if self._bits:
            raw = np.unpackbits(raw, bitorder="little")
        parts = [read(raw[index]) for read, index in self._groups]
        values = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0)
        quality = np.full(len(values), Quality.GOOD, np.uint8)
        if self._wide:
            quality[np.abs(values) >= _EXACT] = Quality.UNCERTAIN
        missing = ~np.isfinite(values)
        if self._marked:
            missing |= values == self._none
        if missing.any():
            values[missing] = np.nan
            quality[missing] = BadQuality.SENSOR
        if self._scaled:
            values = values * self._scale + self._offset
        return values, quality

    def texts(self, data: bytes) -> list[tuple[int, str]]:
        """Points and their texts."""
        return [(row, _text(data[at : at + 2 * spec.register.registers], spec)) for row, spec, at in self._texts]


def _unpacked(raw: Raw) -> NDArray[np.float64]:
    return raw.astype(np.float64)


def _bool_reader(bits: list[int | None]) -> Callable[[Raw], NDArray[np.float64]]:
    mask = np.array([0xFFFF if bit is None else 1 << bit for bit in bits], np.uint16)
    return lambda raw: (raw.view(">u2")[:, 0] & mask != 0).astype(np.float64)


def _reader(kind: str) -> Callable[[Raw], NDArray[np.float64]]:
    if kind.startswith("bcd"):
        return _decimal
    dtype = _DTYPES[kind]
    return lambda raw: raw.view(dtype)[:, 0].astype(np.float64)


def _decimal(raw: Raw) -> NDArray[np.float64]:
    """Binary coded decimals; NaN if a digit is above 9."""
    digits = np.stack((raw >> 4, raw & 15), axis=2).reshape(len(raw), -1)
    values = digits @ 10.0 ** np.arange(digits.shape[1] - 1, -1, -1)
    return np.where((digits > 9).any(axis=1), np.nan, values)


def _text(raw: bytes, spec: Spec) -> str:
    ordered = bytes(raw[place] for place in spec.bytes).split(b"\0", 1)[0]
    try:
        return ordered.decode().rstrip()
    except UnicodeDecodeError:
        return ordered.decode("latin-1").rstrip()


def encode(spec: Spec, value: float | bool | str) -> bytes:
    """The registers that hold a value [unit of the point], two bytes each.

    Raises InvalidValueError if it does not fit the register's type.
    """
    register = spec.register
    ordered = _letters(register, value) if register.type == "string" else _number(register, value)
    raw = bytearray(len(ordered))
    for byte, place in zip(ordered, spec.bytes, strict=True):
        raw[place] = byte
    return bytes(raw)


def _letters(register: ModbusRegister, value: float | bool | str) -> bytes:
    if not isinstance(value, str):
        raise InvalidValueError(f"found {value!r}, expected a text: {_what(register)}")
    letters, room = value.encode(), 2 * register.registers
    if len(letters) > room:
        raise InvalidValueError(f"found a text of {len(letters)} bytes; register {register.name} holds {room}")
    return letters.ljust(room, b"\0")


def _number(register: ModbusRegister, value: float | bool | str) -> bytes:
    if isinstance(value, str):
        raise InvalidValueError(
            f"found the text {value!r}, expected a number: register {register.name} is {register.type}"
        )
    if register.type == "bool":
        return int(bool(value)).to_bytes(2, "big")
    raw = (float(value) - register.offset) / register.scale
    if not np.isfinite(raw):
        raise InvalidValueError(f"found {value}, expected a finite number")
    if register.type.startswith("float"):
        with np.errstate(over="ignore"):
            packed = np.array(raw, _DTYPES[register.type])
        if not np.isfinite(packed):
            raise InvalidValueError(f"found {value}, which is too large: {_what(register)}")
        return packed.tobytes()
    low, high = _limits(register.type)
    whole = round(raw)
    if not low <= whole <= high:
        ends = sorted(end * register.scale + register.offset for end in (low, high))
        unit = f" {register.unit}" if register.unit else ""
        raise InvalidValueError(f"found {value:g}{unit}, expected {ends[0]:g} to {ends[1]:g}{unit}: {_what(register)}")
    if register.type.startswith("bcd"):
        return bytes.fromhex(str(whole).zfill(4 * register.registers))
    return whole.to_bytes(2 * register.registers, "big", signed=register.type.startswith("int"))


def _limits(kind: str) -> tuple[int, int]:
    if kind.startswith("bcd"):
        return 0, 10 ** (int(kind[3:]) // 4) - 1
    info = np.iinfo(np.dtype(_DTYPES[kind]))
    return int(info.min), int(info.max)


def _what(register: ModbusRegister) -> str:
    return f"register {register.name} is {register.type}"
