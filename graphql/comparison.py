"""What a filter says of one value: equal to it, one of several, or between two numbers."""

import math
from collections.abc import Sequence
from typing import Protocol

from ..twin.errors import InvalidValueError


class Compared(Protocol):
    """The operators that filters of properties and of signals share; what is null was not said."""

    @property
    def eq(self) -> object | None: ...
    @property
    def in_(self) -> Sequence[object] | None: ...
    @property
    def gt(self) -> float | None: ...
    @property
    def gte(self) -> float | None: ...
    @property
    def lt(self) -> float | None: ...
    @property
    def lte(self) -> float | None: ...
    @property
    def exists(self) -> bool | None: ...


class Comparison:
    """The operators of a filter, checked; raises InvalidValueError for those that say nothing or contradict each other.

    place: where they stand in the question.
    """

    def __init__(self, said: Compared, place: str) -> None:
        self._place = place
        self.exists = said.exists
        self._among = self._listed(said)
        self._low = self._bound(said.gt, said.gte, "gt", "gte")
        self._high = self._bound(said.lt, said.lte, "lt", "lte")
        self._ranged = self._low is not None or self._high is not None
        if self._among is not None and self._ranged:
            raise InvalidValueError(f"{place}: eq and in leave nothing for gt, gte, lt and lte to say", place)
        if self.exists is False and self.compares:
            raise InvalidValueError(f"{place}: what is not there has no value to compare", place)
        if self._is_empty_range():
            raise InvalidValueError(f"{place}: no number is both above and below these limits", place)

    @property
    def compares(self) -> bool:
        """Whether it says anything of the value."""
        return self._among is not None or self._ranged

    def holds(self, value: object) -> bool:
        """Whether a value is as was said. Numbers, texts and booleans are never equal to each other."""
        if self._among is not None:
            return any(_same(value, each) for each in self._among)
        if not self._ranged:
            return True
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        return self._above(value) and self._below(value)

    def _listed(self, said: Compared) -> list[object] | None:
        if said.eq is not None and said.in_ is not None:
            raise InvalidValueError(f"{self._place}: give eq or in, not both", self._place)
        if said.in_ is not None and not said.in_:
            raise InvalidValueError(f"{self._place}.in is empty: nothing would be found", f"{self._place}.in")
        return [said.eq] if said.eq is not None else None if said.in_ is None else list(said.in_)

    def _bound(
        self, strict: float | None, loose: float | None, name: str, loose_name: str
    ) -> tuple[float, bool] | None:
        if strict is not None and loose is not None:
            raise InvalidValueError(f"{self._place}: give {name} or {loose_name}, not both", self._place)
        return (strict, True) if strict is not None else None if loose is None else (loose, False)

    def _is_empty_range(self) -> bool:
        if self._low is None or self._high is None:
            return False
        (low, above), (high, below) = self._low, self._high
        return low > high or (low == high and (above or below))

    def _above(self, value: float) -> bool:
        if self._low is None:
            return True
        low, strict = self._low
        return value > low if strict else value >= low

    def _below(self, value: float) -> bool:
        if self._high is None:
            return True
        high, strict = self._high
        return value < high if strict else value <= high


def _same(value: object, other: object) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)
