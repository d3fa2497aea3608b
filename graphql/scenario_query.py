"""Scenarios: forks of the plant, in which something is different."""

import asyncio

import strawberry
from strawberry.scalars import JSON
from strawberry.types import Info

from ..twin.as_of import AsOf
from ..twin.scenario import Scenario as Record
from ..twin.twin import Twin
from .context import Request
from .field import field
from .scalars import Time, Value


@strawberry.type(description="A signal that a scenario holds at a value, from a time on.")
class HeldSignal:
    signal: strawberry.ID
    time: Time
    value: Value


@strawberry.type(description="A fork of the plant; give its id as `scenario` to any question.")
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
        nodes = plant.graph.node_map
        parameters = {
            f"{nodes[key].id}.{name}": value
            for key, values in scenario.parameters.items()
            if key in nodes
            for name, value in values.items()
        }
        return cls(
            id=strawberry.ID(scenario.id),
            title=scenario.title,
            as_of=Time(scenario.time),
            known_at=Time(scenario.known_at),
            clock=Time(scenario.clock),
            parameters=JSON(parameters),
            signals=_held(plant, scenario),
        )


def _held(plant: AsOf, scenario: Record) -> list[HeldSignal]:
    found = []
    for setting in scenario.settings:
        signal = plant.graph.signal_map.get(setting.signal)
        if signal is not None:
            text = plant.label(signal.index, setting.value)
            id = strawberry.ID(plant.graph.signal_id(signal))
            found.append(HeldSignal(signal=id, time=Time(setting.time), value=Value(text or setting.value)))
    return found


@strawberry.type
class ScenarioQuery:
    @field
    async def scenarios(self, info: Info[Request, None]) -> list[Scenario]:
        """All scenarios."""
        twin = info.context.service.twin
        return await asyncio.to_thread(lambda: [Scenario.of(twin, each) for each in twin.scenarios.all()])
