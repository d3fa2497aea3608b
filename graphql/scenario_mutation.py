"""Scenarios forked, set and removed; replays moved while they play."""

import asyncio
from enum import Enum
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from ..twin.access import Scope
from ..twin.errors import InvalidValueError
from .field import mutation
from .moment import Ask
from .once import OnceKey, once
from .scalars import Time
from .scenario_query import Scenario
from .timed import timed

Overrides = Annotated[
    JSON | None,
    strawberry.argument(description='Values by name: {"conveyor_1.speed": 2.2}; a parameter, else a signal.'),
]


@strawberry.enum(description="What is done with a replay.")
class ReplayAction(Enum):
    PAUSE = "pause"
    RESUME = "resume"
    SEEK = "seek"
    SPEED = "speed"


@strawberry.type(description="Where a replay stands.")
@timed
class ReplayPosition:
    replay: strawberry.ID
    time: Time


@strawberry.type
class ScenarioMutation:
    @mutation(Scope.SCENARIOS_WRITE)
    async def fork_scenario(
        self,
        info: Ask,
        id: strawberry.ID | None = None,
        as_of: Time | None = None,
        known_at: Time | None = None,
        overrides: Overrides = None,
        title: str | None = None,
        key: OnceKey = None,
    ) -> Scenario:
        """Forks the plant as of a time (now), by what was known then (now)."""
        twin, given = info.context.service.twin, _object(overrides)

        def fork() -> Scenario:
            made = twin.scenarios.fork(id, time=as_of, known_at=known_at, overrides=given, title=title)
            return Scenario.of(twin, made)

        asked = (id, as_of, known_at, given, title)
        return (await once(info, key, asked, lambda: asyncio.to_thread(fork)))[0]

    @mutation(Scope.SCENARIOS_WRITE)
    async def change_scenario(
        self,
        info: Ask,
        id: strawberry.ID,
        overrides: Overrides = None,
        replay_until: Time | None = None,
        key: OnceKey = None,
    ) -> Scenario:
        """Sets more from the scenario's clock on, or replays recorded inputs into it up to a time."""
        twin, given = info.context.service.twin, _object(overrides)

        def change() -> Scenario:
            if given:
                twin.scenarios.override(id, given)
            if replay_until is not None:
                twin.scenarios.replay(id, int(replay_until))
            return Scenario.of(twin, twin.scenarios.get(id))

        return (await once(info, key, (id, given, replay_until), lambda: asyncio.to_thread(change)))[0]

    @mutation(Scope.SCENARIOS_WRITE)
    async def remove_scenario(self, info: Ask, id: strawberry.ID, key: OnceKey = None) -> strawberry.ID:
        """Removes a scenario; the plant is not touched."""
        scenarios = info.context.service.twin.scenarios
        await once(info, key, id, lambda: asyncio.to_thread(scenarios.remove, id))
        return id

    @mutation(Scope.PLANT_READ)
    async def move_replay(
        self,
        info: Ask,
        replay: strawberry.ID,
        action: ReplayAction,
        to: Time | None = None,
        speed: float | None = None,
    ) -> ReplayPosition:
        """Pauses, continues, moves (`to`) or accelerates (`speed`; null: as fast as can be) a replay that plays."""
        player = info.context.service.players.get(replay)
        match action:
            case ReplayAction.PAUSE:
                player.pause()
            case ReplayAction.RESUME:
                player.resume()
            case ReplayAction.SPEED:
                player.accelerate(speed)
            case ReplayAction.SEEK:
                if to is None:
                    raise InvalidValueError("say where to: SEEK takes `to`", "to")
                player.seek(int(to))
        return ReplayPosition(replay=replay, time=Time(player.position))


def _object(overrides: object) -> dict[str, object]:
    if overrides is not None and not isinstance(overrides, dict):
        raise InvalidValueError("overrides are an object: values by name", "overrides")
    return overrides or {}
