"""The nodes that a filter means, looked for again while the plant changes under a subscriber."""

import asyncio

from ..twin.graph import Graph
from .node_page import INLINE_NODES
from .node_where import NodeWhere, condition, is_living
from .view import View

PAUSES = 10
"""How many times as long as it looks a follower pauses: a large plant is not looked through without end."""


class FollowedNodes:
    """A filter of structure is asked again with each revision; one of what lives also with what happens."""

    def __init__(self, where: NodeWhere) -> None:
        self._where = where
        self._lives = is_living(where)
        self._roots: dict[str, int] = {}
        self._graph: Graph | None = None
        self._keys: frozenset[int] = frozenset()
        self._not_before = 0.0
        self.due: float | None = None
        """When it has to look again, though nothing happens till then [the loop's time]; None if it need not."""

    async def keys(self, view: View) -> frozenset[int]:
        """The nodes as of a view. Raises InvalidValueError and NotFoundError for a wrong filter, the first time."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if self._graph is view.graph and (not self._lives or began < self._not_before):
            self.due = self._not_before if self._lives else None
            return self._keys
        if len(view.graph) <= INLINE_NODES:
            self._keys = self._found(view)
        else:
            self._keys = await asyncio.to_thread(self._found, view)
        self._graph, self.due = view.graph, None
        self._not_before = loop.time() + PAUSES * (loop.time() - began)
        return self._keys

    def _found(self, view: View) -> frozenset[int]:
        test = condition(view, self._where, self._roots)
        return frozenset(node.key for node in view.graph.nodes() if test(node))
