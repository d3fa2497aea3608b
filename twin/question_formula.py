"""Expressions that a question asks of many nodes or relationships, each with units of its own."""

from typing import Any

from .errors import InvalidValueError, IoTSenseError
from .expressions import Expression, compile_expression
from .question_subject import Subject


class Formula:
    """A compiled expression; where a name has a unit (`power > 5 kW`), the numbers beside it are converted to it.

    One is made for each question: it also remembers which of its names never had a value.
    """

    def __init__(self, text: str, field: str) -> None:
        """Raises InvalidValueError, with the column of the first mistake, that names the parameter `field`."""
        self.text = text
        self._field = field
        try:
            self._plain = compile_expression(text)
        except InvalidValueError as error:
            raise InvalidValueError(f"{field}: {error}", field) from None
        self._names = self._plain.names()
        self._missed = set(self._names)
        self._asked = False
        self._by_units: dict[tuple[str | None, ...], Expression] = {(None,) * len(self._names): self._plain}

    def value(self, subject: Subject) -> Any:
        """The value for this subject; None if unknown. Raises InvalidValueError where values or units do not fit."""
        values: dict[str, Any] = {}
        units: tuple[str | None, ...] = ()
        for name in self._names:
            values[name], unit = subject.found(name)
            units += (unit,)
        self._asked = True
        if self._missed:
            self._missed -= {name for name, value in values.items() if value is not None}
        try:
            return (self._by_units.get(units) or self._compiled(units)).evaluate(values)
        except IoTSenseError as error:
            raise InvalidValueError(f"{self._field}: {error} (at {subject.id})", self._field) from None

    def holds(self, subject: Subject) -> bool:
        """Whether it is true; what is unknown does not hold. Raises InvalidValueError as `value`."""
        value = self.value(subject)
        if value is None or isinstance(value, bool):
            return value is True
        raise InvalidValueError(f"{self._field}: {self.text!r} is a value, not a condition such as a > 1", self._field)

    def notes(self) -> list[str]:
        """A word about names that nothing asked so far had: a misspelt name would else look like `no`."""
        if not self._asked:
            return []
        return [f"{self._field}: nothing here has {name!r}" for name in self._names if name in self._missed]

    def _compiled(self, units: tuple[str | None, ...]) -> Expression:
        by_name = dict(zip(self._names, units, strict=True))
        compiled = compile_expression(self.text, by_name.get)
        self._by_units[units] = compiled
        return compiled


def formula(text: str | None, field: str) -> Formula | None:
    """The formula of a parameter that may be left out."""
    return None if text is None or not text.strip() else Formula(text, field)
