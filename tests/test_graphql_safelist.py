"""A service that answers only the questions of a list, by their text or its hash."""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import websockets
from click.testing import CliRunner
from facade_fixtures import Context, Server, plant, serving
from service_fixtures import process

from iotsense.cli import cli
from iotsense.graphql.options import Options
from iotsense.graphql.safelist import Safelist, digest
from iotsense.graphql.schema import schema
from iotsense.twin.errors import InvalidValueError
from iotsense.twin.twin import Twin

TWINS = "{ twins { id } }"
ONE = "query One($id: ID!) { node(id: $id) { id } }"
EVENTS = "subscription { state { whole } }"


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    with plant(tmp_path_factory.mktemp("plant")) as twin:
        yield twin


@pytest.fixture(scope="module")
def server(twin: Twin) -> Iterator[Server]:
    with serving(Context(twin), options=Options(safelist=Safelist([TWINS, ONE, EVENTS]))) as server:
        yield server


def hashed(text: str) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": digest(text)}}


def post(server: Server, **body: Any) -> Any:
    response = httpx.post(f"{server.url}/graphql", json=body)
    assert response.status_code == 200
    return response.json()


def code(answer: Any) -> str:
    (error,) = answer["errors"] if isinstance(answer, dict) else answer
    return str(error["extensions"]["code"])


def test_a_listed_question_is_answered_by_hash_and_by_text(server: Server) -> None:
    expected = {"twins": [{"id": "line_1"}, {"id": "line_2"}]}
    assert post(server, extensions=hashed(TWINS))["data"] == expected
    assert post(server, query=TWINS)["data"] == expected
    assert post(server, query=TWINS, extensions=hashed(TWINS))["data"] == expected
    assert post(server, query=None, extensions=hashed(ONE), variables={"id": "robot"})["data"]["node"]
    upper = {"persistedQuery": {"sha256Hash": digest(TWINS).upper()}}
    assert post(server, extensions=upper)["data"] == expected
    parameters = {"extensions": json.dumps(hashed(ONE)), "variables": '{"id": "robot"}'}
    answer = httpx.get(f"{server.url}/graphql", params=parameters, headers={"Accept": "application/json"}).json()
    assert answer["data"] == {"node": {"id": "line_1.robot"}}


def test_anything_else_is_refused(server: Server) -> None:
    assert code(post(server, query="{ twins { name } }")) == "QUERY_NOT_IN_SAFELIST"
    assert code(post(server, query=TWINS + " ")) == "QUERY_NOT_IN_SAFELIST"
    assert code(post(server, query="{ __schema { types { name } } }")) == "QUERY_NOT_IN_SAFELIST"
    other = "{ service { version } }"
    assert code(post(server, query=other, extensions=hashed(other))) == "QUERY_NOT_IN_SAFELIST"
    assert code(post(server, extensions=hashed(other))) == "PERSISTED_QUERY_NOT_FOUND"
    # A listed hash beside another text.
    assert code(post(server, query=other, extensions=hashed(TWINS))) == "BAD_REQUEST"
    for odd in ({"persistedQuery": None}, {"persistedQuery": {"sha256Hash": 5}}, {}, None):
        response = httpx.post(f"{server.url}/graphql", json={"extensions": odd})
        assert response.status_code == 400


