"""docs/neo4j.md: its twenty questions are asked on a real server, and Neo4j Browser shows the plant in its colours."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import neo4j as driver
import pytest
import servers
from facade_fixtures import S, put
from neo4j_fixtures import Neo4jServer
from test_console import ARGUMENTS
from test_graph_store import Neo4jHome

from iotsense.analytics.health import add_health_signals
from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.entry import EventDraft
from iotsense.twin.plan import plan
from iotsense.twin.project import load_project
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

pytestmark = [pytest.mark.needs("neo4j"), pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "neo4j.md").read_text()
QUESTIONS: dict[str, str] = dict(re.findall(r"^### ([^\n]+)\n\n```cypher\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL))
LINE = "bottling_line_1"
MACHINES = ["Rotary filler", "Conveyor 1", "Rotary capper", "Conveyor 2", "Hot-melt labeller", "Conveyor 3"]
FLOW = [*MACHINES, "Palletising robot"]
READINGS: dict[str, Any] = {
    "filler.speed": 296.0,
    "filler.power": 6.5,
    "filler.bearing_temperature": 41.0,
    "filler.fill_volume": 531.5,
    "capper.speed": 120.0,
    "capper.power": 4.25,
    "capper.bearing_temperature": 78.5,
    "capper.vibration_rms": 8.5,
    "labeller.bearing_temperature": 39.0,
    "palletiser.bearing_temperature": 35.0,
}
HEALTH = {"filler": 100.0, "conveyor_1": 100.0, "capper": 16.0, "labeller": 75.0}
EXPECTED: dict[str, list[list[Any]]] = {
    "What is critical now, and how badly?": [["Rotary capper", 16.0, 2]],
    "How many machines are in which health?": [["Critical", 1], ["Healthy", 2], ["Unknown", 3], ["Warning", 1]],
    "What does a machine show?": [
        ["bearing_temperature", 78.5, "celsius", "good"],
        ["power", 4.25, "kW", "good"],
        ["speed", 120.0, "1/min", "uncertain"],
        ["vibration_rms", 8.5, "mm/s", "good"],
    ],
    "Which sensors does an anomaly lead to?": [
        ["Rotary capper", "bearing_temperature", 78.5, "celsius"],
        ["Rotary capper", "vibration_rms", 8.5, "mm/s"],
    ],
    "Which bearings are the hottest?": [
        ["Rotary capper", 78.5],
        ["Rotary filler", 41.0],
        ["Hot-melt labeller", 39.0],
    ],
    "What is beyond its plausible range?": [[f"{LINE}.filler.fill_volume", 531.5, 480.0, 520.0]],
    "Who has never said anything?": [
        ["Palletising robot", 12],
        ["Hot-melt labeller", 11],
        ["Rotary filler", 10],
        ["Rotary capper", 8],
        ["Conveyor 1", 5],
        ["Conveyor 2", 5],
        ["Conveyor 3", 5],
    ],
    "Which values are not to be trusted?": [[f"{LINE}.capper.speed", "uncertain"]],
    "In which order does material flow?": [[FLOW]],
    "If the filler stops, whom does that reach, and after how many seconds of transfer?": [
        ["Conveyor 1", 0.5],
        ["Rotary capper", 4.5],
        ["Conveyor 2", 5.0],
        ["Hot-melt labeller", 9.0],
        ["Conveyor 3", 9.5],
        ["Palletising robot", 13.5],
    ],
    "What does the labeller depend on?": [
        ["Conveyor 1", 100.0],
        ["Conveyor 2", None],
        ["Rotary capper", 16.0],
        ["Rotary filler", 100.0],
    ],
    "How are two machines connected?": [[[f"{LINE}.{id}" for id in ("filler", "conveyor_1", "capper", "conveyor_2")]]],
    "Whose failure would cut the line in two?": [[name] for name in sorted(FLOW[1:-1])],
    "What is next to a machine?": [
        ["CONTAINS", LINE],
        ["FEEDS_INTO", f"{LINE}.capper"],
        ["FEEDS_INTO", f"{LINE}.filler"],
    ],
    "Where is a sensor?": [[[LINE, "Rotary capper", "capping_torque"]]],
    "How much power does each line take?": [[LINE, 10.75, "kW"]],
    "Who runs below half of the speed that he is built for?": [["Rotary capper", 120.0, "336 bottles/min"]],
    "What is there, by type?": [
        ["conveyor", 3, 15],
        ["labeller", 1, 12],
        ["palletiser", 1, 13],
        ["rotary_capper", 1, 12],
        ["rotary_filler", 1, 14],
    ],
}


def bottling_line(twin: Twin) -> None:
    """The demo's line with some readings, two open anomalies and a sensor that fell silent an hour ago."""
    project, _ = load_project(ROOT / "examples" / "bottling-line", {"BOTTLING_LINE_BROKER": "mqtt://127.0.0.1"})
    assert project is not None
    apply_plan(plan(project, twin.graph), twin)
    twin.change(add_health_signals, "test")
    now = now_ns()
    for id, value in READINGS.items():
        old = id == "filler.fill_volume"
        quality = 64 if id == "capper.speed" else 192
        put(twin, f"{LINE}.{id}", value, time=now - 3600 * S if old else now + 3600 * S, quality=quality)
    for id, score in HEALTH.items():
        put(twin, f"{LINE}.{id}.health", score)
    capper = twin.graph.find(f"{LINE}.capper").key
    for sensor in ("bearing_temperature", "vibration_rms"):
        data = {"signal": twin.graph.find_signal(f"{LINE}.capper.{sensor}").index, "severity": "critical"}
        twin.record([EventDraft(now, "anomaly", capper, data=data, identity=sensor)])


