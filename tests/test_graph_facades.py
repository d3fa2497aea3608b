"""Questions of the graph through REST, GraphQL, the SDK and the command line: the same answers from all of them."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from service_fixtures import API, Process, process, run_cli, write_plant

from iotsense import AsyncIoTSense, IoTSense
from iotsense.twin.errors import InvalidValueError, NotFoundError

PLANT = """
digital_twins:
  - name: line_1
    type: bottling_line
    components:
      - id: filler
        type: filler
        parameters: {rate: 300 bottles/min, mass: 3}
        sensors: [{id: f_power, name: power, unit: kW}]
      - {id: belt, type: buffer, parameters: {capacity: 100}, sensors: [{id: level, unit: percent}]}
      - id: capper
        type: capper
        parameters: {cycle_time: 0.2, mass: 1}
        sensors: [{id: c_power, name: power, unit: W}]
      - {id: packer_1, type: packer, properties: {criticality: high}}
      - {id: packer_2, type: packer}
    relationships:
      - {from: filler, to: belt, type: feeds_into, transfer_time: 2}
      - {from: belt, to: capper, type: feeds_into, transfer_time: 4}
      - {from: capper, to: packer_1, type: feeds_into, transfer_time: 10}
      - {from: capper, to: packer_2, type: feeds_into, transfer_time: 20}
      - {from: capper, to: packer_1, type: controls}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    place = tmp_path_factory.mktemp("graph")
    with process(place / "data", "-c", str(write_plant(place, PLANT))) as service:
        documents = [
            {"device_id": "filler", "measurements": [{"name": "power", "value": 4.0}]},
            {"device_id": "capper", "measurements": [{"name": "power", "value": 500.0}]},
            {"device_id": "belt", "measurements": [{"name": "level", "value": 40.0}]},
        ]
        httpx.post(f"{service.url}{API}/telemetry", json=documents, timeout=60).raise_for_status()
        yield service


def rest(service: Process, question: str, **parameters: Any) -> Any:
    return httpx.get(f"{service.url}{API}/graph/{question}", params=parameters, timeout=60).raise_for_status().json()


def graphql(service: Process, query: str) -> Any:
    answer = httpx.post(f"{service.url}/graphql", json={"query": query}, timeout=60).raise_for_status().json()
    assert "errors" not in answer, answer["errors"]
    return answer["data"]


def cli(service: Process, *arguments: str) -> Any:
    done = run_cli("graph", *arguments, "--url", service.url, "--json", cwd=service.data.parent)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ids(answer: Any) -> list[str]:
    return [each["node"]["id"].removeprefix("line_1.") for each in answer["nodes"]]


def test_neighbours(running: Process) -> None:
    found = rest(running, "neighbours", node="capper")
    assert ids(found) == ["line_1", "belt", "capper.c_power", "packer_1", "packer_2"]
    assert found["nodes"][1]["via"] == {
        "source": "line_1.belt", "type": "feeds_into", "target": "line_1.capper", "properties": {"transfer_time": 4.0},
    }  # fmt: skip
    with IoTSense(url=running.url) as iot:
        assert iot.graph.neighbours("capper") == found
    assert cli(running, "neighbours", "capper") == found
    query = '{ neighbours(node: "capper") { nodes { hops node { id } via { type source { id } } } truncated } }'
    assert ids(graphql(running, query)["neighbours"]) == ids(found)
    both = rest(running, "neighbours", node="capper", relationship=["controls", "has_sensor"], direction="out")
    assert ids(both) == ["capper.c_power", "packer_1"]
    assert ids(rest(running, "neighbours", node="capper", relationship="controls,has_sensor", direction="out")) == ids(
        both
    )
    assert ids(rest(running, "neighbours", node="capper", hops=0)) == []
    assert cli(running, "neighbours", "capper", "--hops", "0")["nodes"] == []


