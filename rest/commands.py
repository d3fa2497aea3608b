"""Setting values: desired values of signals, and the commands that bring them to the devices."""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..ingest.commands import Commands
from ..twin.as_of import AsOf
from ..twin.command import Asked, Command, CommandState
from ..twin.commanded import MOST, command, commands, latest
from ..twin.durations import parse_duration
from ..twin.errors import ConflictError, InvalidValueError, NotFoundError
from ..twin.model import Signal
from ..twin.times import format_time
from . import query
from .answer import expected_tags, json_answer
from .context import Context
from .endpoint import JSON, PREFIX, Answer, Body, Endpoint, Parameter
from .layout import shown
from .moment import moment
from .report_bodies import decoded, idempotency_key
from .reports import IDEMPOTENCY, WRITE_PROBLEMS


class DesiredBody(msgspec.Struct, forbid_unknown_fields=True):
    """What the signal shall be: a number in `unit` (the signal's own unless told), a text or a truth value.

    `reason` and `actor`, who asks, are kept with it. `deadline`: how long it may take, such as `30s`.
    """

    value: float | int | bool | str
    unit: str | None = None
    reason: str | None = None
    actor: str | None = None
    deadline: str | float | None = None

    def asked(self, signal: str, origin: str) -> Asked:
        """Raises InvalidValueError for a deadline that is none."""
        within = None if self.deadline is None else _deadline(self.deadline)
        return Asked(signal, self.value, self.unit, self.reason, self.actor, origin, within)


class CommandView(msgspec.Struct):
    """A command: `state` is `requested`, `sent`, and at its end `confirmed`, `failed`, `expired`, `superseded`,
    `cancelled` or `refused`; `held` is one in a scenario, which nothing is sent of.

    `value` is in `unit`; `given` is how it was asked for, if that is in another. `source` and `address`: where it goes.
    `read_back` is what the device showed last; `why` is what was in the way.
    """

    id: str
    signal: str
    value: Any
    unit: str | None
    given: str | None
    state: str
    requested: str
    deadline: str
    sent: str | None
    ended: str | None
    source: str | None
    address: str | None
    read_back: Any
    why: str | None
    actor: str | None
    origin: str | None
    reason: str | None


class CommandList(msgspec.Struct):
    """Commands, the newest first."""

    commands: list[CommandView]


class DesiredView(msgspec.Struct):
    """What a signal shall be and what it is; `command` is the latest that was not refused."""

    signal: str
    unit: str | None
    desired: Any
    time: str | None
    value: Any
    command: CommandView | None


async def set_desired(context: Context, request: Request) -> Response:
    """Asks for a value."""
    query.only(request, "scenario")
    body = await decoded(context, request, DesiredBody)
    asked = body.asked(request.path_params["id"], f"rest from {client_of(request)}")
    engine = commands_of(context)
    scenario = request.query_params.get("scenario")
    if scenario is not None:
        return json_answer(command_view(await engine.hold(scenario, asked)))
    made = await engine.set(asked, idempotency_key(request), _expected(request))
    headers = {"Location": f"{PREFIX}/commands/{made.id}", "ETag": f'"{made.id}"'}
    return json_answer(command_view(made), 202, headers)


async def desired(context: Context, request: Request) -> Response:
    """What a signal shall be."""
    plant = await moment(context, request)
    signal = plant.graph.find_signal(request.path_params["id"])
    answer = await asyncio.to_thread(_desired, plant, signal)
    tag = answer.command.id if answer.command else ""
    return json_answer(answer, headers={"ETag": f'"{tag}"'})


def _desired(plant: AsOf, signal: Signal) -> DesiredView:
    beside = plant.graph.desired_of(signal)
    if beside is None:
        raise NotFoundError(f"{plant.graph.signal_id(signal)} is not for setting: it is not `writable`")
    wanted, found, last = plant.read(beside.index), plant.read(signal.index), latest(plant, signal.index)
    return DesiredView(
        plant.graph.signal_id(signal),
        signal.unit,
        None if wanted is None else shown(wanted.value, beside, plant),
        None if wanted is None else format_time(wanted.time),
        None if found is None else shown(found.value, signal, plant),
        None if last is None else command_view(last),
    )


