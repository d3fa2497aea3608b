"""GraphQL over a real server: questions, subscriptions, errors, limits."""

import asyncio
import re
import socket as sockets
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from facade_fixtures import Context, S, Server, breach, plant, put, serving, subscribed

from iotsense.graphql import query as queries
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.entry import EventDraft
from iotsense.twin.model import Level
from iotsense.twin.times import format_time, now_ns
from iotsense.twin.twin import Twin


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with plant(tmp_path) as twin:
        yield twin


@pytest.fixture
def server(twin: Twin) -> Iterator[Server]:
    with serving(Context(twin)) as server:
        yield server


# Questions


def test_twins_show_their_components_and_how_material_flows(server: Server) -> None:
    answer = server.ask("""{ twins { id level components { id shortId name type
        feedsInto { transferTime type node { id } } fedBy { transferTime node { id } } } } }""")
    line = answer["twins"][0]
    assert (line["id"], line["level"]) == ("line_1", "LINE")
    conveyor, robot, packer = line["components"]
    assert conveyor["shortId"] == "conveyor" and conveyor["name"] == "Infeed conveyor"
    assert conveyor["feedsInto"] == [{"transferTime": 2.5, "type": "feeds_into", "node": {"id": "line_1.robot"}}]
    assert robot["fedBy"] == [{"transferTime": 2.5, "node": {"id": "line_1.conveyor"}}]
    assert packer["feedsInto"] == [] and len(answer["twins"]) == 2


def test_a_node_shows_its_place_and_its_properties(server: Server) -> None:
    node = server.ask("""{ node(id: "robot") { id level origin parent { id } children { id level } sensors { id }
        components { id } childCount properties relationships { type node { id } } } }""")["node"]
    assert node["id"] == "line_1.robot" and node["parent"] == {"id": "line_1"} and node["origin"] == "DEFINED"
    assert node["children"] == [{"id": "line_1.robot.joints", "level": "SENSOR"}] and node["childCount"] == 1
    assert node["sensors"] == [{"id": "line_1.robot.joints"}] and node["components"] == []
    assert node["properties"] == {"model": "fanuc_m20"}
    assert {r["node"]["id"] for r in node["relationships"]} == {"line_1.packer", "line_1.conveyor"}


def test_generic_relationships_are_narrowed_by_type(server: Server) -> None:
    found = server.ask("""{ node(id: "packer") { relationships(type: "powered_by") { type node { id } } }
        relationships(type: "powered_by") { source { id } target { id } transferTime } }""")
    assert found["node"]["relationships"] == [{"type": "powered_by", "node": {"id": "line_1.conveyor"}}]
    assert found["relationships"] == [
        {"source": {"id": "line_1.packer"}, "target": {"id": "line_1.conveyor"}, "transferTime": None}
    ]


def test_values_are_numbers_texts_booleans_and_lists_with_unit_time_and_quality(server: Server, twin: Twin) -> None:
    at = now_ns() // S * S + 123_456_789
    put(twin, "line_1.conveyor.speed", 1.8, time=at)
    put(twin, "line_1.conveyor.status", 1, time=at)
    put(twin, "line_1.conveyor.jam", 0, time=at)
    joints = [twin.graph.find_signal("line_1.robot.joints").index + i for i in range(3)]
    twin.apply(ReadingBatch.of(joints, [at, at, at + 5], [0, 45, -30], [192, 192, 64]))
    fields = "state { name value unit time quality signals { id index } }"
    answer = server.ask(f"""{{ conveyor: node(id: "line_1.conveyor") {{ {fields} }}
        robot: node(id: "robot") {{ {fields} }}
        signal(id: "line_1.conveyor.speed") {{ id value qualityCode role high node {{ id }} }} }}""")
    state = {entry["name"]: entry for entry in answer["conveyor"]["state"]}
    assert state["speed"]["value"] == 1.8 and state["speed"]["unit"] == "m/s" and state["speed"]["quality"] == "GOOD"
    assert state["speed"]["time"].endswith(".123456789Z")
    assert state["status"]["value"] == "running"
    assert state["jam"]["value"] is False
    assert state["motor_temp"]["value"] is None and state["motor_temp"]["time"] is None
    (entry,) = answer["robot"]["state"]
    assert entry["name"] == "joint_positions" and entry["value"] == [0, 45, -30]
    assert entry["quality"] == "UNCERTAIN" and entry["time"] == format_time(at + 5) and len(entry["signals"]) == 3
    signal = answer["signal"]
    assert (signal["qualityCode"], signal["role"], signal["high"]) == (192, "MEASURED", 3.0)
    assert signal["node"] == {"id": "line_1.conveyor.speed"}