def test_downstream_and_upstream_with_conditions(running: Process) -> None:
    down = rest(running, "downstream", node="filler")
    assert ids(down) == ["belt", "capper", "packer_1", "packer_2"]
    assert [each["hops"] for each in down["nodes"]] == [1, 2, 3, 3]
    narrowed = {
        "along": "transfer_time < 15",
        "type": ["packer", "capper"],
        "where": "type == 'capper' or criticality == 'high'",
    }
    found = rest(running, "downstream", node="filler", **narrowed)
    assert ids(found) == ["capper", "packer_1"]
    up = rest(running, "upstream", node="packer_1", where="power > 1 kW")
    assert ids(up) == ["filler"]
    with IoTSense(url=running.url) as iot:
        assert iot.graph.downstream("filler", **narrowed) == found
        assert iot.graph.upstream("packer_1", where="power > 1 kW") == up
        assert iot.graph.downstream("filler", limit=1)["truncated"]
    options = ["--along", narrowed["along"], "--type", "packer", "--type", "capper", "--where", narrowed["where"]]
    assert cli(running, "downstream", "filler", *map(str, options)) == found
    assert cli(running, "upstream", "packer_1", "--where", "power > 1 kW") == up
    query = """{
      downstream(node: "filler", walk: {along: "transfer_time < 15"}, select: {type: ["packer"]}) {
        nodes { node { id } }
      }
      node(id: "packer_1") { upstream(walk: {hops: 1}) { nodes { node { id } via { transferTime } } } }
    }"""
    answer = graphql(running, query)
    assert ids(answer["downstream"]) == ["packer_1"]
    assert answer["node"]["upstream"]["nodes"] == [{"node": {"id": "line_1.capper"}, "via": {"transferTime": 10.0}}]


async def test_paths(running: Process) -> None:
    found = rest(running, "paths", **{"from": "belt", "to": "packer_1", "weight": "transfer_time"})
    assert (found["from"], found["to"], found["truncated"]) == ("line_1.belt", "line_1.packer_1", False)
    (path,) = found["paths"]
    assert (path["nodes"], path["cost"]) == (["line_1.belt", "line_1.capper", "line_1.packer_1"], 14.0)
    every = {"relationship": ["feeds_into", "contains"], "direction": "both", "all": True}
    everything = rest(running, "paths", **{"from": "belt", "to": "packer_1", **every})
    lengths = [len(each["relationships"]) for each in everything["paths"]]
    assert (len(lengths), lengths[:3], lengths == sorted(lengths)) == (9, [2, 2, 3], True)
    async with AsyncIoTSense(url=running.url) as iot:
        assert await iot.graph.paths("belt", "packer_1", weight="transfer_time") == found
        assert await iot.graph.paths("belt", "packer_1", **every) == everything
    assert cli(running, "paths", "belt", "packer_1", "--weight", "transfer_time") == found
    options = ["-r", "feeds_into", "-r", "contains", "--direction", "both", "--all"]
    assert cli(running, "paths", "belt", "packer_1", *options) == everything
    query = """{
      paths(from: "belt", to: "packer_1", weight: "transfer_time") {
        paths { hops cost nodes { id } relationships { type } }
      }
    }"""
    assert graphql(running, query)["paths"]["paths"] == [
        {
            "hops": 2,
            "cost": 14.0,
            "nodes": [{"id": id} for id in path["nodes"]],
            "relationships": [{"type": "feeds_into"}] * 2,
        }
    ]


async def test_rollups(running: Process) -> None:
    found = rest(running, "rollup", node="line_1", signal="power")
    assert (found["value"], found["unit"], found["count"], found["quality"]) == (4.5, "kW", 2, "good")
    mean = rest(
        running, "rollup", node="line_1", signal="power", aggregate="mean", unit="W", weight="mass", level="component"
    )
    assert mean["value"] == (4000 * 3 + 500 * 1) / 4
    async with AsyncIoTSense(url=running.url) as iot:
        assert await iot.graph.rollup("line_1", "power") == found
        asked = {"aggregate": "mean", "unit": "W", "weight": "mass", "level": "component"}
        assert await iot.graph.rollup("line_1", "power", **asked) == mean
    assert cli(running, "rollup", "line_1", "power") == found
    query = """{
      rollup(node: "line_1", signal: "power", aggregate: MAX) { value unit at }
      twin(id: "line_1") { rollup(signal: "power") { value } }
    }"""
    assert graphql(running, query) == {
        "rollup": {"value": 4.0, "unit": "kW", "at": "line_1.filler.f_power"}, "twin": {"rollup": {"value": 4.5}},
    }  # fmt: skip


