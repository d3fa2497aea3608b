"""The examples of docs/reports.md, run in their order on the plant of the page."""

import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from service_fixtures import API, Process, document, process, run_cli, write_plant

from iotsense import IoTSense

PAGE = (Path(__file__).parents[1] / "docs" / "reports.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
READINGS = (
    ("pump_1", 40.5, "2024-01-10T00:00:00Z"), ("pump_1", 41.0, "2024-01-16T00:00:00Z"),
    ("pump_2", 39.0, "2024-01-19T00:00:00Z"), ("pump_2", 38.0, "2024-01-21T00:00:00Z"),
)  # fmt: skip


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    place = tmp_path_factory.mktemp("docs")
    with process(place / "data", "-c", str(write_plant(place, BLOCKS[0][1]))) as service:
        body = [document(id, "flow", value, time) for id, value, time in READINGS]
        httpx.post(f"{service.url}{API}/telemetry", json=body).raise_for_status()
        yield service


def test_the_examples_in_their_order(running: Process, capsys: pytest.CaptureFixture[str]) -> None:
    for (kind, text), (_, answer) in pairwise([*BLOCKS, ("", "")]):
        if kind == "sh":
            assert words(said(running, text)) == words(answer)
        elif kind == "graphql":
            told = httpx.post(f"{running.url}/graphql", json={"query": text}).json()
            assert without_marks(told) == without_marks({"data": json.loads(answer)})
        elif kind == "python":
            with IoTSense(url=running.url) as iot:
                exec(text, {"iot": iot})
            assert capsys.readouterr().out.splitlines() == re.findall(r"  # (.*)", text)
        elif kind == "csv":
            (running.data.parent / "events.csv").write_text(text)
    assert [kind for kind, _ in BLOCKS] == [
        "yaml", "sh", "text", "sh", "text", "graphql", "json", "python", "csv", "sh", "text", "sh", "text", "python",
    ]  # fmt: skip


def said(running: Process, commands: str) -> str:
    """What the last of the commands prints."""
    for command in commands.splitlines():
        verb = shlex.split(command)
        assert verb[0] == "iotsense"
        done = run_cli(*verb[1:], "--url", running.url, cwd=running.data.parent)
        assert done.returncode == 0, done.stderr
    return done.stdout


def words(text: str) -> list[list[str]]:
    """By lines, without the numbers of events, ids that are made up, and rules."""
    text = re.sub(r"event \d+", "event N", text)
    text = re.sub(r"\br[0-9a-f]{16}\b", "", text)
    return [line.split() for line in text.splitlines() if re.search(r"\w", line)]


def without_marks(answer: Any) -> Any:
    """The digest of the request is whatever it is."""
    return json.loads(re.sub(r'"request": "[^"]*"', '"request": ""', json.dumps(answer)))