def test_what_json_has_no_word_for_is_null(server: Server, twin: Twin) -> None:
    put(twin, "line_1.conveyor.speed", 1.0, float("nan"), float("inf"))
    answer = server.ask("""{ signal(id: "line_1.conveyor.speed") { value history { value low } } }""")
    assert answer["signal"] == {"value": None, "history": {"value": [1.0, None, None], "low": [1.0, None, None]}}


def test_history_comes_as_columns_of_the_last_hour_or_of_the_span_asked_for(server: Server, twin: Twin) -> None:
    now = now_ns()
    put(twin, "line_1.conveyor.speed", 7.0, time=now - 2 * 3600 * S)
    put(twin, "line_1.conveyor.speed", 1.0, 2.0, 3.0, 4.0, time=now - S)
    ask = """query($from: Time, $to: Time, $points: Int! = 500) { signal(id: "line_1.conveyor.speed") {
        history(from: $from, to: $to, points: $points) { time value low high quality count bucket start end } } }"""
    hour = server.ask(ask)["signal"]["history"]
    assert hour["value"] == [1.0, 2.0, 3.0, 4.0] and hour["bucket"] is None and hour["quality"] == [192] * 4
    assert hour["time"][-1] == format_time(now - S) and hour["count"] == [1] * 4
    older = server.ask(ask, **{"from": format_time(now - 3 * 3600 * S), "to": format_time(now - 3600 * S)})
    assert older["signal"]["history"]["value"] == [7.0]
    few = server.ask(ask, points=1)["signal"]["history"]
    assert few["value"] == [2.5] and few["low"] == [1.0] and few["high"] == [4.0] and few["bucket"] == 3600


def test_history_of_texts_shows_texts_and_no_mean_of_codes(server: Server, twin: Twin) -> None:
    put(twin, "line_1.conveyor.status", 0, 1, 1, time=now_ns() - S)
    ask = """query($points: Int!) { signal(id: "line_1.conveyor.status") { labels
        history(points: $points) { value } } }"""
    found = server.ask(ask, points=10)["signal"]
    assert found == {"labels": ["stopped", "running"], "history": {"value": ["stopped", "running", "running"]}}
    assert server.ask(ask, points=1)["signal"]["history"]["value"] == [None]


def test_nodes_are_paged_and_narrowed(server: Server) -> None:
    ask = """query($after: String) { nodes(level: COMPONENT, first: 3, after: $after) {
        totalCount nodes { id } pageInfo { endCursor hasNextPage } } }"""
    first = server.ask(ask)["nodes"]
    assert first["totalCount"] == 4 and len(first["nodes"]) == 3 and first["pageInfo"]["hasNextPage"]
    rest = server.ask(ask, after=first["pageInfo"]["endCursor"])["nodes"]
    assert [node["id"] for node in rest["nodes"]] == ["line_2.conveyor"] and not rest["pageInfo"]["hasNextPage"]
    found = server.ask("""{ a: nodes(type: "conveyor") { totalCount } b: nodes(search: "pick ROBOT") { nodes { id } }
        c: nodes(level: [AREA, SITE]) { nodes { name } } d: nodes(ids: ["robot", "packer"]) { nodes { id } } }""")
    assert found["a"]["totalCount"] == 2 and found["b"]["nodes"] == [{"id": "line_1.robot"}]
    assert found["c"]["nodes"] == [{"name": "Riverside works"}, {"name": "Hall A"}]
    assert len(found["d"]["nodes"]) == 2


def test_health_comes_from_its_signal_and_narrows_nodes(server: Server, twin: Twin) -> None:
    put(twin, "line_1.conveyor.health", 30.0)
    put(twin, "line_1.health", 30.0)
    put(twin, "line_1.robot.health", 100.0)
    answer = server.ask("""{ nodes(level: COMPONENT) { nodes { id health { score status } } }
        critical: nodes(health: CRITICAL) { nodes { id } }
        unknown: nodes(health: UNKNOWN, level: COMPONENT) { totalCount } }""")
    health = {node["id"]: node["health"] for node in answer["nodes"]["nodes"]}
    assert health["line_1.conveyor"] == {"score": 30.0, "status": "CRITICAL"}
    assert health["line_1.robot"]["status"] == "HEALTHY"
    assert health["line_1.packer"] == {"score": None, "status": "UNKNOWN"}
    assert {node["id"] for node in answer["critical"]["nodes"]} == {"line_1.conveyor", "line_1"}
    assert answer["unknown"]["totalCount"] == 2


