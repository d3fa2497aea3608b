"""Setting values."""

from collections.abc import Awaitable
from typing import Annotated

import strawberry

from ..ingest.commands import Commands
from ..twin import command
from ..twin.access import Scope
from ..twin.command import Asked
from ..twin.durations import parse_duration
from ..twin.errors import ConflictError, InvalidValueError, IoTSenseError
from .command_type import Command
from .context import Request
from .field import mutation
from .moment import Ask
from .once import OnceKey, once
from .payload import Problem
from .report_mutation import Key
from .scalars import Long, Setting
from .view import View

Deadline = Annotated[str | None, strawberry.argument(description="How long it may take, such as 30s.")]


@strawberry.type(description="A command that is durable, or the errors because of which there is none.")
class CommandPayload:
    command: Command | None
    revision: Long = strawberry.field(description="The structure's revision; give it as `minRevision` elsewhere.")
    errors: list[Problem]


@strawberry.type
class CommandMutation:
    @mutation(Scope.COMMANDS_WRITE)
    async def set_desired(
        self,
        info: Ask,
        signal: strawberry.ID,
        value: Setting,
        unit: str | None = None,
        reason: str | None = None,
        actor: str | None = None,
        deadline: Deadline = None,
        scenario: strawberry.ID | None = None,
        key: Key = None,
    ) -> CommandPayload:
        """Asks for a value of a signal; the answer is the command, which is on its way. In a scenario nothing is sent.

        `actor` says who asks. Needs the scope commands:write.
        """

        async def made() -> command.Command:
            within = None if deadline is None else _seconds(deadline)
            asked = Asked(signal, value, unit, reason, actor, f"graphql from {info.context.origin}", within)
            engine = _engine(info.context)
            if scenario is None:
                return await engine.set(asked, key)
            same = (scenario, asked.content())
            return (await once(info, key, same, lambda: engine.hold(scenario, asked)))[0]

        return await _told(info.context, made())

    @mutation(Scope.COMMANDS_WRITE)
    async def cancel_command(
        self, info: Ask, id: strawberry.ID, reason: str | None = None, key: OnceKey = None
    ) -> CommandPayload:
        """Takes a command back that was not sent yet."""

        async def cancelled() -> command.Command:
            return (await once(info, key, (id, reason), lambda: _engine(info.context).cancel(id, reason)))[0]

        return await _told(info.context, cancelled())


def _engine(request: Request) -> Commands:
    engine = request.service.commands
    if engine is None:
        raise ConflictError("no service runs on this data directory, so nothing can be sent")
    return engine


def _seconds(deadline: str) -> float:
    try:
        return parse_duration(deadline)
    except InvalidValueError as error:
        raise InvalidValueError(str(error), "deadline") from None


async def _told(request: Request, doing: Awaitable[command.Command]) -> CommandPayload:
    found, errors = None, []
    try:
        record = await doing
        found = Command.of(View(request), record)
    except IoTSenseError as error:
        errors = [Problem.of(error)]
    return CommandPayload(command=found, revision=Long(request.service.twin.graph.revision), errors=errors)
