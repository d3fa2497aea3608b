"""Setting registers and coils: by the request that is meant for it, and by another if the device does not know that."""

from collections.abc import Sequence

from ..twin.define_modbus import BITS
from ..twin.errors import SourceError
from .modbus_pdu import (
    ILLEGAL_FUNCTION,
    ModbusRefusal,
    mask_register,
    write_coil,
    write_coils,
    write_register,
    write_registers,
)
from .modbus_plan import Block, Item
from .modbus_unit import Unit
from .modbus_values import Spec, encode
from .truth import truth

Value = float | bool | str


def is_writable(item: Item, spec: Spec, source_is: bool) -> bool:
    """Whether a register may be written: its table, and what the definition says."""
    asked = source_is if spec.register.writable is None else spec.register.writable and source_is
    return asked and item.table in ("holding", "coil")


async def write(unit: Unit, item: Item, spec: Spec, value: Value) -> None:
    """Sets what an item is to a value [unit of the point]; returns when the device has confirmed it.

    Raises InvalidValueError if the register cannot hold it, SourceError if the unit is silent or refuses.
    """
    register = spec.register
    on = truth(value, f"register {register.name} is bool") if register.type == "bool" else False
    if item.table in BITS:
        await _first_that_works(unit, [write_coil(item.first, on), write_coils(item.first, [on])])
    elif register.bit is not None:
        await _write_bit(unit, item, 1 << _place(spec, register.bit), on)
    else:
        raw = encode(spec, on if register.type == "bool" else value)
        requests = [write_register(item.first, raw)] if len(raw) == 2 else []
        await _first_that_works(unit, [*requests, write_registers(item.first, raw)])


def _place(spec: Spec, bit: int) -> int:
    """Where a bit is in the register as it travels."""
    return bit ^ 8 if spec.byte_order == "little" else bit


async def _write_bit(unit: Unit, item: Item, mask: int, on: bool) -> None:
    try:
        await unit.write(mask_register(item.first, 0xFFFF & ~mask, mask if on else 0))
    except ModbusRefusal as refusal:
        if refusal.code != ILLEGAL_FUNCTION:
            raise
        # The device cannot set single bits. Whoever sets another bit between these two requests is undone.
        before = int.from_bytes(await unit.read(Block.of([item])), "big")
        after = (before | mask if on else before & ~mask).to_bytes(2, "big")
        await _first_that_works(unit, [write_register(item.first, after), write_registers(item.first, after)])


async def _first_that_works(unit: Unit, requests: Sequence[bytes]) -> None:
    """Goes on to the next one if the device does not know the function of one."""
    for left, request in zip(reversed(range(len(requests))), requests, strict=True):
        try:
            await unit.write(request)
            return
        except ModbusRefusal as refusal:
            if refusal.code != ILLEGAL_FUNCTION or not left:
                raise
    raise SourceError("there was nothing to write")
