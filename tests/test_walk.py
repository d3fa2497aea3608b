"""Every route, GraphQL field and subscription, asked with no key, a wrong one, and one of another part of the plant.

Half of the plant has a word in all its names. Whoever is tied to the other half must never read that word, and must not
be able to tell a node that is elsewhere from one that does not exist.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
from graphql_walk import TIME, questions, root_fields
from service_fixtures import service, write_plant
from websockets.asyncio.client import connect

from iotsense.graphql.options import Options
from iotsense.rest.app import ENDPOINTS
from iotsense.rest.endpoint import Endpoint
from iotsense.rest.scopes import OPEN
from iotsense.service import Service
from iotsense.twin.access import Scope
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.entry import EventDraft
from iotsense.twin.times import now_ns

WORD = "zorblax"
FOREIGN, UNKNOWN = f"line_1.{WORD}", "line_1.quibble"
PLANT = f"""
digital_twins:
  - name: line_1
    type: {WORD}_line
    components:
      - id: {WORD}
        type: {WORD}_type
        model: {WORD}_model
        sensors: [{{id: {WORD}_speed, name: {WORD}_speed, unit: m/s}}]
      - id: {WORD}_2
        type: conveyor
    relationships: [{{from: {WORD}, to: {WORD}_2, type: feeds_into}}]
  - name: line_2
    type: assembly_line
    components:
      - id: press
        type: press
        sensors: [{{id: p_force, name: force, unit: N}}]
