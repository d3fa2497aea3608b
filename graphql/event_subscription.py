"""The numbered log of events, pushed."""

import asyncio
from collections.abc import AsyncGenerator

import strawberry

from ..twin.access import Scope
from ..twin.event_gap import GONE
from .context import Budget
from .event_type import Event
from .field import subscription
from .moment import Ask, MinRevision, seen
from .news import reached
from .scalars import Long
from .view import View

EVENT_PAGE = 500


@strawberry.type
class EventSubscription:
    @subscription(Scope.PLANT_READ, narrows=True)
    async def events(
        self,
        info: Ask,
        after: Long | None = None,
        kind: str | None = None,
        node: strawberry.ID | None = None,
        min_revision: MinRevision = None,
    ) -> AsyncGenerator[Event, None]:
        """The log of events, each once and in order, from the number behind `after` on; from now on unless told.

        Of one `kind` and of one `node`, if told. Reconnect with the last `seq` that you have, and you miss nothing.
        Where events are gone comes one of the kind `gone`, whatever was asked for; its data have their numbers, `from`
        and `to`.
        """
        await seen(info.context, min_revision)
        twin = info.context.service.twin
        key = None if node is None else twin.graph.find(node).key
        seq = twin.last_event_seq if after is None else int(after)
        while True:
            await reached(twin, lambda: twin.last_event_seq > seq)  # noqa: B023 - it is asked before seq moves on
            end = twin.last_event_seq
            page = await asyncio.to_thread(twin.as_of().event_log, seq, EVENT_PAGE)
            for event in page:
                seq = event.seq
                if event.kind == GONE or (kind in (None, event.kind) and key in (None, event.node)):
                    yield Event.of(View(info.context, Budget()), event)
            if len(page) < EVENT_PAGE:
                # Of what whoever is tied to a part of the plant may not see, there is nothing to wait for either.
                seq = max(seq, end)
