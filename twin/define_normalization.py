"""Definitions of normalization: how readings are brought to common units, times and metadata."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .define_types import Model, Name, Timezone, UnitText, refuse
from .errors import InvalidValueError
from .expressions import compile_template
from .units import convertible


class UnitConversion(Model):
    """Converts a field's number from one unit to another."""

    type: Literal["unit_conversion"]
    """Convert a unit."""
    from_field: Name = "value"
    """The field that holds the number."""
    from_unit: UnitText
    """Unit that it is in, where the reading does not say its own."""
    to_unit: UnitText
    """Unit that it becomes."""

    @model_validator(mode="after")
    def _same_dimension(self) -> "UnitConversion":
        if not convertible(self.from_unit, self.to_unit):
            raise refuse(
                f"{self.from_unit} cannot be converted to {self.to_unit}: they measure different things",
                field="to_unit",
            )
        return self


class TimestampNormalize(Model):
    """Brings a field to an instant in UTC."""

    type: Literal["timestamp_normalize"]
    """Normalise a time stamp."""
    from_field: Name = "timestamp"
    """The field that holds the stamp."""
    timezone: Timezone = "UTC"
    """Zone of stamps that name none."""
    format: Name | None = None
    """`iso8601`, `unix_s`, `unix_ms`, `unix_us`, `unix_ns` or a strptime format; left out, it is recognised."""


class AddMetadata(Model):
    """Adds fields to a reading's metadata."""

    type: Literal["add_metadata"]
    """Add metadata."""
    fields: Annotated[dict[str, str], Field(min_length=1)]
    """Value by name; `${topic.split('/')[1]}` and `${env.PLANT_ID}` are filled in."""

    @model_validator(mode="after")
    def _templates(self) -> "AddMetadata":
        for name, text in self.fields.items():
            try:
                compile_template(text)
            except InvalidValueError as error:
                raise refuse(f"`{name}`: {error}") from None
        return self


Transform = Annotated[UnitConversion | TimestampNormalize | AddMetadata, Field(discriminator="type")]


class NormalizationRule(Model):
    """Transforms for the readings of one source."""

    source: Name
    """A topic or topic pattern, a device, a source, or a group."""
    transforms: Annotated[list[Transform], Field(min_length=1)]
    """What is done to each reading, in order."""
    enabled: bool = True
    """Whether it is applied."""


class Normalization(Model):
    """How readings are normalised before they are stored."""

    groups: dict[str, list[Name]] = {}
    """Named groups of topic patterns, devices and sources that rules can refer to."""
    rules: list[NormalizationRule] = []
    """The rules, applied in order."""
