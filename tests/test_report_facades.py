"""Reports and assets through REST, GraphQL, the SDK and the command line, on a real service."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from service_fixtures import API, Process, document, process, run_cli, write_plant

from iotsense import AsyncIoTSense, IoTSense
from iotsense.twin.errors import ConflictError, InvalidValueError, NotFoundError

FILE = (
    "kind,node,from,to,reason,load\nrepair,robot,2024-01-15T10:00:00Z,,oil,3.5\nrepair,nobody,2024-01-15T10:00:00Z,,,\n"
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    place = tmp_path_factory.mktemp("reports")
    with process(place / "data", "-c", str(write_plant(place))) as service:
        body = [document("conveyor", "speed", 1.5)]
        httpx.post(f"{service.url}{API}/telemetry", json=body).raise_for_status()
        yield service


def send(service: Process, method: str, path: str, body: Any = None, key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return httpx.request(method, f"{service.url}{API}{path}", json=body, headers=headers, timeout=30)


def get(service: Process, path: str, **parameters: Any) -> Any:
    return httpx.get(f"{service.url}{API}{path}", params=parameters, timeout=30).raise_for_status().json()


def graphql(service: Process, query: str, **variables: Any) -> Any:
    body = {"query": query, "variables": variables}
    answer = httpx.post(f"{service.url}/graphql", json=body, timeout=30).raise_for_status().json()
    assert "errors" not in answer, answer["errors"]
    return answer["data"]


def cli(service: Process, *arguments: str) -> Any:
    done = run_cli(*arguments, "--url", service.url, "--json", cwd=service.data.parent)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_rest_reports_ends_corrects_and_takes_back(running: Process) -> None:
    body = {"kind": "failure", "node": "conveyor", "reason": "jam", "values": {"by": "Ada"}, "capture": ["speed"]}
    first = send(running, "POST", "/events", body, "k1")
    assert first.status_code == 201
    told = first.json()
    assert (told["event"]["node"], told["event"]["until"]) == ("line_1.conveyor", None)
    assert get(running, "/nodes/conveyor", min_revision=told["revision"])["id"] == "line_1.conveyor"
    assert told["event"]["data"]["captured"]["begin"]["speed"]["value"] == 1.5
    assert send(running, "POST", "/events", body, "k1").json() == told
    assert send(running, "POST", "/events", {**body, "reason": "x"}, "k1").status_code == 409
    ended = send(running, "PATCH", f"/events/{told['seq']}", {"until": told["event"]["time"]}, "k2").json()
    assert (ended["id"], ended["event"]["until"]) == (told["id"], told["event"]["time"])
    assert get(running, f"/events/{told['seq']}") == get(running, f"/events/{told['id']}") == ended["event"]
    before = get(running, f"/events/{told['id']}", known_at=told["event"]["recorded"])
    assert before == told["event"]
    assert get(running, "/reports", kind="failure")["events"] == [ended["event"]]
    taken = send(running, "DELETE", f"/events/{told['id']}?reason=twice", key="k3").json()
    assert (taken["event"]["retracts"], taken["event"]["data"]["retraction"]) == (ended["seq"], "twice")
    assert send(running, "POST", f"/events/{told['id']}/retract", {}).json() == taken
    assert get(running, "/reports", kind="failure")["events"] == []
    assert get(running, "/reports", kind="failure", known_at=ended["event"]["recorded"])["events"] == [ended["event"]]
    log = get(running, "/events", kind="failure")["events"]
    assert [event["seq"] for event in log] == [told["seq"], ended["seq"], taken["seq"]]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field", "words"),
    [
        ("POST", "/events", {"kind": "failure", "node": "conveyer"}, 404, None, "did you mean line_1.conveyor"),
        ("POST", "/events", {"kind": "failure", "node": "robot", "time": "now"}, 400, "time", "'now' is not a time"),
        ("POST", "/events", {"kind": "failure", "node": "robot", "time": "2999-01-01"}, 400, "time", "too far"),
        ("POST", "/events", {"kind": "failure", "node": "robot", "until": "2020-01-01"}, 400, "until", "is before"),
        ("POST", "/events", {"kind": "failure", "node": "robot", "extra": 1}, 400, "$", "unknown field `extra`"),
        ("POST", "/events", {"kind": "failure"}, 400, "$", "required field `node`"),
        ("POST", "/events", {"kind": "stale", "node": "robot"}, 400, "kind", "the service itself"),
        ("PATCH", "/events/1", {"reason": "x"}, 409, None, "which nobody reported"),
        ("PATCH", "/events/99999", {"reason": "x"}, 404, None, "no event 99999"),
        ("DELETE", "/events/r0", None, 404, None, "nothing was reported"),
        ("POST", "/assets/installations", {"node": "robot", "serial_number": " "}, 400, "serial_number", "not empty"),
        ("POST", "/assets/removals", {}, 400, "node", "say what is removed"),
        ("POST", "/assets/removals", {"node": "line_1"}, 404, None, "nothing is known to be installed"),
        ("POST", "/events/load", {}, 415, None, "text/csv"),
    ],
)
def test_rest_tells_what_is_wrong(
    running: Process, method: str, path: str, body: Any, status: int, field: str | None, words: str
) -> None:
    last = get(running, "/events")["last"]
    problem = send(running, method, path, body)
    assert (problem.status_code, problem.json().get("field")) == (status, field)
    assert words in problem.json()["detail"]
    assert get(running, "/events")["last"] == last


MUTATION = """
mutation ($key: ID) {
  reportEvent(key: $key, report: {kind: "downtime", node: "robot", time: "2024-01-15T10:00:00Z", reason: "no parts",
                                  values: {shift: 2}}) {
    event { seq identity kind time until data node { id } } revision errors { code message field }
  }
}
"""


def test_graphql_reports_with_errors_in_the_payload(running: Process) -> None:
    told = graphql(running, MUTATION, key="g1")["reportEvent"]
    assert told["errors"] == []
    event = told["event"]
    assert (event["node"]["id"], event["data"]["values"]) == ("line_1.robot", {"shift": 2})
    assert told["revision"] >= 1
    assert graphql(running, MUTATION, key="g1")["reportEvent"] == told
    amend = """mutation ($id: ID!, $change: AmendmentInput!) {
      amendEvent(id: $id, change: $change) { event { until time } errors { code field message } }
    }"""
    ended = graphql(running, amend, id=event["identity"], change={"until": "2024-01-15T11:00:00Z"})["amendEvent"]
    assert ended == {"event": {"until": "2024-01-15T11:00:00.000Z", "time": event["time"]}, "errors": []}
    opened = graphql(running, amend, id=str(event["seq"]), change={"until": None})["amendEvent"]
    assert opened["event"]["until"] is None
    wrong = graphql(running, amend, id=event["identity"], change={"until": "2023-01-15T11:00:00Z"})["amendEvent"]
    assert (wrong["event"], wrong["errors"][0]["code"], wrong["errors"][0]["field"]) == (None, "INVALID_VALUE", "until")
    missing = graphql(running, amend, id="nothing", change={"reason": "x"})["amendEvent"]
    assert missing["errors"][0]["code"] == "NOT_FOUND"
    empty = graphql(running, amend, id=event["identity"], change={"time": None})["amendEvent"]
    assert empty["errors"][0] == {
        "code": "INVALID_VALUE", "field": "time", "message": "an event always has a time; leave it out if it stays",
    }  # fmt: skip
    query = 'query ($id: ID!) { reports(kinds: ["downtime"], open: true) { identity } event(id: $id) { kind } }'
    found = graphql(running, query, id=event["identity"])
    assert found == {"reports": [{"identity": event["identity"]}], "event": {"kind": "downtime"}}
    retract = 'mutation ($id: ID!) { retractEvent(id: $id, reason: "test") { event { retracts } errors { code } } }'
    taken = graphql(running, retract, id=event["identity"])["retractEvent"]
    assert taken["event"]["retracts"] == event["seq"] + 2
    assert graphql(running, query, id=event["identity"])["reports"] == []


async def test_the_sdk_reports(running: Process) -> None:
    def use() -> list[Any]:
        with IoTSense(url=running.url) as iot:
            told = iot.reports.report("inspection", "robot", reason="weekly", values={"noise": 61.5}, key="s1")
            assert iot.reports.report("inspection", "robot", reason="weekly", values={"noise": 61.5}, key="s1") == told
            ended = iot.reports.end(told["seq"], values={"noise": None})
            assert ended["event"]["until"] is not None
            assert "values" not in ended["event"]["data"]
            assert iot.reports.get(told["id"]) == ended["event"]
            assert iot.reports.get(told["id"], known_at=told["event"]["recorded"]) == told["event"]
            assert iot.reports.all(kind="inspection", open=True) == []
            assert iot.reports.amend(told["id"], until=None)["event"]["until"] is None
            with pytest.raises(NotFoundError, match="did you mean"):
                iot.reports.report("inspection", "robbot")
            with pytest.raises(InvalidValueError, match="the service itself"):
                iot.reports.report("anomaly", "robot")
            with pytest.raises(ConflictError, match="differently"):
                iot.reports.report("inspection", "conveyor", key="s1")
            loaded = iot.reports.load(FILE)
            assert (loaded["reported"], loaded["bad_rows"], loaded["errors"][0]["line"]) == (1, 1, 3)
            return iot.reports.all(kind=["inspection", "repair"], node="robot")

    found = await asyncio.to_thread(use)
    assert [event["kind"] for event in found] == ["repair", "inspection"]
    async with AsyncIoTSense(url=running.url) as iot:
        assert await iot.reports.all(kind=["inspection", "repair"], node="robot") == found
        told = await iot.reports.report("batch", "line_1", id="B-17")
        assert (await iot.reports.end("B-17"))["id"] == "B-17"
        assert (await iot.reports.amend("B-17", reason="short"))["event"]["data"]["reason"] == "short"
        assert (await iot.reports.load(FILE))["unchanged"] == 1
        taken = await iot.reports.retract("B-17")
        assert await iot.reports.get(told["seq"]) == taken["event"]
        assert await iot.reports.all(kind="batch") == []


def test_the_command_line_reports(running: Process, tmp_path: Path) -> None:
    span = ["--from", "2024-01-15T10:00:00Z", "--to", "2024-01-15T11:00:00Z"]
    told = cli(running, "report", "product-run", "line_1", *span, "--reason", "order 7", "--value", "count=120",
               "--value", "mold=A", "--id", "run.7", "--key", "c1")  # fmt: skip
    assert told["event"]["data"]["values"] == {"count": 120, "mold": "A"}
    assert cli(running, "report", "list", "--kind", "product_run") == [told["event"]]
    assert cli(running, "report", "list", "--kind", "product_run", "--from", "2024-01-15T11:00:00Z") == []
    amended = cli(running, "report", "amend", "run.7", "--to", "open", "--value", "count=null")
    assert (amended["event"]["until"], amended["event"]["data"]["values"]) == (None, {"mold": "A"})
    ended = cli(running, "report", "end", "run.7", "--at", "2024-01-15T12:00:00Z")
    assert ended["event"]["until"] == "2024-01-15T12:00:00.000Z"
    then = cli(running, "report", "list", "--kind", "product_run", "--known-at", told["event"]["recorded"])
    assert then == [told["event"]]
    instant = cli(running, "report", "event", "tool_change", "robot", "--at", "2024-01-15T10:00:00Z")
    assert instant["event"]["time"] == instant["event"]["until"]
    taken = cli(running, "report", "retract", "run.7", "--reason", "test")
    assert taken["event"]["retracts"] == ended["seq"]
    file = tmp_path / "events.csv"
    file.write_text("kind,node,from\nshift,line_1,2024-01-15T06:00:00\nshift,line_1,\n")
    done = run_cli("report", "load", str(file), "--timezone", "Europe/Berlin", "--url", running.url, cwd=tmp_path)
    assert done.stdout.strip() == "2 rows: 1 reported, 0 amended, 0 unchanged, 1 could not be used"
    assert done.stderr.strip() == "line 3: time is blank"
    (shift,) = cli(running, "report", "list", "--kind", "shift")
    assert shift["time"] == "2024-01-15T05:00:00.000Z"
    for wrong in (["--value", "count"], ["--at", "2024-01-15", "--to", "2024-01-15"]):
        assert run_cli("report", "failure", "robot", *wrong, "--url", running.url, cwd=tmp_path).returncode == 2
    done = run_cli("report", "failure", "robbot", "--url", running.url, cwd=tmp_path)
    assert (done.returncode, "did you mean line_1.robot" in done.stderr) == (1, True)


async def test_assets_on_every_facade(running: Process) -> None:
    body = {"node": "conveyor", "serial_number": "X/1", "maker": "Acme", "model": "M2", "time": "2024-01-15T10:00:00Z"}
    first = send(running, "POST", "/assets/installations", body, "a1")
    assert first.status_code == 201
    assert send(running, "POST", "/assets/installations", body, "a1").json() == first.json()
    cli(running, "assets", "install", "conveyor", "Y-2", "--maker", "Bolt", "--at", "2024-01-16T10:00:00Z")
    install = """mutation {
      installAsset(installation: {node: "robot", serialNumber: "X/1", maker: "Acme", time: "2024-01-17T10:00:00Z"}) {
        event { kind node { id } } errors { code }
      }
    }"""
    assert graphql(running, install)["installAsset"]["event"]["node"]["id"] == "line_1.robot"
    found = get(running, "/assets/stays", serial_number="X/1")["stays"]
    assert [(stay["node"], stay["from"], stay["to"]) for stay in found] == [
        ("line_1.conveyor", "2024-01-15T10:00:00.000Z", "2024-01-16T10:00:00.000Z"),
        ("line_1.robot", "2024-01-17T10:00:00.000Z", None),
    ]
    everything = get(running, "/assets")["assets"]
    assert [(each["serial_number"], each["node"]) for each in everything] == [
        ("X/1", "line_1.robot"), ("Y-2", "line_1.conveyor"),
    ]  # fmt: skip
    then = {"as_of": "2024-01-15T12:00:00Z"}
    (old,) = get(running, "/assets", **then)["assets"]
    assert (old["installed_s"], old["in_service_s"], old["stays"]) == (7200, 7200, 1)
    assert cli(running, "assets", "list", "--as-of", "2024-01-15T12:00:00Z") == [old]
    here = get(running, "/assets/stays", node="conveyor")["stays"]
    assert cli(running, "assets", "stays", "--node", "conveyor") == here
    query = """{
      asset(serialNumber: "X/1") { maker inServiceS current { node { id } } stays { start end } }
      node(id: "conveyor") { stays { serialNumber } installed { serialNumber installation { kind } } }
      then: assets(asOf: "2024-01-15T12:00:00Z") { serialNumber installedS }
    }"""
    answer = graphql(running, query)
    assert answer["asset"]["current"]["node"]["id"] == "line_1.robot"
    assert [stay["end"] for stay in answer["asset"]["stays"]] == ["2024-01-16T10:00:00.000Z", None]
    assert answer["node"] == {
        "stays": [{"serialNumber": "X/1"}, {"serialNumber": "Y-2"}],
        "installed": {"serialNumber": "Y-2", "installation": {"kind": "installation"}},
    }
    assert answer["then"] == [{"serialNumber": "X/1", "installedS": 7200.0}]
    async with AsyncIoTSense(url=running.url) as iot:
        assert await iot.assets.stays(node="conveyor") == here
        assert await iot.assets.all(as_of="2024-01-15T12:00:00Z") == [old]
        span = {"start": "2024-01-15T00:00:00Z", "end": "2099-01-01T00:00:00Z"}
        history = await iot.assets.history("Y-2", "speed", **span)
        assert [(s["signal"], s["value"]) for s in history["stretches"]] == [("line_1.conveyor.c_speed", [1.5])]
        assert get(running, "/assets/history", serial_number="Y-2", signal="speed", **{
            "from": span["start"], "to": span["end"]})["stretches"] == history["stretches"]  # fmt: skip
        gone = await iot.assets.remove(serial_number="Y-2", reason="worn", key="r1")
        assert await iot.assets.remove(serial_number="Y-2", reason="worn", key="r1") == gone
        again = await iot.assets.install("conveyor", "Z-3")
        assert again["event"]["data"]["serial_number"] == "Z-3"
    with IoTSense(url=running.url) as sync:
        assert [stay["serial_number"] for stay in sync.assets.stays(node="conveyor")] == ["X/1", "Y-2", "Z-3"]
        assert sync.assets.all(maker="Bolt")[0]["node"] is None
        assert sync.assets.history("Y-2", "speed", **span)["asset"]["serial_number"] == "Y-2"
        with pytest.raises(NotFoundError, match="did you mean Z-3"):
            sync.assets.history("Z-4", "speed")
        assert sync.assets.install("robot", "Z-4")["event"]["node"] == "line_1.robot"
        assert sync.assets.remove(node="robot")["event"]["data"]["serial_number"] == "Z-4"
    shown = cli(running, "assets", "history", "Y-2", "speed", "--from", span["start"], "--to", span["end"])
    assert [stretch["value"] for stretch in shown["stretches"]] == [[1.5]]
    remove = 'mutation { removeAsset(removal: {node: "conveyor"}) { event { data } errors { code field } } }'
    assert graphql(running, remove)["removeAsset"]["event"]["data"]["serial_number"] == "Z-3"
    assert graphql(running, remove)["removeAsset"] == {"event": None, "errors": [{"code": "NOT_FOUND", "field": None}]}
    nothing = "mutation { removeAsset(removal: {}) { event { seq } errors { code field } } }"
    assert graphql(running, nothing)["removeAsset"]["errors"] == [{"code": "INVALID_VALUE", "field": "node"}]
    query = 'query ($a: Time!, $b: Time!) { asset(serialNumber: "Y-2") { history(signal: "speed", from: $a, to: $b) {\
        signal { id } history { value } } } }'
    stretches = graphql(running, query, a=span["start"], b=span["end"])["asset"]["history"]
    assert stretches == [{"signal": {"id": "line_1.conveyor.c_speed"}, "history": {"value": [1.5]}}]


def test_the_command_line_works_without_a_service(tmp_path: Path) -> None:
    run_cli("apply", str(write_plant(tmp_path)), "--data", str(tmp_path / "data"), "--yes", cwd=tmp_path)
    done = run_cli("report", "failure", "robot", "--data", str(tmp_path / "data"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "failure of line_1.robot" in done.stdout
    assert "failure" in run_cli("report", "list", "--data", str(tmp_path / "data"), cwd=tmp_path).stdout
