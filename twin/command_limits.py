"""What may be set: the limits and conditions that a sensor's definition gives, and the value that is meant."""

import math
from typing import Any

from .as_of import AsOf
from .computed_inputs import Held, Input, named
from .define_writing import Writing
from .durations import format_duration
from .errors import ConflictError, InvalidValueError, IoTSenseError
from .expressions import Expression, compile_expression
from .graph import Graph
from .model import DataType, Node, Quality, Signal
from .times import NS
from .units import conversion, parse_quantity

WRITABLE = "writable"
_WORDS = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}
_CLOSE = 1e-3


def writing_of(graph: Graph, signal: Signal) -> Writing:
    """How a measured signal may be set. Raises ConflictError that says what its definition lacks."""
    node = graph.node(signal.node)
    raw = node.properties.get(WRITABLE)
    if raw is None or graph.desired_of(signal) is None:
        raise ConflictError(
            f"{graph.signal_id(signal)} is not for setting: its definition must say `writable: true`, or give limits"
        )
    return Writing.model_validate({} if raw is True else raw)


# The value


def meant(signal: Signal, labels: tuple[str, ...], value: Any, unit: str | None) -> float | bool | str:
    """The value in the signal's unit, or its text or truth value. Raises InvalidValueError."""
    if signal.data_type is DataType.BOOLEAN and not signal.labels:
        return _truth(value)
    if labels:
        return _text(value, labels)
    if unit is None and isinstance(value, str):
        quantity = parse_quantity(value)
        value, unit = quantity.value, None if quantity.unit is None else quantity.unit.name
    number = _number(value)
    if unit is None:
        return number
    if signal.unit is None:
        raise InvalidValueError(
            f"the signal has no unit, so a value in {unit} says nothing; leave the unit out", "unit"
        )
    try:
        return conversion(unit, signal.unit)(number)
    except InvalidValueError as error:
        raise InvalidValueError(str(error), "unit") from None


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidValueError(f"expected a number, not {str(value)[:60]!r}", "value")
    if isinstance(value, int) and abs(value) > 2**53:
        raise InvalidValueError("an integer beyond 2^53 would lose digits", "value")
    return float(value)


def _truth(value: Any) -> bool:
    truth = _WORDS.get(value.lower()) if isinstance(value, str) else value
    if isinstance(truth, int | float) and truth in (0, 1):
        return bool(truth)
    raise InvalidValueError(f"expected true or false, not {str(value)[:60]!r}", "value")


def _text(value: Any, labels: tuple[str, ...]) -> str:
    text = ("true" if value else "false") if isinstance(value, bool) else value
    if text not in labels:
        raise InvalidValueError(f"expected one of {', '.join(labels[:20])}, not {str(value)[:60]!r}", "value")
    return str(text)


# The limits


def check_range(writing: Writing, signal: Signal, value: float | bool | str) -> None:
    """Raises InvalidValueError if the value is out of its range."""
    if isinstance(value, bool | str):
        return
    low = signal.low if writing.min is None else writing.min
    high = signal.high if writing.max is None else writing.max
    unit = f" {signal.unit}" if signal.unit else ""
    if low is not None and value < low:
        raise InvalidValueError(f"{value:g}{unit} is below the lowest that may be set, {low:g}{unit}", "value")
    if high is not None and value > high:
        raise InvalidValueError(f"{value:g}{unit} is above the highest that may be set, {high:g}{unit}", "value")


def check_step(writing: Writing, plant: AsOf, signal: Signal, value: float | bool | str) -> None:
    """Raises ConflictError if the change is too large, or cannot be judged."""
    if writing.max_step is None or isinstance(value, bool | str):
        return
    reading = plant.read(signal.index)
    name = plant.graph.signal_id(signal)
    if reading is None or reading.quality < Quality.UNCERTAIN or not math.isfinite(reading.value):
        raise ConflictError(f"{name} shows no usable value, so it is not known how large the step would be")
    step = abs(value - reading.value)
    # A step that is exactly as large as allowed must not fail for the last digit.
    if step > writing.max_step * (1 + 1e-9):
        raise ConflictError(
            f"from {reading.value:g} to {value:g} is a step of {step:g}; at most {writing.max_step:g} is allowed"
        )


def check_interval(writing: Writing, last: int | None, now: int) -> None:
    """Raises ConflictError if the last setting, at `last` [ns], is too short a time ago."""
    if writing.min_interval is None or last is None:
        return
    left = writing.min_interval - (now - last) / NS
    if left > 0:
        every = format_duration(writing.min_interval)
        raise ConflictError(f"it was set a moment ago; once every {every} is allowed, so again in {left:.1f} s")


def check_interlock(writing: Writing, plant: AsOf, signal: Signal) -> None:
    """Raises ConflictError unless the interlock holds now; what is not known does not hold."""
    if writing.interlock is None:
        return
    node = plant.graph.node(signal.node)
    try:
        expression, inputs = interlock_of(plant.graph, node, writing.interlock)
        namespace = {name: _shown(plant, each) if isinstance(each, Input) else each for name, each in inputs.items()}
        holds = expression.holds(namespace)
    except IoTSenseError as error:
        raise ConflictError(f"the interlock {writing.interlock!r} cannot be judged: {error}") from None
    if not holds:
        told = ", ".join(f"{name} is {_word(value)}" for name, value in namespace.items())
        raise ConflictError(f"the interlock {writing.interlock!r} does not hold: {told or 'it is never true'}")


def interlock_of(graph: Graph, node: Node, text: str) -> tuple[Expression, dict[str, Any]]:
    """A sensor's interlock, and what its names stand for: names are looked up where the sensor sits.

    Raises NotFoundError, AmbiguousIdError, InvalidValueError.
    """
    owner = node if node.parent is None else graph.node(node.parent)
    inputs: dict[str, Any] = {}
    units: dict[str, str | None] = {}
    for name in compile_expression(text).names():
        inputs[name], units[name] = named(graph, owner, name)
    return compile_expression(text, units.get), inputs


def _shown(plant: AsOf, each: Input) -> Any:
    reading = plant.read(each.signal)
    if reading is None:
        return None
    signal = plant.graph.signal(each.signal)
    text = plant.label(each.signal, reading.value) if reading.value == reading.value else None
    if signal.data_type is DataType.BOOLEAN and not signal.labels:
        return each.value_of(Held(reading.value != 0, reading.quality))
    return each.value_of(Held(reading.value if text is None else text, reading.quality))


def _word(value: Any) -> str:
    return "not known" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


# What was read back


def confirms(writing: Writing, wanted: float | bool | str, found: Any) -> bool:
    """Whether what the device shows is what was set."""
    if isinstance(wanted, bool | str) or isinstance(found, bool | str):
        return bool(wanted == found)
    if found is None or not math.isfinite(found):
        return False
    if writing.tolerance is not None:
        return bool(abs(found - wanted) <= writing.tolerance * (1 + 1e-9) + 1e-12)
    return math.isclose(found, wanted, rel_tol=_CLOSE, abs_tol=1e-6)
