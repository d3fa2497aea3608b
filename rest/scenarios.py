"""Scenarios: forks of the plant from any instant. They are read with `scenario=` on every read."""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..twin.errors import InvalidValueError
from ..twin.in_scenario import named_parameters, named_settings
from ..twin.scenario import Scenario
from ..twin.times import format_time, parse_time
from ..twin.twin import Twin
from . import query
from .answer import json_answer
from .body import json_body
from .context import Context
from .endpoint import JSON, PREFIX, Answer, Body, Endpoint

PATH = f"{PREFIX}/scenarios"


class NewScenario(msgspec.Struct, forbid_unknown_fields=True):
    """A fork of the plant as of a time (now), by what was known then (now).

    `overrides` sets parameters and signals by name: `{"conveyor_1.speed": 2.2}` is the component's parameter of that
    name, else its signal.
    """

    id: str | None = None
    title: str | None = None
    as_of: str | None = None
    known_at: str | None = None
    overrides: dict[str, Any] = {}


class ScenarioChange(msgspec.Struct, forbid_unknown_fields=True):
    """What else is set, from the scenario's clock on; and up to when recorded inputs are replayed into it."""

    overrides: dict[str, Any] = {}
    replay_until: str | None = None


class SettingView(msgspec.Struct):
    """A signal that is held at a value from a time on."""

    signal: str
    time: str
    value: Any


class ScenarioView(msgspec.Struct):
    """A scenario: forked from the plant as of `as_of`, by what was known at `known_at`; its clock stands at `clock`."""

    id: str
    title: str | None
    as_of: str
    known_at: str
    clock: str
    parameters: dict[str, Any]
    signals: list[SettingView]


class ScenarioList(msgspec.Struct):
    """All scenarios."""

    scenarios: list[ScenarioView]


_new = msgspec.json.Decoder(NewScenario).decode
_change = msgspec.json.Decoder(ScenarioChange).decode


async def scenarios(context: Context, request: Request) -> Response:
    """All scenarios."""
    query.only(request)
    twin = context.twin
    return json_answer(
        ScenarioList(await asyncio.to_thread(lambda: [scenario_view(twin, s) for s in twin.scenarios.all()]))
    )


async def scenario(context: Context, request: Request) -> Response:
    """One scenario."""
    query.only(request)
    twin, id = context.twin, request.path_params["id"]
    return json_answer(await asyncio.to_thread(lambda: scenario_view(twin, twin.scenarios.get(id))))


async def fork_scenario(context: Context, request: Request) -> Response:
    """Forks the plant."""
    query.only(request)
    given = await _body(context, request, _new, '{"as_of": "2024-01-15T10:30:00Z", "overrides": {"pump_1.speed": 2}}')
    time, known_at = (_instant(getattr(given, name), name) for name in ("as_of", "known_at"))
    twin = context.twin

    def fork() -> ScenarioView:
        made = twin.scenarios.fork(given.id, time=time, known_at=known_at, overrides=given.overrides, title=given.title)
        return scenario_view(twin, made)

    made = await asyncio.to_thread(fork)
    return json_answer(made, 201, {"Location": f"{PATH}/{made.id}"})


async def change_scenario(context: Context, request: Request) -> Response:
    """Sets more, or replays recorded inputs into it."""
    query.only(request)
    given = await _body(context, request, _change, '{"overrides": {"pump_1.speed": 2}} or {"replay_until": "..."}')
    until = _instant(given.replay_until, "replay_until")
    twin, id = context.twin, request.path_params["id"]

    def change() -> ScenarioView:
        if given.overrides:
            twin.scenarios.override(id, given.overrides)
        if until is not None:
            twin.scenarios.replay(id, until)
        return scenario_view(twin, twin.scenarios.get(id))

    return json_answer(await asyncio.to_thread(change))


async def remove_scenario(context: Context, request: Request) -> Response:
    """Removes a scenario; the plant is not touched."""
    query.only(request)
    await asyncio.to_thread(context.twin.scenarios.remove, request.path_params["id"])
    return Response(status_code=204)


def scenario_view(twin: Twin, scenario: Scenario) -> ScenarioView:
    """A scenario as clients read it; what it set on nodes that are gone has no name any more. May block."""
    plant = twin.as_of(scenario=scenario.id)
    held = [SettingView(id, format_time(time), value) for id, time, value in named_settings(plant, scenario)]
    return ScenarioView(
        id=scenario.id,
        title=scenario.title,
        as_of=format_time(scenario.time),
        known_at=format_time(scenario.known_at),
        clock=format_time(scenario.clock),
        parameters=named_parameters(plant, scenario),
        signals=held,
    )


async def _body(context: Context, request: Request, decode: Any, example: str) -> Any:
    try:
        return decode(await json_body(request, context.max_body))
    except msgspec.DecodeError as error:
        raise InvalidValueError(f"expected something like {example}: {error}", "$") from None


def _instant(text: str | None, field: str) -> int | None:
    try:
        return None if text is None else parse_time(text)
    except InvalidValueError as error:
        raise InvalidValueError(f"{field}: {error}", f"$.{field}") from None


_PROBLEMS = (400, 404, 413, 415, 503, 507)
_VIEW = (Answer("The scenario", ScenarioView),)

ENDPOINTS = [
    Endpoint("GET", PATH, scenarios, "All scenarios", (Answer("The scenarios", ScenarioList),), "scenarios"),
    Endpoint(
        "POST",
        PATH,
        fork_scenario,
        "Fork the plant from an instant",
        (Answer("The new scenario; durable", ScenarioView, status=201),),
        "scenarios",
        body=Body({JSON: NewScenario}),
        problems=(*_PROBLEMS, 409),
        description="Nothing is copied, so a fork costs next to nothing. Read it with `scenario=` on every read.",
    ),
    Endpoint("GET", f"{PATH}/{{id}}", scenario, "A scenario", _VIEW, "scenarios", problems=(404,)),
    Endpoint(
        "PATCH",
        f"{PATH}/{{id}}",
        change_scenario,
        "Set more in a scenario, or replay recorded inputs into it",
        _VIEW,
        "scenarios",
        body=Body({JSON: ScenarioChange}),
        problems=_PROBLEMS,
    ),
    Endpoint(
        "DELETE",
        f"{PATH}/{{id}}",
        remove_scenario,
        "Remove a scenario",
        (Answer("It is gone", media=None, status=204),),
        "scenarios",
        problems=(404, 503, 507),
    ),
]
