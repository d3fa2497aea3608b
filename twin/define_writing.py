"""Definitions of what may be set: the limits and conditions of a sensor's desired value."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, PlainSerializer, model_validator
from pydantic_core import CoreSchema

from .define_types import Duration, Expression, Model, Name, Positive, refuse


class Writing(Model):
    """How a sensor's value may be set, and what counts as done. `writable: true` is one without limits of its own."""

    source: Name | None = None
    """The address that is written, where it is another than the sensor's `source`."""
    min: float | None = None
    """Lowest value that may be set [unit]; left out, the sensor's `low`."""
    max: float | None = None
    """Highest value that may be set [unit]; left out, the sensor's `high`."""
    max_step: Positive | None = None
    """Largest change at once, from what the sensor shows [unit]."""
    min_interval: Duration | None = None
    """Shortest time from one setting to the next."""
    interlock: Expression | None = None
    """What must hold to set it, such as `state == 'running'`: names as in computed signals."""
    tolerance: Annotated[float, Field(ge=0)] | None = None
    """How far what is read back may be from what was set [unit]; left out, a thousandth of it."""
    deadline: Duration = 10.0
    """How long a setting may take, from the request to its confirmation."""
    read_back: bool = True
    """Whether it is confirmed by what the device then shows; else by the device's answer alone."""

    @model_validator(mode="after")
    def _range(self) -> "Writing":
        if self.min is not None and self.max is not None and self.min > self.max:
            raise refuse(f"found min {self.min:g} above max {self.max:g}", field="min")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "boolean"}, handler(schema)]}


def _written(given: Any) -> Any:
    return {} if given is True else None if given is False else given


def _as_written(writing: Writing | None) -> Any:
    return None if writing is None else writing.model_dump(mode="json", exclude_defaults=True) or True


Writable = Annotated[Writing | None, BeforeValidator(_written), PlainSerializer(_as_written)]
"""`true`, or the limits and conditions of setting it."""
