"""Replay: a stretch of the past played as frames at a speed, paused, continued, and moved to any instant.

A frame is the plant as of its time, so what a replay shows is what a question about that instant answers.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .as_of import AsOf
from .chosen_signals import ChosenSignals
from .durations import parse_duration
from .errors import ConflictError, InvalidValueError, NotFoundError
from .graph import Graph
from .state import NEVER, StateColumns
from .times import NS, format_time
from .twin import Twin

FASTEST_HZ = 20.0
GRANULARITY = NS // 10
MOST_PLAYERS = 100
Chosen = Callable[[Graph], NDArray[np.int32]]


@dataclass(frozen=True, slots=True)
class Frame:
    """The plant at `time` [ns]: rows of the signals (index) that changed since the frame before; of all if `whole`."""

    time: int
    plant: AsOf
    whole: bool
    signals: NDArray[np.int32]
    columns: StateColumns


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is played: [start, end] in world time [ns], by what was known at `known_at`, in a scenario if one is named.

    speed: seconds of the plant in a second; None plays as fast as frames can be made. step [ns] is the granularity: at
    high speeds frames are further apart, so that there are at most 20 a second.
    """

    start: int
    end: int
    speed: float | None = 1.0
    step: int = GRANULARITY
    known_at: int | None = None
    scenario: str | None = None

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise InvalidValueError(
                f"from ({format_time(self.start)}) must be before to ({format_time(self.end)})", "from"
            )
        if self.speed is not None and not 0 < self.speed <= 1e6:
            raise InvalidValueError(f"the speed must be above 0 and at most 1,000,000, not {self.speed:g}", "speed")
        if self.step < 1_000_000:
            raise InvalidValueError("the granularity must be at least a millisecond", "granularity")


class Player:
    """Plays one stretch. `frames` is iterated once; the other methods may be called meanwhile, from the same loop."""

    def __init__(self, twin: Twin, stretch: Stretch, chosen: Chosen) -> None:
        self.id = secrets.token_hex(8)
        self.position = stretch.start
        self.speed = stretch.speed
        self._twin = twin
        self._stretch = stretch
        self._chosen = chosen
        self._paused = False
        self._changed = asyncio.Event()
        self._last: tuple[NDArray[np.int32], StateColumns] | None = None

    # Moving it

    def pause(self) -> None:
        """No more frames until `resume` or `seek`."""
        self._paused = True
        self._changed.set()

    def resume(self) -> None:
        """Goes on where it stands."""
        self._paused = False
        self._changed.set()

    def seek(self, time: int) -> None:
        """Stands at another instant [ns], also when paused; the next frame is a whole one. Raises InvalidValueError."""
        if not self._stretch.start <= time <= self._stretch.end:
            start, end = format_time(self._stretch.start), format_time(self._stretch.end)
            raise InvalidValueError(f"{format_time(time)} is not between {start} and {end}", "to")
        self.position, self._last = time, None
        self._changed.set()

    def accelerate(self, speed: float | None) -> None:
        """Another speed from here on. Raises InvalidValueError."""
        Stretch(self._stretch.start, self._stretch.end, speed)
        self.speed = speed
        self._changed.set()

    # Playing

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """The frames, at their time; the last stands at the end of the stretch."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            began, origin, speed = loop.time(), self.position, self.speed
            yield await self._frame()
            while not (self._paused or self._changed.is_set()):
                if self.position >= self._stretch.end:
                    return
                played = None if speed is None else int((loop.time() - began) * speed * NS)
                following = self._next(origin, speed, played)
                if played is not None and speed is not None:
                    await self._wait((following - origin - played) / (speed * NS))
                if not self._changed.is_set():
                    self.position = following
                    yield await self._frame()
            while self._paused and self._last is not None:
                self._changed.clear()
                await self._changed.wait()

    def _next(self, origin: int, speed: float | None, played: int | None) -> int:
        """One step on, or where the clock is by now, whole steps from the origin."""
        step = self._stretch.step
        if speed is not None:
            step = max(step, int(speed / FASTEST_HZ * NS))
        due = self.position + step if played is None else max(self.position + step, origin + played // step * step)
        return min(due, self._stretch.end)

    async def _wait(self, seconds: float) -> None:
        """Until the next frame is due, or somebody moves the replay."""
        if seconds > 0:
            try:
                await asyncio.wait_for(self._changed.wait(), seconds)
            except TimeoutError:
                return

    async def _frame(self) -> Frame:
        time, stretch = self.position, self._stretch
        plant = await self._twin.as_of_async(time, stretch.known_at, stretch.scenario)
        signals = self._chosen(plant.graph)
        columns = await asyncio.to_thread(plant.snapshot, signals)
        before, self._last = self._last, (signals, columns)
        if before is None or not np.array_equal(before[0], signals):
            return Frame(time, plant, True, signals, columns)
        rows = np.flatnonzero(_differs(before[1], columns)).astype(np.int32)
        return Frame(time, plant, False, signals[rows], columns.take(rows))


def _differs(a: StateColumns, b: StateColumns) -> NDArray[np.bool_]:
    same_value = (a.value == b.value) | (np.isnan(a.value) & np.isnan(b.value))
    changed: NDArray[np.bool_] = (a.time != b.time) | ~same_value | (a.quality != b.quality)
    return changed


def chosen_signals(nodes: Sequence[str]) -> Chosen:
    """The signals of these nodes and of all that they contain; of the whole plant if none is named."""

    def of(graph: Graph) -> NDArray[np.int32]:
        return ChosenSignals(graph, nodes or None, None).indexes

    return of


def texts_and_numbers(frame: Frame) -> list[float | str | None]:
    """The values of a frame as people know them: texts of text signals, None without a reading."""
    found: list[float | str | None] = []
    for index, value, time in zip(
        frame.signals.tolist(), frame.columns.value.tolist(), frame.columns.time.tolist(), strict=True
    ):
        text = frame.plant.label(index, value) if value == value else None
        found.append(None if time == NEVER or value != value else value if text is None else text)
    return found


class Players:
    """The replays that are being played, by their id, so that somebody may move them."""

    def __init__(self) -> None:
        self._players: dict[str, Player] = {}

    def get(self, id: str) -> Player:
        """One that plays; raises NotFoundError."""
        player = self._players.get(id)
        if player is None:
            raise NotFoundError(f"no replay {id!r} is being played")
        return player

    async def play(self, player: Player) -> AsyncGenerator[Frame, None]:
        """The frames of a player, which can be moved by its id meanwhile. Raises ConflictError beyond 100."""
        if len(self._players) >= MOST_PLAYERS:
            raise ConflictError(f"{MOST_PLAYERS} replays are being played already")
        self._players[player.id] = player
        try:
            async for frame in player.frames():
                yield frame
        finally:
            del self._players[player.id]


def granularity_of(twin: Twin) -> int:
    """The granularity that the definition sets [ns]; raises ConflictError where replay is switched off."""
    replay = (twin.graph.definition.get("twin_operations") or {}).get("replay") or {}
    if replay.get("enabled") is False:
        raise ConflictError("replay is switched off: twin_operations.replay.enabled is false")
    given = replay.get("granularity")
    return GRANULARITY if given is None else round(parse_duration(given) * NS)
