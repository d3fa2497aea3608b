"""Where a measurement's values go: compiled once per address, with the conversion to the signal's unit and type."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..twin.errors import InvalidValueError
from ..twin.model import DataType, Quality
from ..twin.units import Affine
from .burst import Burst
from .columns import Columns

EXACT = 2.0**53  # a float, since two floats are compared faster than a float and an int
LabelCode = Callable[[int, str], float]
Labels = Callable[[int], Sequence[str]]
_TRUE = {"true", "on", "yes", "1"}
_FALSE = {"false", "off", "no", "0"}


class NumberTarget:
    """A numeric signal; values are converted by `scale` and `offset`. `plain` is what the hot loops use instead."""

    __slots__ = ("name", "plain")

    def __init__(self, index: int, name: str, conversion: Affine) -> None:
        self.name = name
        self.plain = (index, conversion.scale, conversion.offset)

    def place(self, value: Any, time: int, quality: int, columns: Columns) -> None:
        """Adds the reading; raises InvalidValueError if the value is no number."""
        index, scale, offset = self.plain
        if quality < Quality.UNCERTAIN and is_missing(value):
            columns.append(index, time, math.nan, quality)
            return
        if isinstance(value, Burst):
            columns.extend(*value.rows(index, time, scale, offset, quality))
            return
        columns.append(index, time, number(value, self.name) * scale + offset, quality)


class LabelTarget:
    """A text or boolean signal; values become codes of its labels."""

    __slots__ = ("_code", "_labels", "index", "is_boolean", "name")
    plain = None

    def __init__(self, index: int, name: str, data_type: DataType, code: LabelCode, labels: Labels) -> None:
        self.index = index
        self.name = name
        self.is_boolean = data_type is DataType.BOOLEAN
        self._code = code
        self._labels = labels

    def place(self, value: Any, time: int, quality: int, columns: Columns) -> None:
        """Adds the reading; raises InvalidValueError if the value is none of its texts, nor may become one."""
        if quality < Quality.UNCERTAIN and is_missing(value):
            columns.append(self.index, time, math.nan, quality)
            return
        code = self._truth(value) if self.is_boolean else self._text(value)
        columns.append(self.index, time, code, quality)

    def _truth(self, value: Any) -> float:
        if value.__class__ is bool:
            return 1.0 if value else 0.0
        if value.__class__ is str:
            labels = self._labels(self.index)
            if value in labels:
                return self._code(self.index, value)
            lower = value.lower()
            if lower in _TRUE or lower in _FALSE:
                return 1.0 if lower in _TRUE else 0.0
        elif value in (0, 1):
            return float(value)
        raise InvalidValueError(f"{self.name} is boolean; {shown(value)} is neither true nor false")

    def _text(self, value: Any) -> float:
        if value.__class__ is str:
            return self._code(self.index, value)
        if value.__class__ is bool:
            return self._code(self.index, "true" if value else "false")
        # A machine may send the number of its state instead of its name.
        if isinstance(value, int | float) and 0 <= value < len(self._labels(self.index)) and value == int(value):
            return float(value)
        raise InvalidValueError(f"{self.name} is a text; {shown(value)} is not one of its labels' numbers")


class ListTarget:
    """The signals value[0], value[1], ... of one sensor, that come as one list."""

    __slots__ = ("elements", "name")
    plain = None

    def __init__(self, name: str, elements: "Sequence[NumberTarget | LabelTarget]") -> None:
        self.name = name
        self.elements = elements

    def place(self, value: Any, time: int, quality: int, columns: Columns) -> None:
        """Adds a reading for each element that is not null; raises InvalidValueError if the list does not fit."""
        if len(self.elements) == 1 and not isinstance(value, list | tuple):
            value = [value]  # one joint of several, or the only one
        if not isinstance(value, list | tuple):
            raise InvalidValueError(f"{self.name} takes a list of {len(self.elements)} values, not {shown(value)}")
        if len(value) != len(self.elements):
            raise InvalidValueError(f"{self.name} takes {len(self.elements)} values, not {len(value)}")
        rows = len(columns)
        try:
            for target, element in zip(self.elements, value, strict=True):
                if element is not None:
                    target.place(element, time, quality, columns)
        except InvalidValueError:
            columns.truncate(rows)
            raise
        if len(columns) == rows:
            raise InvalidValueError(f"{self.name}: the list holds nothing but nulls")


Target = NumberTarget | LabelTarget | ListTarget


def is_missing(value: Any) -> bool:
    """Whether there is no value: what a source that cannot measure says, with a bad quality."""
    return value is None or (value.__class__ is float and math.isnan(value))


def number(value: Any, name: str) -> float:
    """A finite number that float64 holds exactly enough; raises InvalidValueError with the signal's name."""
    if value.__class__ is str:
        try:
            value = float(value)
        except ValueError:
            raise InvalidValueError(f"{name} is a number; {shown(value)} is not") from None
    if value.__class__ is float:
        if value - value == 0.0:
            return value
        raise InvalidValueError(f"{name}: {value} is not a finite number")
    if value.__class__ is int:
        if -EXACT <= value <= EXACT:
            return float(value)
        raise InvalidValueError(f"{name}: the integer {shown(value)} is beyond 2^53, where it would lose digits")
    if value is None:
        raise InvalidValueError(f"{name}: there is no value (null)")
    raise InvalidValueError(f"{name} is a number; {shown(value)} is not")


def data_type_of(value: Any) -> DataType:
    """What the first value of a signal says that its values are."""
    if isinstance(value, list | tuple):
        value = next((element for element in value if element is not None), None)
    if value is None:
        raise InvalidValueError("there is no value (null)")
    if isinstance(value, bool):
        return DataType.BOOLEAN
    return DataType.TEXT if isinstance(value, str) else DataType.NUMBER


def shown(value: Any) -> str:
    """A value as it may stand in a message: short, and texts in quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, Burst):
        return repr(value)
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
