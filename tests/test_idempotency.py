"""`Idempotency-Key`: the same request again gets the same answer again, and nothing is done twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from service_fixtures import API, PLANT, client, service, write_plant
from starlette.responses import Response

from iotsense.rest.app import ENDPOINTS
from iotsense.rest.endpoint import PREFIX
from iotsense.rest.idempotency import REPLAYED, answered_once
from iotsense.rest.once import NAME, PARAMETER, takes_key
from iotsense.service import Service
from iotsense.twin.access import Scope
from iotsense.twin.errors import NotFoundError, ReusedKeyError
from iotsense.twin.kept_answers import LIFE_S, KeptAnswers

KEY = {NAME: "7f3c"}
SCENARIOS = f"{API}/scenarios"


@pytest_asyncio.fixture
async def running(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path / "data", write_plant(tmp_path)) as started:
        yield started


@pytest_asyncio.fixture
async def http(running: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client(running) as opened:
        yield opened


async def count(http: httpx.AsyncClient) -> int:
    return len((await http.get(SCENARIOS)).json()["scenarios"])


async def test_what_is_sent_again_is_not_done_again(http: httpx.AsyncClient) -> None:
    first = await http.post(SCENARIOS, json={"title": "a"}, headers=KEY)
    again = await http.post(SCENARIOS, json={"title": "a"}, headers=KEY)
    assert (first.status_code, REPLAYED in first.headers) == (201, False)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers[REPLAYED] == "true"
    for name in ("location", "revision", "content-type", "content-length"):
        assert again.headers[name] == first.headers[name]
    assert await count(http) == 1
    assert (await http.post(SCENARIOS, json={"title": "a"}, headers={NAME: "other"})).status_code == 201
    assert (await http.post(SCENARIOS, json={"title": "a"})).status_code == 201
    assert await count(http) == 3
    gone = first.headers["location"]
    for _ in range(2):  # the same key on another path is another request
        assert (await http.delete(gone, headers=KEY)).status_code == 204
    assert (await http.delete(gone)).status_code == 404


async def test_another_request_under_the_same_key_is_refused(http: httpx.AsyncClient) -> None:
    apply = f"{API}/definitions/apply"
    body = {"documents": {"plant.yaml": PLANT.replace("80", "60")}}
    assert (await http.post(apply, json=body, headers=KEY)).status_code == 200
    other = await http.post(apply, json={"documents": {"plant.yaml": PLANT}}, headers=KEY)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/reused-key")
    assert (await http.post(apply, json=body, headers=KEY)).headers[REPLAYED] == "true"


async def test_those_that_come_at_once_wait_for_the_first(http: httpx.AsyncClient) -> None:
    asked = [http.post(SCENARIOS, json={"title": "a"}, headers=KEY) for _ in range(8)]
    answers = await asyncio.gather(*asked)
    assert len({answer.content for answer in answers}) == 1
    assert sum(REPLAYED not in answer.headers for answer in answers) == 1
    assert await count(http) == 1


async def test_what_failed_can_be_corrected_under_its_key(http: httpx.AsyncClient) -> None:
    assert (await http.post(SCENARIOS, json={"title": 5}, headers=KEY)).status_code == 400
    assert (await http.post(SCENARIOS, json={"title": "5"}, headers=KEY)).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_keys_that_are_none(http: httpx.AsyncClient, key: str) -> None:
    answer = await http.post(SCENARIOS, json={}, headers={NAME: key})
    assert (answer.status_code, answer.json()["field"]) == (400, NAME)


async def test_one_key_tells_nobody_else_what_was_answered(running: Service, http: httpx.AsyncClient) -> None:
    assert running.context.keys is not None
    tokens = [running.context.keys.create(name, list(Scope))[1] for name in ("anna", "ben")]
    made = [await http.post(SCENARIOS, json={}, headers=KEY | {"X-API-Key": token}) for token in (*tokens, *tokens)]
    assert [REPLAYED in each.headers for each in made] == [False, False, True, True]
    assert made[0].json()["id"] != made[1].json()["id"]
    # Another key of the same name that may do something else is somebody else.
    running.context.keys.revoke("ben")
    _, token = running.context.keys.create("ben", [Scope.SCENARIOS_WRITE])
    again = await http.post(SCENARIOS, json={}, headers=KEY | {"X-API-Key": token})
    assert again.status_code == 201 and REPLAYED not in again.headers


async def test_a_key_is_made_once_and_its_text_is_on_no_disk(running: Service, http: httpx.AsyncClient) -> None:
    wanted = {"name": "admin", "role": "admin"}
    first = await http.post(f"{API}/keys", json=wanted, headers=KEY)
    assert first.status_code == 201
    token = first.json()["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    wanted["name"] = "second"
    made = [await http.post(f"{API}/keys", json=wanted, headers=KEY | bearer) for _ in range(2)]
    assert made[0].json()["token"] == made[1].json()["token"]
    texts = [token.encode(), made[0].json()["token"].encode()]
    for file in running.context.twin.directory.rglob("*"):
        if file.is_file():
            assert not any(text in file.read_bytes() for text in texts), file


def test_every_write_takes_a_key_but_those_that_are_told() -> None:
    without = {
        f"{each.method} {each.path.removeprefix(PREFIX)}"
        for each in ENDPOINTS
        if each.method != "GET" and not takes_key(each) and all(given.name != NAME for given in each.parameters)
    }
    assert without == {
        "POST /write", "POST /api/v2/write", "POST /query",  # the InfluxDB clients' own
        "POST /definitions/plan", "POST /explain", "POST /replay/{id}",  # nothing is different afterwards
        "POST /session", "DELETE /session",
        "POST /load", "POST /bulk/rows", "PUT /bulk/imports/{job}/files/{file:path}", "POST /stores/{name}/migrate",
    }  # fmt: skip
    assert "restart" in PARAMETER.meaning


# The engine


def answers(time: list[float], most: int = 3, most_bytes: int = 10_000) -> KeptAnswers:
    return KeptAnswers(most, most_bytes, clock=lambda: time[0])


async def ran(kept: KeptAnswers, request: str, body: bytes = b"x", mark: bytes = b"") -> bool:
    """Whether it was done, instead of answered from what is kept."""
    done = False

    async def run() -> Response:
        nonlocal done
        done = True
        return Response(body)

    assert (await answered_once(kept, request, mark, run)).status_code == 200
    return done


async def test_answers_are_forgotten_by_age_number_and_size() -> None:
    time = [0.0]
    kept = answers(time)
    assert [await ran(kept, each) for each in "aabbccabc"] == [True, False, True, False, True, False, *[False] * 3]
    assert [await ran(kept, each) for each in "dbca"] == [True, False, False, True]
    time[0] = LIFE_S - 1
    assert not await ran(kept, "a")
    time[0] = LIFE_S
    assert await ran(kept, "a")
    large = answers(time)
    assert [await ran(large, each, b"x" * 6000) for each in "aaba"] == [True, False, True, True]
    assert [await ran(large, "c", b"x" * 20_000) for _ in range(2)] == [True, True], "more than may be kept"


async def test_when_the_first_fails_the_next_one_is_done() -> None:
    kept, begun, fails = answers([0.0]), asyncio.Event(), asyncio.Event()

    async def run() -> Response:
        begun.set()
        await fails.wait()
        raise NotFoundError("gone")

    first = asyncio.ensure_future(answered_once(kept, "a", b"", run))
    await begun.wait()
    second = asyncio.ensure_future(ran(kept, "a"))
    with pytest.raises(ReusedKeyError):
        await ran(kept, "a", mark=b"another")
    await asyncio.sleep(0)
    assert not second.done()
    fails.set()
    with pytest.raises(NotFoundError):
        await first
    assert await second
