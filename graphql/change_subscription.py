"""The changes of the graph, pushed revision by revision."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from dataclasses import replace

import strawberry

from ..twin.access import Scope
from ..twin.errors import InvalidValueError
from ..twin.graph_changes import GraphChanges
from ..twin.plan_changes import Changes
from .change_type import GraphChange, GraphPart
from .context import Budget
from .field import subscription
from .moment import Ask, MinRevision, seen
from .news import reached
from .scalars import Long
from .view import View


@strawberry.type
class ChangeSubscription:
    @subscription(Scope.PLANT_READ, narrows=True)
    async def graph_changes(
        self,
        info: Ask,
        after: Long | None = None,
        nodes: list[strawberry.ID] | None = None,
        parts: list[GraphPart] | None = None,
        min_revision: MinRevision = None,
    ) -> AsyncGenerator[GraphChange, None]:
        """The revisions of the structure, each once and in order, from behind `after` on; from now on unless told.

        Only what concerns `nodes` and what is below them, as if there were nothing else; only these `parts`. Revisions
        of which nothing is left are passed over. Reconnect with the last `revision` that you have, and you miss
        nothing.
        """
        for name, given in (("nodes", nodes), ("parts", parts)):
            if given is not None and not given:
                raise InvalidValueError(f"{name} is empty: leave it out, or say what is to be followed", name)
        request = info.context
        await seen(request, min_revision)
        twin, under = request.service.twin, request.principal.under
        revisions = twin.revisions
        start = revisions.newest if after is None else int(after)
        following = await asyncio.to_thread(GraphChanges, revisions, start, under, nodes)
        complete = following.whole and parts is None
        while True:
            await reached(twin, lambda: revisions.newest > following.revision)
            for change in await asyncio.to_thread(following.more):
                told = change.changes if parts is None else _only(change.changes, parts)
                if complete or not told.empty:
                    yield GraphChange.of(View(request, Budget()), change, told)


def _only(changes: Changes, parts: Collection[GraphPart]) -> Changes:
    return replace(changes, **{part.value: () for part in GraphPart if part not in parts})
