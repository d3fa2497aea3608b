"""Replay: a stretch of the past pushed as frames, for a time slider."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry
from strawberry.types import Info

from ..twin.access import Scope
from ..twin.durations import parse_duration
from ..twin.replay import Frame, Player, Stretch, chosen_signals, granularity_of, texts_and_numbers
from ..twin.times import NS, now_ns
from .context import Request
from .field import subscription
from .moment import MinRevision, seen
from .scalars import Instants, Long, NumberColumn, TextColumn, Time, TimeColumn, ValueColumn, numbers
from .timed import timed

From = Annotated[Time, strawberry.argument(name="from", description="Where it begins.")]
Speed = Annotated[
    float | None,
    strawberry.argument(description="Seconds of the plant in a second; null: as fast as frames can be made."),
]
Granularity = Annotated[
    str | None, strawberry.argument(description="Time between frames, such as 100ms; the definition's unless told.")
]


@strawberry.type(description="The plant at an instant of a replay: columns of the signals that changed since before.")
@timed
class ReplayFrame:
    replay: strawberry.ID = strawberry.field(description="Under this id the replay can be paused and moved.")
    time: Time
    revision: Long = strawberry.field(description="The revision of the structure then.")
    whole: bool = strawberry.field(description="Whether it holds all signals: the first one, and after a jump.")
    signal: TextColumn
    index: NumberColumn
    value: ValueColumn
    at: TimeColumn = strawberry.field(description="The times of the readings.")
    quality: NumberColumn = strawberry.field(description="OPC quality bytes.")

    @classmethod
    def of(cls, player: Player, frame: Frame) -> "ReplayFrame":
        """What GraphQL shows of a frame."""
        graph, columns = frame.plant.graph, frame.columns
        return cls(
            replay=strawberry.ID(player.id),
            time=Time(frame.time),
            revision=Long(graph.revision),
            whole=frame.whole,
            signal=TextColumn([graph.signal_id(graph.signal(index)) for index in frame.signals.tolist()]),
            index=NumberColumn(numbers(frame.signals)),
            value=ValueColumn(texts_and_numbers(frame)),
            at=TimeColumn(Instants(columns.time.tolist())),
            quality=NumberColumn(numbers(columns.quality)),
        )


@strawberry.type
class ReplaySubscription:
    @subscription(Scope.PLANT_READ)
    async def replay(
        self,
        info: Info[Request, None],
        from_: From,
        to: Time | None = None,
        speed: Speed = 1.0,
        granularity: Granularity = None,
        nodes: list[strawberry.ID] | None = None,
        known_at: Time | None = None,
        scenario: strawberry.ID | None = None,
        min_revision: MinRevision = None,
    ) -> AsyncGenerator[ReplayFrame, None]:
        """Plays [from, to] again, at most 20 frames a second; `POST /api/v1/iotsense/replay/ID` moves it meanwhile."""
        await seen(info.context, min_revision)
        service = info.context.service
        step = granularity_of(service.twin) if granularity is None else round(parse_duration(granularity) * NS)
        end = now_ns() if to is None else int(to)
        stretch = Stretch(int(from_), end, speed, step, known_at, scenario)
        chosen = chosen_signals(nodes or ())
        chosen(service.twin.graph)  # an unknown node is told before anything is played
        player = Player(service.twin, stretch, chosen)
        async for frame in service.players.play(player):
            yield ReplayFrame.of(player, frame)
