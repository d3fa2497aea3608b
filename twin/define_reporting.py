"""Definitions of reporting: which of the readings that come are stored."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .define_types import Duration, Model, Positive, refuse

Strategy = Literal["every", "on_change", "deadband", "swinging_door", "period"]


class Reporting(Model):
    """Which readings are stored. What a sensor leaves out it has from the nodes above it, and they from the source."""

    strategy: Strategy | None = None
    """every; on_change; deadband; swinging_door; period. Left out everywhere, every reading is stored."""
    deadband: Positive | None = None
    """Smallest change that counts, in the signal's unit; how far a swinging door may miss."""
    deadband_percent: Annotated[float, Field(gt=0, le=100)] | None = None
    """The same in percent of the signal's range `low` to `high`; without a range, of the last value stored."""
    period: Duration | None = None
    """Shortest time between two readings that are stored."""
    heartbeat: Duration | None = None
    """After this time a reading is stored in any case; left out, half of the sensor's `expected_interval`."""
    late: Literal["store", "suppress"] | None = None
    """What becomes of readings older than one that has come before; left out, they are stored."""

    @model_validator(mode="after")
    def _complete(self) -> "Reporting":
        banded = self.deadband is not None or self.deadband_percent is not None
        if self.strategy in ("deadband", "swinging_door") and not banded:
            raise refuse(f"the strategy {self.strategy} needs a `deadband` or `deadband_percent`", field="strategy")
        if self.strategy == "period" and self.period is None:
            raise refuse("the strategy period needs a `period`, such as '10s'", field="strategy")
        for field, strategies in _BELONGS.items():
            if getattr(self, field) is not None and self.strategy is not None and self.strategy not in strategies:
                raise refuse(f"found {field}, which the strategy {self.strategy} has not", field=field)
        if self.deadband is not None and self.deadband_percent is not None:
            raise refuse("a `deadband` is either absolute or in percent", field="deadband_percent")
        return self


_BELONGS = {
    "deadband": ("deadband", "swinging_door"),
    "deadband_percent": ("deadband", "swinging_door"),
    "period": ("period",),
    "heartbeat": ("on_change", "deadband", "swinging_door", "period"),
    "late": ("every", "on_change", "deadband", "swinging_door", "period"),
}
