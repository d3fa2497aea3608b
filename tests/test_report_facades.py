"""Reports and assets through a running service: REST, GraphQL, the verbs, CSV files and the SDK."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from service_fixtures import API, client, document, process, run_cli, service, write_plant

from iotsense import AsyncIoTSense, IoTSense
from iotsense.twin.errors import ConflictError, InvalidValueError, NotFoundError

NOW = datetime.now(UTC)


def ago(minutes: float) -> str:
    return (NOW - timedelta(minutes=minutes)).isoformat()


async def graphql(http: httpx.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    answer = (await http.post("/graphql", json={"query": query, "variables": variables})).json()
    assert "errors" not in answer, answer
    return dict(answer["data"])


async def test_rest_reports_amends_and_takes_back(tmp_path: Path) -> None:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running, client(running) as http:
        for minutes, speed in ((60, 1.0), (30, 2.0), (10, 3.0)):
            await http.post(f"{API}/telemetry", json=document("conveyor", "speed", speed, ago(minutes)))
        body = {"kind": "failure", "node": "conveyor", "time": ago(30), "reason": "belt", "data": {"order": 7}}
        headers = {"Idempotency-Key": "k1"}
        first = await http.post(f"{API}/events", json=body, headers=headers)
        assert first.status_code == 201
        event = first.json()
        assert event["node"] == "line_1.conveyor"
        assert event["until"] is None
        assert event["data"]["at_begin"]["line_1.conveyor.c_speed"]["value"] == 2.0
        assert (await http.post(f"{API}/events", json=body, headers=headers)).json() == event
        amended = await http.patch(f"{API}/events/{event['id']}", json={"until": ago(10)})
        assert amended.status_code == 200
        assert amended.json()["id"] == event["id"]
        assert amended.json()["data"]["at_end"]["line_1.conveyor.c_speed"]["value"] == 3.0
        then = (await http.get(f"{API}/events", params={"kind": "failure", "as_of": ago(20)})).json()
        assert {each["until"] for each in then["events"]} == {None}
        gone = await http.delete(f"{API}/events/{event['seq']}", params={"reason": "wrong machine", "by": "Ada"})
        assert gone.json()["retracts"] == amended.json()["seq"]
        assert (await http.delete(f"{API}/events/{event['seq']}")).status_code == 409
        for bad, status in (
            ({**body, "kind": "downtime", "reason": None}, 400),
            ({**body, "colour": 1}, 400),
            ({**body, "node": "nowhere"}, 404),
            ({"kind": "failure"}, 400),
        ):
            assert (await http.post(f"{API}/events", json=bad)).status_code == status
        assert (await http.patch(f"{API}/events/nothing", json={})).status_code == 404
        assert (await http.post(f"{API}/events", json=body, headers={"Idempotency-Key": "k" * 201})).status_code == 400


async def test_assets_are_answered_by_every_facade_as_of_any_instant(tmp_path: Path) -> None:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running, client(running) as http:
        for minutes, speed in ((50, 1.0), (40, 2.0), (20, 3.0)):
            await http.post(f"{API}/telemetry", json=document("conveyor", "speed", speed, ago(minutes)))
        async with AsyncIoTSense(url=running.url) as iot:
            await iot.report("installation", "conveyor", ago(60), serial_number="A1", maker="Bosch", model="TS5")
            before = datetime.now(UTC)
            await iot.report("installation", "conveyor", ago(30), serial_number="B2")
            await iot.report("installation", "robot", ago(15), serial_number="A1", maker="Bosch", model="TS5")
            asset = await iot.asset("A1")
            assert [place["node"] for place in asset["places"]] == ["line_1.conveyor", "line_1.robot"]
            assert asset["node"] == "line_1.robot"
            assert 44 * 60 < asset["age_s"] < 47 * 60
            known = await iot.asset("A1", known_at=before)
            assert [place["until"] for place in known["places"]] == [None]
            there = await iot.assets_at("conveyor")
            assert there["installed"]["serial_number"] == "B2"
            assert [stay["serial_number"] for stay in there["stays"]] == ["A1", "B2"]
            history = await iot.asset_history("A1", "speed", ago(70), ago(0))
            assert [piece["history"]["value"] for piece in history["pieces"]] == [[1, 2]]
        query = """query($known: Time) { asset(serialNumber: "A1", knownAt: $known) { maker age
            places { node { id } until event { kind } } }
            assetsAt(node: "conveyor") { serialNumber } installedAsset(node: "robot") { serialNumber age } }"""
        answer = await graphql(http, query)
        assert [place["node"]["id"] for place in answer["asset"]["places"]] == ["line_1.conveyor", "line_1.robot"]
        assert answer["installedAsset"]["serialNumber"] == "A1"
        assert [stay["serialNumber"] for stay in answer["assetsAt"]] == ["A1", "B2"]
        known = await graphql(http, query, known=before.isoformat())
        assert [place["until"] for place in known["asset"]["places"]] == [None]
        pieces = await graphql(
            http,
            """query($from: Time!, $to: Time!) { assetHistory(serialNumber: "A1", signal: "speed", from: $from, to: $to)
            { node { id } signal { id } value } }""",
            **{"from": ago(70), "to": ago(0)},
        )
        assert pieces["assetHistory"][0]["value"] == [1, 2]
        assert (await http.get(f"{API}/assets/C3")).status_code == 404
        assert (await http.get(f"{API}/assets/A1/history")).status_code == 400


async def test_graphql_reports_amends_and_takes_back(tmp_path: Path) -> None:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running, client(running) as http:
        made = await graphql(
            http,
            """mutation($from: Time, $data: JSON) { reportEvent(kind: "downtime", node: "conveyor", from: $from,
            reason: "no bottles", data: $data, idempotencyKey: "g1") { identity seq kind data node { id } } }""",
            **{"from": ago(30), "data": {"shift": 2}},
        )
        event = made["reportEvent"]
        assert (event["kind"], event["data"]["shift"]) == ("downtime", 2)
        ended = await graphql(
            http,
            "mutation($id: ID!, $to: Time) { amendEvent(id: $id, to: $to) { until identity } }",
            id=event["identity"],
            to=ago(20),
        )
        assert ended["amendEvent"]["identity"] == event["identity"]
        gone = await graphql(
            http, 'mutation($id: ID!) { retractEvent(id: $id, reason: "test") { retracts } }', id=event["identity"]
        )
        assert gone["retractEvent"]["retracts"] > event["seq"]
        refused = await http.post(
            "/graphql", json={"query": 'mutation { reportEvent(kind: "batch", node: "conveyor") { seq } }'}
        )
        assert refused.json()["errors"][0]["extensions"]["code"] == "INVALID_VALUE"


CSV = f"""kind;node;from;to;reason;operator
downtime;conveyor;{ago(50)};{ago(40)};jam;Ada
downtime;conveyor;{ago(30)};{ago(35)};jam;Ada
repair;nowhere;{ago(30)};;;
inspection;robot;{ago(20)};;;Bob
"""


def test_the_verbs_report_and_a_csv_file_tells_its_bad_rows(tmp_path: Path) -> None:
    write_plant(tmp_path)
    (tmp_path / "reports.csv").write_text(CSV)

    def verb(*words: str, code: int = 0) -> str:
        done = run_cli(*words, "--data", "data", cwd=tmp_path)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    with process(tmp_path / "data", "-c", str(tmp_path / "plant.yaml")) as running:
        assert running.url
        made = json.loads(
            verb("report", "failure", "robot", "--from", ago(9), "--reason", "gripper", "--set", "cost=30", "--json")
        )
        assert made["data"]["cost"] == "30"
        assert "until" in verb("amend", made["id"], "--to", ago(5))
        assert "takes back event" in verb("retract", str(made["seq"]), "--reason", "mistake")
        assert "needs 'reason'" in verb("report", "downtime", "robot", code=1)
        told = verb("load-events", "reports.csv")
        assert "2 events in 4 rows" in told
        assert "line 3: until" in told
        assert "line 4: no node is called 'nowhere'" in told
        assert "2 rows could not be used" in told
        again = json.loads(verb("load-events", "reports.csv", "--json"))
        assert again["events"] == 2
        before = datetime.now(UTC).isoformat()
        verb("report", "installation", "robot", "--from", ago(30), "--set", "serial_number=A1", "--set", "maker=Kuka")
        assert "line_1.robot" in verb("asset", "A1")
        assert "A1 is there" in verb("assets", "robot")
        assert "nothing is there" in verb("assets", "robot", "--known-at", before)
        with IoTSense(url=running.url) as iot:
            kinds = [event["kind"] for event in iot.events()]
            assert (kinds.count("downtime"), kinds.count("inspection")) == (1, 1)
            with pytest.raises(NotFoundError):
                iot.asset("none")
            made = iot.report("product_run", "line_1", ago(3), product="0.5 l", key="r1")
            with pytest.raises(ConflictError):
                iot.report("failure", "line_1", ago(3), key="r1")
            with pytest.raises(InvalidValueError, match="is not after"):
                iot.amend(made["id"], end=ago(4))
            assert iot.retract(made["seq"])["retracts"] == made["seq"]


def test_a_file_that_is_no_table_of_reports_is_refused(tmp_path: Path) -> None:
    write_plant(tmp_path)
    (tmp_path / "bad.csv").write_text("time,value\n1,2\n")
    run_cli("apply", "plant.yaml", "--yes", "--data", "data", cwd=tmp_path)
    done = run_cli("load-events", "bad.csv", "--data", "data", cwd=tmp_path)
    assert done.returncode == 1
    assert "has no column kind, node; it has time, value" in done.stderr
