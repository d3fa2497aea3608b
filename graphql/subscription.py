"""What pushes: the state as coalesced batches, and the numbered log of events."""

import asyncio
from collections.abc import AsyncGenerator

import numpy as np
import strawberry
from numpy.typing import NDArray
from strawberry.types import Info

from ..twin import model
from ..twin import state as live
from ..twin.access import Scope
from ..twin.chosen_signals import ChosenSignals
from ..twin.errors import InvalidValueError
from ..twin.event_gap import GONE
from ..twin.state_subscription import FASTEST_HZ
from ..twin.twin import Twin
from .context import Budget, Request
from .event_type import Event
from .field import field, subscription
from .replay_subscription import ReplaySubscription
from .scalars import Long, NumberColumn, TextColumn, TimeColumn, ValueColumn, numbers, times
from .signal_type import Signal
from .view import View

EVENT_PAGE = 500
# A quarter of a frame: soon enough for an event, and no search of the log at every commit of readings.
EVENT_PAUSE_S = 0.02
# Rows that are formatted on the event loop; more of them would hold up the readings, so a thread does it.
INLINE_ROWS = 500

Ask = Info[Request, None]


@strawberry.type(description="The latest readings of some signals as columns of equal length.")
class StateColumns:
    signal: TextColumn = strawberry.field(description="The signals' ids.")
    index: NumberColumn = strawberry.field(description="The signals' numbers.")
    value: ValueColumn
    time: TimeColumn
    quality: NumberColumn = strawberry.field(description="OPC quality bytes.")


@strawberry.type(description="What changed since the batch before: the latest of each signal, each signal once.")
class StateBatch:
    view: strawberry.Private[View]
    members: strawberry.Private[list[model.Signal]]
    whole: bool = strawberry.field(description="The first batch holds the whole state, those after it what changed.")
    seq: Long = strawberry.field(description="The journal's number up to which it tells.")
    columns: StateColumns

    @field
    def signals(self) -> list[Signal]:
        """The same as objects: handy for a few signals, dear for thousands."""
        return [Signal.of(self.view, signal) for signal in self.members]


@strawberry.type
class Subscription(ReplaySubscription):
    @subscription(Scope.PLANT_READ, narrows=True)
    async def state(
        self,
        info: Ask,
        nodes: list[strawberry.ID] | None = None,
        signals: list[strawberry.ID] | None = None,
        max_hz: float = 20.0,
    ) -> AsyncGenerator[StateBatch, None]:
        """The state: first the whole, then what changed, at most `maxHz` times a second.

        Of everything at and below `nodes`, and of `signals`; of the whole plant unless told. A slow reader skips
        values in between, but always gets the latest.
        """
        if not 0 < max_hz <= FASTEST_HZ:
            raise InvalidValueError(f"maxHz must be above 0 and at most {FASTEST_HZ:g}, not {max_hz:g}", "maxHz")
        loop = asyncio.get_running_loop()
        twin = info.context.service.twin
        # Followed before the first look, so that what changes meanwhile is told again, never missed.
        changes = twin.subscribe_state()
        wanted = ChosenSignals(twin.graph, nodes, signals)
        yield await _batch(info.context, wanted.indexes, whole=True)
        sent = loop.time()
        while True:
            # What comes during the pause makes one batch; what comes after it goes out at once.
            await asyncio.sleep(sent + 1.0 / max_hz - loop.time())
            changed = await changes.changed()
            sent = loop.time()
            changed = np.union1d(changed, wanted.follow(twin.graph)).astype(np.int32)
            chosen = wanted.among(changed)
            if len(chosen):
                yield await _batch(info.context, chosen)

    @subscription(Scope.PLANT_READ, narrows=True)
    async def events(
        self, info: Ask, after: Long | None = None, kind: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """The log of events, each once and in order, from the number behind `after` on; from now on unless told.

        Reconnect with the last `seq` that you have, and you miss nothing. Where events are gone comes one of the kind
        `gone`, whatever the `kind` that was asked for; its data have their numbers, `from` and `to`.
        """
        twin = info.context.service.twin
        seq = twin.last_event_seq if after is None else int(after)
        while True:
            known = twin.last_seq
            if twin.last_event_seq <= seq:
                await _more_events(twin, seq, known)
            page = await asyncio.to_thread(twin.as_of().event_log, seq, EVENT_PAGE)
            for event in page:
                seq = event.seq
                if kind in (None, event.kind) or event.kind == GONE:
                    yield Event.of(View(info.context, Budget()), event)


async def _batch(request: Request, indexes: NDArray[np.int32], *, whole: bool = False) -> StateBatch:
    view = View(request, Budget())
    seq = request.service.twin.last_seq
    state = view.plant.snapshot(indexes)
    members = [view.graph.signal_map[index] for index in indexes.tolist()]
    if len(indexes) > INLINE_ROWS:
        columns = await asyncio.to_thread(_columns, view, members, indexes, state)
    else:
        columns = _columns(view, members, indexes, state)
    return StateBatch(view=view, members=members, whole=whole, seq=Long(seq), columns=columns)


def _columns(
    view: View, members: list[model.Signal], indexes: NDArray[np.int32], state: live.StateColumns
) -> StateColumns:
    values = [
        None if time == live.NEVER else view.shown(signal, value)
        for signal, value, time in zip(members, state.value.tolist(), state.time.tolist(), strict=True)
    ]
    return StateColumns(
        signal=TextColumn([view.graph.signal_id(signal) for signal in members]),
        index=NumberColumn(numbers(indexes)),
        value=ValueColumn(values),
        time=TimeColumn(times(state.time.tolist())),
        quality=NumberColumn(numbers(state.quality)),
    )


async def _more_events(twin: Twin, seq: int, known: int) -> None:
    """Returns once there is an event behind `seq`; `known` is the journal's number when there was none."""
    while twin.last_event_seq <= seq:
        await twin.wait_entries(known)
        known = twin.last_seq
        if twin.last_event_seq <= seq:
            await asyncio.sleep(EVENT_PAUSE_S)