async def list_commands(context: Context, request: Request) -> Response:
    """Commands, the newest first."""
    plant = await moment(context, request, "signal", "state", "limit")
    limit = query.whole(request, "limit", 100, low=1, high=MOST)
    id, state = request.query_params.get("signal"), request.query_params.get("state")
    if state is not None and state not in tuple(CommandState):
        raise InvalidValueError(f"state is one of {', '.join(CommandState)}, not {state!r}", "state")
    signal = None if id is None else plant.graph.find_signal(id).index
    found = await asyncio.to_thread(commands, plant, signal, None if state is None else CommandState(state), limit)
    return json_answer(CommandList([command_view(each) for each in found]))


async def get_command(context: Context, request: Request) -> Response:
    """One command."""
    plant = await moment(context, request)
    return json_answer(command_view(await asyncio.to_thread(command, plant, request.path_params["id"])))


async def cancel_command(context: Context, request: Request) -> Response:
    """Takes a command back that was not sent yet."""
    query.only(request, "reason")
    engine = commands_of(context)
    return json_answer(command_view(await engine.cancel(request.path_params["id"], request.query_params.get("reason"))))


def commands_of(context: Context) -> Commands:
    """The running service's; raises ConflictError where none runs."""
    if context.commands is None:
        raise ConflictError("no service runs on this data directory, so nothing can be sent; start it: iotsense run")
    return context.commands


def client_of(request: Request) -> str:
    """Where a request comes from, for the record."""
    return request.client.host if request.client is not None and request.client.host else "this machine's socket"


def command_view(made: Command) -> CommandView:
    """A command as clients read it."""

    def told(time: int | None) -> str | None:
        return None if time is None else format_time(time)

    return CommandView(
        made.id, made.signal_id, made.value, made.unit, made.given, str(made.state), format_time(made.requested),
        format_time(made.deadline), told(made.sent), told(made.ended), made.source, made.address, made.read_back,
        made.why, made.actor, made.origin, made.reason,
    )  # fmt: skip


def _expected(request: Request) -> str | None:
    tags = expected_tags(request)
    return None if tags is None else tags[0]


def _deadline(given: str | float) -> float:
    try:
        return parse_duration(given)
    except InvalidValueError as error:
        raise InvalidValueError(str(error), "deadline") from None


_IF_MATCH = Parameter("If-Match", "Only if this is still the latest command: the ETag of what you saw", place="header")

ENDPOINTS = [
    Endpoint(
        "PUT", f"{PREFIX}/signals/{{id}}/desired", set_desired, "Set a signal",
        (
            Answer("The command; it is durable, and on its way", CommandView, status=202),
            Answer("In a scenario: the value is held there, and nothing is sent", CommandView),
        ),
        "commands", (Parameter("scenario", "In this scenario only"), IDEMPOTENCY, _IF_MATCH), Body({JSON: DesiredBody}),
        (*WRITE_PROBLEMS, 412), "Refused with the reason if a limit or the interlock of the definition is in the way.",
    ),
    Endpoint(
        "GET", f"{PREFIX}/signals/{{id}}/desired", desired, "What a signal shall be, and is",
        (Answer("Both, and the latest command", DesiredView),), "commands", problems=(404,), reads=True,
    ),
    Endpoint(
        "GET", f"{PREFIX}/commands", list_commands, "Commands: who set what, when, and what came of it",
        (Answer("The newest first", CommandList),), "commands",
        (
            Parameter("signal", "Only to this signal"),
            Parameter("state", "Only in this state", {"type": "string", "enum": [str(each) for each in CommandState]}),
            Parameter("limit", "At most so many", {"type": "integer", "minimum": 1, "maximum": MOST, "default": 100}),
        ),
        problems=(400, 404), reads=True,
    ),
    Endpoint(
        "GET", f"{PREFIX}/commands/{{id}}", get_command, "One command", (Answer("The command", CommandView),),
        "commands", problems=(404,), reads=True,
    ),
    Endpoint(
        "DELETE", f"{PREFIX}/commands/{{id}}", cancel_command, "Cancel a command that was not sent yet",
        (Answer("It is cancelled; the log keeps it", CommandView),), "commands", (Parameter("reason", "Why"),),
        problems=(404, 409, 503, 507),
    ),
]  # fmt: skip
