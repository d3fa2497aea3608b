"""Roll-ups in the expressions of computed signals: `sum(children.power)`, `mean(children(type="pump").temperature)`.

A roll-up takes one signal of many nodes. In the text of the expression a name of the same length stands in its place,
so that the rest is an ordinary expression whose mistakes are reported at their column.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidValueError
from .expression_parser import UnitOf
from .expressions import Expression, compile_expression

COUNT = "count"
FUNCTIONS: dict[str, Callable[[NDArray[np.float64]], Any]] = {
    "sum": np.sum,
    "mean": np.mean,
    "min": np.min,
    "max": np.max,
    COUNT: len,
}
CHILDREN, DESCENDANTS, FEEDS_INTO, FED_BY, OUTGOING, INCOMING = COLLECTIONS = (
    "children", "descendants", "feeds_into", "fed_by", "outgoing", "incoming",
)  # fmt: skip
_ROLLUP = re.compile(
    rf"\b(?P<function>{'|'.join(FUNCTIONS)})\(\s*(?P<collection>{'|'.join(COLLECTIONS)})\s*"
    r"(?:\((?P<arguments>[^()]*)\))?\s*\.\s*(?P<signal>[A-Za-z_]\w*(?:\[\d+\])?)\s*\)"
)
_ARGUMENT = re.compile(r"""\s*(?:(?P<name>\w+)\s*=\s*)?(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)')\s*""")
_MARK = "_rollup"


@dataclass(frozen=True, slots=True)
class Rollup:
    """`function` over the signal `signal` of the nodes of a collection: all, or those of a `type`.

    `relationship` is the type of the arrows of `outgoing` and `incoming`.
    """

    function: str
    collection: str
    signal: str
    type: str | None = None
    relationship: str | None = None


@dataclass(frozen=True, slots=True)
class ComputedExpression:
    """An expression and its roll-ups by the names that stand for them in it."""

    expression: Expression
    rollups: dict[str, Rollup]


def compile_computed(text: str, unit_of: UnitOf | None = None) -> ComputedExpression:
    """Compiles the expression of a computed signal; `unit_of(name)` is asked for roll-ups by their placeholders, too.

    Raises InvalidValueError with the column of the first mistake.
    """
    rollups, plain = split_rollups(text)
    expression = compile_expression(plain, unit_of)
    return ComputedExpression(expression, rollups)


def split_rollups(text: str) -> tuple[dict[str, Rollup], str]:
    """The roll-ups of a text by placeholder, and the text with the placeholders in it."""
    rollups: dict[str, Rollup] = {}

    def replace(match: re.Match[str]) -> str:
        name = f"{_MARK}{len(rollups)}"
        rollups[name] = _rollup(match)
        return name.ljust(len(match[0]))

    plain = _ROLLUP.sub(replace, text)
    return rollups, plain


def _rollup(match: re.Match[str]) -> Rollup:
    type, relationship = _arguments(match["arguments"] or "")
    collection = match["collection"]
    drawn = collection in (OUTGOING, INCOMING)
    if drawn != (relationship is not None):
        example = f'{collection}("powers")' if drawn else f'{collection}(type="pump")'
        raise InvalidValueError(f"{match[0]!r}: write {example}")
    return Rollup(match["function"], collection, match["signal"], type, relationship)


def _arguments(text: str) -> tuple[str | None, str | None]:
    """The `type` and the relationship that stand in the parentheses behind a collection."""
    type = relationship = None
    for each in text.split(",") if text.strip() else ():
        match = _ARGUMENT.fullmatch(each)
        if match is None or match["name"] not in (None, "type"):
            raise InvalidValueError(f'found {each.strip()!r} behind a collection, expected type="pump"')
        value = match["double"] if match["double"] is not None else match["single"]
        if match["name"] == "type":
            type = value
        else:
            relationship = value
    return type, relationship
