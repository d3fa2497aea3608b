"""Definitions of computed signals: values that follow from other signals."""

from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from .define_types import Id, Model, UnitText, check
from .rollups import compile_computed

ComputedExpression = Annotated[
    str, AfterValidator(check(compile_computed)), WithJsonSchema({"type": "string", "examples": ["torque * speed"]})
]


class Computed(Model):
    """A signal that is computed from others whenever one of them changes."""

    name: Id
    """Its name among the signals of its node."""
    expression: ComputedExpression
    """What it is: `torque * speed`, `sum(children.power)`; see docs/computed.md."""
    unit: UnitText | None = None
    """Unit of its values; the expression's is converted to it."""
    description: str | None = None
    """What it means."""
    stepped: bool = True
    """Whether a value holds until the next one instead of being interpolated."""
    low: float | None = None
    """Lowest plausible value [unit]."""
    high: float | None = None
    """Highest plausible value [unit]."""


ComputedList = Annotated[list[Computed], Field(max_length=200)]
