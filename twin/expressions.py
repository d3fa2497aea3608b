"""The expressions of definitions: conditions, constraints, objectives and the `${...}` of templates.

One small language, compiled once and cheap to evaluate per message; what it can do is in docs/expressions.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import InvalidValueError, IoTSenseError
from .expression_parser import Parser, Run, UnitOf
from .expression_tokens import MAX_LENGTH, syntax_error, tokenize
from .expression_values import MAX_TEXT, Namespace, number, truth, unknown, written
from .units import Unit


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression such as `robot_arm_1.cycle_time >= 3.0`."""

    text: str
    _names: tuple[str, ...] = field(repr=False)
    _run: Run = field(repr=False, compare=False)
    unit: Unit | None = None

    def names(self) -> tuple[str, ...]:
        """What it refers to (`robot_arm_1.cycle_time`), in order of first mention."""
        return self._names

    def evaluate(self, namespace: Namespace) -> Any:
        """Its value: a number, text, truth value or list; None where a value that it needs is unknown.

        Raises NotFoundError if the namespace lacks a name, InvalidValueError if values do not fit.
        """
        try:
            return self._run(namespace)
        except IoTSenseError as error:
            raise type(error)(f"expression {self.text!r}: {error}") from None

    def holds(self, namespace: Namespace) -> bool | None:
        """Whether the condition is true; None if unknown. Errors as `evaluate`."""
        return truth(self.evaluate(namespace))


def compile_expression(text: str, unit_of: UnitOf | None = None) -> Expression:
    """Compile an expression; raises InvalidValueError with the column of the first mistake.

    `unit_of(name)` gives the unit of what a name stands for, or None. Numbers with a unit (`150kW`) are converted to
    the unit of what they are compared with; if that is not known, the bare number is compared. The expression's `unit`
    is that of its value, None if it has none or it is not known.
    """
    tokens, _ = tokenize(text)
    parser = Parser(text, tokens, unit_of)
    part = parser.parse_part()
    return Expression(text, tuple(parser.names), part.run, part.unit)


@dataclass(frozen=True, slots=True)
class Objective:
    """What an optimisation seeks: the greatest or the least value of an expression."""

    maximize: bool
    expression: Expression

    def score(self, namespace: Namespace) -> float | None:
        """The value to be made as great as possible (negated when minimizing); None if unknown."""
        value = self.expression.evaluate(namespace)
        if unknown(value):
            return None
        return float(number(value)) if self.maximize else -float(number(value))


def parse_objective(text: str) -> Objective:
    """An objective `maximize:EXPRESSION` or `minimize:EXPRESSION`. Raises InvalidValueError."""
    direction, colon, expression = text.partition(":")
    word = direction.strip().lower()
    if not colon or word not in ("maximize", "minimize"):
        raise InvalidValueError(f"{text!r} is not an objective, such as maximize:throughput or minimize:cost")
    return Objective(word == "maximize", compile_expression(expression.strip()))


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled text with `${...}` in it."""

    text: str
    _names: tuple[str, ...] = field(repr=False)
    _render: Callable[[Namespace], str] = field(repr=False, compare=False)

    @property
    def constant(self) -> bool:
        """Whether it renders to the same text whatever the namespace."""
        return not self._names

    def names(self) -> tuple[str, ...]:
        """What its expressions refer to, in order of first mention."""
        return self._names

    def render(self, namespace: Namespace) -> str:
        """The text with the values in place.

        Raises NotFoundError if the namespace lacks a name, InvalidValueError if a value is unknown or no scalar.
        """
        try:
            return self._render(namespace)
        except IoTSenseError as error:
            raise type(error)(f"template {self.text!r}: {error}") from None


def compile_template(text: str) -> Template:
    """Compile a template; `$${` stands for `${` itself. Raises InvalidValueError with the column of a mistake."""
    parts: list[str | Run] = []
    names: list[str] = []
    position = 0
    if len(text) > MAX_LENGTH:
        raise syntax_error(text, MAX_LENGTH, f"longer than {MAX_LENGTH} characters")
    while (dollar := text.find("${", position)) >= 0:
        if text.startswith("$", dollar - 1) and dollar > position:
            parts.append(text[position : dollar - 1] + "${")
            position = dollar + 2
            continue
        parts.append(text[position:dollar])
        tokens, end = tokenize(text, dollar + 2, "}")
        parser = Parser(text, tokens)
        parts.append(parser.parse())
        names += [name for name in parser.names if name not in names]
        position = end + 1
    parts.append(text[position:])
    return Template(text, tuple(names), _renderer([part for part in parts if part != ""]))


def _renderer(parts: Sequence[str | Run]) -> Callable[[Namespace], str]:
    if all(isinstance(part, str) for part in parts):
        whole = "".join(part for part in parts if isinstance(part, str))
        return lambda _: whole
    if len(parts) == 1:
        return lambda namespace, run=parts[0]: written(run(namespace))  # type: ignore[misc]

    def render(namespace: Mapping[str, Any]) -> str:
        result = "".join([part if isinstance(part, str) else written(part(namespace)) for part in parts])
        if len(result) > MAX_TEXT:
            raise InvalidValueError(f"the text would become longer than {MAX_TEXT} characters")
        return result

    return render
