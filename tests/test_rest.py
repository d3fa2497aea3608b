"""REST over a real service: telemetry, twins, nodes, history, events, definitions, dead letters, metrics."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from service_fixtures import API, PLANT, client, document, service, write_plant

from iotsense.rest.answer import Made
from iotsense.rest.app import build_app
from iotsense.service import Service
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level

T0 = "2024-01-15T10:30:00.000Z"
T1 = "2024-01-15T10:30:01.000Z"


@pytest_asyncio.fixture
async def running(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path / "data", write_plant(tmp_path)) as started:
        yield started


@pytest_asyncio.fixture
async def http(running: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client(running) as opened:
        yield opened


async def send(http: httpx.AsyncClient, body: Any, **headers: str) -> httpx.Response:
    return await http.post(f"{API}/telemetry", json=body, headers=headers)


def rename(edit: GraphEdit, name: str) -> None:
    edit.update_node(edit.graph.find("line_1").key, name=name)


async def test_a_write_answers_with_the_revision_that_a_read_may_wait_for(
    running: Service, http: httpx.AsyncClient
) -> None:
    answer = await send(http, document("newcomer", "level", 1.5, T0))
    assert 1 < int(answer.headers["revision"]) <= running.twin.graph.revision
    path = f"{API}/nodes/newcomer"
    assert (await http.get(path, params={"min_revision": answer.headers["revision"]})).status_code == 200
    wanted = running.twin.graph.revision + 5  # the monitor makes revisions of its own, for the health of newcomers
    later = asyncio.ensure_future(http.get(path, params={"min_revision": wanted}))
    await asyncio.sleep(0.2)
    assert not later.done()
    for i in range(5):
        await running.twin.change_async(lambda edit, i=i: rename(edit, f"Line {i}"), "test")
    assert (await later).status_code == 200
    assert int((await http.post(f"{API}/scenarios", json={})).headers["revision"]) >= wanted


async def until(http: httpx.AsyncClient, path: str, holds: Any) -> Any:
    """The answer at a path as soon as `holds` says yes to it."""
    while True:
        answer = (await http.get(path)).json()
        if holds(answer):
            return answer
        await asyncio.sleep(0.02)


# Telemetry


async def test_the_example_of_the_specification_is_taken(http: httpx.AsyncClient) -> None:
    body = {
        "device_id": "sensor_001",
        "timestamp": "2024-01-15T10:30:00.123Z",
        "measurements": [
            {"name": "temperature", "value": 72.5, "unit": "celsius", "quality": "good"},
            {"name": "vibration_rms", "value": 2.3, "unit": "mm/s", "quality": "good"},
        ],
        "metadata": {"plant": "factory_1", "line": "assembly_1", "equipment": "motor_001"},
    }
    answer = await send(http, body)
    assert answer.status_code == 202
    assert answer.json() == {"accepted": 2, "dead_lettered": 0, "duplicate": False, "reasons": []}
    found = (await http.get(f"{API}/nodes", params={"origin": "discovered", "level": "sensor"})).json()["nodes"]
    assert {node["name"] for node in found} == {"temperature", "vibration_rms"}


async def test_an_answer_means_durable(running: Service, http: httpx.AsyncClient) -> None:
    before = running.twin.last_seq
    await send(http, [document("conveyor", "speed", 1.5, T0), document("conveyor", "speed", 1.6, T1)])
    assert running.twin.last_seq > before
    signal = running.twin.graph.find_signal("conveyor.speed")
    assert (
        sum(
            (entry.value.signal == signal.index).sum()
            for entry in running.twin.journal_entries(before)
            if isinstance(entry.value, ReadingBatch)
        )
        == 2
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"device_id": 5, "measurements": []}', "$.device_id"),
        ('[{"measurements":[{"name":"a","value":{}}]},{"measurements":[]}]', "$[0].measurements[0].value"),
        ('[{"device_id": "x"}]', "$[0].measurements"),
        ('{"device_id": "x", "measurements": [', None),
        ("", None),
        ('"text"', None),
    ],
)
async def test_what_is_malformed_is_refused_with_its_field(
    running: Service, http: httpx.AsyncClient, body: str, field: str | None
) -> None:
    before = running.twin.counts()["readings"]
    answer = await http.post(f"{API}/telemetry", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/problems/invalid-value"
    assert problem.get("field") == field
    assert running.twin.counts()["readings"] == before


async def test_a_body_that_is_too_large_is_refused_unread(running: Service, http: httpx.AsyncClient) -> None:
    running.context.max_body = 1000
    big = [document("conveyor", "speed", i) for i in range(100)]
    assert (await send(http, big)).status_code == 413

    async def chunks() -> AsyncIterator[bytes]:
        yield b"["
        for _ in range(100):
            yield b" " * 100

    answer = await http.post(f"{API}/telemetry", content=chunks(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert "1000 bytes" in answer.json()["detail"]


async def test_graphql_and_queries_of_influxdb_are_bounded_as_well(running: Service) -> None:
    running.context.max_body = 1000
    app = httpx.ASGITransport(build_app(running.context))
    async with httpx.AsyncClient(transport=app, base_url="http://localhost") as http:
        for path, media in (("/graphql", "application/json"), ("/query", "application/x-www-form-urlencoded")):
            answer = await http.post(path, content=b" " * 1001, headers={"Content-Type": media})
            assert answer.status_code == 413, path


async def test_a_form_cannot_send_telemetry(http: httpx.AsyncClient) -> None:
    text = json.dumps(document("conveyor", "speed", 1))
    for media in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = await http.post(f"{API}/telemetry", content=text, headers={"Content-Type": media})
        assert answer.status_code == 415
    answer = await http.post(
        f"{API}/telemetry", content=text, headers={"Content-Type": "application/json", "Content-Encoding": "br"}
    )
    assert answer.status_code == 415 and "compressed with br" in answer.json()["detail"]


GOOD, BAD = document("conveyor", "speed", 1.5), document("conveyor", "speed", {})


async def test_of_several_documents_the_right_ones_are_kept(running: Service, http: httpx.AsyncClient) -> None:
    answer = await send(http, [GOOD, BAD, {"device_id": "conveyor"}, GOOD, [GOOD]])
    assert answer.status_code == 202
    receipt = answer.json()
    assert (receipt["accepted"], receipt["dead_lettered"]) == (2, 0)
    assert [(each["index"], each["field"]) for each in receipt["refused"]] == [
        (1, "$[1].measurements[0].value"), (2, "$[2].measurements"), (4, "$[4]"),
    ]  # fmt: skip
    assert "at least one measurement" in receipt["refused"][1]["detail"]
    assert "refused" not in (await send(http, [GOOD])).json()


async def test_who_asks_again_is_told_again_what_was_refused(http: httpx.AsyncClient) -> None:
    first = (await send(http, [GOOD, BAD], **{"Idempotency-Key": "k"})).json()
    again = (await send(http, [GOOD, BAD], **{"Idempotency-Key": "k"})).json()
    assert again["duplicate"] and not first["duplicate"] and again["refused"] == first["refused"] != []


async def test_so_many_wrong_documents_are_no_telemetry(running: Service, http: httpx.AsyncClient) -> None:
    before = running.twin.counts()["readings"]
    assert (await send(http, [GOOD, *[BAD] * 1001])).status_code == 400
    assert running.twin.counts()["readings"] == before
    assert len((await send(http, [GOOD, *[BAD] * 1000])).json()["refused"]) == 1000


@pytest.mark.parametrize("packed", [False, True])
async def test_a_document_on_each_line(http: httpx.AsyncClient, packed: bool) -> None:
    text = f"{json.dumps(GOOD)}\r\n\n{json.dumps(GOOD)}\n{{\n{json.dumps(BAD)}\n".encode()
    headers = {"Content-Type": "application/x-ndjson"} | ({"Content-Encoding": "gzip"} if packed else {})
    url = f"{API}/telemetry"
    answer = await http.post(url, content=gzip.compress(text) if packed else text, headers=headers)
    assert answer.status_code == 202 and answer.json()["accepted"] == 2
    assert [each["index"] for each in answer.json()["refused"]] == [2, 3]
    only = json.dumps(GOOD).encode()
    answer = await http.post(url, content=gzip.compress(only) if packed else only, headers=headers)
    assert answer.json() == {"accepted": 1, "dead_lettered": 0, "duplicate": False, "reasons": []}
    answer = await http.post(url, content=gzip.compress(b"{") if packed else b"{", headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (400, "$[0]")


async def test_a_bomb_is_not_inflated(running: Service, http: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    bomb = gzip.compress(b" " * (running.context.max_body + 1))
    assert (await http.post(f"{API}/telemetry", content=bomb, headers=headers)).status_code == 413
    for broken in (b"nothing", gzip.compress(b"{}")[:-4]):
        answer = await http.post(f"{API}/telemetry", content=broken, headers=headers)
        assert answer.status_code == 400 and "not gzip" in answer.json()["detail"]


async def test_an_idempotency_key_stores_once_restarts_included(tmp_path: Path) -> None:
    plant = write_plant(tmp_path)
    body = document("conveyor", "speed", 1.5)
    async with service(tmp_path / "data", plant) as running, client(running) as http:
        first = await send(http, body, **{"Idempotency-Key": "a"})
        again = await send(http, body, **{"Idempotency-Key": "a"})
        other = await send(http, body, **{"Idempotency-Key": "b"})
        assert [each.json()["duplicate"] for each in (first, again, other)] == [False, True, False]
        both = await asyncio.gather(*(send(http, body, **{"Idempotency-Key": "c"}) for _ in range(5)))
        assert sorted(each.json()["duplicate"] for each in both) == [False, True, True, True, True]
    async with service(tmp_path / "data", plant) as running, client(running) as http:
        after = await send(http, body, **{"Idempotency-Key": "a"})
        assert after.status_code == 202
        assert after.json()["duplicate"]
        assert running.twin.reading_count(running.twin.graph.find_signal("conveyor.speed").index) == 3
        assert (await send(http, body, **{"Idempotency-Key": "x" * 300})).status_code == 400


async def test_an_overloaded_service_says_when_to_come_again(running: Service, http: httpx.AsyncClient) -> None:
    running.pipeline._buffer_bytes = 0
    answer = await send(http, document("conveyor", "speed", 1))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


# Twins, nodes, signals


async def test_twins_at_a_glance(http: httpx.AsyncClient) -> None:
    await send(http, document("conveyor", "motor_temperature", 20))
    [twin] = (await until(http, f"{API}/twins", lambda a: a["twins"][0]["health"]))["twins"]
    assert twin == {
        "id": "line_1",
        "name": "line_1",
        "type": "assembly_line",
        "components": 2,
        "sensors": 4,
        "health": {"score": 100, "status": "healthy"},
        "open_anomalies": 0,
    }


async def test_state_shows_what_was_read_and_nothing_else(http: httpx.AsyncClient) -> None:
    empty = (await http.get(f"{API}/twins/line_1/state")).json()
    assert empty["timestamp"] is None
    assert [component["state"] for component in empty["components"]] == [{}, {}]
    await send(http, document("conveyor", "c_speed", 1.25, T0))
    await send(http, document("conveyor", "status", "running", T1))
    await send(http, document("robot", "joints", [1, 2.5, 3], T0))
    state = (await http.get(f"{API}/twins/line_1/state")).json()
    assert state["timestamp"] == T1
    assert state["components"][0]["state"] == {"speed": 1.25, "status": "running"}
    assert state["components"][1]["state"] == {"joints": [1, 2.5, 3]}
    assert "quality" not in state["components"][0]
    doubtful = document("conveyor", "speed", 1.5, T1)
    doubtful["measurements"][0]["quality"] = "uncertain"
    await send(http, doubtful)
    state = (await http.get(f"{API}/twins/line_1/state")).json()
    assert state["components"][0]["quality"] == {"speed": "uncertain"}


async def test_state_under_its_etag(http: httpx.AsyncClient) -> None:
    path = f"{API}/twins/line_1/state"
    await send(http, document("conveyor", "speed", 1, T0))
    await until(http, path, lambda a: a["components"][0]["health"])
    first = await http.get(path)
    tag = first.headers["etag"]
    assert tag.startswith('"')
    assert (await http.get(path, headers={"If-None-Match": f'"other", {tag}'})).status_code == 304
    await send(http, document("conveyor", "speed", 2, T1))
    second = await http.get(path, headers={"If-None-Match": tag})
    assert second.status_code == 200
    assert second.headers["etag"] != tag


async def test_a_sensor_added_later_is_shown(tmp_path: Path, running: Service, http: httpx.AsyncClient) -> None:
    await http.get(f"{API}/twins/line_1/state")
    text = PLANT.replace("- {id: c_status", "- {id: c_load, name: load}\n          - {id: c_status")
    answer = await http.post(f"{API}/definitions/apply", json={"documents": {"plant.yaml": text}})
    assert answer.status_code == 200, answer.text
    await send(http, document("conveyor", "load", 7, T0))
    state = (await http.get(f"{API}/twins/line_1/state")).json()
    assert state["components"][0]["state"] == {"load": 7}


async def test_who_is_no_twin(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"{API}/twins/line_2/state")
    assert answer.status_code == 404
    assert "did you mean line_1" in answer.json()["detail"]
    answer = await http.get(f"{API}/twins/conveyor/state")
    assert answer.status_code == 404
    assert "not a twin; the twins are: line_1" in answer.json()["detail"]


async def test_a_node_with_its_signals_and_relationships(http: httpx.AsyncClient) -> None:
    await send(http, document("conveyor", "speed", 1.5, T0))
    node = (await http.get(f"{API}/nodes/line_1.conveyor")).json()
    assert (node["id"], node["level"], node["type"], node["parent"]) == (
        "line_1.conveyor",
        "component",
        "conveyor",
        "line_1",
    )
    [arrow] = node["outgoing"]
    assert arrow == {"type": "feeds_into", "node": "line_1.robot", "properties": {"transfer_time": 2.5}}
    speed = next(signal for signal in node["signals"] if signal["id"] == "line_1.conveyor.c_speed")
    assert (speed["value"], speed["time"], speed["quality"], speed["stale"]) == (1.5, T0, "good", False)
    robot = (await http.get(f"{API}/nodes/robot")).json()
    assert robot["properties"] == {"model": "fanuc_m20"}
    assert robot["incoming"][0]["node"] == "line_1.conveyor"


async def test_nodes_by_pages(http: httpx.AsyncClient) -> None:
    seen: list[str] = []
    after: int | None = 0
    while after is not None:
        page = (await http.get(f"{API}/nodes", params={"limit": 2, "after": after})).json()
        assert len(page["nodes"]) <= 2
        seen += [node["id"] for node in page["nodes"]]
        after = page["next"]
    everything = (await http.get(f"{API}/nodes")).json()
    assert seen == [node["id"] for node in everything["nodes"]]
    assert len(seen) == 7
    assert everything["next"] is None
    sensors = (await http.get(f"{API}/nodes", params={"level": Level.SENSOR, "within": "conveyor"})).json()["nodes"]
    assert [node["name"] for node in sensors] == ["speed", "motor_temperature", "status"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("level=shelf", "level must be one of enterprise"),
        ("limit=0", "limit must be between 1 and 1000"),
        ("limit=many", "limit must be a whole number"),
        ("lvl=line", "there is no parameter 'lvl' here; there are: level"),
    ],
)
async def test_a_wrong_query_is_told_with_words(http: httpx.AsyncClient, query: str, words: str) -> None:
    answer = await http.get(f"{API}/nodes?{query}")
    assert answer.status_code == 400
    assert words in answer.json()["detail"]
    assert answer.json()["field"] == query.partition("=")[0]


async def test_history_as_columns(http: httpx.AsyncClient) -> None:
    await send(http, [document("conveyor", "speed", i, f"2024-01-15T10:30:0{i}.250Z") for i in range(6)])
    path = f"{API}/signals/line_1.conveyor.speed/history"
    span = {"from": "2024-01-15T10:30:01Z", "to": "2024-01-15T10:30:05Z"}
    answer = (await http.get(path, params=span)).json()
    assert answer["signal"] == "line_1.conveyor.c_speed"
    assert answer["unit"]
    assert answer["from"] == "2024-01-15T10:30:01.000Z"
    assert answer["value"] == [1, 2, 3, 4]
    assert answer["time"][0] == "2024-01-15T10:30:01.250Z"
    assert answer["quality"] == ["good"] * 4
    assert answer["bucket_s"] is None
    buckets = (await http.get(path, params={**span, "points": 2})).json()
    assert buckets["bucket_s"] == 2
    assert (buckets["value"], buckets["low"], buckets["high"], buckets["count"]) == ([1.5, 3.5], [1, 3], [2, 4], [2, 2])
    first = (await http.get(path, params={**span, "limit": 3})).json()
    assert (first["value"], first["next"]) == ([1, 2, 3], "2024-01-15T10:30:04.250Z")
    assert (await http.get(path, params={**span, "from": first["next"]})).json()["value"] == [4]
    assert (await http.get(path)).json()["value"] == []


async def test_history_of_texts(http: httpx.AsyncClient) -> None:
    await send(http, [document("conveyor", "status", "running", T0), document("conveyor", "status", "stopped", T1)])
    path = f"{API}/signals/conveyor.status/history?from=2024-01-15&to=2024-01-16"
    assert (await http.get(path)).json()["value"] == ["running", "stopped"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("from=yesterday", "from"), ("from=2024-01-02&to=2024-01-01", "from"), ("points=0", "points"), ("to=1e9", "to")],
)
async def test_a_wrong_span_is_told(http: httpx.AsyncClient, query: str, field: str) -> None:
    answer = await http.get(f"{API}/signals/conveyor.speed/history?{query}")
    assert (answer.status_code, answer.json()["field"]) == (400, field)


# Events


async def test_an_anomaly_begins_and_ends_in_the_log(http: httpx.AsyncClient) -> None:
    path = f"{API}/events?kind=anomaly"
    await send(http, document("conveyor", "motor_temperature", 85, T0))
    begun = (await until(http, path, lambda a: a["events"]))["events"][0]
    assert (begun["node"], begun["time"], begun["until"]) == ("line_1.conveyor", T0, None)
    assert begun["data"]["rule"] == "hot_motor"
    state = await until(
        http, f"{API}/twins/line_1/state", lambda a: a["components"][0]["health"]["status"] != "healthy"
    )
    assert state["components"][0]["health"] == {"score": 75, "status": "warning"}
    assert (await http.get(f"{API}/nodes/conveyor")).json()["open_anomalies"] == [begun["seq"]]
    await send(http, document("conveyor", "motor_temperature", 20, T1))
    [_, ended] = (await until(http, path, lambda a: len(a["events"]) == 2))["events"]
    assert (ended["until"], ended["id"]) == (T1, begun["id"])
    assert (await http.get(f"{path}&after={begun['seq']}")).json()["events"] == [ended]


async def test_waiting_for_an_event(http: httpx.AsyncClient) -> None:
    last = (await http.get(f"{API}/events")).json()["last"]
    waiting = asyncio.create_task(http.get(f"{API}/events?after={last}&kind=anomaly", headers={"Prefer": "wait=30"}))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await send(http, document("conveyor", "speed", 5, T0))
    await send(http, document("conveyor", "motor_temperature", 99, T0))
    assert (await waiting).json()["events"][0]["kind"] == "anomaly"
    nothing = await http.get(f"{API}/events?after=99999", headers={"Prefer": "wait=0.05"})
    assert nothing.json()["events"] == []


async def test_events_as_a_stream_that_resumes(http: httpx.AsyncClient) -> None:
    async def first(count: int, after: int) -> list[dict[str, str]]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        found: list[dict[str, str]] = []
        current: dict[str, str] = {}
        async with http.stream("GET", f"{API}/events", headers=headers) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            async for line in stream.aiter_lines():
                name, _, value = line.partition(": ")
                if line:
                    current[name] = value
                elif "id" in current:
                    found.append(current)
                    current = {}
                    if len(found) == count:
                        return found
        return found

    listening = asyncio.create_task(first(3, 0))
    for value in (85, 20):
        await send(http, document("conveyor", "motor_temperature", value))
        await asyncio.sleep(0.1)
    events = await listening
    assert [int(event["id"]) for event in events] == [1, 2, 3]
    assert json.loads(events[0]["data"])["kind"] == events[0]["event"] == "structure"
    assert [int(event["id"]) for event in await first(1, 2)] == [3]


async def test_a_stream_ends_when_the_service_stops(tmp_path: Path) -> None:
    headers = {"Accept": "text/event-stream"}
    async with (
        service(tmp_path / "data", write_plant(tmp_path)) as running,
        client(running) as http,
        http.stream("GET", f"{API}/events", headers=headers) as stream,
    ):
        lines = stream.aiter_lines()
        await anext(lines)
        running.context.stopping.set()
        async for _ in lines:
            pass


# Definitions and dead letters


async def test_plan_apply_export(http: httpx.AsyncClient) -> None:
    same = {"documents": {"plant.yaml": PLANT}}
    assert (await http.post(f"{API}/definitions/plan", json=same)).json()["empty"]
    changed = {"documents": {"plant.yaml": PLANT.replace("threshold: 80", "threshold: 60")}}
    planned = (await http.post(f"{API}/definitions/plan", json=changed)).json()
    assert not planned["empty"]
    assert "80" in planned["text"]
    applied = (await http.post(f"{API}/definitions/apply", json=changed)).json()
    assert applied["changes"]["counts"] == planned["changes"]["counts"]
    export = await http.get(f"{API}/definitions/export")
    assert export.headers["content-type"].startswith("application/yaml")
    again = await http.post(f"{API}/definitions/plan", json={"documents": {"export.yaml": export.text}})
    assert again.json()["empty"], again.text
    sections = (await http.get(f"{API}/definitions")).json()["sections"]
    assert sections["anomaly_detection"]["rules"][0]["conditions"][0]["threshold"] == 60


async def test_a_new_rule_applies_at_once(http: httpx.AsyncClient) -> None:
    body = {"documents": {"plant.yaml": PLANT.replace("threshold: 80", "threshold: 10")}}
    assert (await http.post(f"{API}/definitions/apply", json=body)).status_code == 200
    await send(http, document("conveyor", "motor_temperature", 20))
    await until(http, f"{API}/events?kind=anomaly", lambda a: a["events"])


async def test_wrong_definitions_are_told_whole_and_change_nothing(running: Service, http: httpx.AsyncClient) -> None:
    revision = running.twin.graph.revision
    body = {"documents": {"a.yaml": "digital_twin: []\n", "b.yaml": "digital_twins:\n  - nam: x\n"}}
    for verb in ("plan", "apply"):
        answer = await http.post(f"{API}/definitions/{verb}", json=body)
        assert answer.status_code == 422
        assert {finding["file"] for finding in answer.json()["findings"]} == {"a.yaml", "b.yaml"}
        assert all(finding["line"] for finding in answer.json()["findings"])
    assert running.twin.graph.revision == revision


async def test_nodes_with_history_do_not_go_unasked(http: httpx.AsyncClient) -> None:
    await send(http, document("conveyor", "speed", 1))
    body: dict[str, Any] = {"documents": {"plant.yaml": "digital_twins:\n  - name: line_9\n"}}
    answer = await http.post(f"{API}/definitions/apply", json=body)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
    assert (await http.post(f"{API}/definitions/apply", json=body | {"allow_remove": True})).status_code == 200


@pytest.mark.parametrize("body", [{}, {"documents": {}}, {"documents": {"a": 1}}, {"docs": {}}, []])
async def test_what_is_no_project_is_refused(http: httpx.AsyncClient, body: Any) -> None:
    assert (await http.post(f"{API}/definitions/plan", json=body)).status_code == 400


async def test_dead_letters_are_listed_replayed_and_purged(http: httpx.AsyncClient) -> None:
    wrong = document("conveyor", "motor_temperature", 20)
    wrong["measurements"][0]["unit"] = "bar"
    assert (await send(http, wrong)).json()["dead_lettered"] == 1
    page = await until(http, f"{API}/dead-letters", lambda a: a["dead_letters"])
    [letter] = page["dead_letters"]
    assert letter["source"] == "http"
    assert "bar" in letter["payload"]
    assert "bar" in letter["reason"]
    assert page["pending"] == 1
    again = (await http.post(f"{API}/dead-letters/replay", json={"ids": [letter["id"]]})).json()
    assert again == {"replayed": 0, "failed": 1}
    pressure = PLANT.replace("unit: celsius", "unit: bar")
    assert (await http.post(f"{API}/definitions/apply", json={"documents": {"p": pressure}})).status_code == 200
    assert (await http.post(f"{API}/dead-letters/replay", json={"all": True})).json() == {"replayed": 1, "failed": 0}
    assert (await http.get(f"{API}/dead-letters")).json()["pending"] == 0
    await send(http, document("conveyor", "motor_temperature", "hot"))
    await until(http, f"{API}/dead-letters", lambda a: a["pending"] == 1)
    assert (await http.post(f"{API}/dead-letters/purge", json={"all": True})).json() == {"purged": 1}
    everything = (await http.get(f"{API}/dead-letters?all=true")).json()
    assert [each["resolved"] for each in everything["dead_letters"]] == ["replayed", "purged"]
    assert (await http.post(f"{API}/dead-letters/purge", json={})).status_code == 400


# The service itself


async def test_health_is_well(http: httpx.AsyncClient) -> None:
    health = (await http.get("/health")).json()
    assert health["status"] == "ok"
    assert health["reasons"] == []
    assert {"computed", "monitor", "staleness", "http"} <= set(health["tasks"])
    assert (await http.get("/livez")).text == "ok\n"
    assert (await http.get("/readyz")).status_code == 200


async def test_a_failing_task_is_named(running: Service, http: httpx.AsyncClient) -> None:
    async def broken() -> None:
        raise ValueError("a wheel came off")

    running._supervisor.start("wheel", broken)
    health = await until(http, "/health", lambda a: a["tasks"]["wheel"]["restarts"])
    assert health["status"] == "degraded"
    assert "task wheel: ValueError: a wheel came off" in health["reasons"]
    assert (await http.get("/readyz")).status_code == 200


async def test_metrics_count_by_source_and_never_by_signal(http: httpx.AsyncClient) -> None:
    await send(http, [document("conveyor", "speed", 1), document("conveyor", "speed", 2)])
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'iotsense_source_stored_total{source="http"} 2' in lines
    assert 'iotsense_source_received_total{source="http"} 1' in lines
    assert "# TYPE iotsense_source_stored_total counter" in lines
    assert "# TYPE iotsense_uptime_seconds gauge" in lines
    assert "iotsense_dead_letters_pending 0" in lines
    assert any(line.startswith("iotsense_monitor_lag_entries ") for line in lines)
    assert any(line.startswith("iotsense_computed_lag_entries ") for line in lines)
    assert "conveyor" not in answer.text
    names = {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}
    assert all(name.startswith("iotsense_") for name in names)


async def test_problem_types_lead_to_a_page(http: httpx.AsyncClient) -> None:
    problem = (await http.get(f"{API}/nodes/nobody")).json()
    page = await http.get(problem["type"])
    assert page.status_code == 200
    assert problem["title"] in page.text


async def test_what_is_not_there_and_what_is_not_allowed(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/v2/twins")).json()["type"] == "/problems/not-found"
    answer = await http.delete(f"{API}/twins")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json()["type"] == "/problems/method-not-allowed"
    assert (await http.get(f"{API}/telemetry")).status_code == 405
    for path, methods in (
        ("commands/c_1", "DELETE, GET, HEAD"),
        ("events/load", "POST"),
        ("events/1", "DELETE, GET, HEAD, PATCH"),
    ):
        assert (await http.put(f"{API}/{path}")).headers["allow"] == methods


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:8080"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:8080"}, 200),
        ({"Host": "[::1]:8080", "Origin": "http://[::1]:8080"}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
    ],
)
async def test_pages_of_other_hosts_are_kept_out(http: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    for _ in range(2):
        assert (await http.get("/livez", headers=headers)).status_code == status


async def test_graphql_and_the_console_are_there(http: httpx.AsyncClient) -> None:
    query = {"query": '{ node(id: "conveyor") { id } }'}
    answer = await http.post("/graphql", json=query)
    assert answer.json() == {"data": {"node": {"id": "line_1.conveyor"}}}
    page = await http.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")


# Files

CSV = "time,speed,note\n2024-01-15T10:30:00Z,1.5,a\n2024-01-15T10:30:01Z,fast,b\n"


async def load(http: httpx.AsyncClient, text: str, mapping: dict[str, Any], **headers: str) -> httpx.Response:
    parameters = {"name": "../day.csv", "mapping": json.dumps(mapping)}
    return await http.post(
        f"{API}/load", params=parameters, content=text, headers={"Content-Type": "text/csv", **headers}
    )


async def test_a_file_is_loaded(running: Service, http: httpx.AsyncClient) -> None:
    report = (await load(http, CSV, {"columns": {"speed": "conveyor.speed"}})).json()
    assert (report["file"], report["rows"], report["readings"], report["bad_rows"]) == ("day.csv", 2, 1, 1)
    assert report["ignored"] == ["note"]
    state = (await http.get(f"{API}/twins/line_1/state")).json()
    assert state["components"][0]["state"] == {"speed": 1.5}
    assert not list(running.twin.directory.glob("upload-*"))


async def test_a_file_tells_its_progress(running: Service, http: httpx.AsyncClient) -> None:
    answer = await load(http, CSV, {"columns": {"speed": "conveyor.speed"}}, Accept="application/x-ndjson")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[0]["progress"]["size"] == len(CSV)
    assert lines[-1]["report"]["readings"] == 1
    answer = await load(http, CSV, {"columns": {"sped": "conveyor.speed"}}, Accept="application/x-ndjson")
    [line] = [json.loads(line) for line in answer.text.splitlines()]
    assert line["problem"]["type"] == "/problems/invalid-value"
    assert not list(running.twin.directory.glob("upload-*"))


async def test_a_file_that_cannot_be_loaded(running: Service, http: httpx.AsyncClient) -> None:
    wrong = await load(http, CSV, {"columns": {"sped": "conveyor.speed"}})
    assert wrong.status_code == 400
    assert "did you mean 'speed'" in wrong.json()["detail"]
    assert (await load(http, CSV, {"colums": {}})).json()["field"] == "mapping"
    assert (await load(http, CSV, {}, **{"Content-Type": "text/plain"})).status_code == 415
    assert not list(running.twin.directory.glob("upload-*"))


def test_an_answer_is_made_once_for_a_tag_and_few_are_kept() -> None:
    made, kept = [], Made(kept=2)

    def make(what: str) -> Callable[[], list[str]]:
        return lambda: made.append(what) or [what]  # type: ignore[func-returns-value]

    assert kept.body("a", "1", make("a1")) == kept.body("a", "1", make("again")) == b'["a1"]'
    assert kept.body("a", "2", make("a2")) == b'["a2"]'
    kept.body("b", "1", make("b1"))
    kept.body("c", "1", make("c1"))
    assert kept.body("a", "2", make("anew")) == b'["anew"]'
    assert made == ["a1", "a2", "b1", "c1", "anew"]
