"""The structure as it was: every revision can be had again, from the newest one backwards."""

import asyncio
import threading
import time
from collections import OrderedDict
from functools import cached_property

from .catalog import Catalog
from .changes import StructureChange
from .errors import NotFoundError, NotYetError
from .graph import Graph
from .graph_edit import revert_change
from .journal import Journal
from .live import Live
from .projector import Projector

KEPT = 256
CHUNK = 64
LONGEST_WAIT_S = 5.0


class Revisions:
    """Graphs by revision, or by when they were known; a graph shares with its neighbours all that did not change."""

    def __init__(self, live: Live, journal: Journal, catalog: Catalog, projector: Projector) -> None:
        self._live = live
        self._journal = journal
        self._catalog = catalog
        self._projector = projector
        self._lock = threading.Lock()
        self._graphs: OrderedDict[int, Graph] = OrderedDict()

    @property
    def newest(self) -> int:
        """The number of the newest revision; 0 of an empty plant."""
        return self._live.graph.revision

    def at(self, known_at: int) -> Graph:
        """The graph as it was known then [ns]; an empty one before the first revision. Blocks."""
        return self.graph(self.number_at(known_at))

    def number_at(self, known_at: int) -> int:
        """The newest revision recorded until then [ns]; 0 before the first. Blocks."""
        self._projector.catch_up(self._catalog)
        # A plant that was made by version 0.1 has no beginning that we know: it was always as it is first known.
        return max(self._catalog.revision_at(known_at), self._horizon)

    @cached_property
    def _horizon(self) -> int:
        """The oldest revision that can be reached: 0, unless older ones were journalled without what undoes them."""
        first = self._catalog.first_revision()
        if first is None:
            return self._live.graph.revision
        low, high = first - 1, self._live.graph.revision
        while low < high:
            middle = (low + high + 1) // 2
            if self._catalog.change(middle).undo is None:
                low = middle
            else:
                high = middle - 1
        return low

    def graph(self, revision: int) -> Graph:
        """The graph of a revision; raises NotFoundError for one that there is not, or not any more. Blocks."""
        newest = self._live.graph
        if not 0 <= revision <= newest.revision:
            raise NotFoundError(f"there is no revision {revision}; the newest is {newest.revision}")
        self._projector.catch_up(self._catalog)
        with self._lock:
            return self._walk(newest, revision)

    async def seen(self, revision: int) -> None:
        """Returns when the graph shows at least this revision; raises NotYetError if it does not within 5 s."""
        deadline = time.monotonic() + LONGEST_WAIT_S
        while (newest := self._live.graph.revision) < revision:
            try:
                await asyncio.wait_for(self._journal.wait_beyond(self._journal.last_seq), deadline - time.monotonic())
            except TimeoutError:
                text = f"revision {revision} has not been seen here yet; the newest is {newest}"
                raise NotYetError(text, "min_revision") from None

    def changes(self, after: int = 0, until: int | None = None) -> list[tuple[int, StructureChange]]:
        """The changes behind a revision, up to another, in order, each with when it was recorded [ns]. Blocks."""
        self._projector.catch_up(self._catalog)
        return self._catalog.revisions(after, self._live.graph.revision if until is None else until)

    def of_node(self, key: int) -> list[int]:
        """The revisions that touched a node, in order. Blocks."""
        self._projector.catch_up(self._catalog)
        return self._catalog.revisions_of(key)

    def _walk(self, newest: Graph, revision: int) -> Graph:
        later = min((number for number in self._graphs if number >= revision), default=newest.revision)
        graph = self._graphs.get(later, newest)
        while graph.revision > revision:
            chunk = self._catalog.revisions(max(revision, graph.revision - CHUNK), graph.revision)
            for _, change in reversed(chunk):
                graph = revert_change(graph, change)
            if not chunk:
                raise NotFoundError(f"the structure before revision {graph.revision} is not known any more")
            self._keep(graph)  # a waypoint: whoever asks for one near it has a short way
        self._keep(graph)
        return graph

    def _keep(self, graph: Graph) -> None:
        self._graphs[graph.revision] = graph
        self._graphs.move_to_end(graph.revision)
        while len(self._graphs) > KEPT:
            self._graphs.popitem(last=False)
