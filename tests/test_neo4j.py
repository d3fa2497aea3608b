"""Neo4j beside the plant: it is away, dies, is slow, is changed by hand, emptied, restored; readings go on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import neo4j as driver
import pytest
from facade_fixtures import put
from neo4j_fixtures import Neo4jServer
from test_graph_store import Neo4jHome, neo4j_home

from iotsense.analytics.health import health_status
from iotsense.twin import store_neo4j
from iotsense.twin.errors import StoreError
from iotsense.twin.plan_text import changes_text
from iotsense.twin.store_graph import EmbeddedGraph
from iotsense.twin.store_status import StoreState
from iotsense.twin.twin import Twin

needs_neo4j = pytest.mark.needs("neo4j")
# A server takes some ten seconds to start on a busy machine, and some tests start several.
pytestmark = pytest.mark.timeout(600)
Ask = Callable[..., list[Any]]


@pytest.fixture
def ask(neo4j: Neo4jServer) -> Iterator[Ask]:
    """Cypher as somebody who inspects the graph: the rows, each as a list or, if it is one value, as that."""

    def query(text: str, **parameters: Any) -> list[Any]:
        # A new connection each time: the server may have been another process before.
        with driver.GraphDatabase.driver(neo4j.url) as connection:
            rows = [list(row) for row in connection.execute_query(text, parameters, database_="neo4j").records]
        return [row[0] if len(row) == 1 else row for row in rows]

    yield query


@pytest.fixture
async def home(tmp_path: Path, neo4j: Neo4jServer) -> AsyncIterator[Neo4jHome]:
    async with neo4j_home(tmp_path, neo4j) as home:
        await home.settled()
        yield home


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(180):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


async def same(home: Neo4jHome) -> None:
    """The database shows what the twin knows."""
    expected = await EmbeddedGraph(home.twin, health_status).picture()
    assert await home.picture() == expected


# What is in the database


@needs_neo4j
async def test_constraints_and_indexes_are_made_and_nothing_but_the_plant_is_in_it(home: Neo4jHome, ask: Ask) -> None:
    for level in ("Enterprise", "Site", "Area", "Line", "Component", "Sensor"):
        constraint = (
            "SHOW CONSTRAINTS YIELD labelsOrTypes AS l, properties AS p, type AS t WHERE $level IN l RETURN p, t"
        )
        assert ask(constraint, level=level) == [[["key"], "UNIQUENESS"]]
        # A new database fills them in the background.
        await until(partial(_has_indexes, ask, level))
    assert ask("MATCH (n) RETURN count(n)") == [len(home.twin.graph)]


def _has_indexes(ask: Ask, level: str) -> bool:
    indexes = "SHOW INDEXES YIELD labelsOrTypes AS l, properties AS p, state WHERE $level IN l RETURN p[0], state"
    return sorted(ask(indexes, level=level)) == [["id", "ONLINE"], ["key", "ONLINE"], ["name", "ONLINE"]]


@needs_neo4j
async def test_times_are_native_and_in_utc(home: Neo4jHome, ask: Ask) -> None:
    put(home.twin, "line_1.conveyor.speed", 1.0, time=1_767_225_600_123_456_789)
    await home.settled()
    told = ask("MATCH (s:Sensor {id: 'line_1.conveyor.speed'}) RETURN s.time.timezone, s.time.year, s.time.nanosecond")
    assert told == [["Z", 2026, 123_456_789]]
    recent = "MATCH (s:Sensor) WHERE s.time > datetime('2025-12-31T23:00:00Z') RETURN s.id"
    assert ask(recent) == ["line_1.conveyor.speed"]


@needs_neo4j
async def test_a_node_is_written_at_most_once_an_interval_and_then_with_its_latest_value(home: Neo4jHome) -> None:
    before = home.projection.status.written
    for value in range(500):
        put(home.twin, "line_1.conveyor.speed", value)
    await home.settled()
    assert (await home.node("line_1.conveyor.speed")).properties["value"] == 499
    assert home.projection.status.written - before < 100


# Away


@needs_neo4j
async def test_a_database_that_is_away_at_the_start_is_waited_for(tmp_path: Path, neo4j: Neo4jServer, ask: Ask) -> None:
    neo4j.stop()
    try:
        async with neo4j_home(tmp_path, neo4j) as home:
            await until(lambda: home.projection.status.state is StoreState.BACKOFF)
            assert "cannot be reached" in str(home.projection.status.error)
            put(home.twin, "line_1.conveyor.speed", 2.0)
            with pytest.raises(StoreError, match="neo4j is in"):
                await home.projection.look()
            await asyncio.to_thread(neo4j.start)
            await same(home)
            assert home.projection.status.error is None and home.projection.status.lag_entries == 0
    finally:
        if not neo4j.runs:
            neo4j.start()


@needs_neo4j
async def test_a_database_that_dies_misses_nothing(home: Neo4jHome, neo4j: Neo4jServer) -> None:
    put(home.twin, "line_1.conveyor.speed", 1.0)
    await same(home)
    neo4j.kill()
    since = home.projection.status.since
    put(home.twin, "line_1.conveyor.speed", 2.0)
    put(home.twin, "line_1.conveyor.health", 20.0)
    home.edit(lambda edit: edit.remove_node(edit.graph.find("line_1.robot.joints").key))
    await until(lambda: home.projection.status.state is StoreState.BACKOFF)
    status = home.projection.status
    assert status.since > since and status.error and not status.healthy
    await asyncio.to_thread(neo4j.start)
    await same(home)
    assert home.projection.status.connects == 2


@needs_neo4j
async def test_a_database_that_does_not_answer_slows_nothing(
    home: Neo4jHome, neo4j: Neo4jServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_neo4j, "ANSWER_S", 1.0)
    neo4j.pause()
    try:
        for value in range(200):
            await home.twin.append(_reading(home, value))
        await until(lambda: home.projection.status.error)
    finally:
        neo4j.go_on()
    assert home.twin.state.read(_index(home)).value == 199.0  # type: ignore[union-attr]
    await same(home)


@needs_neo4j
async def test_a_read_only_database_is_told_and_caught_up(tmp_path: Path) -> None:
    server = Neo4jServer(tmp_path / "server")
    server.start()
    try:
        async with neo4j_home(tmp_path / "plant", server) as home:
            await same(home)
            server.stop()
            server.settings = "server.databases.default_to_read_only=true"
            await asyncio.to_thread(server.start)
            put(home.twin, "line_1.conveyor.speed", 7.0)
            await until(lambda: "read-only" in str(home.projection.status.error))
            server.stop()
            server.settings = ""
            await asyncio.to_thread(server.start)
            await same(home)
    finally:
        server.stop()


def _index(home: Neo4jHome) -> int:
    return home.twin.graph.find_signal("line_1.conveyor.speed").index


def _reading(home: Neo4jHome, value: float) -> Any:
    from iotsense.twin.batch import ReadingBatch
    from iotsense.twin.times import now_ns

    return ReadingBatch.of([_index(home)], [now_ns()], [value])


@needs_neo4j
@pytest.mark.parametrize("noted", ["old", "torn", "nothing"])
async def test_a_service_that_was_killed_does_again_what_it_may_not_have_done(home: Neo4jHome, noted: str) -> None:
    put(home.twin, "line_1.conveyor.speed", 1.0)
    home.edit(lambda edit: edit.update_node(home.key("line_2"), name="Second line"))
    await home.settled()
    ledger = home.twin.directory / "neo4j.json"
    old = ledger.read_bytes()
    put(home.twin, "line_1.conveyor.speed", 2.0)
    put(home.twin, "line_1.conveyor.health", 45.0)
    home.edit(lambda edit: edit.update_node(home.key("line_1.conveyor"), id="line_1.infeed", name="Infeed"))
    home.edit(lambda edit: edit.remove_node(edit.graph.find("line_1.robot.joints").key))
    await same(home)

    def as_if_killed(twin: Twin) -> None:
        ledger.unlink()
        if noted != "nothing":
            ledger.write_bytes(old if noted == "old" else old[:40])
        put(twin, "line_1.infeed.speed", 3.0)

    await home.restart(as_if_killed)
    await same(home)
    assert (await home.projection.look()).empty


# Emptied, restored, another plant's


@needs_neo4j
async def test_an_emptied_database_is_filled_again(home: Neo4jHome, ask: Ask) -> None:
    put(home.twin, "line_1.conveyor.speed", 1.0)
    await home.settled()
    ask("MATCH (n) DETACH DELETE n")
    await until(lambda: ask("MATCH (n) RETURN count(n)") == [len(home.twin.graph)])
    await home.projection.look()
    await same(home)


@needs_neo4j
async def test_a_new_or_restored_database_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Neo4jServer(tmp_path / "server", settings="db.transaction.bookmark_ready_timeout=1s")
    server.start()
    try:
        async with neo4j_home(tmp_path / "plant", server) as home:
            await home.settled()
            server.stop()
            server.save(tmp_path / "backup")
            await asyncio.to_thread(server.start)
            put(home.twin, "line_1.conveyor.speed", 3.0)
            home.edit(lambda edit: edit.update_node(home.key("line_2"), name="Second line"))
            await same(home)
            server.stop()
            server.restore(tmp_path / "backup")
            await asyncio.to_thread(server.start)
            await same(home)
            await home.stop()
            server.stop()
            server.forget()
            await asyncio.to_thread(server.start)
            home.start()
            await same(home)
    finally:
        server.stop()


@needs_neo4j
async def test_another_plants_database_is_left_alone(tmp_path: Path, neo4j: Neo4jServer, ask: Ask) -> None:
    ask("CREATE (:Site {key: 1, id: 'elsewhere', name: 'Elsewhere'})")
    async with neo4j_home(tmp_path, neo4j) as home:
        await until(lambda: home.projection.status.state is StoreState.FAILED)
        assert "holds another plant" in str(home.projection.status.error)
    assert ask("MATCH (n) RETURN n.id") == ["elsewhere"]


@needs_neo4j
async def test_nodes_that_are_none_of_the_plants_are_left_alone(home: Neo4jHome, ask: Ask) -> None:
    ask("MATCH (c:Conveyor {id: 'line_1.conveyor'}) CREATE (c)-[:HAS_NOTE]->(:Note {text: 'squeaks', key: 4})")
    assert (await home.projection.look()).empty
    assert (await home.projection.look(repair=True)).empty
    assert ask("MATCH (:Conveyor)-[:HAS_NOTE]->(n:Note) RETURN n.text") == ["squeaks"]


# Changed by hand

BY_HAND = """
MATCH (c:Conveyor {id: 'line_1.conveyor'}) SET c.length = 60, c.checkedBy = 'Ada', c:Favourite
WITH c MATCH (s:Sensor {id: 'line_2.conveyor.speed'}) DETACH DELETE s
WITH c MATCH (p:Packer) CREATE (p)-[:HAS_SENSOR]->(:Sensor {name: 'leak'}), (p)-[:COOLS {flow: 2}]->(c)
WITH c MATCH (c)-[f:FEEDS_INTO]->() SET f.transferTime = 9
"""
AS_PLAN = """\
~ line_1.conveyor  (component of type conveyor)
    + checked_by: Ada
    ~ parameters.length: 50 → 60
    ~ labels: ["Component", "Conveyor"] → ["Component", "Conveyor", "Favourite"]
