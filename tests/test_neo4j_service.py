"""A service that publishes its graph to Neo4j: configuration, health, drift over REST and in the verbs, the demo."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from neo4j_fixtures import USER, Neo4jServer
from service_fixtures import API, PLANT, client, document, run_cli, service, write_plant
from test_neo4j import Ask, ask, needs_neo4j, until

from iotsense.graph_stores import neo4j_address
from iotsense.twin.project import load_project, load_texts
from iotsense.twin.store_neo4j import Neo4jAddress

__all__ = ["ask"]

pytestmark = pytest.mark.timeout(600)


async def first_store(http: httpx.AsyncClient, condition: Callable[[Any], object]) -> Any:
    """What /health tells of the store, once it is so."""
    async with asyncio.timeout(180):
        while True:
            store = (await http.get("/health")).json()["stores"][0]
            if condition(store):
                return store
            await asyncio.sleep(0.02)


ATTACHED = PLANT + "iotsense:\n  graph: {url: 'URL'}\n"


@needs_neo4j
async def test_the_service_publishes_and_tells_how_it_goes(tmp_path: Path, neo4j: Neo4jServer, ask: Ask) -> None:
    plant = write_plant(tmp_path, ATTACHED.replace("URL", neo4j.url))
    async with service(tmp_path / "data", plant) as running, client(running) as http:
        await http.post(f"{API}/telemetry", json=document("conveyor", "motor_temperature", 96.0))
        await until(lambda: ask("MATCH (n:Component:Critical) RETURN n.id") == ["line_1.conveyor"])
        await until(lambda: ask("MATCH (l:Line:Critical) RETURN l.health, l.openAnomalies") == [[40.0, 2]])
        store = await first_store(http, lambda store: store["state"] == "running")
        assert store["name"] == "neo4j" and (await http.get("/health")).json()["status"] == "ok"
        assert store["address"] == neo4j.url and store["since"].endswith("Z")
        assert (await http.get(f"{API}/stores")).json()["stores"][0]["name"] == "neo4j"
        ask("MATCH (n:Component {id: 'line_1.robot'}) SET n.model = 'kuka'")
        found = (await http.get(f"{API}/stores/neo4j/drift")).json()
        assert "~ model: fanuc_m20 → kuka" in found["text"] and not found["empty"]
        assert "changed by hand" in "".join((await http.get("/health")).json()["reasons"])
        shown = await asyncio.to_thread(run_cli, "plan", "--from", "neo4j", "--url", running.url, cwd=tmp_path)
        assert shown.returncode == 0 and "~ model: fanuc_m20 → kuka" in shown.stdout
        mended = await asyncio.to_thread(run_cli, "repair", "neo4j", "--url", running.url, cwd=tmp_path)
        assert mended.stdout == "neo4j shows the plant as it is.\n"
        await first_store(http, lambda store: store["state"] == "running")
        table = await asyncio.to_thread(run_cli, "stores", "--url", running.url, cwd=tmp_path)
        assert "running" in table.stdout and neo4j.url in table.stdout
        assert (await http.get(f"{API}/stores/mongo/drift")).status_code == 404
        assert 'iotsense_store_up{store="neo4j",state="running"} 1' in (await http.get("/metrics")).text


@needs_neo4j
async def test_the_service_follows_a_changed_definition(tmp_path: Path, neo4j: Neo4jServer, ask: Ask) -> None:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running, client(running) as http:
        assert (await http.get("/health")).json()["stores"] == []
        documents = {"plant.yaml": ATTACHED.replace("URL", neo4j.url)}
        await http.post(f"{API}/definitions/apply", json={"documents": documents})
        await until(lambda: ask("MATCH (n:Line) RETURN n.id") == ["line_1"])
        await http.post(f"{API}/definitions/apply", json={"documents": {"plant.yaml": PLANT}})
        assert (await http.get("/health")).json()["stores"] == []


@needs_neo4j
async def test_a_wrong_password_is_told_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Neo4jServer(tmp_path / "server", password="correct horse")
    server.start()
    try:
        monkeypatch.setenv("GRAPH_PASSWORD", "battery staple")
        secret = f"iotsense:\n  graph: {{url: '{server.url}', username: {USER}, password: '${{GRAPH_PASSWORD}}'}}\n"
        plant = write_plant(tmp_path, PLANT + secret)
        async with service(tmp_path / "data", plant) as running, client(running) as http:
            store = await first_store(http, lambda store: store["error"])
            assert "unauthorized" in store["error"].lower() and "battery" not in store["error"]
        monkeypatch.setenv("GRAPH_PASSWORD", "correct horse")
        async with service(tmp_path / "data", plant) as running, client(running) as http:
            await first_store(http, lambda store: store["state"] == "running")
    finally:
        server.stop()


@needs_neo4j
def test_the_demo_shows_its_line(tmp_path: Path, neo4j: Neo4jServer, ask: Ask) -> None:
    done = run_cli("demo", "--neo4j", neo4j.url, "--for", "6s", "--listen", "127.0.0.1:0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ask("MATCH (l:Line)-[:CONTAINS]->(c:Component) RETURN l.id, count(c)") == [["bottling_line_1", 7]]
    assert ask("MATCH (s:Sensor) WHERE s.value IS NOT NULL RETURN count(s)")[0] > 50


# Without a server


def test_the_example_publishes_where_the_environment_says() -> None:
    examples = Path(__file__).parents[1] / "examples"
    env = {"BOTTLING_LINE_BROKER": "mqtt://here", "NEO4J_URL": "bolt://there"}
    project, findings = load_project([examples / "bottling-line", examples / "neo4j"], env)
    assert project is not None, findings
    assert neo4j_address(project, env) == Neo4jAddress("bolt://there")


def _address(text: str, **env: str) -> Neo4jAddress | None:
    project, findings = load_texts({"plant.yaml": text}, env)
    assert project is not None, findings
    return neo4j_address(project, env)


def test_where_the_graph_is_published_is_said_in_the_definition_or_the_environment() -> None:
    assert _address(PLANT) is None
    assert _address("iotsense: {storage: {graph: neo4j}}") == Neo4jAddress("bolt://localhost:7687")
    told = {"NEO4J_URI": "neo4j://graph:7687", "NEO4J_PASSWORD": "x", "NEO4J_DATABASE": "plant"}
    expected = Neo4jAddress("neo4j://graph:7687", "neo4j", "${NEO4J_PASSWORD}", "plant")
    assert _address("iotsense: {storage: {graph: neo4j}}", **told) == expected
    assert _address("iotsense: {graph: {url: 'bolt://here', username: ada}}", NEO4J_URL="bolt://there") == Neo4jAddress(
        "bolt://here", "ada"
    )
    assert _address("iotsense: {graph: {url: 'bolt://here'}, storage: {graph: embedded}}") is None


async def test_what_the_plant_needs_does_not_wait_for_a_server_that_is_not_there(tmp_path: Path) -> None:
    plant = write_plant(tmp_path, ATTACHED.replace("URL", "bolt://127.0.0.1:1"))
    async with service(tmp_path / "data", plant) as running, client(running) as http:
        answer = await http.post(f"{API}/telemetry", json=document("conveyor", "speed", 1.0))
        assert answer.status_code == 202
        await first_store(http, lambda store: store["error"])
        report = (await http.get("/health")).json()
        assert report["status"] == "degraded" and "store neo4j is in backoff since" in "".join(report["reasons"])
