"""Definitions of what is done with twins: synchronisation, what-if simulation, replay."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from .define_types import Count, Duration, Expression, Id, Model, Name, Positive, Reference, check, refuse
from .expressions import parse_objective

Objective = Annotated[
    str,
    AfterValidator(check(parse_objective)),
    WithJsonSchema({"type": "string", "pattern": r"^\s*([Mm]ax|[Mm]in)imize\s*:.+"}),
]


class Sync(Model):
    """How a twin follows its plant."""

    mode: Literal["realtime", "interval", "on_demand"] = "realtime"
    """At once, at an interval, or when asked."""
    latency_target_ms: Positive | None = None
    """How late the twin may be [ms]."""
    interval: Duration | None = None
    """Interval of the mode interval."""

    @model_validator(mode="after")
    def _interval_fits(self) -> "Sync":
        if (self.mode == "interval") != (self.interval is not None):
            raise refuse("`interval` belongs to the mode interval, and it needs one", field="interval")
        return self


class Variable(Model):
    """A parameter that a simulation varies."""

    parameter: Reference
    """Which one, such as conveyor_1.speed."""
    range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    """From the lowest to the highest value."""
    step: Positive | None = None
    """Distance of the values that are tried; left out, the optimiser chooses."""
    values: Annotated[list[float], Field(min_length=1)] | None = None
    """The values that are tried, one by one."""

    @model_validator(mode="after")
    def _consistent(self) -> "Variable":
        if (self.range is None) == (self.values is None):
            raise refuse("a variable has either a `range` or `values`", field="values")
        if self.range is not None and self.range[0] >= self.range[1]:
            raise refuse(
                f"found a range from {self.range[0]:g} to {self.range[1]:g}, expected one that rises", field="range"
            )
        if self.step is not None and (self.range is None or self.step > self.range[1] - self.range[0]):
            raise refuse("found a step that is longer than the range", field="step")
        return self


class WhatIf(Model):
    """A question to a simulated copy of the plant."""

    name: Id
    """Its name."""
    type: Literal["what_if", "optimization", "monte_carlo"]
    """Try values, search the best, or draw at random."""
    twin: Reference | None = None
    """The twin that is simulated; left out, the one that the variables belong to."""
    variables: list[Variable] = []
    """What is varied."""
    objective: Objective | None = None
    """What is sought, such as maximize:throughput."""
    constraints: list[Expression] = []
    """What must hold, such as energy_consumption <= 150kW."""
    metrics: list[Name] = []
    """What is reported."""
    duration: Duration | None = None
    """Simulated span of time."""
    runs: Count | None = None
    """How often each case is simulated."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """Seed of its random numbers."""


class Replay(Model):
    """Playing back what was."""

    enabled: bool = True
    """Whether it is offered."""
    retention: Duration | None = None
    """How far back."""
    granularity: Duration | None = None
    """How fine."""


class TwinOperations(Model):
    """What is done with twins."""

    sync: Sync | None = None
    """How twins follow their plant."""
    simulation: list[WhatIf] = []
    """What-if simulations."""
    replay: Replay | None = None
    """Playing back what was."""
