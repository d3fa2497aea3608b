"""Every home of the graph passes the contract: the embedded graph, and a real Neo4j."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from facade_fixtures import plant, put
from graph_store_contract import GraphStoreContract, Home
from neo4j_fixtures import Neo4jServer

from iotsense.analytics.health import health_status
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level
from iotsense.twin.store_graph import EmbeddedGraph, Neo4jPicture, Picture
from iotsense.twin.store_neo4j import Neo4jAddress, Neo4jGraph
from iotsense.twin.store_projection import GraphProjection
from iotsense.twin.twin import Twin

SETTLE_S = 180
pytestmark = pytest.mark.timeout(600)


class EmbeddedHome(Home):
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.twin = plant(directory)

    async def picture(self) -> Picture:
        return await EmbeddedGraph(self.twin, health_status).picture()

    async def restart(self, meanwhile: Callable[[Twin], object] = lambda twin: None) -> None:
        self.twin.close()
        self.twin = Twin.open(self._directory)
        meanwhile(self.twin)


class Neo4jHome(Home):
    """A projection with short pauses, so that tests need not wait for the second to pass."""

    def __init__(self, directory: Path, url: str, fill: Callable[[Twin], object] | None = None) -> None:
        self._directory = directory
        self.url = url
        self.twin = plant(directory) if fill is None else Twin.open(directory)
        if fill is not None:
            fill(self.twin)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        store = Neo4jGraph(Neo4jAddress(self.url))
        self.projection = GraphProjection(self.twin, store, health_status, interval=0.02, check_interval=0.2)
        self.picture_of = Neo4jPicture(store)
        self._task = asyncio.create_task(self.projection.run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def settled(self) -> None:
        async with asyncio.timeout(SETTLE_S):
            while True:
                if self.projection.settled:
                    return
                await asyncio.sleep(0.005)

    async def picture(self) -> Picture:
        await self.settled()
        return await self.picture_of.picture()

    async def restart(self, meanwhile: Callable[[Twin], object] = lambda twin: None) -> None:
        await self.stop()
        self.twin.close()
        self.twin = Twin.open(self._directory)
        meanwhile(self.twin)
        self.start()


@contextlib.asynccontextmanager
async def neo4j_home(directory: Path, server: Neo4jServer) -> AsyncIterator[Neo4jHome]:
    home = Neo4jHome(directory, server.url)
    home.start()
    try:
        yield home
    finally:
        await home.stop()
        home.twin.close()


class TestEmbedded(GraphStoreContract):
    @pytest.fixture
    async def home(self, tmp_path: Path) -> AsyncIterator[Home]:
        home = EmbeddedHome(tmp_path)
        yield home
        home.twin.close()


@pytest.mark.needs("neo4j")
class TestNeo4j(GraphStoreContract):
    @pytest.fixture
    async def home(self, tmp_path: Path, neo4j: Neo4jServer) -> AsyncIterator[Home]:
        async with neo4j_home(tmp_path, neo4j) as home:
            yield home

    async def test_whatever_happens_it_shows_what_the_embedded_graph_shows(self, home: Neo4jHome) -> None:
        seed = random.SystemRandom().randrange(10**9)
        print(f"seed {seed}")
        chance = random.Random(seed)
        for _ in range(25):
            _something(home.twin, chance)
            if chance.random() < 0.4:
                expected = await EmbeddedGraph(home.twin, health_status).picture()
                assert await home.picture() == expected
            if chance.random() < 0.1:
                await home.restart()


def _something(twin: Twin, chance: random.Random) -> None:
    """A change of structure or a few readings, drawn by chance."""
    graph = twin.graph
    signals = [signal for signal in graph.signals() if signal.name in ("value", "health")]
    if signals and chance.random() < 0.4:
        for signal in chance.sample(signals, min(4, len(signals))):
            put(
                twin,
                graph.signal_id(signal),
                round(chance.uniform(0, 1), 2) if signal.labels else chance.uniform(0, 100),
            )
        return
    twin.change(lambda edit: _edit(edit, chance), "test")


def _edit(edit: GraphEdit, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 4)):
        components = list(edit.graph.nodes(Level.COMPONENT))
        lines = list(edit.graph.nodes(Level.LINE))
        one, other = chance.choice(components or lines), chance.choice(components or lines)
        what = chance.choice(["add", "rename", "move", "describe", "retype", "relate", "unrelate", "remove"])
        if what == "add":
            _add(edit, chance.choice(lines).key, chance)
        elif what == "rename":
            edit.update_node(one.key, id=f"{one.id.rpartition('.')[0]}.n{chance.randrange(10**9)}")
        elif what == "move" and one.level is Level.COMPONENT:
            edit.update_node(one.key, parent=chance.choice(lines).key)
        elif what == "describe":
            properties: dict[str, Any] = {f"p_{i}": chance.choice([1, "a", True, [1.5], {"x": 1}]) for i in range(3)}
            edit.update_node(one.key, properties=properties, name=f"name {chance.randrange(99)}")
        elif what == "retype":
            edit.update_node(one.key, type=chance.choice([None, "press", "line", "oven_2"]))
        elif what == "relate":
            edit.relate(one.key, chance.choice(["feeds_into", "cools"]), other.key, weight=chance.randrange(5))
        elif what == "unrelate":
            for arrow in edit.graph.outgoing(one.key):
                edit.unrelate(arrow.source, arrow.type, arrow.target)
        elif what == "remove" and one.level is Level.COMPONENT and len(components) > 2:
            for sensor in edit.graph.children(one.key):
                edit.remove_node(sensor.key)
            edit.remove_node(one.key)


def _add(edit: GraphEdit, line: int, chance: random.Random) -> None:
    id = f"{edit.graph.node(line).id}.c{chance.randrange(10**9)}"
    component = edit.add_node(id=id, level=Level.COMPONENT, type=chance.choice(["pump", None]), parent=line)
    edit.add_signal(component.key, "health")
    edit.add_signal(edit.add_node(id=f"{id}.s", level=Level.SENSOR, parent=component.key).key, unit="bar")
