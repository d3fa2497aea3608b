"""Subscriptions by server-sent events (graphql-sse, distinct connections), over real connections to a service."""

import asyncio
import json
import logging
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
from node_fixtures import NodeProgram, node_program
from service_fixtures import PLANT, client, service, write_plant

from iotsense.config import Listen, Settings
from iotsense.graphql import app, event_stream, state_subscription
from iotsense.graphql.options import Options
from iotsense.graphql.safelist import Safelist, digest
from iotsense.service import Service
from iotsense.twin.access import Scope
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.times import now_ns

SPEED = "line_1.conveyor.c_speed"
STATE = f'subscription {{ state(signals: ["{SPEED}"], maxHz: 60) {{ whole columns {{ value }} }} }}'
CHANGES = "subscription($after: Long) { graphChanges(after: $after) { revision } }"
PAGE = Path(__file__).parents[1] / "docs" / "graphql.md"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running:
        yield running


def put(running: Service, value: float) -> None:
    index = running.context.twin.graph.find_signal(SPEED).index
    running.context.twin.apply(ReadingBatch.of([index], [now_ns()], [value], 192))


async def define(running: Service, number: int) -> None:
    """Another definition of the plant."""
    text = PLANT.replace("type: assembly_line", f"type: assembly_line_{number}")
    async with client(running) as http:
        body = {"documents": {"plant.yaml": text}}
        (await http.post("/api/v1/iotsense/definitions/apply", json=body)).raise_for_status()


