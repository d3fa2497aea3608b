"""Definitions of overall equipment effectiveness (ISO 22400) and its dashboards."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from .define_types import Clock, Duration, Model, Name, Positive, Reference, ScheduleText, Seconds, refuse
from .schedules import DAYS, format_clock, parse_clock, parse_schedule

_DAY = 86_400
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Shift(Model):
    """A shift; one that ends before it starts ends on the next day."""

    name: Name
    """Its name."""
    start: Clock
    """Local time of the site, such as 06:00."""
    end: Clock
    """Local time of the site, such as 14:00."""
    days: list[Day] = []
    """Days on which it starts; left out, every day."""

    @model_validator(mode="after")
    def _lasts(self) -> "Shift":
        if self.start.strip() == self.end.strip():
            raise refuse(f"found a shift from {self.start} to {self.end}; a whole day is 00:00 to 24:00", field="end")
        return self

    def spans(self) -> list[tuple[int, int]]:
        """Its spans in a week [s after Monday 00:00], none longer than a day; those past Sunday come round."""
        start, end = parse_clock(self.start), parse_clock(self.end)
        end += _DAY if end <= start else 0
        week = 7 * _DAY
        spans = [(DAYS.index(day) * _DAY + start, DAYS.index(day) * _DAY + end) for day in self.days or DAYS]
        return [(a, min(b, week)) for a, b in spans] + [(0, b - week) for _, b in spans if b > week]


class PlannedDowntime(Model):
    """Time that does not count against availability."""

    type: Name
    """What it is for, such as scheduled_maintenance."""
    schedule: ScheduleText | None = None
    """When it is, such as sunday 06:00-10:00."""
    signal: Name | None = None
    """The signal that tells of it while it is true."""

    @model_validator(mode="after")
    def _known(self) -> "PlannedDowntime":
        if (self.schedule is None) == (self.signal is None):
            raise refuse("planned downtime has either a `schedule` or a `signal`", field="signal")
        if self.schedule is not None and parse_schedule(self.schedule).momentary:
            raise refuse(
                f"found {self.schedule!r}, which has no end; expected a span such as sunday 06:00-10:00",
                field="schedule",
            )
        return self


class Availability(Model):
    """When the equipment runs."""

    running_signal: Name
    """The signal that tells whether it runs."""
    running_value: str | int | float | bool = True
    """Its value while it runs."""
    planned_downtime: list[PlannedDowntime] = []
    """Time that does not count."""
    reason_signal: Name | None = None
    """The signal that tells why it stands."""


class Performance(Model):
    """How fast it runs."""

    ideal_cycle_time: Seconds
    """Shortest time per piece [s]."""
    actual_cycle_signal: Name
    """The signal that counts or marks each cycle."""


class Quality(Model):
    """How much of it is good."""

    good_parts_signal: Name
    """Counter of good pieces."""
    reject_signal: Name
    """Counter of rejects."""


class OeeEquipment(Model):
    """Equipment whose effectiveness is tracked."""

    id: Reference
    """A component's or a twin's id."""
    shifts: list[Shift] = []
    """Its shifts; left out, those of the shift calendar."""
    availability: Availability
    """When it runs."""
    performance: Performance
    """How fast it runs."""
    quality: Quality
    """How much of it is good."""
    target: Annotated[float, Field(gt=0, le=100)] | None = None
    """OEE that is aimed at [%]."""

    @field_validator("shifts")
    @classmethod
    def _apart(cls, shifts: list[Shift]) -> list[Shift]:
        spans = sorted((start, end, shift.name) for shift in shifts for start, end in shift.spans())
        for (_, end, first), (start, _, second) in pairwise(spans):
            if start < end:
                when = f"{DAYS[start // _DAY]} {format_clock(start % _DAY)}"
                raise refuse(f"found shifts {first!r} and {second!r} at the same time ({when})")
        return shifts


class Widget(Model):
    """What every widget may have."""

    title: Name
    """Its heading."""
    equipment: list[Reference] = []
    """The equipment that it shows; left out, all."""
    period: Duration | None = None
    """Span of time that it shows."""


class Gauge(Widget):
    """One number."""

    type: Literal["gauge"]
    """One number."""
    aggregation: Literal["plant", "site", "area", "line", "equipment"] = "plant"
    """What it sums up."""
    metric: Name = "oee"
    """What it shows."""


class Waterfall(Widget):
    """What reduces effectiveness, step by step."""

    type: Literal["waterfall"]
    """Losses step by step."""
    components: list[Literal["availability", "performance", "quality"]] = ["availability", "performance", "quality"]
    """Its steps."""


class Pareto(Widget):
    """What costs most."""

    type: Literal["pareto"]
    """What costs most."""
    metric: Name
    """What is added up."""
    group_by: Name
    """By what."""
    limit: Annotated[int, Field(ge=1)] = 10
    """How many bars."""


class Trend(Widget):
    """A course in time."""

    type: Literal["trend"]
    """A course in time."""
    metric: Name = "oee"
    """What it shows."""
    compare_to: Literal["previous_period", "previous_year", "target"] | None = None
    """What it is set against."""


class Table(Widget):
    """Numbers in rows."""

    type: Literal["table"]
    """Numbers in rows."""
    metrics: Annotated[list[Name], Field(min_length=1)]
    """Its columns."""


AnyWidget = Annotated[Gauge | Waterfall | Pareto | Trend | Table, Field(discriminator="type")]


class Dashboard(Model):
    """Widgets on one page."""

    name: Name
    """Its name."""
    widgets: list[AnyWidget] = []
    """What it shows."""
    refresh: Positive | None = None
    """How often it is refreshed [s]."""


class OeeTracking(Model):
    """Overall equipment effectiveness."""

    equipment: list[OeeEquipment] = []
    """The equipment."""
    dashboards: list[Dashboard] = []
    """Pages that show it."""