async def test_so_it_is_over_a_websocket(server: Server) -> None:
    url = f"ws://127.0.0.1:{server.port}/graphql"
    async with websockets.connect(url, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
        await socket.send('{"type":"connection_init"}')
        await socket.recv()

        async def subscribe(id: str, payload: dict[str, Any]) -> Any:
            await socket.send(orjson.dumps({"id": id, "type": "subscribe", "payload": payload}).decode())
            answer = orjson.loads(await asyncio.wait_for(socket.recv(), 10))
            assert answer["id"] == id
            if answer["type"] == "next":
                await socket.send(orjson.dumps({"id": id, "type": "complete"}).decode())
            return answer

        assert (await subscribe("1", {"extensions": hashed(EVENTS)}))["payload"]["data"]["state"]["whole"]
        other = "subscription { events { seq } }"
        refused = await subscribe("2", {"query": other})
        assert refused["type"] == "error" and code(refused["payload"]) == "QUERY_NOT_IN_SAFELIST"
        refused = await subscribe("3", {"extensions": hashed(other)})
        assert refused["type"] == "error" and code(refused["payload"]) == "PERSISTED_QUERY_NOT_FOUND"
        refused = await subscribe("4", {"query": 5, "extensions": hashed(EVENTS)})
        assert refused["type"] == "error" and code(refused["payload"]) == "BAD_REQUEST"
        refused = await subscribe("5", {"query": other, "extensions": [1]})
        assert refused["type"] == "error" and code(refused["payload"]) == "QUERY_NOT_IN_SAFELIST"


def test_without_a_list_every_text_is_answered_and_no_hash(twin: Twin) -> None:
    with serving(Context(twin)) as server:
        assert code(post(server, extensions=hashed(TWINS))) == "PERSISTED_QUERY_NOT_SUPPORTED"
        assert post(server, query=TWINS, extensions=hashed(TWINS))["data"]


# Where lists come from


def test_a_file_of_hashes(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text(json.dumps({digest(TWINS): TWINS, digest(ONE): ONE}))
    listed = Safelist.load(file)
    assert len(listed) == 2 and TWINS in listed and listed.text(digest(ONE)) == ONE and "{ a }" not in listed


def test_the_manifest_of_apollos_tools(tmp_path: Path) -> None:
    operations = [{"id": digest(TWINS), "name": "Twins", "type": "query", "body": TWINS}]
    manifest = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert TWINS in Safelist.load(tmp_path / "manifest.json")


def test_a_folder_of_questions(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "twins.graphql").write_text(TWINS + "\n")
    (tmp_path / "deep" / "one.graphql").write_text(ONE)
    (tmp_path / "README.md").write_text("no question")
    listed = Safelist.load(tmp_path)
    assert len(listed) == 2 and TWINS in listed and TWINS + "\n" in listed and ONE in listed


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("nonsense", "cannot be read"),
        ("[]", "no JSON object"),
        ('{"a": 1}', "no JSON object"),
        ("{}", "holds nothing"),
        ('{"operations": [{"name": "a"}]}', "no JSON object"),
        ('{"operations": []}', "holds nothing"),
        (json.dumps({digest("{ a }"): TWINS}), digest(TWINS)),
        (json.dumps({digest("{ a"): "{ a"}), "is no GraphQL"),
    ],
)
def test_a_list_that_is_wrong_is_refused(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "list.json"
    file.write_text(content)
    with pytest.raises(InvalidValueError, match=words):
        Safelist.load(file)
    outcome = CliRunner().invoke(cli, ["run", "--data", str(tmp_path / "data"), "--graphql-safelist", str(file)])
    assert isinstance(outcome.exception, InvalidValueError) and not (tmp_path / "data").exists()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="holds nothing"):
        Safelist.load(tmp_path)


def test_what_the_schema_cannot_answer_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Safelist([TWINS, "{ nothing_like_that }"]).warn(schema._schema)
    (record,) = caplog.records
    assert "nothing_like_that" in record.getMessage()


def test_the_options_of_the_verb_reach_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from iotsense import logs, service

    seen = []
    monkeypatch.setattr(service, "run_service", seen.append)
    monkeypatch.setattr(logs, "configure", lambda *args: None)
    (tmp_path / "twins.graphql").write_text(TWINS)
    arguments = ["run", "--data", str(tmp_path / "data"), "--graphql-safelist", str(tmp_path)]
    more = ["--graphql-introspection", "off", "--graphql-max-cost", "5000", "--graphql-timeout", "500ms"]
    assert CliRunner().invoke(cli, [*arguments, *more]).exit_code == 0
    assert CliRunner().invoke(cli, ["run"], env={"IOTSENSE_GRAPHQL_INTROSPECTION": "off"}).exit_code == 0
    assert CliRunner().invoke(cli, ["run"]).exit_code == 0
    strict, silent, plain = (settings.graphql for settings in seen)
    assert (strict.max_cost, strict.timeout, strict.introspection) == (5000, 0.5, False) and TWINS in strict.safelist
    assert silent == Options(introspection=False) and plain == Options()


def test_a_running_service_keeps_to_what_it_was_told(tmp_path: Path) -> None:
    (tmp_path / "questions").mkdir()
    (tmp_path / "questions" / "twins.graphql").write_text(TWINS + "\n")
    (tmp_path / "questions" / "old.graphql").write_text("{ what_was_once_there }")
    options = ["--graphql-safelist", str(tmp_path / "questions"), "--graphql-max-cost", "3"]
    with process(tmp_path / "data", *options) as running:
        url = f"{running.url}/graphql"
        assert httpx.post(url, json={"extensions": hashed(TWINS)}).json()["errors"][0]["extensions"] == {
            "code": "TOO_COSTLY", "cost": 6, "limit": 3,
        }  # fmt: skip
        assert code(httpx.post(url, json={"query": ONE}).json()) == "QUERY_NOT_IN_SAFELIST"
        assert "what_was_once_there" in running.log
    with process(tmp_path / "data", environment={"IOTSENSE_GRAPHQL_INTROSPECTION": "off"}) as running:
        url = f"{running.url}/graphql"
        assert httpx.post(url, json={"query": TWINS}).json() == {"data": {"twins": []}}
        assert "introspection" in httpx.post(url, json={"query": "{ __schema { types { name } } }"}).text
