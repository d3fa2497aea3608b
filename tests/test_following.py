"""States and nodes as streams of server-sent events: the whole first, then what it became, until nobody may look."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from service_fixtures import API, client, document, service, write_plant

from iotsense.rest import following
from iotsense.service import Service
from iotsense.twin.access import Role
from iotsense.twin.times import format_time, now_ns

STREAM = {"Accept": "text/event-stream"}
STATE = f"{API}/twins/line_1/state"


@pytest_asyncio.fixture
async def running(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path / "data", write_plant(tmp_path)) as started:
        yield started


@pytest_asyncio.fixture
async def http(running: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client(running) as opened:
        yield opened


async def told(stream: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The events of a stream; a comment is one of its own."""
    current: dict[str, str] = {}
    async for line in stream.aiter_lines():
        name, _, value = line.partition(": ")
        if not line and current:
            yield current
            current = {}
        elif line and name != "retry":
            current[name] = value


async def send(http: httpx.AsyncClient, value: Any, name: str = "speed") -> None:
    assert (await http.post(f"{API}/telemetry", json=document("conveyor", name, value))).status_code == 202


def speed(event: dict[str, str]) -> Any:
    return json.loads(event["data"])["components"][0]["state"].get("speed")


async def test_a_state_is_told_whole_and_then_whenever_it_changed(http: httpx.AsyncClient) -> None:
    await send(http, 1)
    async with http.stream("GET", STATE, headers=STREAM, params={"max_hz": 20}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = told(stream)
        first = await anext(events)
        assert first["event"] == "state" and speed(first) == 1
        await send(http, 2)
        async for event in events:
            if speed(event) == 2:
                break
        assert event["id"] != first["id"]
        answer = await http.get(STATE, headers={"If-None-Match": event["id"]})
        if answer.status_code == 200:  # its health may have come meanwhile
            assert answer.headers["etag"] != event["id"]
        assert "components" in json.loads(event["data"])


async def test_a_stream_tells_no_more_than_is_asked_for(http: httpx.AsyncClient) -> None:
    async with http.stream("GET", STATE, headers=STREAM, params={"max_hz": 4}) as stream:
        events = told(stream)
        await anext(events)
        times, value = [], 0

        async def busy() -> None:
            for i in range(1000):
                await send(http, i)

        writing = asyncio.create_task(busy())
        for _ in range(4):
            value = speed(await anext(events))
            times.append(asyncio.get_running_loop().time())
        writing.cancel()
    assert value > 0
    assert min(b - a for a, b in itertools.pairwise(times[1:])) > 0.15


async def test_a_stream_that_resumes_is_told_nothing_twice(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "HEARTBEAT_S", 0.3)
    path = f"{API}/nodes/robot.joints"  # nothing of it changes by itself
    tag = (await http.get(path)).headers["etag"]
    assert (await http.get(path, headers={"If-None-Match": tag})).status_code == 304
    async with http.stream("GET", path, headers=STREAM | {"Last-Event-ID": tag}) as stream:
        assert await anext(told(stream)) == {"": "still here"}
    async with http.stream("GET", path, headers=STREAM) as stream:
        first = await anext(told(stream))
        assert (first["id"], first["event"]) == (tag, "node")
        assert json.loads(first["data"])["id"] == "line_1.robot.joints"


async def test_a_stream_ends_with_the_service(running: Service, http: httpx.AsyncClient) -> None:
    async with http.stream("GET", STATE, headers=STREAM, params={"max_hz": 0.01}) as stream:
        events = told(stream)
        await anext(events)
        running.context.stopping.set()
        assert [event async for event in events] == []


async def test_a_stream_ends_with_its_key(running: Service, http: httpx.AsyncClient) -> None:
    keys = running.context.keys
    assert keys is not None
    _, token = keys.create("hmi", sorted(Role.ENGINEER.scopes), role=Role.ENGINEER)
    _, other = keys.create("gateway", sorted(Role.ENGINEER.scopes), role=Role.ENGINEER)
    async with http.stream("GET", STATE, headers=STREAM | {"X-API-Key": token}) as stream:
        events = told(stream)
        await anext(events)
        keys.revoke("hmi")
        body = document("conveyor", "speed", 77)
        assert (await http.post(f"{API}/telemetry", json=body, headers={"X-API-Key": other})).status_code == 202
        assert all(speed(event) != 77 for event in [each async for each in events])
    assert (await http.get(STATE, headers=STREAM | {"X-API-Key": token})).status_code == 401


async def test_a_stream_of_what_is_removed_says_so(running: Service, http: httpx.AsyncClient) -> None:
    path = f"{API}/nodes/robot.joints"
    async with http.stream("GET", path, headers=STREAM, params={"max_hz": 20}) as stream:
        events = told(stream)
        await anext(events)
        key = running.twin.graph.find("robot.joints").key
        await running.twin.change_async(lambda edit: edit.remove_node(key), "test")
        *_, last = [event async for event in events]
    assert last["event"] == "gone" and json.loads(last["data"])["type"] == "/problems/not-found"


@pytest.mark.parametrize("hz", ["0", "nan", "fast", "21"])
async def test_a_rate_that_is_none(http: httpx.AsyncClient, hz: str) -> None:
    answer = await http.get(STATE, params={"max_hz": hz})
    assert (answer.status_code, answer.json()["field"]) == (400, "max_hz")


async def test_what_is_past_cannot_be_followed(http: httpx.AsyncClient) -> None:
    await send(http, 1)
    answer = await http.get(STATE, headers=STREAM, params={"as_of": format_time(now_ns())})
    assert (answer.status_code, answer.json()["field"]) == (400, "as_of")