"""
WRONG = "iots_" + "x" * 49


@dataclass
class Doors:
    """A running service and who stands before it."""

    service: Service
    http: httpx.AsyncClient
    admin: str
    narrow: str
    narrow_reader: str

    async def ask(self, method: str, path: str, key: str | None, **options: Any) -> httpx.Response:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return await self.http.request(method, path, headers=headers, **options)

    async def graphql(self, question: str, key: str | None) -> Any:
        answer = await self.ask("POST", "/graphql", key, json={"query": question})
        return answer.status_code, answer.json()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doors]:
    place = tmp_path_factory.mktemp("walk")
    # The questions are larger than any that is answered, and are to be refused for no other reason than the key.
    allowed = Options(max_cost=10**12, timeout=600)
    async with service(place / "data", write_plant(place, PLANT), graphql=allowed) as running:
        twin, keys = running.context.twin, running.context.keys
        assert keys is not None
        speed = twin.graph.find_signal(f"line_1.{WORD}.{WORD}_speed")
        twin.apply(ReadingBatch.of([speed.index], [now_ns()], [12.5], 192))
        about = {"signal": speed.index, "reason": WORD, "rule": WORD}
        twin.record([EventDraft(now_ns(), "failure", twin.graph.find(FOREIGN).key, data=about, identity=WORD)])
        under = [twin.graph.find("line_2").key]
        _, admin = keys.create("admin", list(Scope))
        _, narrow = keys.create("narrow", list(Scope), under=under)
        _, reader = keys.create("reader", [Scope.PLANT_READ], under=under)
        async with httpx.AsyncClient(base_url=running.url, timeout=60) as http:
            yield Doors(running, http, admin, narrow, reader)


def path_of(endpoint: Endpoint, id: str) -> str:
    """A path of it, with the id for whatever it takes; numbers where it wants those."""
    path = endpoint.path
    for name in ("id", "name", "job", "file", "number"):
        path = path.replace(f"{{{name}:int}}", "1").replace(f"{{{name}:path}}", id).replace(f"{{{name}}}", id)
    assert "{" not in path, path
    return path


def query_of(endpoint: Endpoint, id: str) -> dict[str, str]:
    """What it requires, and every parameter that takes a node or signal."""
    given = {}
    for parameter in endpoint.parameters:
        names = ("node", "signal", "from", "to", "within", "component")
        if parameter.place == "query" and (parameter.required or parameter.name in names):
            kind = parameter.schema.get("type", "string")
            timed = parameter.schema.get("format") == "date-time"
            given[parameter.name] = TIME if timed else id if kind == "string" else "1"
    return given


WALKED = [endpoint for endpoint in ENDPOINTS if endpoint.path not in OPEN]
named = pytest.mark.parametrize("endpoint", WALKED, ids=[f"{e.method} {e.path}" for e in WALKED])
in_module = pytest.mark.asyncio(loop_scope="module")
GETS = [endpoint for endpoint in WALKED if endpoint.method == "GET"]


@in_module
async def test_no_route_answers_without_a_right_key(doors: Doors) -> None:
    for endpoint in WALKED:
        path = path_of(endpoint, FOREIGN)
        answer = await doors.ask(endpoint.method, path, None)
        assert answer.status_code == 401, f"{endpoint.method} {path}: {answer.status_code}"
        assert WORD not in answer.text.replace(path, "")
        wrong = await doors.ask(endpoint.method, path, WRONG)
        assert wrong.status_code in (401, 429), f"{endpoint.method} {path}: {wrong.status_code}"
        assert WORD not in wrong.text.replace(path, "")


@in_module
@pytest.mark.parametrize("endpoint", GETS, ids=[endpoint.path for endpoint in GETS])
async def test_what_is_elsewhere_is_what_does_not_exist(doors: Doors, endpoint: Endpoint) -> None:
    answers = []
    for id in (FOREIGN, UNKNOWN):
        async with asyncio.timeout(30):
            answer = await _short(doors, endpoint, id)
        answers.append((answer[0], answer[1].replace(id, "ID").replace(id.rpartition(".")[2], "ID")))
    assert answers[0] == answers[1]
    assert WORD not in answers[0][1]


@in_module
@pytest.mark.parametrize("endpoint", GETS, ids=[endpoint.path for endpoint in GETS])
async def test_no_list_tells_of_what_is_elsewhere(doors: Doors, endpoint: Endpoint) -> None:
    if "{" in endpoint.path or any(each.required for each in endpoint.parameters):
        pytest.skip("it is asked about something by name")
    answer = await doors.ask("GET", endpoint.path, doors.narrow)
    assert answer.status_code in (200, 204, 403), answer.text
    assert WORD not in answer.text
    whole = await doors.ask("GET", endpoint.path, doors.admin)
    assert whole.status_code in (200, 204), whole.text


@in_module
async def test_who_is_tied_to_a_part_changes_nothing_elsewhere(doors: Doors) -> None:
    twin = doors.service.twin
    before, revision = twin.last_event_seq, twin.graph.revision
    for endpoint in WALKED:
        if endpoint.method == "GET":
            continue
        path = path_of(endpoint, FOREIGN)
        answer = await doors.ask(endpoint.method, path, doors.narrow, params=query_of(endpoint, FOREIGN), json={})
        assert 400 <= answer.status_code < 500, f"{endpoint.method} {path}: {answer.status_code} {answer.text}"
        assert WORD not in answer.text.replace(FOREIGN, ""), f"{endpoint.method} {path}"
    assert (twin.last_event_seq, twin.graph.revision) == (before, revision)


async def _short(doors: Doors, endpoint: Endpoint, id: str) -> tuple[int, str]:
    """Status and body; of a stream what came at once."""
    headers = {"Authorization": f"Bearer {doors.narrow}"}
    request = doors.http.build_request("GET", path_of(endpoint, id), params=query_of(endpoint, id), headers=headers)
    answer = await doors.http.send(request, stream=True)
    body = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.5 if "event-stream" in answer.headers.get("content-type", "") else 20):
            async for piece in answer.aiter_bytes():
                body += piece
    await answer.aclose()
    return answer.status_code, body.decode("utf-8", "replace")


# GraphQL


@in_module
@pytest.mark.parametrize("operation", ["query", "mutation"])
async def test_no_field_answers_without_a_right_key(doors: Doors, operation: str) -> None:
    for name in root_fields(operation):
        for question in questions(operation, name, FOREIGN):
            _, answer = await doors.graphql(question, None)
            assert answer["errors"] and not any((answer.get("data") or {}).values()), f"{question}: {answer}"
            codes = {error.get("extensions", {}).get("code") for error in answer["errors"]}
            assert codes == {"UNAUTHENTICATED"}, f"{question}: {answer}"


@in_module
@pytest.mark.parametrize("name", root_fields("query"))
async def test_a_field_of_another_part(doors: Doors, name: str) -> None:
    foreign, unknown = list(questions("query", name, FOREIGN)), list(questions("query", name, UNKNOWN))
    for mine, other in zip(foreign, unknown, strict=True):
        answers = []
        for question, id in ((mine, FOREIGN), (other, UNKNOWN)):
            status, answer = await doors.graphql(question, doors.narrow)
            assert status == 200, answer
            told = json.dumps(answer).replace(id, "ID").replace(id.rpartition(".")[2], "ID")
            answers.append(told)
        assert WORD not in answers[0]
        if FOREIGN in mine:
            assert _timeless(answers[0]) == _timeless(answers[1])
        _, whole = await doors.graphql(mine, doors.admin)
        assert "data" in whole, f"the question itself is wrong: {whole}"


def _timeless(answer: str) -> Any:
    """Without what differs from one moment to the next."""
    return {} if "uptime" in answer else answer


@in_module
@pytest.mark.parametrize("name", root_fields("mutation"))
async def test_a_mutation_of_another_part(doors: Doors, name: str) -> None:
    twin = doors.service.twin
    before = (twin.last_event_seq, twin.graph.revision)
    for question in questions("mutation", name, FOREIGN):
        _, answer = await doors.graphql(question, doors.narrow)
        assert WORD not in json.dumps(answer).replace(FOREIGN, "")
        assert (twin.last_event_seq, twin.graph.revision) == before, question


@in_module
@pytest.mark.parametrize("transport", ["websocket", "events"])
@pytest.mark.parametrize("name", root_fields("subscription"))
async def test_a_subscription(doors: Doors, name: str, transport: str) -> None:
    subscribed = _subscribed if transport == "websocket" else _streamed
    for question in questions("subscription", name, FOREIGN):
        first = await subscribed(doors, question, None)
        assert first is not None and "UNAUTHENTICATED" in json.dumps(first), f"{question}: {first}"
    told = []
    for id in (FOREIGN, UNKNOWN):
        for question in questions("subscription", name, id):
            payload = await subscribed(doors, question, doors.narrow_reader)
            told.append(json.dumps(payload).replace(id, "ID").replace(id.rpartition(".")[2], "ID"))
    assert all(WORD not in each for each in told)
    assert told[1] == told[3]


async def _streamed(doors: Doors, question: str, key: str | None) -> Any:
    """The same by server-sent events."""
    headers = {"Accept": "text/event-stream"} | ({} if key is None else {"Authorization": f"Bearer {key}"})
    async with doors.http.stream("POST", "/graphql", json={"query": question}, headers=headers) as answer:
        with suppress(TimeoutError):
            async with asyncio.timeout(1.5):
                async for line in answer.aiter_lines():
                    if line.startswith("data: {"):
                        return orjson.loads(line[6:])
    return None


async def _subscribed(doors: Doors, question: str, key: str | None) -> Any:
    """The first that is said to a subscription; None if nothing is."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    url = doors.service.url.replace("http", "ws") + "/graphql"
    async with connect(url, subprotocols=["graphql-transport-ws"], additional_headers=headers) as socket:  # type: ignore[list-item]
        await socket.send('{"type":"connection_init"}')
        await socket.recv()
        message = {"id": "1", "type": "subscribe", "payload": {"query": question}}
        await socket.send(orjson.dumps(message).decode())
        with suppress(TimeoutError):
            async with asyncio.timeout(1.5):
                return orjson.loads(await socket.recv())
    return None
