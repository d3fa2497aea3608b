"""The examples of docs/graph.md, run on the plant of the page."""

import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from service_fixtures import API, Process, process, run_cli, write_plant

from iotsense import IoTSense
from iotsense.twin.define_twins import Relationship

PAGE = (Path(__file__).parents[1] / "docs" / "graph.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
PAIRS = [(*one, *two) for one, two in pairwise(BLOCKS)]
GRAPHQL = [(text, answer) for kind, text, _, answer in PAIRS if kind == "graphql"]
SHELL = [(text, answer) for kind, text, _, answer in PAIRS if kind == "sh"]
YAML = [text for kind, text in BLOCKS if kind == "yaml"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    place = tmp_path_factory.mktemp("docs")
    with process(place / "data", "-c", str(write_plant(place, YAML[0]))) as service:
        said = (("filler", "power", 4.0), ("capper", "power", 500.0), ("belt", "level", 40.0))
        documents = [{"device_id": id, "measurements": [{"name": name, "value": v}]} for id, name, v in said]
        httpx.post(f"{service.url}{API}/telemetry", json=documents, timeout=60).raise_for_status()
        yield service


def test_the_page_has_examples() -> None:
    assert (len(GRAPHQL), len(SHELL), len(YAML), len(BLOCKS)) == (2, 3, 2, 15)


@pytest.mark.parametrize(("query", "answer"), GRAPHQL)
def test_graphql(running: Process, query: str, answer: str) -> None:
    assert httpx.post(f"{running.url}/graphql", json={"query": query}, timeout=60).json() == {
        "data": json.loads(answer)
    }


@pytest.mark.parametrize(("command", "answer"), SHELL)
def test_commands(running: Process, command: str, answer: str) -> None:
    verb = shlex.split(command)
    assert verb[0] == "iotsense"
    done = run_cli(*verb[1:], "--url", running.url, cwd=running.data.parent)
    shown = [line.split() for line in done.stdout.splitlines()]
    for line in answer.splitlines():
        if not line.startswith("after"):  # the head of a column without a name
            assert line.split() in shown


def test_python(running: Process, capsys: pytest.CaptureFixture[str]) -> None:
    with IoTSense(url=running.url) as iot:
        for kind, text in BLOCKS:
            if kind == "python":
                exec(text, {"iot": iot})
                expected: Any = text.rpartition("# ")[2].strip()
                assert capsys.readouterr().out.strip() == expected


def test_the_relationships_with_materials_are_valid() -> None:
    for relationship in yaml.safe_load(YAML[1])["relationships"]:
        assert Relationship.model_validate(relationship).properties["material"] in ("bottles", "caps")