async def test_impact(running: Process) -> None:
    found = rest(running, "impact", node="filler")
    assert [(e["node"], e["outcome"], e["after_s"], e["because"]) for e in found["effects"]] == [
        ("line_1.filler", "stops", 0.0, None),
        ("line_1.belt", "runs_empty", 10.0, "line_1.filler"),
        ("line_1.capper", "starves", 14.0, "line_1.belt"),
        ("line_1.packer_1", "starves", 24.0, "line_1.capper"),
        ("line_1.packer_2", "starves", 34.0, "line_1.capper"),
    ]
    untimed = [{name: value for name, value in effect.items() if name != "at"} for effect in found["effects"]]

    def same(answer: Any) -> bool:
        return [{n: v for n, v in effect.items() if n != "at"} for effect in answer["effects"]] == untimed

    async with AsyncIoTSense(url=running.url) as iot:
        assert same(await iot.graph.impact("filler"))
        assert len((await iot.graph.impact("filler", within=12))["effects"]) == 2
    assert same(cli(running, "impact", "filler"))
    query = """{
      impact(node: "capper") {
        stopped effects { outcome after node { id } because { id } } assumed { text nodes }
      }
    }"""
    answer = graphql(running, query)["impact"]
    assert answer["stopped"] == ["line_1.capper"]
    assert [(e["node"]["id"], e["outcome"], e["after"]) for e in answer["effects"]] == [
        ("line_1.capper", "STOPS", 0.0), ("line_1.packer_1", "STARVES", 10.0), ("line_1.belt", "RUNS_FULL", 12.0),
        ("line_1.filler", "BLOCKS", 12.0), ("line_1.packer_2", "STARVES", 20.0),
    ]  # fmt: skip
    assert graphql(running, '{ node(id: "filler") { impact(within: 5) { effects { outcome } } } }')["node"][
        "impact"
    ] == {"effects": [{"outcome": "STOPS"}]}


async def test_single_points_of_failure(running: Process) -> None:
    found = rest(running, "single-points-of-failure")
    assert [(p["node"], p["sinks"], p["sources"], p["separates"]) for p in found["points"]] == [
        ("line_1.belt", 2, 1, True), ("line_1.capper", 2, 1, True), ("line_1.filler", 2, 0, False),
    ]  # fmt: skip
    between = rest(running, "single-points-of-failure", **{"from": "belt", "to": "packer_2"})
    assert [point["node"] for point in between["points"]] == ["line_1.capper"]
    async with AsyncIoTSense(url=running.url) as iot:
        assert await iot.graph.single_points_of_failure() == found
        assert await iot.graph.single_points_of_failure(source="belt", sink="packer_2") == between
    assert cli(running, "single-points-of-failure") == found
    assert cli(running, "single-points-of-failure", "--from", "belt", "--to", "packer_2") == between
    query = "{ singlePointsOfFailure { points { node { id } sinks firstSinks separates } nodes } }"
    assert graphql(running, query)["singlePointsOfFailure"]["points"][2] == {
        "node": {"id": "line_1.filler"}, "sinks": 2, "firstSinks": ["line_1.packer_1", "line_1.packer_2"],
        "separates": False,
    }  # fmt: skip


def test_errors_are_told_by_each(running: Process) -> None:
    missing = httpx.get(f"{running.url}{API}/graph/downstream", params={"node": "fillr"}, timeout=60)
    assert missing.status_code == 404
    assert "did you mean line_1.filler" in missing.json()["detail"]
    for parameters, place in (
        ({"node": "filler", "where": "power >"}, "where"),
        ({"node": "filler", "along": "transfer_time < 'x'"}, "along"),
        ({"node": "filler", "level": "machine"}, "level"),
        ({"node": "filler", "hops": "-1"}, "hops"),
        ({"node": "filler", "whre": "x"}, "whre"),
        ({}, "node"),
    ):
        wrong = httpx.get(f"{running.url}{API}/graph/downstream", params=parameters, timeout=60)
        assert (wrong.status_code, wrong.json().get("field")) == (400, place)
    with IoTSense(url=running.url) as iot:
        with pytest.raises(NotFoundError, match="did you mean"):
            iot.graph.impact("fillr")
        with pytest.raises(InvalidValueError, match="fill must be between 0 and 1"):
            iot.graph.impact("line_1", fill=3)
    done = run_cli("graph", "downstream", "filler", "--where", "power >", "--url", running.url, cwd=running.data.parent)
    assert done.returncode != 0
    assert "where: expression 'power >', column 8" in done.stderr
    body = {"query": '{ downstream(node: "filler", select: {where: "power >"}) { truncated } }'}
    errors = httpx.post(f"{running.url}/graphql", json=body, timeout=60).json()["errors"]
    assert errors[0]["extensions"] == {"code": "INVALID_VALUE", "field": "where"}


