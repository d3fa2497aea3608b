"""Subscriptions in the test's own process, and what they are told of."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from facade_fixtures import Context

from iotsense.graphql.context import Request
from iotsense.graphql.schema import schema
from iotsense.twin.access import LOCAL, Principal, Role
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.twin import Twin


class Following:
    """A subscription, read one payload after the other."""

    def __init__(self, results: AsyncGenerator[Any, None]) -> None:
        self._results = results

    async def next(self) -> Any:
        """The next payload of the only field."""
        result = await asyncio.wait_for(anext(self._results), 10)
        if result.errors:
            raise result.errors[0]
        (told,) = result.data.values()
        return told

    async def signals(self) -> set[str]:
        return set((await self.next())["columns"]["signal"])

    async def gone(self) -> list[str]:
        """The signals of the next batch that has some that went."""
        while not (found := (await self.next())["gone"]["signal"]):
            pass
        return sorted(found)

    async def is_silent(self, seconds: float = 0.3) -> bool:
        # A wait that is given up would end the generator, so this comes last.
        try:
            await asyncio.wait_for(anext(self._results), seconds)
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def following(twin: Twin, text: str, whom: Principal = LOCAL, **variables: Any) -> AsyncIterator[Following]:
    request = Request(Context(twin).seen_by(whom), asyncio.Semaphore(4), principal=whom)
    results: Any = await schema.subscribe(text, variables, context_value=request)
    if not hasattr(results, "__anext__"):
        raise results.errors[0]
    try:
        yield Following(results)
    finally:
        await results.aclose()


def narrow(twin: Twin, id: str) -> Principal:
    return Principal("narrow", Role.VIEWER.scopes, frozenset({twin.graph.find(id).key}))


def remove(edit: GraphEdit, id: str) -> None:
    """A node and all below it."""
    node = edit.graph.find(id)
    for below in [*edit.graph.descendants(node.key)][::-1]:
        edit.remove_node(below.key)
    edit.remove_node(node.key)


def rename(edit: GraphEdit, id: str, other: str) -> None:
    """A node and all below it."""
    node = edit.graph.find(id)
    for each in [node, *edit.graph.descendants(node.key)]:
        edit.update_node(each.key, id=other + each.id.removeprefix(id))