def test_anomalies_are_shown_on_the_node_and_on_all_that_contains_it(server: Server, twin: Twin) -> None:
    put(twin, "line_1.conveyor.motor_temp", 91.5)
    old = breach(twin, "line_1.conveyor.motor_temp", time=now_ns() - 60 * S)
    begun = twin.open_event(old)
    assert begun is not None
    twin.record([EventDraft(begun.time, "anomaly", begun.node, until=now_ns(), data=begun.data, identity=old)])
    breach(twin, "line_1.conveyor.motor_temp", "critical")
    ask = """query($id: ID!, $open: Boolean!) { node(id: $id) { health { status } anomalies(open: $open) {
        rule severity value threshold operator unit since until open node { id } signal { id } } } }"""
    for id in ("line_1.conveyor", "line_1", "plant", "line_1.conveyor.motor_temp"):
        (anomaly,) = server.ask(ask, id=id, open=True)["node"]["anomalies"]
        assert anomaly["severity"] == "critical" and anomaly["open"] and anomaly["until"] is None
        assert anomaly["signal"] == {"id": "line_1.conveyor.motor_temp"} and anomaly["value"] == 91.5
        assert [a["open"] for a in server.ask(ask, id=id, open=False)["node"]["anomalies"]] == [True, False]
    for id in ("line_2", "line_1.robot"):
        assert server.ask(ask, id=id, open=False)["node"]["anomalies"] == []
    assert server.ask(ask, id="motor_temp", open=True)["node"]["health"] == {"status": "CRITICAL"}
    assert len(server.ask("{ anomalies { id } }")["anomalies"]) == 1


def test_silence_is_shown_on_the_signal_and_above_it(server: Server, twin: Twin) -> None:
    put(twin, "line_1.conveyor.motor_temp", 40.0)
    index = twin.graph.find_signal("line_1.conveyor.motor_temp").index
    ask = """{ signal(id: "motor_temp") { stale quality value } node(id: "line_1.conveyor") { stale silent }
        line: node(id: "line_1") { silent } other: node(id: "line_2") { silent stale } }"""
    assert server.ask(ask)["node"] == {"stale": False, "silent": 0}
    twin.mark_stale([(index, now_ns())])
    answer = server.ask(ask)
    assert answer["signal"] == {"stale": True, "quality": "UNCERTAIN", "value": 40.0}
    assert answer["node"] == {"stale": True, "silent": 1} and answer["line"] == {"silent": 1}
    assert answer["other"] == {"silent": 0, "stale": False}


def test_events_are_a_numbered_log(server: Server, twin: Twin) -> None:
    start = twin.last_event_seq
    breach(twin, "line_1.conveyor.motor_temp")
    breach(twin, "line_2.conveyor.speed")
    ask = """query($after: Long!, $node: ID) { events(after: $after, node: $node, kind: "anomaly") {
        seq time recorded kind data node { id } } }"""
    events = server.ask(ask, after=start)["events"]
    assert [e["seq"] for e in events] == [start + 1, start + 2] and events[0]["data"]["rule"] == "too_warm"
    assert [e["node"]["id"] for e in server.ask(ask, after=0, node="line_2.conveyor")["events"]] == ["line_2.conveyor"]
    newest = server.ask("{ events(newestFirst: true, first: 1) { seq } }")["events"]
    assert newest == [{"seq": start + 2}]


def test_the_service_and_its_sources_are_shown(server: Server, twin: Twin) -> None:
    put(twin, "line_1.conveyor.speed", 1.0)
    answer = server.ask("""{ service { version startedAt revision nodes signals readings events deadLetters trouble }
        sources { name protocol state since error healthy counters { name value } } }""")
    service = answer["service"]
    assert service["version"] == "0.test" and service["nodes"] == len(twin.graph) and service["readings"] == 1
    assert service["trouble"] is None and service["deadLetters"] == 0
    (source,) = answer["sources"]
    assert source["name"] == "mqtt" and source["state"] == "running" and source["healthy"]
    counters = {counter["name"]: counter["value"] for counter in source["counters"]}
    assert counters["received"] == 7 and counters["acknowledged"] == 5 and counters["waiting"] == 2


