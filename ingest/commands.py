"""Commands: values that signals shall have, taken in durably, sent in order, and confirmed by what the device shows.

What a command goes through is told by events (see `twin.command`). One command of a signal is under way at a time; of
those that wait for it the newest counts, and the others are superseded, so never more than two of a signal are open.
"""

import asyncio
import secrets
from collections.abc import Callable

import msgspec

from ..twin.batch import ReadingBatch
from ..twin.command import COMMAND, Asked, Command, CommandState
from ..twin.command_limits import check_interlock, check_interval, check_range, check_step, meant, writing_of
from ..twin.commanded import command, latest
from ..twin.define_writing import Writing
from ..twin.entry import EventDraft
from ..twin.errors import (
    ConflictError,
    InvalidValueError,
    NotFoundError,
    OutdatedError,
)
from ..twin.graph import Graph
from ..twin.model import Signal
from ..twin.report import digest, request_mark
from ..twin.times import NS, now_ns
from ..twin.twin import Twin
from .command_channels import Channels
from .command_routes import Routes

LONGEST_S = 24 * 3600.0


class Commands:
    """All methods belong to one event loop; `run` sends what is taken in, and what an earlier run had left open.

    interlocks and limits are looked at when a command is taken in; the interlock again just before it is sent.
    """

    def __init__(self, twin: Twin, routes: Routes, clock: Callable[[], int] = now_ns) -> None:
        """`clock` [ns]."""
        self._twin = twin
        self._routes = routes
        self._clock = clock
        self._channels = Channels(twin, routes, clock)

    @property
    def open_count(self) -> int:
        """How many commands have not ended."""
        return len(self._twin.open_events(COMMAND))

    async def run(self) -> None:
        """Sends what is taken in until cancelled; what is open then, the next run finishes."""
        await self._channels.run()

    async def set(self, asked: Asked, key: str | None = None, expected: str | None = None) -> Command:
        """Takes a command in; it is durable when this returns. The same `key` is the same command.

        expected: the id of the signal's latest command as the caller knows it, "" for none. Raises NotFoundError,
        InvalidValueError (a value, unit or range), ConflictError (not for setting, no source writes it, a limit or the
        interlock is in the way), OutdatedError (another came meanwhile), StorageError. What limits and interlocks
        refuse is on record, too.
        """
        mark = request_mark(key, asked.content())
        async with self._channels.turn:
            if key is not None and (known := await self._known(key, mark)) is not None:
                return known
            graph = self._twin.graph
            signal = graph.find_signal(asked.signal)
            last = await asyncio.to_thread(latest, self._twin.as_of(), signal.index)
            if expected is not None and expected != ("" if last is None else last.id):
                raise OutdatedError(f"another command to {graph.signal_id(signal)} came meanwhile; look, and ask again")
            made = await self._made(asked, signal, key, mark, last)
            return await self._take(graph, signal, made)

    async def hold(self, scenario: str, asked: Asked) -> Command:
        """Sets it in a scenario only: nothing is sent, and the scenario holds the desired value from its clock on."""
        plant = await self._twin.as_of_async(scenario=scenario)
        signal = plant.graph.find_signal(asked.signal)
        signal = self._twin.graph.signal(signal.index)  # as it is meant outside, not as simulated
        writing = writing_of(self._twin.graph, signal)
        value = meant(signal, self._labels(signal), asked.value, asked.unit)
        check_range(writing, signal, value)
        check_interlock(writing, plant, signal)
        desired = self._desired(self._twin.graph, signal)
        overrides = {self._twin.graph.signal_id(desired): value if isinstance(value, str) else float(value)}
        await asyncio.to_thread(self._twin.scenarios.override, scenario, overrides)
        made = self._command(asked, signal, value, writing, "")
        return made.became(CommandState.HELD, made.requested)

    async def cancel(self, id: str, why: str | None = None) -> Command:
        """Takes a command back that was not sent yet. Raises NotFoundError, ConflictError."""
        async with self._channels.turn:
            found = await asyncio.to_thread(command, self._twin.as_of(), id)
            channel = self._channels.of(found.signal)
            if channel.waiting is None or channel.waiting.id != id:
                raise ConflictError(f"command {id} is {found.state}: it cannot be cancelled any more")
            ended = channel.waiting.became(CommandState.CANCELLED, self._clock(), why)
            channel.waiting = None
            await self._twin.record_async([ended.draft()])
            channel.changed.set()
            return ended

    async def _known(self, key: str, mark: str) -> Command | None:
        try:
            known = await asyncio.to_thread(command, self._twin.as_of(), _id_of(key))
        except NotFoundError:
            return None
        if known.request != mark:
            raise ConflictError("the idempotency key was used for another command")
        return known

    async def _made(self, asked: Asked, signal: Signal, key: str | None, mark: str, last: Command | None) -> Command:
        """The command, if nothing speaks against it; what does speak against it is put on record."""
        graph = self._twin.graph
        writing = writing_of(graph, signal)
        value = meant(signal, self._labels(signal), asked.value, asked.unit)
        made = self._command(asked, signal, value, writing, _id_of(key))
        made = msgspec.structs.replace(made, request=None if key is None else mark)
        try:
            check_range(writing, signal, value)
            check_interval(writing, None if last is None else last.requested, made.requested)
            check_step(writing, self._twin.as_of(), signal, value)
            check_interlock(writing, self._twin.as_of(), signal)
            route = self._routes.of(signal, writing, value)
        except (InvalidValueError, ConflictError) as error:
            refused = msgspec.structs.replace(made, id=_id_of(None), request=None)
            await self._twin.record_async([refused.became(CommandState.REFUSED, made.requested, str(error)).draft()])
            raise
        return msgspec.structs.replace(made, source=route.adapter.name, address=route.address)

    def _command(self, asked: Asked, signal: Signal, value: float | bool | str, writing: Writing, id: str) -> Command:
        within = writing.deadline if asked.within is None else asked.within
        if not 0 < within <= LONGEST_S:
            raise InvalidValueError("a command takes more than nothing and at most a day", "deadline")
        now = self._clock()
        given = asked.value if isinstance(asked.value, str) and isinstance(value, float) else None
        if asked.unit not in (None, signal.unit):
            given = f"{asked.value} {asked.unit}"
        return Command(
            id, signal.index, signal.node, self._twin.graph.signal_id(signal), value, now, now + round(within * NS),
            unit=signal.unit, given=given, actor=asked.actor, origin=asked.origin, reason=asked.reason,
        )  # fmt: skip

    async def _take(self, graph: Graph, signal: Signal, made: Command) -> Command:
        channel = self._channels.of(signal.index)
        old = channel.waiting
        channel.waiting = made
        drafts: list[EventDraft] = []
        if old is not None:
            drafts.append(old.became(CommandState.SUPERSEDED, made.requested, f"{made.id} came after it").draft())
        try:
            await self._twin.record_async([*drafts, made.draft()], self._batch(graph, signal, made))
        except BaseException:
            if channel.waiting is made:
                channel.waiting = old
            raise
        self._channels.work(signal.index, channel)
        return made

    def _batch(self, graph: Graph, signal: Signal, made: Command) -> ReadingBatch:
        desired = self._desired(graph, signal)
        text = made.value if isinstance(made.value, str) else None
        value = float(made.value) if text is None else self._twin.label_code(desired.index, text)
        return ReadingBatch.of([desired.index], [made.requested], [value])

    def _desired(self, graph: Graph, signal: Signal) -> Signal:
        desired = graph.desired_of(signal)
        assert desired is not None  # `writing_of` has looked
        return desired

    def _labels(self, signal: Signal) -> tuple[str, ...]:
        return self._twin.labels(signal.index) or signal.labels


def _id_of(key: str | None) -> str:
    return "c" + (secrets.token_hex(8) if key is None else digest(key))
