"""Values on BACnet and Python's own, by the types that the standard gives to properties."""

from typing import Any

from bacpypes3.basetypes import BinaryPV, ErrorType, PropertyIdentifier
from bacpypes3.constructeddata import Array
from bacpypes3.primitivedata import (
    Atomic,
    BitString,
    Boolean,
    CharacterString,
    Double,
    Enumerated,
    Integer,
    Null,
    ObjectIdentifier,
    Real,
    Unsigned,
)
from bacpypes3.vendor import get_vendor_info

from ..twin.errors import SourceError

BacnetId = tuple[str, int]
"""Type and instance: ("analog-input", 1)."""


class BacnetRefusal(SourceError):
    """The device was reached and says no; `code` is BACnet's word for it, such as unknown-object."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code.replace("-", " "))


def property_type(id: BacnetId, name: str) -> Any:
    """The type of a property of an object; BacnetRefusal if the standard knows none."""
    known = get_vendor_info(0).get_object_class(ObjectIdentifier(id)[0])
    kind = known and known.get_property_type(PropertyIdentifier(name))
    if not kind:
        raise BacnetRefusal(f"the-property-{name}-of-{id[0]}-is-none-of-the-standard's")
    return kind


def decoded(value: Any, id: BacnetId, name: str, index: int | None = None) -> Any:
    """A property's value, or that of one element of it; BacnetRefusal if it cannot be decoded."""
    kind = property_type(id, name)
    if index is not None and issubclass(kind, Array):
        kind = Unsigned if index == 0 else kind._subtype
    try:
        return plain(value.cast_out(kind, null=issubclass(kind, Atomic)))
    except Exception as error:  # whatever a device has encoded must not end the others
        raise BacnetRefusal(f"its value cannot be decoded: {error}") from None


def encoded(kind: Any, value: Any) -> Any:
    """A value of a property's type; raises TypeError or ValueError if there is none."""
    if isinstance(value, bool) and issubclass(kind, Enumerated | Unsigned | Integer):
        value = int(value)
    return kind(value)


def plain(value: Any) -> Any:
    """As a number, truth value, text, tuple of bits, identifier or list of such."""
    if isinstance(value, Null) or value is None:
        return None
    if isinstance(value, BinaryPV | Boolean):
        return bool(int(value))
    if isinstance(value, Real | Double):
        return float(value)
    if isinstance(value, BitString):
        return tuple(int(bit) for bit in value)
    if isinstance(value, ObjectIdentifier):
        return (str(value[0]), int(value[1]))
    if isinstance(value, Enumerated | CharacterString):
        return str(value)
    if isinstance(value, Unsigned | Integer):
        return int(value)
    if isinstance(value, ErrorType):
        return BacnetRefusal(str(value.errorCode))
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value)
