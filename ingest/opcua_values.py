"""Values of an OPC UA server asked for, and set."""

import math
from collections.abc import Mapping
from typing import Any

from ..twin.errors import InvalidValueError, SourceError
from .opcua_changes import ChangeReader, Changes
from .opcua_errors import explain, translated
from .opcua_publication import slow_item
from .opcua_session import OpcUaSession
from .opcua_variables import Variable

# Bounds of the integer types by asyncua's names of them.
_BITS = {"SByte": (8, True), "Byte": (8, False), "Int16": (16, True), "UInt16": (16, False), "Int32": (32, True),
         "UInt32": (32, False), "Int64": (64, True), "UInt64": (64, False)}  # fmt: skip
_REALS = {"Float", "Double"}


async def read_values(session: OpcUaSession, nodes: Mapping[int, Any]) -> Changes:
    """The present values of nodes by handle."""
    reader = ChangeReader(slow_item)
    for handle, value in zip(nodes, await session.read(list(nodes.values())), strict=True):
        reader.add(handle, value)
    return reader.finish()


async def write_value(session: OpcUaSession, variable: Variable, value: float | bool | str) -> None:
    """Sets a variable. Raises InvalidValueError if it cannot hold the value, SourceError if the server refuses."""
    from asyncua import ua

    kind = await _kind(session, variable)
    fitting = _fitting(kind.name, value, variable)
    # Servers often refuse a time stamp or a status that a client wants to set.
    data = ua.DataValue(ua.Variant(fitting, kind), StatusCode=None)
    with translated("writing"):
        status = (await session.client.uaclient.session.write_attributes([variable.id], [data]))[0]
    if status.is_bad():
        raise SourceError(f"the server refuses the value: {explain(status.value)}")


async def _kind(session: OpcUaSession, variable: Variable) -> Any:
    """The variant type of a variable: that of its present value, else what its data type says."""
    from asyncua import ua

    present = (await session.read([variable.id]))[0]
    if present.Value is not None and present.Value.VariantType is not ua.VariantType.Null:
        if present.Value.is_array:
            raise InvalidValueError("it is a list, which cannot be written as one value")
        return present.Value.VariantType
    number = getattr(variable.data_type, "Identifier", None)
    if isinstance(number, int) and number in {each.value for each in ua.VariantType}:
        return ua.VariantType(number)
    raise SourceError("its type is not known, for it has no value yet")


def _fitting(kind: str, value: float | bool | str, variable: Variable) -> Any:
    """The value in the type of the variable."""
    if kind == "Boolean":
        if value in (0, 1) and not isinstance(value, str):
            return bool(value)
        raise InvalidValueError(f"found {value!r}, expected true or false")
    if kind in ("String", "LocalizedText"):
        from asyncua import ua

        return ua.LocalizedText(str(value)) if kind == "LocalizedText" else str(value)
    if isinstance(value, str):
        value = _number_of(value, variable)
    if kind in _REALS:
        return float(value)
    if kind not in _BITS:
        raise InvalidValueError(f"its type is {kind}, which cannot be written")
    bits, signed = _BITS[kind]
    low = -(1 << (bits - 1)) if signed else 0
    high = low + (1 << bits) - 1
    if not math.isfinite(value) or value != int(value) or not low <= value <= high:
        raise InvalidValueError(f"found {value:g}, expected a whole number from {low} to {high} ({kind})")
    return int(value)


def _number_of(text: str, variable: Variable) -> float:
    """The number of an enumeration's text."""
    for number, label in variable.labels.items():
        if label == text:
            return number
    known = ", ".join(variable.labels.values())
    raise InvalidValueError(f"found {text!r}, expected {f'one of {known}' if known else 'a number'}")