def test_the_command_line_shows_tables(running: Process) -> None:
    def shown(*arguments: str) -> str:
        done = run_cli("graph", *arguments, "--url", running.url, cwd=running.data.parent)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "line_1.belt feeds_into line_1.capper (4.0 s)" in shown("downstream", "filler")
    assert "line_1.belt → line_1.capper → line_1.packer_1" in shown("paths", "belt", "packer_1")
    assert "- there is no way from line_1.capper to line_1.filler" in shown("paths", "capper", "filler")
    assert "4.5 kW" in shown("rollup", "line_1", "power")
    impact = shown("impact", "filler")
    assert "runs empty" in impact
    assert "14.0 s" in impact
    assert "- assumed of line_1.capper: its ways in, or out, are taken as alternatives" in shown("impact", "packer_1")
    assert "line_1.capper" in shown("single-points-of-failure")


async def test_questions_of_the_past(running: Process) -> None:
    """Before there was a plant, and when there was one without readings."""
    with IoTSense(url=running.url) as iot:
        structure = next(event["recorded"] for event in iot.events(kind="structure"))
    before = "2024-01-01T00:00:00Z"
    for question, parameters in (
        ("neighbours", {"node": "capper"}), ("downstream", {"node": "filler"}), ("upstream", {"node": "capper"}),
        ("paths", {"from": "filler", "to": "capper"}), ("rollup", {"node": "line_1", "signal": "power"}),
        ("impact", {"node": "filler"}),
    ):  # fmt: skip
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            rest(running, question, **parameters, as_of=before)
        assert rest(running, question, **parameters, as_of=structure)
    assert rest(running, "single-points-of-failure", as_of=before)["points"] == []
    # The structure was there, the readings were not.
    early = rest(running, "rollup", node="line_1", signal="power", as_of=structure)
    assert (early["value"], early["count"]) == (None, 0)
    assumed = rest(running, "impact", node="filler", as_of=structure)["assumed"]
    assert [each["text"] for each in assumed] == ["its level is not known; taken to be 50% full"]
    async with AsyncIoTSense(url=running.url) as iot:
        assert await iot.graph.rollup("line_1", "power", as_of=structure) == early
    with IoTSense(url=running.url) as iot:
        assert iot.graph.rollup("line_1", "power", as_of=structure) == early
        with pytest.raises(NotFoundError):
            iot.graph.downstream("filler", as_of=before)
    assert cli(running, "rollup", "line_1", "power", "--as-of", structure) == early
    assert cli(running, "rollup", "line_1", "power", "--min-revision", "1")["count"] == 2
    done = run_cli("graph", "impact", "filler", "--as-of", before, "--url", running.url, cwd=running.data.parent)
    assert done.returncode != 0
    query = f'{{ rollup(node: "line_1", signal: "power", asOf: "{structure}") {{ value count }} }}'
    assert graphql(running, query)["rollup"] == {"value": None, "count": 0}


def test_what_a_stop_would_do_in_a_scenario(running: Process) -> None:
    with IoTSense(url=running.url) as iot:
        iot.scenarios.fork("full", overrides={"belt.level": 100, "capper.cycle_time": 0.5})
        effects = iot.graph.impact("filler", scenario="full")["effects"]
        # 100 bottles, at two a second, after 2 s; in the plant it is 40 at five a second.
        assert [(e["node"], e["after_s"]) for e in effects][1:3] == [("line_1.belt", 52.0), ("line_1.capper", 56.0)]
        assert iot.graph.impact("filler")["effects"][1]["after_s"] == 10.0
    assert cli(running, "impact", "filler", "--scenario", "full")["effects"] == effects
    query = '{ impact(node: "filler", scenario: "full") { effects { after } } }'
    assert [each["after"] for each in graphql(running, query)["impact"]["effects"]] == [e["after_s"] for e in effects]
