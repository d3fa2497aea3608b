"""Keeps a graph database as the plant is: structure by revision, state at most once a second, by one task.

It never slows a reading: it looks at the state's columns when its second has passed, and what came between two looks is
one row. While the database is away nothing is queued either; what is different when it returns is what it gets.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping

from .backoff import Backoff
from .errors import InvalidValueError, MissingExtraError, NotFoundError, StoreError, StoreRefusedError
from .graph import Graph
from .plan_changes import Changes
from .store_comparison import Comparison, pages
from .store_cypher import structure
from .store_drift import drift
from .store_ledger import Ledger, Published
from .store_neo4j import Neo4jGraph
from .store_status import StoreState, StoreStatus
from .store_writer import GraphWriter
from .twin import Twin

log = logging.getLogger("iotsense.graph")

INTERVAL_S = 1.0
CHECK_S = 40.0
LEDGER_S = 30.0
LONGEST_BACKOFF_S = 15.0
REFUSED_S = 60.0
LOOK_S = 120.0


class GraphProjection:
    """One database and how it is doing. `health_word` tells `healthy`, `warning` or `critical` of a score [percent].

    interval [s]: a node is written at most this often. check_interval [s]: how often it looks for changes made by hand.
    """

    def __init__(
        self,
        twin: Twin,
        store: Neo4jGraph,
        health_word: Callable[[float], str],
        name: str = "neo4j",
        interval: float = INTERVAL_S,
        check_interval: float = CHECK_S,
    ) -> None:
        self.status = StoreStatus(name, "neo4j", store.address.url)
        self._twin = twin
        self._store = store
        self._writer = GraphWriter(twin, store, health_word)
        self._interval = interval
        self._check_interval = check_interval
        self._ledger = Ledger(twin.directory / f"{name}.json")
        self._backoff = Backoff(longest=LONGEST_BACKOFF_S)
        self._database: str | None = None
        self._checked = self._saved = -1e9
        self._repair = False
        self._asked: list[asyncio.Future[Changes]] = []
        self._wake = asyncio.Event()

    # What others ask

    async def look(self, repair: bool = False) -> Changes:
        """What somebody changed in the database by hand, as it is now; with `repair` it is undone first.

        Raises StoreError while the database is away.
        """
        if self.status.state not in (StoreState.RUNNING, StoreState.CATCHING_UP):
            raise StoreError(f"{self.status.name} is in {self.status.state}: {self.status.error or 'not connected'}")
        answer: asyncio.Future[Changes] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self._repair = self._repair or repair
        self._wake.set()
        try:
            return await asyncio.wait_for(answer, LOOK_S)
        except TimeoutError:
            raise StoreError(f"{self.status.name} has not been compared within {LOOK_S:.0f} s") from None

    @property
    def settled(self) -> bool:
        """Whether the database shows all that the twin has now."""
        written = self._writer.graph is self._twin.graph and self._writer.seq >= self._twin.last_seq
        return written and self.status.state is StoreState.RUNNING

    # Working

    async def run(self) -> None:
        """Works until cancelled; a database that is away is tried again with growing pauses."""
        try:
            while True:
                await self._attempt()
        finally:
            self._fail_asked("the service is stopping")
            self._save()
            await self._store.close()
            self.status.stopped()

    async def _attempt(self) -> None:
        try:
            self.status.connecting()
            await self._connect()
            self.status.catching_up()
            await self._follow()
        except (StoreRefusedError, MissingExtraError, InvalidValueError) as error:
            self.status.failed(str(error))
            log.error("%s cannot be used: %s", self.status.name, error)
            self._fail_asked(str(error))
            await asyncio.sleep(REFUSED_S)
        except StoreError as error:
            if self.status.error is None:
                log.warning("%s is away, readings go on: %s", self.status.name, error)
            self.status.backoff(str(error))
            self._fail_asked(str(error))
            await asyncio.sleep(self._backoff.next())

    async def _follow(self) -> None:
        await self._step()
        await self._store.make_indexes()
        while True:
            began = time.monotonic()
            await self._step()
            if self._asked or began - self._checked >= self._check_interval:
                await self._check()
            await self._pause(began)

    async def _step(self) -> None:
        rows = await self._writer.write_structure()
        changed = rows > 0
        rows += await self._writer.write_state()
        self._tell(rows)
        if changed or time.monotonic() - self._saved > LEDGER_S:
            self._save()

    def _tell(self, rows: int) -> None:
        self.status.written += rows
        self.status.moved(self._writer.seq, self._twin.last_seq)
        if self.status.state is not StoreState.RUNNING:
            log.info("%s holds the plant as of entry %d", self.status.name, self._writer.seq)
        self.status.running()
        self._backoff.reset()

    async def _pause(self, began: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0.0, began + self._interval - time.monotonic()))
        self._wake.clear()

    # Beginning

    async def _connect(self) -> None:
        """Connects, and finds out what the database holds: by what we remember, or, if unsure, by comparing all."""
        database = await self._store.open()
        known = self._remembered()
        why = await self._doubt(known, database)
        self._database = database
        if why is None and known is not None and self._writer.graph.revision != known.revision:
            try:
                graph = await asyncio.to_thread(self._twin.revisions.graph, known.revision)
            except NotFoundError:
                why = f"revision {known.revision} is not known any more"
            else:
                await self._begin(graph, known.seq)
        if why is not None:
            await self._reconcile(why, first=known is None)

    def _remembered(self) -> Published | None:
        if self._database is None:
            return self._ledger.read()
        return Published(self._database, self._store.bookmarks, self._writer.graph.revision, self._writer.seq)

    async def _doubt(self, known: Published | None, database: str) -> str | None:
        """Why what we remember cannot be so; None if it can."""
        if known is None:
            return "nothing is known of it"
        if known.database != database:
            return "it is another database than before"
        if known.revision > self._twin.graph.revision or known.seq > self._twin.last_seq:
            return "it is ahead of the plant"
        if known.bookmarks and not await self._store.holds(known.bookmarks):
            return "it is older than what we wrote"
        return None

    async def _begin(self, graph: Graph, seq: int) -> None:
        counts = await self._store.open_anomalies()
        await asyncio.to_thread(self._writer.begin, graph, seq, counts)

    async def _reconcile(self, why: str, first: bool = False, repair: bool = False) -> None:
        """Compares all and makes the database as the plant is, whatever it shows."""
        if await self._store.is_empty():
            log.info("%s is empty", self.status.name)
            await asyncio.to_thread(self._writer.begin, Graph(), 0, {}, True)
            return
        graph = self._twin.graph
        found = Comparison()
        async for _ in pages(self._store, graph, found):
            pass
        if first and not found.equal and (found.other or found.extra):
            raise StoreRefusedError(
                f"{self._store.address.url} holds another plant; empty its database, or name another one"
            )
        changes = await asyncio.to_thread(found.repair, graph)
        rows = await self._store.write(structure(changes))
        if repair:
            await self._store.remove(found.strangers)
        log.info("%s was compared with the plant, because %s: %d rows written", self.status.name, why, rows)
        await self._begin(graph, 0)

    # Changes by hand

    async def _check(self) -> None:
        """Compares all; meanwhile state is written as ever, and structure waits."""
        if self._repair:
            await self._reconcile("it was asked for", repair=True)
            self._repair = False
            await self._step()
        found = Comparison()
        graph = self._writer.graph
        written = time.monotonic()
        async for _ in pages(self._store, graph, found):
            if time.monotonic() - written > self._interval:
                self._tell(await self._writer.write_state())
                written = time.monotonic()
        self._checked = time.monotonic()
        if found.nothing_there:
            await self._reconcile("it was emptied")
            found = Comparison()
        self._answer(graph, found)

    def _answer(self, graph: Graph, found: Comparison) -> None:
        changes = drift(graph, found)
        places = len(changes.nodes) + len(changes.relationships)
        if places and not self.status.drift:
            log.warning("%s was changed by hand in %d places", self.status.name, places)
        self.status.drifted(places)
        asked, self._asked = self._asked, []
        for answer in asked:
            if not answer.done():
                answer.set_result(changes)

    def _fail_asked(self, why: str) -> None:
        asked, self._asked = self._asked, []
        for answer in asked:
            if not answer.done():
                answer.set_exception(StoreError(why))

    # Remembering

    def _save(self) -> None:
        if self._database is None or not self._writer.graph.revision:
            return
        self._saved = time.monotonic()
        published = self._remembered()
        try:
            if published is not None:
                self._ledger.save(published)
        except OSError as error:
            # Without it the next start compares everything, which takes longer and is right as well.
            log.debug("what %s holds could not be noted: %s", self.status.name, error)


def attached(projections: Mapping[str, GraphProjection], name: str) -> GraphProjection:
    """The graph database of a name; raises NotFoundError."""
    if name not in projections:
        raise NotFoundError(f"no graph database called {name!r} is attached")
    return projections[name]
