"""Values of parameters: whether one is of the kind, the unit and the range that are declared for it."""

from collections.abc import Mapping
from typing import Any

from .define_types import kind_of
from .errors import InvalidValueError
from .units import parse_quantity, parse_unit

Declared = Mapping[str, Any]
"""A parameter as JSON: `type`, `unit`, `min`, `max` (or `range`), `default`, `required`."""
_KINDS: dict[str, tuple[type, str]] = {"text": (str, "a text"), "boolean": (bool, "true or false")}


def fit(declared: Declared, value: Any) -> Any:
    """The value as it is kept: a quantity such as "90 rpm" as a number in the declared unit.

    Raises InvalidValueError with what was found and what is expected.
    """
    kind = declared.get("type") or ("number" if is_number(declared) else None)
    if kind == "number":
        return _in_range(declared, _number(declared, value), value)
    if kind is not None and not isinstance(value, _KINDS[kind][0]):
        raise InvalidValueError(f"found {kind_of(value)}, expected {_KINDS[kind][1]}")
    return value


def is_number(declared: Declared) -> bool:
    """Whether its unit or its range tell that it is a number."""
    return any(declared.get(field) is not None for field in ("unit", "min", "max", "range"))


def bounds(declared: Declared) -> tuple[float | None, float | None]:
    """The lowest and the highest value [unit]."""
    low, high = declared.get("range") or (declared.get("min"), declared.get("max"))
    return low, high


def _number(declared: Declared, value: Any) -> float:
    unit = declared.get("unit")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    expected = f"a number of {unit}" if unit else "a number"
    if not isinstance(value, str) or unit is None:
        raise InvalidValueError(f"found {kind_of(value)}, expected {expected}")
    try:
        quantity = parse_quantity(value)
        if quantity.unit is None:
            raise InvalidValueError(f"found {kind_of(value)}, expected {expected}")
        return quantity.value if quantity.unit == parse_unit(unit) else quantity.to(unit)
    except InvalidValueError as error:
        text = str(error)
        raise InvalidValueError(
            text if text.startswith("found") else f"found {kind_of(value)}, expected {expected}: {text}"
        ) from None


def _in_range(declared: Declared, number: float, given: Any) -> float:
    low, high = bounds(declared)
    unit = f" {declared['unit']}" if declared.get("unit") else ""
    if low is not None and number < low:
        raise InvalidValueError(f"found {kind_of(given)}, expected {low:g}{unit} or more")
    if high is not None and number > high:
        raise InvalidValueError(f"found {kind_of(given)}, expected {high:g}{unit} or less")
    return number
