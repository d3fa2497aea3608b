"""The open commands of all signals: one under way at a time, sent in order, brought to their ends.

What is open is in the log of events, so a run takes up what an earlier one left.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from ..twin.command import COMMAND, Command, CommandState, command_of
from ..twin.command_limits import check_interlock, writing_of
from ..twin.errors import ConflictError, IoTSenseError, StorageError
from ..twin.times import NS
from ..twin.twin import Twin
from .command_routes import Routes
from .command_sending import Sending

log = logging.getLogger("iotsense.commands")
GRACE_S = 10.0
_LOOK_S = 0.1
_STORAGE_PAUSE_S = 1.0


@dataclass(slots=True)
class Channel:
    """The open commands of one signal: the one that waits, and the one that was sent."""

    waiting: Command | None = None
    flying: Command | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Channels:
    """The open commands by signal; `turn` is held by whoever takes one in or back."""

    def __init__(self, twin: Twin, routes: Routes, clock: Callable[[], int]) -> None:
        """`clock` [ns]."""
        self._twin = twin
        self._routes = routes
        self._clock = clock
        self._channels: dict[int, Channel] = {}
        self._running: asyncio.TaskGroup | None = None
        self.turn = asyncio.Lock()

    def of(self, signal: int) -> Channel:
        """The channel of a signal (index)."""
        return self._channels.setdefault(signal, Channel())

    async def run(self) -> None:
        """Finishes what is open and sends what comes, until cancelled."""
        async with asyncio.TaskGroup() as group:
            try:
                async with self.turn:
                    self._running = group
                    self._recover()
                await asyncio.Event().wait()
            finally:
                self._running = None

    def _recover(self) -> None:
        self._channels.clear()
        for event in sorted(self._twin.open_events(COMMAND), key=lambda event: event.seq):
            found = command_of(event)
            channel = self.of(found.signal)
            if found.state is CommandState.SENT:
                channel.flying = found
            else:
                channel.waiting = found
        for index, channel in self._channels.items():
            self.work(index, channel)

    def work(self, index: int, channel: Channel) -> None:
        """Something has changed in a channel."""
        if channel.task is None and self._running is not None:
            channel.task = self._running.create_task(self._serve(index, channel))
        channel.changed.set()

    async def _serve(self, index: int, channel: Channel) -> None:
        """Brings the commands of a signal to their ends, one after another."""
        try:
            while channel.flying is not None or channel.waiting is not None:
                try:
                    await self._next(channel)
                except StorageError as error:
                    log.warning("a command waits: %s", error)
                    await asyncio.sleep(_STORAGE_PAUSE_S)
        finally:
            channel.task = None
        if channel.waiting is None and channel.flying is None:
            self._channels.pop(index, None)

    async def _next(self, channel: Channel) -> None:
        if channel.flying is not None:
            # Sent by an earlier run, which did not see what came of it: nothing is sent again before a look.
            flying = channel.flying
            patience = max(flying.deadline, self._clock() + round(GRACE_S * NS))
            await self._finish(channel, flying, patience)
            return
        waiting = channel.waiting
        assert waiting is not None
        why = self._obstacle(waiting)
        if why is None:
            await self._send(channel, waiting)
        elif self._clock() >= waiting.deadline:
            await self._end(channel, waiting.became(CommandState.EXPIRED, self._clock(), why))
        else:
            channel.changed.clear()
            left = (waiting.deadline - self._clock()) / NS
            await _wait(channel.changed, min(_LOOK_S, max(left, 0.0)))

    def _obstacle(self, waiting: Command) -> str | None:
        """Why it cannot be sent at this moment."""
        try:
            signal = self._twin.graph.signal(waiting.signal)
            route = self._routes.of(signal, writing_of(self._twin.graph, signal), waiting.value)
        except IoTSenseError as error:
            return str(error)
        if not route.connected:
            return route.trouble
        return "it was not sent in time" if self._clock() >= waiting.deadline else None

    async def _send(self, channel: Channel, waiting: Command) -> None:
        signal = self._twin.graph.signal(waiting.signal)
        try:
            check_interlock(writing_of(self._twin.graph, signal), self._twin.as_of(), signal)
        except ConflictError as error:
            await self._end(channel, waiting.became(CommandState.FAILED, self._clock(), str(error)))
            return
        now = self._clock()
        flying = waiting.became(CommandState.SENT, now, sent=now)
        channel.flying, channel.waiting = flying, None
        try:
            await self._twin.record_async([flying.draft()])  # before it leaves: whoever restarts must know
        except BaseException:
            channel.flying = None
            channel.waiting = channel.waiting or waiting
            raise
        await self._finish(channel, flying)

    async def _finish(self, channel: Channel, flying: Command, patience: int | None = None) -> None:
        """`patience` [ns] for what an earlier run has sent."""
        try:
            sending = Sending(self._twin, self._routes, flying, self._clock, patience)
            ended = await sending.run(was_sent=patience is not None)
        except IoTSenseError as error:
            ended = flying.became(CommandState.FAILED, self._clock(), str(error))
        except Exception as error:  # whatever an adapter fails with ends its command, and no other
            log.exception("command %s to %s", flying.id, flying.signal_id)
            ended = flying.became(CommandState.FAILED, self._clock(), f"{type(error).__name__}: {error}")
        await self._end(channel, ended)

    async def _end(self, channel: Channel, ended: Command) -> None:
        await self._twin.record_async([ended.draft()])
        if channel.flying is not None and channel.flying.id == ended.id:
            channel.flying = None
        if channel.waiting is not None and channel.waiting.id == ended.id:
            channel.waiting = None
        level = logging.INFO if ended.state is CommandState.CONFIRMED else logging.WARNING
        why = f": {ended.why}" if ended.why else ""
        log.log(level, "command %s: %s to %s is %s%s", ended.id, ended.signal_id, ended.value, ended.state, why)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