@pytest.fixture
async def home(tmp_path: Path, neo4j: Neo4jServer) -> AsyncIterator[Neo4jHome]:
    home = Neo4jHome(tmp_path, neo4j.url, bottling_line)
    home.start()
    await home.settled()
    yield home
    await home.stop()
    home.twin.close()


def answer(url: str, text: str) -> list[list[Any]]:
    """The rows, nodes and relationships as what they are."""
    with driver.GraphDatabase.driver(url) as connection:
        return [list(row) for row in connection.execute_query(text, database_="neo4j").records]


async def test_the_twenty_questions_have_the_right_answers(home: Neo4jHome) -> None:
    assert len(QUESTIONS) == 20
    rows = {title: await asyncio.to_thread(answer, home.url, text) for title, text in QUESTIONS.items()}
    assert {title: rows[title] for title in EXPECTED} == EXPECTED
    glance = rows.pop("The plant at a glance")
    assert {row[2]["name"] for row in glance} == set(FLOW) and {row[3].type for row in glance if row[3]} == {
        "FEEDS_INTO"
    }
    silent = rows.pop("Who has been silent for longer than usual?")
    assert [row[0] for row in silent] == [f"{LINE}.filler.fill_volume"]
    assert rows.keys() == EXPECTED.keys()


# In Neo4j Browser

STYLE = ROOT / "docs" / "neo4j" / "style.grass"
DROP = """text => {
    const data = new DataTransfer();
    data.items.add(new File([text], "style.grass"));
    const page = document.querySelector("[data-testid=main]");
    for (const kind of ["dragenter", "dragover", "drop"])
        page.dispatchEvent(new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: data}));
}"""
FILLS = """nodes => nodes.map(node => [
    [...node.querySelectorAll("text")].map(text => text.textContent.trim()).join(" "),
    node.querySelector("circle.b-outline").getAttribute("fill"),
])"""


@pytest.mark.needs("chromium")
async def test_neo4j_browser_shows_the_plant_in_the_colours_of_its_health(home: Neo4jHome, neo4j: Neo4jServer) -> None:
    from playwright.async_api import async_playwright, expect

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=servers.program("chromium"), args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 1400, "height": 1000})
        await page.goto(f"{neo4j.browser_url}?dbms={neo4j.url}", wait_until="domcontentloaded")
        await page.locator("[data-testid=authenticationMethod]").select_option(label="No authentication")
        await page.locator("[data-testid=connect]").click()
        editor = page.locator("[data-testid=activeEditor]")
        await expect(editor).to_contain_text("neo4j$", timeout=60_000)
        await page.evaluate(DROP, STYLE.read_text())
        await editor.locator(".monaco-editor").first.click()
        await page.keyboard.insert_text("MATCH (c:Component)-[f:FEEDS_INTO]->(d) RETURN c, f, d")
        await page.locator("[data-testid=editor-Run]").click()
        await expect(page.locator("g.node")).to_have_count(7, timeout=60_000)
        shown = dict(await page.locator("g.node").evaluate_all(FILLS))
        await browser.close()
    rules = dict(re.findall(r"node\.(\w+) \{[^}]*? color: (#\w+)", STYLE.read_text()))
    health = {"Rotary filler": "Healthy", "Rotary capper": "Critical", "Conveyor 2": "Component"}
    assert {name: shown[name].upper() for name in health} == {name: rules[label] for name, label in health.items()}
