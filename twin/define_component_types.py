"""Definitions of kinds: what each instance of a component type has, and what a relationship type may connect."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue, WithJsonSchema, field_validator, model_validator

from .define_anomalies import AnyRule
from .define_computed import ComputedList
from .define_twins import Sensor
from .define_types import Count, Id, Model, Name, UnitText, refuse
from .errors import InvalidValueError
from .model import CONTAINS, HAS_SENSOR, Level
from .parameter_values import fit


class Parameter(Model):
    """A value that each instance has: its kind, its unit and its range."""

    type: Literal["number", "text", "boolean"] | None = None
    """Kind of its values; left out, number if there is a unit or a range, else anything."""
    unit: UnitText | None = None
    """Unit of its values; a text such as "90 rpm" is converted to it."""
    default: JsonValue = None
    """Its value where an instance gives none."""
    min: float | None = None
    """Lowest value [unit]."""
    max: float | None = None
    """Highest value [unit]."""
    range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    """Lowest and highest value in one."""
    required: bool = False
    """Whether each instance must give it."""
    description: str | None = None
    """What it means."""

    @model_validator(mode="after")
    def _consistent(self) -> "Parameter":
        if self.range is not None and (self.min is not None or self.max is not None):
            raise refuse("found range beside min or max, which say the same; leave one of them out", field="range")
        low, high = self.range or (self.min, self.max)
        if low is not None and high is not None and low > high:
            raise refuse(f"found a lowest value of {low:g} above the highest, {high:g}", field="range")
        numeric = self.unit is not None or low is not None or high is not None
        if numeric and self.type in ("text", "boolean"):
            raise refuse(f"found a unit or a range of a {self.type}; they belong to numbers", field="type")
        if self.required and self.default is not None:
            raise refuse("found a default of what is required; leave one of them out", field="default")
        if self.default is not None:
            try:
                fit(self.model_dump(exclude_none=True), self.default)
            except InvalidValueError as error:
                raise refuse(str(error), field="default") from None
        return self


class ComponentType(Model):
    """A kind of equipment: what each of its instances has."""

    name: Id
    """Its name; a component whose `type` it is, is an instance."""
    version: Count = 1
    """Its version; several may stand side by side, and instances take the newest unless they name one."""
    description: str | None = None
    """What it is."""
    extends: Id | None = None
    """The type whose parameters, sensors and rules it has too; what it gives by the same name, it changes."""
    parameters: dict[str, Parameter] = {}
    """What its instances may be told, by name."""
    sensors: list[Sensor] = []
    """The sensors of each instance; `${component.id}` and `${parameters.NAME}` in their texts are the instance's."""
    computed: ComputedList = []
    """What is computed on each instance; names are the instance's own sensors, signals and parameters first."""
    rules: list[AnyRule] = []
    """What is watched on each instance; `sensor` is one of the instance's own by id, name or type."""

    @field_validator("name")
    @classmethod
    def _no_level(cls, name: str) -> str:
        if name in set(Level):
            raise refuse(f"found {name!r}, which is the name of a level; choose another")
        return name


Words = Annotated[
    list[Name],
    Field(min_length=1),
    BeforeValidator(lambda given: [given] if isinstance(given, str) else given),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


class RelationshipType(Model):
    """A kind of relationship: what may connect to what."""

    name: Id
    """The `type` of relationships that it speaks of."""
    description: str | None = None
    """What it means."""
    from_: Annotated[Words | None, Field(alias="from")] = None
    """Where it may start: levels (component, line, ...) and types of components, one of them; left out, anywhere."""
    to: Words | None = None
    """Where it may end; left out, anywhere."""
    properties: dict[str, Parameter] = {}
    """What is told about each, by name; `transfer_time` [s] too. Empty: anything."""
    cardinality: Literal["one_to_one", "one_to_many", "many_to_one", "many_to_many"] = "many_to_many"
    """one_to_many: one node leads to many, and each of these comes from one."""

    @field_validator("name")
    @classmethod
    def _drawn(cls, name: str) -> str:
        if name in (CONTAINS, HAS_SENSOR):
            raise refuse(f"found {name}, which follows from where nodes are written")
        return name
