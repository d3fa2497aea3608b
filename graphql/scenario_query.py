"""Scenarios: forks of the plant, in which something is different."""

import asyncio

import strawberry
from strawberry.scalars import JSON
from strawberry.types import Info

from ..twin.access import Scope
from ..twin.in_scenario import named_parameters, named_settings
from ..twin.scenario import Scenario as Record
from ..twin.twin import Twin
from .context import Request
from .field import root_field
from .scalars import Time, Value
from .timed import timed


@strawberry.type(description="A signal that a scenario holds at a value, from a time on.")
@timed
class HeldSignal:
    signal: strawberry.ID
    time: Time
    value: Value


@strawberry.type(description="A fork of the plant; give its id as `scenario` to any question.")
@timed
class Scenario:
    id: strawberry.ID
    title: str | None
    as_of: Time = strawberry.field(description="The instant from which it was forked.")
    known_at: Time = strawberry.field(description="What it knows is what had been recorded until then.")
    clock: Time = strawberry.field(description="Up to when recorded inputs were replayed into it.")
    parameters: JSON = strawberry.field(description="What is set, by `node.parameter`.")
    signals: list[HeldSignal]

    @classmethod
    def of(cls, twin: Twin, scenario: Record) -> "Scenario":
        """What GraphQL shows of a scenario; may block."""
        plant = twin.as_of(scenario=scenario.id)
        return cls(
            id=strawberry.ID(scenario.id),
            title=scenario.title,
            as_of=Time(scenario.time),
            known_at=Time(scenario.known_at),
            clock=Time(scenario.clock),
            parameters=JSON(named_parameters(plant, scenario)),
            signals=[
                HeldSignal(signal=strawberry.ID(id), time=Time(time), value=Value(value))
                for id, time, value in named_settings(plant, scenario)
            ],
        )


@strawberry.type
class ScenarioQuery:
    @root_field(Scope.PLANT_READ)
    async def scenarios(self, info: Info[Request, None]) -> list[Scenario]:
        """All scenarios."""
        twin = info.context.service.twin
        return await asyncio.to_thread(lambda: [Scenario.of(twin, each) for each in twin.scenarios.all()])
