"""The state of a part of the plant, pushed as coalesced batches."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import numpy as np
import strawberry
from numpy.typing import NDArray

from ..twin import model
from ..twin import state as live
from ..twin.access import Scope
from ..twin.chosen_signals import ChosenSignals, Turn
from ..twin.errors import InvalidValueError
from ..twin.graph import Graph
from ..twin.state_subscription import FASTEST_HZ
from ..twin.state_subscription import StateSubscription as Changes
from .context import Budget
from .field import field, subscription
from .followed_nodes import FollowedNodes
from .moment import Ask, MinRevision, seen
from .node_where import NodeWhere
from .scalars import Instants, Long, NumberColumn, TextColumn, TimeColumn, ValueColumn, numbers
from .signal_type import Signal
from .timed import timed
from .view import View

# Rows that are formatted on the event loop; more of them would hold up the readings, so a thread does it.
INLINE_ROWS = 500

Indexes = NDArray[np.int32]


@strawberry.type(description="The latest readings of some signals as columns of equal length.")
@timed
class StateColumns:
    signal: TextColumn = strawberry.field(description="The signals' ids.")
    index: NumberColumn = strawberry.field(description="The signals' numbers.")
    value: ValueColumn
    time: TimeColumn
    quality: NumberColumn = strawberry.field(description="OPC quality bytes.")


@strawberry.type(description="Signals as columns of equal length.")
class SignalColumns:
    signal: TextColumn = strawberry.field(description="The signals' ids.")
    index: NumberColumn = strawberry.field(description="The signals' numbers.")


@strawberry.type(description="What changed since the batch before: the latest of each signal, each signal once.")
class StateBatch:
    view: strawberry.Private[View]
    members: strawberry.Private[list[model.Signal]]
    whole: bool = strawberry.field(description="The first batch holds the whole state, those after it what changed.")
    seq: Long = strawberry.field(description="The journal's number up to which it tells.")
    revision: Long = strawberry.field(description="The revision of the structure.")
    columns: StateColumns
    gone: SignalColumns = strawberry.field(
        description="Signals that are followed no more: they went, or their nodes are not what `where` means any more."
    )

    @field
    def signals(self) -> list[Signal]:
        """The same as objects: handy for a few signals, dear for thousands."""
        return [Signal.of(self.view, signal) for signal in self.members]


@strawberry.type
class StateSubscription:
    @subscription(Scope.PLANT_READ, narrows=True)
    async def state(
        self,
        info: Ask,
        nodes: list[strawberry.ID] | None = None,
        signals: list[strawberry.ID] | None = None,
        max_hz: float = 20.0,
        where: NodeWhere | None = None,
        min_revision: MinRevision = None,
    ) -> AsyncGenerator[StateBatch, None]:
        """The state: first the whole, then what changed, at most `maxHz` times a second.

        Of everything at and below `nodes`, and below those that `where` means at the time, and of `signals`; of the
        whole plant unless told. A slow reader skips values in between, but always gets the latest.
        """
        if not 0 < max_hz <= FASTEST_HZ:
            raise InvalidValueError(f"maxHz must be above 0 and at most {FASTEST_HZ:g}, not {max_hz:g}", "maxHz")
        await seen(info.context, min_revision)
        loop = asyncio.get_running_loop()
        filtered = None if where is None else FollowedNodes(where)
        # Followed before the first look, so that what changes meanwhile is told again, never missed.
        changes = info.context.service.twin.subscribe_state()
        view = View(info.context, Budget())
        matching = None if filtered is None else await filtered.keys(view)
        wanted = ChosenSignals(view.graph, nodes, signals, matching)
        yield await _batch(view, wanted.indexes, whole=True)
        sent = loop.time()
        while True:
            # What comes during the pause makes one batch; what comes after it goes out at once.
            await asyncio.sleep(sent + 1.0 / max_hz - loop.time())
            await _news(changes, filtered.due if filtered else None)
            sent = loop.time()
            changed, former, view = changes.taken(), wanted.graph, View(info.context, Budget())
            turn = wanted.follow(view.graph, None if filtered is None else await filtered.keys(view))
            chosen = wanted.among(np.union1d(changed, turn.came).astype(np.int32))
            if len(chosen) or len(turn.gone):
                yield await _batch(view, chosen, _gone(former, turn))


async def _news(changes: Changes, due: float | None) -> None:
    """Returns when something was written, or when it is time to look again [the loop's time]."""
    with suppress(TimeoutError):
        async with asyncio.timeout_at(due):
            await changes.more()


def _gone(former: Graph, turn: Turn) -> SignalColumns | None:
    if not len(turn.gone):
        return None
    return SignalColumns(signal=_ids(former, turn.gone), index=NumberColumn(numbers(turn.gone)))


async def _batch(view: View, indexes: Indexes, gone: SignalColumns | None = None, *, whole: bool = False) -> StateBatch:
    seq = view.request.service.twin.last_seq
    state = view.plant.snapshot(indexes)
    if len(indexes) > INLINE_ROWS:
        columns = await asyncio.to_thread(_columns, view, indexes, state)
    else:
        columns = _columns(view, indexes, state)
    return StateBatch(
        view=view,
        members=[view.graph.signal_map[index] for index in indexes.tolist()],
        whole=whole,
        seq=Long(seq),
        revision=Long(view.graph.revision),
        columns=columns,
        gone=gone or SignalColumns(signal=TextColumn([]), index=NumberColumn([])),
    )


def _columns(view: View, indexes: Indexes, state: live.StateColumns) -> StateColumns:
    signals = (view.graph.signal_map[index] for index in indexes.tolist())
    values = [
        None if time == live.NEVER else view.shown(signal, value)
        for signal, value, time in zip(signals, state.value.tolist(), state.time.tolist(), strict=True)
    ]
    return StateColumns(
        signal=_ids(view.graph, indexes),
        index=NumberColumn(numbers(indexes)),
        value=ValueColumn(values),
        time=TimeColumn(Instants(state.time.tolist())),
        quality=NumberColumn(numbers(state.quality)),
    )


def _ids(graph: Graph, indexes: Indexes) -> TextColumn:
    return TextColumn([graph.signal_id(graph.signal_map[index]) for index in indexes.tolist()])
