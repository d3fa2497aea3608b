"""Scenarios over REST, GraphQL, the SDK and the command line: forked, read, replayed into, removed."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from every_read import served
from service_fixtures import API, PLANT

from iotsense.cli import run_cli
from iotsense.client import AsyncIoTSense, IoTSense
from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.errors import ConflictError, NotFoundError
from iotsense.twin.plan import plan
from iotsense.twin.project import load_texts
from iotsense.twin.times import format_time, now_ns
from iotsense.twin.twin import Twin

S = 1_000_000_000


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A served plant whose conveyor's speed was 1, 2 and 3 m/s, a second apart, the last of them now."""
    project, _ = load_texts({"plant.yaml": PLANT})
    assert project is not None
    with Twin.open(tmp_path / "data") as twin:
        apply_plan(plan(project, twin.graph), twin)
        speed = twin.graph.find_signal("line_1.conveyor.speed").index
        twin.apply(ReadingBatch.of([speed] * 3, [now_ns() + i * S for i in range(3)], [1.0, 2.0, 3.0]))
        with served(twin) as url:
            yield url


def speed(state: Any) -> Any:
    return next(each["state"]["speed"] for each in state["components"] if each["id"] == "conveyor")


def test_rest(url: str) -> None:
    soon = format_time(now_ns() + 10 * S)
    body = {"id": "fast", "title": "Faster", "as_of": soon, "overrides": {"line_1.conveyor.speed": 9.5}}
    made = httpx.post(f"{url}{API}/scenarios", json=body)
    assert (made.status_code, made.headers["location"]) == (201, f"{API}/scenarios/fast")
    assert made.json()["signals"] == [{"signal": "line_1.conveyor.c_speed", "time": soon, "value": 9.5}]
    state = f"{url}{API}/twins/line_1/state"
    assert speed(httpx.get(state, params={"scenario": "fast"}).json()) == 9.5
    assert speed(httpx.get(state).json()) == 3
    answer = httpx.post(f"{url}{API}/scenarios", json=body)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
    answer = httpx.patch(f"{url}{API}/scenarios/fast", json={"overrides": {"line_1.conveyor.spead": 1}})
    assert (answer.status_code, "no signal 'spead'" in answer.json()["detail"]) == (404, True)
    assert httpx.get(state, params={"scenario": "slow"}).status_code == 404
    assert [each["id"] for each in httpx.get(f"{url}{API}/scenarios").json()["scenarios"]] == ["fast"]
    assert httpx.delete(f"{url}{API}/scenarios/fast").status_code == 204
    assert httpx.get(f"{url}{API}/scenarios/fast").status_code == 404


def test_graphql(url: str) -> None:
    overrides = {"line_1.conveyor.status": "running"}
    httpx.post(f"{url}{API}/scenarios", json={"id": "on", "overrides": overrides}).raise_for_status()
    query = """{ scenarios { id parameters signals { signal value } }
        node(id: "conveyor", scenario: "on") { signal(name: "status") { value role } } }"""
    data = httpx.post(f"{url}/graphql", json={"query": query}).json()["data"]
    held = [{"signal": "line_1.conveyor.c_status", "value": "running"}]
    assert data["scenarios"] == [{"id": "on", "parameters": {}, "signals": held}]
    assert data["node"]["signal"] == {"value": "running", "role": "SIMULATED"}


def mutate(url: str, text: str, **variables: Any) -> Any:
    return httpx.post(f"{url}/graphql", json={"query": f"mutation{text}", "variables": variables}).json()


def test_graphql_mutations(url: str) -> None:
    fork = """($o: JSON) { forkScenario(id: "on", title: "On", overrides: $o) { id title signals { value } } }"""
    made = mutate(url, fork, o={"line_1.conveyor.status": "running"})["data"]["forkScenario"]
    assert made == {"id": "on", "title": "On", "signals": [{"value": "running"}]}
    assert mutate(url, fork)["errors"][0]["extensions"]["code"] == "CONFLICT"
    wrong = mutate(url, '{ forkScenario(overrides: "x") { id } }')
    assert wrong["errors"][0]["extensions"]["code"] == "INVALID_VALUE"
    change = """($o: JSON, $t: Time) {
        changeScenario(id: "on", overrides: $o, replayUntil: $t) { clock signals { value } } }"""
    changed = mutate(url, change, o={"line_1.conveyor.speed": 4}, t="2100-01-01T00:00:00Z")["data"]["changeScenario"]
    assert changed == {"clock": "2100-01-01T00:00:00.000Z", "signals": [{"value": "running"}, {"value": 4}]}
    assert mutate(url, '{ removeScenario(id: "on") }')["data"] == {"removeScenario": "on"}
    assert mutate(url, '{ removeScenario(id: "on") }')["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    moved = mutate(url, '{ moveReplay(replay: "none", action: PAUSE) { time } }')
    assert moved["errors"][0]["extensions"]["code"] == "NOT_FOUND"


def test_sdk(url: str) -> None:
    with IoTSense(url=url) as iot:
        first = iot.history("line_1.conveyor.speed", "2020-01-01", "2100-01-01")["line_1.conveyor.speed"].time[0]
        iot.scenarios.fork("then", as_of=str(first) + "Z", known_at="2100-01-01")
        assert speed(iot.state("line_1", scenario="then")) == 1
        assert iot.scenarios.replay("then", until="2100-01-01")["clock"].startswith("2100")
        assert speed(iot.state("line_1", scenario="then")) == 3
        iot.scenarios.override("then", {"line_1.conveyor.speed": 7})
        assert iot.scenarios.get("then")["signals"][0]["value"] == 7
        with pytest.raises(ConflictError):
            iot.scenarios.fork("then")
        iot.scenarios.remove("then")
        with pytest.raises(NotFoundError):
            iot.scenarios.get("then")
        assert iot.scenarios.all() == []


def test_async_sdk(url: str) -> None:
    async def walk() -> None:
        async with AsyncIoTSense(url=url) as iot:
            assert (await iot.scenarios.fork(overrides={"line_1.conveyor.speed": 4}))["id"] == "scenario_1"
            assert speed(await iot.state("line_1", scenario="scenario_1")) == 4
            await iot.scenarios.override("scenario_1", {"line_1.conveyor.speed": 5})
            await iot.scenarios.replay("scenario_1", until="2100-01-01")
            assert (await iot.scenarios.get("scenario_1"))["clock"].startswith("2100")
            await iot.scenarios.remove("scenario_1")
            assert await iot.scenarios.all() == []

    asyncio.run(walk())


def typed(url: str, *arguments: str) -> tuple[int, str]:
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = run_cli([*arguments, "--url", url])
    return code, out.getvalue() + err.getvalue()


def test_command_line(url: str) -> None:
    code, text = typed(url, "scenario", "fork", "fast", "--title", "Faster", "--set", "line_1.conveyor.speed=9.5")
    assert (code, "9.5" in text) == (0, True)
    assert "9.5" in typed(url, "state", "line_1", "--scenario", "fast")[1]
    assert "9.5" not in typed(url, "state", "line_1")[1]
    assert typed(url, "scenario", "set", "fast", "line_1.conveyor.status=running")[0] == 0
    shown = json.loads(typed(url, "scenario", "show", "fast", "--json")[1])
    assert [each["value"] for each in shown["signals"]] == [9.5, "running"]
    assert "Faster" in typed(url, "scenario", "list")[1]
    assert typed(url, "scenario", "set", "fast", "nonsense")[0] == 2
    assert typed(url, "scenario", "remove", "fast")[0] == 0
    assert "no scenario is called" in typed(url, "scenario", "show", "fast")[1]
