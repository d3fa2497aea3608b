"""What the operators of expressions do with values.

A missing value (None, NaN) is unknown: arithmetic and comparison with it are unknown, `and`/`or` follow Kleene's logic.
Work is bounded: powers are floats, integers have at most 64 bits, texts at most 100,000 characters.
"""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from .errors import InvalidValueError, NotFoundError

MAX_TEXT = 100_000
MAX_PAD = 64

Namespace: TypeAlias = Mapping[str, Any]


def lookup(namespace: Namespace, name: str) -> Any:
    """The value of a name: the dotted name itself, else step by step through nested mappings.

    Raises NotFoundError if there is none.
    """
    if name in namespace:
        return namespace[name]
    value: Any = namespace
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise NotFoundError(f"{name!r} is not known here")
        value = value[part]
    return value


def unknown(value: Any) -> bool:
    """Whether there is no value."""
    return value is None or value != value


def truth(value: Any) -> bool | None:
    """A condition's value: numbers are true unless 0; None if unknown. Raises InvalidValueError for other values."""
    if isinstance(value, bool):
        return value
    if unknown(value):
        return None
    if isinstance(value, (int, float)):
        return value != 0
    raise InvalidValueError(f"{_shown(value)} is neither true nor false")


def number(value: Any) -> int | float:
    """A number within bounds. Raises InvalidValueError for anything else."""
    if type(value) is float:
        return value
    if isinstance(value, (int, float)):
        if isinstance(value, int) and value.bit_length() > 64:
            raise InvalidValueError("an integer is beyond 64 bits")
        return value
    item = getattr(value, "item", None)
    if item is not None and not isinstance(value, (str, bytes)):
        return number(item())
    raise InvalidValueError(f"{_shown(value)} is not a number")


def text(value: Any) -> str:
    """A text within bounds. Raises InvalidValueError for anything else."""
    if not isinstance(value, str):
        raise InvalidValueError(f"{_shown(value)} is not a text")
    if len(value) > MAX_TEXT:
        raise InvalidValueError(f"a text is longer than {MAX_TEXT} characters")
    return value


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _power(a: float, b: float) -> float:
    result: float | complex = float(a) ** float(b)
    if isinstance(result, complex):
        raise InvalidValueError(f"{a:g} ** {b:g} is not a real number")
    return result


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": _power,
}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def calculate(symbol: str, a: Any, b: Any) -> Any:
    """`a symbol b`; None if either is unknown. `+` also joins two texts."""
    if unknown(a) or unknown(b):
        return None
    if symbol == "+" and isinstance(a, str):
        return text(a + text(b))
    try:
        return ARITHMETIC[symbol](number(a), number(b))
    except ZeroDivisionError:
        raise InvalidValueError("division by zero") from None
    except OverflowError:
        raise InvalidValueError("a number is too large") from None


def compare(symbol: str, a: Any, b: Any) -> bool | None:
    """`a symbol b`; None if either is unknown. Raises InvalidValueError where values have no order."""
    if unknown(a) or unknown(b):
        return None
    try:
        return bool(COMPARISONS[symbol](a, b))
    except TypeError:
        raise InvalidValueError(f"{_shown(a)} and {_shown(b)} cannot be compared") from None


def item(value: Any, index: Any) -> Any:
    """`value[index]` of a list or text, from the end if negative. Raises InvalidValueError."""
    if unknown(value):
        return None
    if not isinstance(value, (list, tuple, str)) or isinstance(index, bool) or not isinstance(index, int):
        raise InvalidValueError(f"{_shown(value)} has no item {_shown(index)}")
    try:
        return value[index]
    except IndexError:
        raise InvalidValueError(f"there is no item {index}: {_shown(value)} has {len(value)}") from None


def contains(needle: Any, haystack: Any) -> bool | None:
    """`needle in haystack` of a list or text; None if either is unknown."""
    if unknown(needle) or unknown(haystack):
        return None
    if isinstance(haystack, str):
        return text(needle) in haystack
    if isinstance(haystack, (list, tuple)):
        return needle in haystack
    raise InvalidValueError(f"{_shown(haystack)} is neither a text nor a list")


def _replace(value: str, old: str, new: str) -> str:
    # Chained replacements could grow without bound: the length is known before the work is done.
    if len(value) + value.count(old) * len(new) > MAX_TEXT:
        raise InvalidValueError(f"a text would become longer than {MAX_TEXT} characters")
    return value.replace(old, new)


def _split(value: str, separator: str | None = None) -> list[str]:
    if separator == "":
        raise InvalidValueError("split needs a separator that is not empty")
    return value.split(separator)


# Name: the operation, the least and the greatest number of arguments, all texts.
METHODS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "split": (_split, 0, 1),
    "lower": (str.lower, 0, 0),
    "upper": (str.upper, 0, 0),
    "strip": (str.strip, 0, 1),
    "replace": (_replace, 2, 2),
    "removeprefix": (str.removeprefix, 1, 1),
    "removesuffix": (str.removesuffix, 1, 1),
    "startswith": (str.startswith, 1, 1),
    "endswith": (str.endswith, 1, 1),
}


def call_method(name: str, value: Any, arguments: list[Any]) -> Any:
    """A text's method; None if the text is unknown."""
    if unknown(value):
        return None
    return METHODS[name][0](text(value), *[text(argument) for argument in arguments])


def _least(*values: Any) -> Any:
    return min(number(value) for value in values)


def _greatest(*values: Any) -> Any:
    return max(number(value) for value in values)


def _length(value: Any) -> int:
    if not isinstance(value, (list, tuple, str)):
        raise InvalidValueError(f"{_shown(value)} has no length")
    return len(value)


def _padded(value: Any, width: Any) -> str:
    """`pad(7, 3)` is 007."""
    if not 0 <= width <= MAX_PAD:
        raise ValueError(f"a width is from 0 to {MAX_PAD}")
    return written(value).zfill(width)


FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "abs": (lambda value: abs(number(value)), 1, 1),
    "min": (_least, 1, 20),
    "max": (_greatest, 1, 20),
    "round": (lambda value, digits=0: round(float(number(value)), digits), 1, 2),
    "floor": (lambda value: math.floor(number(value)), 1, 1),
    "ceil": (lambda value: math.ceil(number(value)), 1, 1),
    "sqrt": (lambda value: math.sqrt(number(value)), 1, 1),
    "exp": (lambda value: math.exp(number(value)), 1, 1),
    "log": (lambda value: math.log(number(value)), 1, 1),
    "len": (_length, 1, 1),
    "pad": (lambda value, width: _padded(value, width), 2, 2),
    "int": (lambda value: number(int(float(value))), 1, 1),
    "float": (lambda value: float(value), 1, 1),
    "str": (lambda value: written(value), 1, 1),
}


def call_function(name: str, arguments: list[Any]) -> Any:
    """A function's value; None if an argument is unknown. Raises InvalidValueError outside its domain."""
    if any(unknown(argument) for argument in arguments):
        return None
    try:
        return FUNCTIONS[name][0](*arguments)
    except (ValueError, OverflowError, TypeError) as error:
        raise InvalidValueError(f"{name}({', '.join(map(_shown, arguments))}): {error}") from None


def written(value: Any) -> str:
    """A value as it appears in a text: whole numbers without a point, `true` and `false` in lower case.

    Raises InvalidValueError for lists and mappings, and for unknown values.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if unknown(value) or isinstance(value, (list, tuple, Mapping)):
        raise InvalidValueError(f"{_shown(value)} cannot be part of a text")
    plain = number(value)
    return repr(int(plain)) if float(plain).is_integer() and abs(plain) < 1e15 else repr(plain)
