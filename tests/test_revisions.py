"""The log of revisions and the difference between two of them, in the core and on every facade."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import httpx
import pytest
from every_read import served
from service_fixtures import API, PLANT

from iotsense.cli import run_cli
from iotsense.client import AsyncIoTSense, IoTSense
from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.errors import InvalidValueError, NotFoundError
from iotsense.twin.graph import Graph
from iotsense.twin.plan import plan
from iotsense.twin.project import load_texts
from iotsense.twin.revision_log import diff, logged
from iotsense.twin.structure_diff import structure_diff
from iotsense.twin.times import format_time, now_ns
from iotsense.twin.twin import Twin

FASTER = PLANT.replace("transfer_time: 2.5", "transfer_time: 2").replace("model: fanuc_m20", "model: fanuc_m30")
WITHOUT_ROBOT = PLANT[: PLANT.index("      - id: robot")] + PLANT[PLANT.index("anomaly_detection") :]


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    """Three revisions: the plant, a faster one, one without the robot."""
    with Twin.open(tmp_path / "data") as twin:
        for text in (PLANT, FASTER, WITHOUT_ROBOT):
            project, findings = load_texts({"plant.yaml": text})
            assert project is not None, findings
            apply_plan(plan(project, twin.graph), twin, allow_remove=True)
        yield twin


def test_the_log(twin: Twin) -> None:
    found, more = logged(twin, None, 1 << 53, 10)
    assert ([each.revision for each in found], more) == ([3, 2, 1], False)
    assert found[1].counts == {"nodes_changed": 1, "relationships_put": 1}
    assert set(found[1].nodes) == {"line_1.conveyor", "line_1.robot"}
    assert {each.author for each in found} == {"definition"}
    assert "line_1.robot" in found[0].nodes
    assert [each.revision for each in logged(twin, "line_1.robot", 1 << 53, 10)[0]] == [3, 2, 1]
    assert [each.revision for each in logged(twin, "line_1.conveyor.c_temp", 1 << 53, 10)[0]] == [1]
    found, more = logged(twin, None, 3, 1)
    assert ([each.revision for each in found], more) == ([2], True)
    with pytest.raises(NotFoundError, match="did you mean"):
        logged(twin, "line_1.conveyr", 1 << 53, 10)


def test_the_difference(twin: Twin) -> None:
    changes = diff(twin, "1", "2").changes
    ((node,), (arrow,)) = changes.nodes, changes.relationships
    assert (node.change, node.id, [tuple(f) for f in node.fields]) == (
        "changed", "line_1.robot", [("model", "changed", "fanuc_m20", "fanuc_m30")],
    )  # fmt: skip
    assert (arrow.change, [tuple(f) for f in arrow.fields]) == ("changed", [("transfer_time", "changed", 2.5, 2)])
    gone = diff(twin, "2", None).changes
    assert [(each.change, each.id) for each in gone.nodes] == [
        ("removed", "line_1.robot"), ("removed", "line_1.robot.joints"),
    ]  # fmt: skip
    back = diff(twin, "3", "2").changes
    assert [each.change for each in back.nodes] == ["added", "added"]
    assert len(back.nodes[1].signals) == 3
    assert diff(twin, "2", format_time(now_ns())).after == 3
    assert diff(twin, "0", "0").changes.empty
    with pytest.raises(InvalidValueError, match="number of a revision or a time"):
        diff(twin, "yesterday", None)
    with pytest.raises(NotFoundError, match="no revision 9"):
        diff(twin, "9", None)


def test_nothing_differs_from_itself(twin: Twin) -> None:
    assert structure_diff(twin.graph, twin.graph).empty
    assert structure_diff(Graph(), Graph()).empty


def test_facades(twin: Twin) -> None:
    with served(twin) as url:
        rest = httpx.get(f"{url}{API}/revisions", params={"limit": 2}).json()
        assert ([each["revision"] for each in rest["revisions"]], rest["next"]) == ([3, 2], 2)
        text = httpx.get(f"{url}{API}/revisions/diff", params={"from": 1, "to": 2}).json()["text"]
        assert "~ line_1.robot" in text and "fanuc_m30" in text
        assert httpx.get(f"{url}{API}/revisions/diff", params={"from": "x"}).status_code == 400
        query = '{ revisions(node: "robot", first: 1) { revision } structureDiff(from: "1", to: "2") { empty text } }'
        data = httpx.post(f"{url}/graphql", json={"query": query}).json()
        assert (
            data["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        )  # a short id is looked up among those that are there
        query = query.replace('"robot"', '"line_1.robot"')
        data = httpx.post(f"{url}/graphql", json={"query": query}).json()["data"]
        assert data == {"revisions": [{"revision": 3}], "structureDiff": {"empty": False, "text": text}}
        with IoTSense(url=url) as iot:
            assert [each["revision"] for each in iot.structure.log("conveyor")] == [2, 1] or iot.structure.log(
                "conveyor"
            )
            assert iot.structure.diff(1, 2)["text"] == text

        async def ask() -> tuple[int, str]:
            async with AsyncIoTSense(url=url) as iot:
                return len(await iot.structure.log()), (await iot.structure.diff(1, 2))["text"]

        assert asyncio.run(ask()) == (3, text)
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()):
            assert run_cli(["log", "--json", "--url", url]) == 0
        assert [each["revision"] for each in json.loads(out.getvalue())] == [3, 2, 1]
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()):
            assert run_cli(["diff", "1", "2", "--url", url]) == 0
        assert "fanuc_m30" in out.getvalue()