+ line_1.packer.leak  (sensor)
- line_2.conveyor.speed  (sensor of type speed)
~ line_1.conveyor --feeds_into--> line_1.robot
    ~ transfer_time: 2.5 → 9
+ line_1.packer --cools--> line_1.conveyor
    + flow: 2

nodes: 1 added, 1 changed, 1 removed; relationships: 2 changed
"""


@needs_neo4j
async def test_changes_by_hand_are_noticed_kept_and_undone_when_told(home: Neo4jHome, ask: Ask) -> None:
    ask(BY_HAND)
    await until(lambda: home.projection.status.drift)
    assert home.projection.status.as_dict()["drift"] == 5
    assert changes_text(await home.projection.look()) == AS_PLAN
    # What the plant itself changes is written all the same, and the rest is left as it is.
    home.edit(lambda edit: edit.update_node(home.key("line_1.conveyor"), name="Infeed"))
    put(home.twin, "line_1.conveyor.speed", 4.0)
    await home.settled()
    assert ask("MATCH (c:Favourite) RETURN c.name, c.length, c.checkedBy") == [["Infeed", 60, "Ada"]]
    await home.restart()
    await home.settled()
    assert changes_text(await home.projection.look()) == AS_PLAN
    assert (await home.projection.look(repair=True)).empty
    assert home.projection.status.drift == 0 and home.projection.status.drift_since is None
    await same(home)
    assert ask("MATCH (n) RETURN count(n)") == [len(home.twin.graph)]


@needs_neo4j
async def test_a_renamed_node_and_a_changed_level_are_noticed(home: Neo4jHome, ask: Ask) -> None:
    ask("MATCH (c {id: 'line_2.conveyor'}) SET c.id = 'line_2.belt', c.name = 'Belt'")
    ask("MATCH (r {id: 'line_1.robot'}) SET r:Area REMOVE r:Component")
    text = changes_text(await home.projection.look())
    assert "~ line_2.belt  (component of type conveyor, moved from line_2.conveyor)" in text
    assert "- line_1.robot  (component of type robot_arm)" in text and "+ line_1.robot  (area" in text
    assert (await home.projection.look(repair=True)).empty
    await same(home)
