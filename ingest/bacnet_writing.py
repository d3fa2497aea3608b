"""Values as BACnet objects take them."""

import math

from ..twin.define_bacnet import BacnetProtocol
from ..twin.errors import InvalidValueError
from .bacnet_device import Thing
from .truth import truth

_SETTABLE = ("-output", "-value")


def is_writable(thing: Thing, source: BacnetProtocol) -> bool:
    """Whether the definition lets an object be written: outputs and values as the source, inputs if they say so."""
    own = thing.definition.writable
    return source.writable and (thing.id[0].endswith(_SETTABLE) if own is None else own)


def value_to_write(thing: Thing, value: float | bool | str | None) -> float | bool | str | int | None:
    """As the property takes it; None stays None. Raises InvalidValueError."""
    kind, name = thing.id[0], thing.definition.name
    if value is None or kind.startswith("characterstring") or not thing.is_value:
        return value
    if kind.startswith("binary"):
        return truth(value, f"{name} is {kind}")
    if kind.startswith("multi-state"):
        return _state(thing, value)
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidValueError(f"found {value!r}, expected a number: {name} is {kind}")
    whole = kind.startswith(("integer", "positive-integer"))
    return round(number) if whole else number


def _state(thing: Thing, value: float | bool | str) -> int:
    """States are numbered from 1, and may be named."""
    if isinstance(value, str) and value in thing.texts:
        return thing.texts.index(value) + 1
    expected = f"one of {', '.join(thing.texts)}" if thing.texts else "the number of a state, from 1"
    if isinstance(value, str | bool) or value != int(value) or value < 1:
        raise InvalidValueError(f"found {value!r}, expected {expected}: {thing.definition.name} is {thing.id[0]}")
    return int(value)
