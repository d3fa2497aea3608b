"""Scalars: instants with nanoseconds, values of any kind of signal, and whole columns.

A column is one scalar, not a list of scalars: an answer of ten thousand points is serialised at once, where a GraphQL
list would be completed element by element.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NewType

import numpy as np
import strawberry
from numpy.typing import NDArray
from strawberry.types.scalar import ScalarDefinition

from ..twin.errors import InvalidValueError
from ..twin.state import NEVER
from ..twin.times import format_time, parse_time

Time = NewType("Time", int)
Long = NewType("Long", int)
Value = NewType("Value", object)
Setting = NewType("Setting", object)
NumberColumn = NewType("NumberColumn", object)
TimeColumn = NewType("TimeColumn", object)
ValueColumn = NewType("ValueColumn", object)
TextColumn = NewType("TextColumn", object)

_LONGEST = 2**53


def finite(number: float) -> float | None:
    """The number, or None where JSON has no word for it."""
    return number if math.isfinite(number) else None


def numbers(column: NDArray[Any]) -> list[float | int | None]:
    """A numeric column as a JSON array; NaN and infinities are null."""
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        return [finite(number) for number in column.tolist()]
    return list(column.tolist())


class Instants(list[str | None]):
    """A column of instants as ISO 8601 texts; null where there never was a reading. `ns` are the same as they are."""

    def __init__(self, ns: Iterable[int]) -> None:
        self.ns = [int(time) for time in ns]
        super().__init__(None if time == NEVER else format_time(time) for time in self.ns)


def _parse_time(value: object) -> Time:
    if isinstance(value, str):
        return Time(parse_time(value))
    raise InvalidValueError(f"a time is text in ISO 8601, such as 2024-01-15T10:30:00.123Z, not {value!r}")


def _parse_long(value: object) -> Long:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LONGEST:
        return Long(value)
    raise InvalidValueError(f"a whole number up to 2^53 is expected, not {value!r}")


def _as_is(value: object) -> object:
    return value


def _parse_setting(value: object) -> Setting:
    if isinstance(value, bool | int | float | str):
        return Setting(value)
    raise InvalidValueError(f"a value is a number, a text, true or false, not {value!r}", "value")


def _output(name: str, description: str) -> ScalarDefinition:
    return strawberry.scalar(name=name, description=description, serialize=_as_is)


SCALARS: Mapping[object, ScalarDefinition] = {
    Time: strawberry.scalar(
        name="Time",
        description="An instant in ISO 8601, UTC, with as many digits of a second as it has, up to nine.",
        serialize=format_time,
        parse_value=_parse_time,
    ),
    Long: strawberry.scalar(
        name="Long", description="A whole number up to 2^53.", serialize=_as_is, parse_value=_parse_long
    ),
    Value: _output("Value", "What a signal shows: a number, a text, true or false, a list of these, or null."),
    Setting: strawberry.scalar(
        name="Setting",
        description="What a signal is set to, or compared with: a number, a text, true or false.",
        serialize=_as_is,
        parse_value=_parse_setting,
    ),
    NumberColumn: _output("NumberColumn", "A JSON array of numbers; null where there is none."),
    TimeColumn: _output("TimeColumn", "A JSON array of instants (see Time); null where there is none."),
    ValueColumn: _output("ValueColumn", "A JSON array of values (see Value)."),
    TextColumn: _output("TextColumn", "A JSON array of texts."),
}