# Errors and limits


def test_errors_of_ours_bear_a_code_and_what_helps(server: Server) -> None:
    missing = server.ask_whole('{ node(id: "line_1.conveyer") { id } twins { id } }')
    assert missing["data"]["node"] is None and len(missing["data"]["twins"]) == 2
    (error,) = missing["errors"]
    assert error["extensions"]["code"] == "NOT_FOUND" and "did you mean" in error["message"]
    ambiguous = server.ask_whole('{ node(id: "conveyor") { id } }')["errors"][0]
    assert ambiguous["extensions"] == {"code": "AMBIGUOUS", "candidates": ["line_1.conveyor", "line_2.conveyor"]}
    no_twin = server.ask_whole('{ twin(id: "robot") { id } }')["errors"][0]
    assert no_twin["extensions"]["code"] == "NOT_FOUND" and "line_1, line_2" in no_twin["message"]
    wrong = server.ask_whole('{ signal(id: "motor_temp") { history(from: "yesterday") { time } } }')["errors"][0]
    assert "ISO 8601" in wrong["message"]
    points = server.ask_whole('{ signal(id: "motor_temp") { history(points: 0) { time } } }')["errors"][0]
    assert points["extensions"] == {"code": "INVALID_VALUE", "field": "points"}
    field = server.ask_whole("{ twins { nonsense } }")["errors"][0]
    assert field["extensions"]["code"] == "BAD_REQUEST" and "nonsense" in field["message"]


