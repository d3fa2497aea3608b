"""One command on its way: written, read back until the device shows it, tried again after the connection was lost."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from ..twin.command import Command, CommandState
from ..twin.command_limits import check_interlock, confirms, writing_of
from ..twin.errors import ConflictError, InvalidValueError, SourceError
from ..twin.times import NS
from ..twin.twin import Twin
from .command_routes import Route, Routes

T = TypeVar("T")
REFUSALS = 3
_FIRST_LOOK_S = 0.02
_LONGEST_LOOK_S = 0.5


class Sending:
    """Brings a command that is marked as sent to its end.

    It is written until the device has taken it, and read back until the device shows it. Where a write may have arrived
    or not, it is read before it is written again. A device that refuses while it is connected has the last word at its
    third refusal; one that is away is waited for until the deadline. What cannot be read back is never written twice.
    """

    def __init__(
        self, twin: Twin, routes: Routes, command: Command, clock: Callable[[], int], patience: int | None = None
    ) -> None:
        """patience: until when it is waited for [ns], the deadline unless told; nothing is written behind that."""
        self._twin = twin
        self._routes = routes
        self._command = command
        self._clock = clock
        self._patience = command.deadline if patience is None else patience
        self._signal = twin.graph.signal(command.signal)
        self._writing = writing_of(twin.graph, self._signal)
        self._shown: Any = None
        self._trouble: str | None = None
        self._refusal: str | None = None
        self._refusals = 0

    async def run(self, was_sent: bool = False) -> Command:
        """How it ended. `was_sent`: by an earlier run, which did not see what came of it."""
        maybe_there, taken, pause = was_sent, False, _FIRST_LOOK_S
        while self._clock() < self._patience:
            writing = False
            if maybe_there and not self._writing.read_back:
                return self._ended(CommandState.FAILED, self._unknown())
            try:
                route = self._route()
                if maybe_there and await self._is_shown(route):
                    return self._ended(CommandState.CONFIRMED)
                if not taken and self._clock() < self._command.deadline:
                    check_interlock(self._writing, self._twin.as_of(), self._signal)
                    maybe_there = writing = True
                    await self._within(route.write(self._command.value))
                    if not self._writing.read_back:
                        return self._ended(CommandState.CONFIRMED)
                    taken, pause = True, _FIRST_LOOK_S
                    self._trouble = self._refusal = None
                    continue
            except (InvalidValueError, ConflictError) as error:
                return self._ended(CommandState.FAILED, str(error))
            except (SourceError, TimeoutError) as error:
                self._trouble = str(error) or "the device does not answer"
                if writing and isinstance(error, SourceError):
                    self._refusal = self._trouble
                if self._refusal is not None and self._is_refused():
                    return self._ended(CommandState.FAILED, self._refusal)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_LOOK_S)
        return self._ended(CommandState.EXPIRED, self._late(taken))

    def _route(self) -> Route:
        """The way there; raises SourceError while there is none, such as when sources are being started anew."""
        try:
            route = self._routes.of(self._signal, self._writing, self._command.value)
        except ConflictError as error:
            raise SourceError(str(error)) from None
        if not route.connected:
            raise SourceError(route.trouble)
        return route

    async def _is_shown(self, route: Route) -> bool:
        self._shown = await self._within(route.read())
        return confirms(self._writing, self._command.value, self._shown)

    async def _within(self, answer: Awaitable[T]) -> T:
        async with asyncio.timeout(max((self._patience - self._clock()) / NS, 0)):
            return await answer

    def _is_refused(self) -> bool:
        """Whether the device, which is connected, has said no often enough."""
        try:
            self._route()
        except SourceError:
            self._refusals, self._refusal = 0, None
            return False
        self._refusals += 1
        return self._refusals >= REFUSALS

    def _unknown(self) -> str:
        why = f" ({self._trouble})" if self._trouble else ""
        return f"it was sent{why}, and whether it arrived is not known, since `read_back` is false"

    def _late(self, taken: bool) -> str:
        unit = f" {self._signal.unit}" if self._signal.unit else ""
        value = f"{self._shown:.6g}" if isinstance(self._shown, float) else self._shown
        shown = f"the device shows {value}{unit}"
        if self._trouble is not None:
            return f"not confirmed in time: {self._trouble}"
        return f"not confirmed in time: {shown}" + ("" if taken else ", and it is too late to send it again")

    def _ended(self, state: CommandState, why: str | None = None) -> Command:
        shown = self._shown if isinstance(self._shown, bool | str | int | float) else None
        ended = self._command.became(state, self._clock(), why)
        return msgspec.structs.replace(ended, read_back=shown)