class Stream:
    """An answer as it comes, event by event: `next` with its data, `complete`, or a comment."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def next(self) -> tuple[str, Any]:
        event, data = "", ""
        while line := await asyncio.wait_for(anext(self._lines), 10):
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                data = value
            else:
                event = line
        return event, json.loads(data) if data.strip() else None

    async def rest(self) -> list[tuple[str, Any]]:
        """All until it ends."""
        found = []
        try:
            while True:
                found.append(await self.next())
        except StopAsyncIteration:
            return found


@asynccontextmanager
async def asked(running: Service, text: str | None, key: str | None = None, **more: Any) -> AsyncIterator[Stream]:
    headers = {"Accept": "text/event-stream"} | ({} if key is None else {"Authorization": f"Bearer {key}"})
    body = ({} if text is None else {"query": text}) | more
    async with client(running) as http, http.stream("POST", app.PATH, json=body, headers=headers) as answer:
        yield Stream(answer)


def code(event: tuple[str, Any]) -> str:
    name, data = event
    assert name == "next" and not data.get("data")
    return str(data["errors"][0]["extensions"]["code"])


def streams() -> int:
    """How many are fed in this process."""
    coroutines = [task.get_coro() for task in asyncio.all_tasks()]
    return len([each for each in coroutines if "merged.<locals>.heartbeat" in getattr(each, "__qualname__", "")])


async def until(there: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not there():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


# What is told


async def test_what_changes_comes_as_events(running: Service) -> None:
    put(running, 1.5)
    async with asked(running, STATE) as stream:
        headers = stream.answer.headers
        assert headers["content-type"].startswith("text/event-stream") and "no-transform" in headers["cache-control"]
        assert await stream.next() == ("next", {"data": {"state": {"whole": True, "columns": {"value": [1.5]}}}})
        put(running, 2.5)
        assert await stream.next() == ("next", {"data": {"state": {"whole": False, "columns": {"value": [2.5]}}}})


async def test_it_can_be_asked_by_get_as_browsers_do(running: Service) -> None:
    async with client(running) as http:
        headers = {"Accept": "text/event-stream"}
        async with http.stream("GET", app.PATH, params={"query": STATE}, headers=headers) as answer:
            assert (await Stream(answer).next())[1]["data"]["state"]["whole"]
        change = 'mutation { reportEvent(report: {kind: "note", node: "line_1"}) { revision } }'
        async with http.stream("GET", app.PATH, params={"query": change}, headers=headers) as answer:
            assert code(await Stream(answer).next()) == "BAD_REQUEST"


async def test_a_question_is_a_stream_of_one(running: Service) -> None:
    async with asked(running, "{ twins { id } }") as stream:
        assert await stream.rest() == [("next", {"data": {"twins": [{"id": "line_1"}]}}), ("complete", None)]


async def test_it_tells_that_it_is_alive(running: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_S", 0.1)
    asking = 'subscription { events(kind: "nothing") { seq } }'
    data = running.settings.data.parent / "other"
    async with service(data, *running.settings.definitions) as other, asked(other, asking) as stream:
        assert [await stream.next() for _ in range(3)] == [(": ping", None)] * 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("subscription {", "BAD_REQUEST"),
        ("subscription { nothing }", "BAD_REQUEST"),
        (None, "BAD_REQUEST"),
        ("subscription { state(maxHz: 1000) { whole } }", "INVALID_VALUE"),
        ('subscription { state(nodes: ["nowhere"]) { whole } }', "NOT_FOUND"),
        ("subscription { graphChanges(after: 99) { revision } }", "NOT_FOUND"),
    ],
)
async def test_what_is_wrong_is_told_in_the_stream(
    running: Service, caplog: pytest.LogCaptureFixture, text: str | None, expected: str
) -> None:
    async with asked(running, text) as stream:
        assert stream.answer.status_code == 200
        error, end = await stream.rest()
    assert (code(error), end) == (expected, ("complete", None))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_text_that_is_no_graphql_is_told_over_websocket_too(running: Service) -> None:
    from websockets.asyncio.client import connect
    from websockets.typing import Subprotocol

    url = running.url.replace("http", "ws") + app.PATH
    async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send('{"type":"connection_init"}')
        await socket.recv()
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": "subscription {"}}))
        answer = json.loads(await asyncio.wait_for(socket.recv(), 10))
    assert answer["type"] == "error" and answer["payload"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_who_did_not_ask_for_a_stream_is_told_how(running: Service) -> None:
    async with client(running) as http:
        (error,) = (await http.post(app.PATH, json={"query": STATE})).json()["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST" and "text/event-stream" in error["message"]


async def test_a_text_of_the_safelist_by_its_hash(tmp_path: Path) -> None:
    options = Options(safelist=Safelist([STATE]))
    async with service(tmp_path / "data", write_plant(tmp_path), graphql=options) as running:

        def hashed(text: str) -> dict[str, Any]:
            return {"persistedQuery": {"version": 1, "sha256Hash": digest(text)}}

        async with asked(running, None, extensions=hashed(STATE)) as stream:
            assert (await stream.next())[1]["data"]["state"]["whole"]
        async with asked(running, None, extensions=hashed(CHANGES)) as stream:
            error, end = await stream.rest()
            assert code(error) == "PERSISTED_QUERY_NOT_FOUND" and end[0] == "complete"
        async with asked(running, CHANGES) as stream:
            assert code((await stream.rest())[0]) == "QUERY_NOT_IN_SAFELIST"


# Whom


async def test_who_may(running: Service) -> None:
    keys = running.context.keys
    assert keys is not None
    _, viewer = keys.create("viewer", [Scope.PLANT_READ])
    _, other = keys.create("other", [Scope.SERVICE_READ])
    robot = running.context.twin.graph.find("line_1.robot").key
    _, narrow = keys.create("narrow", [Scope.PLANT_READ], under=[robot])
    for key, expected in ((None, "UNAUTHENTICATED"), (other, "FORBIDDEN"), (narrow, "NOT_FOUND")):
        async with asked(running, STATE, key) as stream:
            error, end = await stream.rest()
            assert (code(error), end[0]) == (expected, "complete")
    async with asked(running, STATE, viewer[:-1] + "?") as stream:
        assert stream.answer.status_code == 401
    async with asked(running, STATE, viewer) as stream:
        assert (await stream.next())[1]["data"]["state"]["whole"]
        keys.revoke("viewer")
        put(running, 3.5)
        error, end = await stream.rest()
        assert (code(error), end[0]) == ("UNAUTHENTICATED", "complete")


# Clients that go, or stand still


async def test_nothing_is_left_of_a_client_that_is_gone(running: Service) -> None:
    for _ in range(3):
        async with asked(running, 'subscription { events(kind: "nothing") { seq } }'):
            await until(lambda: streams() == 1)
        await until(lambda: streams() == 0)


async def test_streams_end_with_the_service(tmp_path: Path) -> None:
    """At once, and without `complete`: the client is to come back."""
    async with service(tmp_path / "data", write_plant(tmp_path)) as running, asked(running, STATE) as stream:
        await stream.next()
        began = time.monotonic()
        _, rest = await asyncio.gather(running.stop(), stream.rest())
        assert time.monotonic() - began < 4 and rest == [] and streams() == 0


async def test_a_client_that_does_not_read_costs_no_memory(running: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    made, batch = 0, state_subscription._batch

    async def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal made
        made += 1
        return await batch(*arguments, **named)

    monkeypatch.setattr(state_subscription, "_batch", counted)
    columns = " ".join(f"c{i}: signals {{ id name unit labels node {{ id name type }} }}" for i in range(50))
    body = json.dumps({"query": f"subscription {{ state(maxHz: 60) {{ {columns} }} }}"})
    port = int(running.url.rpartition(":")[2])
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", port))
        head = f"POST {app.PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        raw.sendall((head + body).encode())
        counts = []
        for round in range(3000):
            put(running, float(round))
            await asyncio.sleep(0.01)
            counts.append(made)
            if len(counts) > 200 and counts[-1] == counts[-100] > 1:
                break
        else:
            raise AssertionError(f"it goes on making batches: {counts[::100]}")


# Coming back, as the page of the docs shows it, with the clients that others wrote


def loop_of_the_docs() -> str:
    """The text between the making of the client and the end of the example."""
    (text,) = re.findall(r"```js\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert 'from "graphql-sse"' in text
    return text[text.index("const query") :].replace("setTimeout(wait, 1000)", "setTimeout(wait, 100)")


async def heard(program: NodeProgram, wanted: Callable[[list[Any]], object]) -> None:
    await until(lambda: wanted(program.heard))


@pytest.mark.needs("node")
@pytest.mark.parametrize("transport", ["sse", "ws"])
async def test_a_client_in_javascript_comes_back_and_misses_nothing(tmp_path: Path, transport: str) -> None:
    """The service is stopped and comes back twice; what changed before the client is back is told to it once."""
    file, port = write_plant(tmp_path), servers.free_port()
    settings = Settings(data=tmp_path / "data", definitions=(file,), listen=Listen("127.0.0.1", port))
    address = f"http://127.0.0.1:{port}{app.PATH}"
    async with node_program(
        "graphql_following.cjs", TRANSPORT=transport, URL_=address, LOOP=loop_of_the_docs()
    ) as program:
        for number in range(3):
            running = Service(settings)
            await running.start()
            try:
                await define(running, 2 * number)
                await define(running, 2 * number + 1)
                newest = running.context.twin.graph.revision
                await heard(program, lambda said: any(each.get("revision") == newest for each in said))  # noqa: B023
            finally:
                losses = len([each for each in program.heard if "lost" in each])
                await running.stop()
            await heard(program, lambda said: len([each for each in said if "lost" in each]) > losses)  # noqa: B023
        revisions = [each["revision"] for each in program.heard if "revision" in each]
    assert revisions == list(range(1, newest + 1)) and newest > 6


@pytest.mark.needs("node")
@pytest.mark.parametrize("transport", ["sse", "ws"])
async def test_a_client_in_javascript_shows_its_key(running: Service, transport: str) -> None:
    assert running.context.keys is not None
    _, key = running.context.keys.create("hmi", [Scope.PLANT_READ])
    common = {"TRANSPORT": transport, "URL_": running.url + app.PATH, "LOOP": loop_of_the_docs()}
    async with node_program("graphql_following.cjs", KEY=key, **common) as program:
        await heard(program, lambda said: any("revision" in each for each in said))
    async with node_program("graphql_following.cjs", KEY=key[:-1] + "?", **common) as program:
        await heard(program, lambda said: any("lost" in each for each in said))
        assert not any("revision" in each for each in program.heard)