def test_an_unknown_failure_is_masked_and_logged(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(queries.Node, "of", fail)
    (error,) = server.ask_whole("{ twins { id } }")["errors"]
    assert error["extensions"] == {"code": "INTERNAL"} and "secret" not in str(error)
    number = re.search(r"internal error (\w+)", error["message"])
    assert number and number[1] in caplog.text and "secret" in caplog.text


def test_an_operation_has_limits(server: Server, twin: Twin) -> None:
    deep = '{ node(id: "line_1") ' + "{ parent " * 20 + "{ id }" + "}" * 21
    wide = "{ " + " ".join(f"a{i}: twins {{ id }}" for i in range(100)) + " }"
    long = "{ twins { id " + "id " * 5000 + "} }"
    for text, word in ((deep, "depth"), (wide, "aliases"), (long, "tokens")):
        (error,) = server.ask_whole(text)["errors"]
        assert word in error["message"].lower()
    for text in ("{ nodes(first: 1001) { totalCount } }", "{ events(first: 5000) { seq } }"):
        assert server.ask_whole(text)["errors"][0]["extensions"]["code"] == "INVALID_VALUE"


def test_an_answer_may_not_grow_without_bound(server: Server, twin: Twin) -> None:
    line = twin.graph.find("line_2").key

    def widen(edit):  # type: ignore[no-untyped-def]
        for i in range(200):
            edit.add_node(id=f"line_2.m{i}", level=Level.COMPONENT, parent=line)

    twin.change(widen, "test")
    text = '{ node(id: "line_2") { components { parent { components { parent { components { id } } } } } } }'
    assert "more than 20000 nodes" in server.ask_whole(text)["errors"][0]["message"]
    assert len(server.ask('{ node(id: "line_2") { components { id } } }')["node"]["components"]) == 201


def test_graphql_core_keeps_its_name() -> None:
    import graphql

    assert "site-packages" in str(graphql.__file__)


# GraphiQL


def test_graphiql_is_served_from_here_and_asks_nobody_else(server: Server) -> None:
    page = httpx.get(f"{server.url}/graphql", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html") and "default-src 'self'" in str(page.headers)
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(files) >= 6
    for file in files:
        assert file.startswith(("/graphql/ide/", "data:"))
        if file.startswith("/"):
            assert httpx.get(server.url + file).status_code == 200
    assert "MIT" in httpx.get(f"{server.url}/graphql/ide/LICENSES.txt").text


# Subscriptions

STATE = """subscription($nodes: [ID!], $signals: [ID!], $hz: Float! = 50) {
    state(nodes: $nodes, signals: $signals, maxHz: $hz) { whole seq columns { signal index value time quality } } }"""


async def test_state_begins_with_the_whole_and_goes_on_with_what_changes(server: Server, twin: Twin) -> None:
    put(twin, "line_1.conveyor.speed", 1.5)
    put(twin, "line_1.conveyor.status", 1)
    async with subscribed(server, STATE) as following:
        first = (await following())["data"]["state"]
        assert first["whole"] and len(first["columns"]["signal"]) == len(list(twin.graph.signals()))
        value = dict(zip(first["columns"]["signal"], first["columns"]["value"], strict=True))
        assert value["line_1.conveyor.speed"] == 1.5 and value["line_1.conveyor.status"] == "running"
        assert value["line_2.conveyor.speed"] is None
        put(twin, "line_1.conveyor.speed", 2.5)
        second = (await following())["data"]["state"]
        assert not second["whole"] and second["columns"]["signal"] == ["line_1.conveyor.speed"]
        assert second["columns"]["value"] == [2.5] and second["columns"]["quality"] == [192]
        assert second["seq"] > first["seq"]


async def test_state_is_narrowed_to_nodes_and_signals(server: Server, twin: Twin) -> None:
    async with subscribed(server, STATE, nodes=["robot"], signals=["line_1.conveyor.speed"]) as following:
        first = (await following())["data"]["state"]["columns"]["signal"]
        assert set(first) == {
            "line_1.conveyor.speed", "line_1.robot.health", *(f"line_1.robot.joints.value[{i}]" for i in range(3))
        }  # fmt: skip
        put(twin, "line_2.conveyor.speed", 1.0)
        put(twin, "line_1.conveyor.speed", 3.0)
        assert (await following())["data"]["state"]["columns"]["signal"] == ["line_1.conveyor.speed"]


async def test_state_can_be_had_as_objects_too(server: Server, twin: Twin) -> None:
    put(twin, "line_1.conveyor.speed", 1.5)
    text = 'subscription { state(signals: ["line_1.conveyor.speed"]) { signals { id value unit stale } } }'
    async with subscribed(server, text) as following:
        (signal,) = (await following())["data"]["state"]["signals"]
    assert signal == {"id": "line_1.conveyor.speed", "value": 1.5, "unit": "m/s", "stale": False}


async def test_many_changes_in_a_tick_make_one_batch_with_the_latest_values(server: Server, twin: Twin) -> None:
    async with subscribed(server, STATE, nodes=["line_1.conveyor"], hz=2) as following:
        await following()
        begin = time.monotonic()
        for i in range(200):
            put(twin, "line_1.conveyor.speed", float(i))
        values = []
        while not values or values[-1] != [199.0]:
            values.append((await following())["data"]["state"]["columns"]["value"])
        assert len(values) <= 2 + 2 * (time.monotonic() - begin) + 1


async def test_state_follows_a_new_revision(server: Server, twin: Twin) -> None:
    async with subscribed(server, STATE, nodes=["line_2"]) as following:
        await following()
        conveyor = twin.graph.find("line_2.conveyor").key

        def add(edit):  # type: ignore[no-untyped-def]
            sensor = edit.add_node(id="line_2.conveyor.torque", level=Level.SENSOR, parent=conveyor)
            edit.add_signal(sensor.key)

        twin.change(add, "test")
        put(twin, "line_2.conveyor.torque", 12.0)
        columns = (await following())["data"]["state"]["columns"]
        assert columns["signal"] == ["line_2.conveyor.torque"] and columns["value"] == [12.0]


async def test_a_wrong_subscription_fails_with_a_code(server: Server) -> None:
    async with subscribed(server, STATE, nodes=["nowhere"]) as following:
        answer = await following()
        (error,) = answer if isinstance(answer, list) else answer["errors"]
        assert error["extensions"]["code"] == "NOT_FOUND"
    async with subscribed(server, STATE, hz=1000) as following:
        answer = await following()
        (error,) = answer if isinstance(answer, list) else answer["errors"]
        assert error["extensions"] == {"code": "INVALID_VALUE", "field": "maxHz"}


EVENTS = "subscription($after: Long) { events(after: $after) { seq kind node { id } data } }"


async def test_events_resume_behind_a_number_and_miss_nothing(server: Server, twin: Twin) -> None:
    start = twin.last_event_seq
    for _ in range(3):
        breach(twin, "line_1.conveyor.motor_temp")
    seen = []
    async with subscribed(server, EVENTS, after=start) as following:
        for _ in range(2):
            seen.append((await following())["data"]["events"])
    breach(twin, "line_1.conveyor.motor_temp")  # while nobody listens
    async with subscribed(server, EVENTS, after=seen[-1]["seq"]) as following:
        for _ in range(2):
            seen.append((await following())["data"]["events"])
        breach(twin, "line_2.conveyor.speed")
        seen.append((await following())["data"]["events"])
    assert [event["seq"] for event in seen] == [start + 1 + i for i in range(5)]
    assert seen[-1]["node"] == {"id": "line_2.conveyor"}


async def test_a_subscriber_is_told_what_is_gone(server: Server, twin: Twin) -> None:
    breach(twin, "line_1.conveyor.motor_temp")
    breach(twin, "line_1.conveyor.motor_temp")
    last = twin.last_event_seq
    twin.catch_up()
    twin._catalog.expire(twin.events(last - 2)[0].recorded + 1)
    query = EVENTS.replace("after: $after)", 'after: $after, kind: "anomaly")')
    async with subscribed(server, query, after=0) as following:
        gone = (await following())["data"]["events"]
        assert (gone["kind"], gone["seq"], gone["data"]) == ("gone", last - 1, {"from": 1, "to": last - 1})
        assert (await following())["data"]["events"]["seq"] == last


async def test_events_begin_now_unless_told(server: Server, twin: Twin) -> None:
    breach(twin, "line_1.conveyor.motor_temp")
    async with subscribed(server, EVENTS) as following:
        waiting = asyncio.ensure_future(following())
        await asyncio.sleep(0.2)
        assert not waiting.done()
        breach(twin, "line_2.conveyor.speed")
        assert (await waiting)["data"]["events"]["node"] == {"id": "line_2.conveyor"}


async def test_a_page_of_another_origin_may_not_listen(server: Server) -> None:
    import websockets

    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(
            f"ws://127.0.0.1:{server.port}/graphql", subprotocols=["graphql-transport-ws"], origin="http://evil.example"
        )


async def test_a_client_that_does_not_read_costs_no_memory_and_gets_the_latest(tmp_path: Path) -> None:
    """Its batches wait in the sockets' buffers, not in the service: how many were made stops growing."""
    with Twin.open(tmp_path) as twin:
        twin.change(_thousand, "test")
        made = 0
        with serving(Context(twin)) as server:
            from iotsense.graphql import state_subscription

            original = state_subscription._batch

            async def counted(*args, **more):  # type: ignore[no-untyped-def]
                nonlocal made
                made += 1
                return await original(*args, **more)

            state_subscription._batch = counted
            try:
                await _stall(server, twin, lambda: made)
            finally:
                state_subscription._batch = original


async def _stall(server: Server, twin: Twin, made) -> None:  # type: ignore[no-untyped-def]
    import websockets

    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 8192)
    raw.connect(("127.0.0.1", server.port))
    raw.setblocking(False)
    indexes = np.arange(1000)
    url = f"ws://127.0.0.1:{server.port}/graphql"
    async with websockets.connect(
        url, sock=raw, subprotocols=["graphql-transport-ws"], max_queue=1, max_size=None, ping_interval=None
    ) as socket:
        await socket.send('{"type":"connection_init"}')
        await socket.recv()
        import json

        payload = {"query": STATE, "variables": {"hz": 60}}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        counts = []
        for round in range(60):
            twin.apply(ReadingBatch.of(indexes, now_ns(), np.full(1000, float(round))))
            await asyncio.sleep(0.03)
            counts.append(made())
        assert counts[-1] == counts[-20] < 60
        last = None
        while last != 59.0:
            columns = json.loads(await asyncio.wait_for(socket.recv(), 10))["payload"]["data"]["state"]["columns"]
            last = columns["value"][0]


def _thousand(edit) -> None:  # type: ignore[no-untyped-def]
    line = edit.add_node(id="line", level=Level.LINE)
    for i in range(1000):
        component = edit.add_node(
            id=f"line.machine_with_a_rather_long_name_{i}", level=Level.COMPONENT, parent=line.key
        )
        edit.add_signal(component.key, "a_signal_with_a_rather_long_name_too")
