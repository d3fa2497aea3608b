"""Mutations for all that an engineer or operator does: as REST does it, once by key, with errors in the payload."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from service_fixtures import API, PLANT, client, service, write_plant

from iotsense.graphql.schema import schema
from iotsense.rest.app import ENDPOINTS
from iotsense.rest.endpoint import PREFIX
from iotsense.service import Service
from iotsense.twin.access import Role
from iotsense.twin.entry import DeadLetter
from iotsense.twin.errors import StoreError
from iotsense.twin.plan_changes import Changes

BY_FILES = "what carries files, or streams"
OF_ACCESS = "who may pass; what has a key's text in it stays out of questions that are logged and kept elsewhere"
AS_REST: dict[str, str] = {
    "set_desired": "setDesired", "cancel_command": "cancelCommand",
    "report_event": "reportEvent", "amend_event": "amendEvent",
    "retract_event": "retractEvent", "retract_event_by_post": "retractEvent",
    "install_asset": "installAsset", "remove_asset": "removeAsset",
    "acknowledge_anomaly": "acknowledgeAnomaly", "comment_anomaly": "commentAnomaly",
    "plan_definitions": "applyDefinition", "apply_definitions": "applyDefinition",
    "fork_scenario": "forkScenario", "change_scenario": "changeScenario", "remove_scenario": "removeScenario",
    "move_replay": "moveReplay",
    "replay_dead_letters": "replayDeadLetters", "purge_dead_letters": "purgeDeadLetters",
    "repair": "repairStore",
}  # fmt: skip
ONLY_REST: dict[str, str] = {
    "send_telemetry": "readings", "write_v1": "readings", "write_v2": "readings", "influx_query": "readings",
    "explain": "a question: `explain`",
    "load": BY_FILES, "load_events": BY_FILES, "migrate": BY_FILES, "take_rows": BY_FILES,
    "start_export": BY_FILES, "remove_export": BY_FILES, "start_backup": BY_FILES, "remove_backup": BY_FILES,
    "create_import": BY_FILES, "import_file": BY_FILES, "start_import": BY_FILES, "remove_import": BY_FILES,
    "create_key": OF_ACCESS, "rotate_key": OF_ACCESS, "revoke_key": OF_ACCESS,
    "begin_session": OF_ACCESS, "end_session": OF_ACCESS,
}  # fmt: skip


def test_whatever_rest_changes_a_mutation_does_or_it_is_told_why_not() -> None:
    mutation = schema._schema.mutation_type
    assert mutation is not None
    changing = {endpoint.operation for endpoint in ENDPOINTS if endpoint.method != "GET"}
    assert changing == AS_REST.keys() | ONLY_REST.keys()
    assert set(AS_REST.values()) == set(mutation.fields)


def test_every_mutation_takes_a_key() -> None:
    mutation = schema._schema.mutation_type
    assert mutation is not None
    assert {name for name, field in mutation.fields.items() if "key" not in field.args} == {"moveReplay"}


@pytest_asyncio.fixture
async def running(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path / "data", write_plant(tmp_path)) as started:
        yield started


@pytest_asyncio.fixture
async def http(running: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client(running) as opened:
        yield opened


async def whole(http: httpx.AsyncClient, question: str, token: str | None = None, **variables: Any) -> Any:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return (await http.post("/graphql", json={"query": question, "variables": variables}, headers=headers)).json()


async def ask(http: httpx.AsyncClient, question: str, **variables: Any) -> Any:
    answer = await whole(http, question, **variables)
    assert "errors" not in answer, answer
    (made,) = answer["data"].values()
    return made


async def audited(http: httpx.AsyncClient, what: str) -> list[dict[str, Any]]:
    records = (await http.get(f"{API}/audit")).json()["records"]
    return [each for each in records if each["what"] == what]


# Definitions

APPLY = """mutation($text: String!, $dry: Boolean! = false, $tag: String, $revision: Long, $remove: Boolean! = false,
    $key: ID) {
  applyDefinition(documents: [{text: $text}], dryRun: $dry, expectedTag: $tag, expectedRevision: $revision,
      allowRemove: $remove, key: $key) {
    applied revision tag repeated
    changes { empty text changes } findings { file line severity message suggestion }
    errors { code message field }
  }
}"""
NOW = "{ definition { revision tag text sections } }"
OTHER = PLANT.replace("fanuc_m20", "fanuc_m30")


async def test_a_dry_run_tells_and_does_nothing(running: Service, http: httpx.AsyncClient) -> None:
    before = await ask(http, NOW)
    told = await ask(http, APPLY, text=OTHER, dry=True)
    assert (told["applied"], told["errors"], told["changes"]["empty"]) == (False, [], False)
    assert "fanuc_m30" in told["changes"]["text"]
    assert [each["id"] for each in told["changes"]["changes"]["nodes"]] == ["line_1.robot"]
    assert await ask(http, NOW) == before and (told["revision"], told["tag"]) == (before["revision"], before["tag"])
    assert await audited(http, "mutation applyDefinition") == []
    rest = (await http.post(f"{API}/definitions/plan", json={"documents": {"plant.yaml": OTHER}})).json()
    assert rest["changes"].pop("revision") == before["revision"]
    assert rest["changes"] == told["changes"]["changes"] and rest["text"] == told["changes"]["text"]


async def test_definitions_are_applied_if_they_are_still_what_was_seen(http: httpx.AsyncClient) -> None:
    before = await ask(http, NOW)
    done = await ask(http, APPLY, text=OTHER, tag=before["tag"], revision=before["revision"])
    after = await ask(http, NOW)
    assert done["applied"] and (done["revision"], done["tag"]) == (after["revision"], after["tag"])
    assert after["revision"] == before["revision"] + 1 and after["tag"] != before["tag"]
    for stale in {"tag": before["tag"]}, {"revision": before["revision"]}:
        refused = await ask(http, APPLY, text=PLANT, **stale)
        assert (refused["applied"], refused["changes"]) == (False, None)
        assert refused["errors"][0]["code"] == "OUTDATED"
    assert (await http.get(f"{API}/definitions")).headers["etag"].strip('"') == after["tag"]
    assert (await ask(http, APPLY, text=after["text"], dry=True))["changes"]["empty"]
    records = await audited(http, "mutation applyDefinition")
    assert [each["outcome"] for each in records] == ["outdated", "outdated", "ok"]
    assert records[2]["revisions"] == [before["revision"], after["revision"]]
    assert records[2]["after"] == {"counts": {"nodes_changed": 1}, "nodes": ["line_1.robot"]}


async def test_mistakes_have_places_and_words(http: httpx.AsyncClient) -> None:
    wrong = PLANT.replace("type: assembly_line", "tipe: assembly_line")
    for dry in (True, False):
        told = await ask(http, APPLY, text=wrong, dry=dry)
        assert (told["applied"], told["errors"][0]["code"]) == (False, "DEFINITION")
        found = [each for each in told["findings"] if "tipe" in each["message"]]
        assert found and (found[0]["file"], found[0]["line"], found[0]["suggestion"]) == ("plant.yaml", 4, "type")
    twice = 'mutation { applyDefinition(documents: [{text: "a: 1"}, {text: "b: 1"}]) { errors { code field } } }'
    assert (await ask(http, twice))["errors"] == [{"code": "INVALID_VALUE", "field": "documents"}]
    nothing = "mutation { applyDefinition(documents: []) { errors { code field } } }"
    assert (await ask(http, nothing))["errors"] == [{"code": "INVALID_VALUE", "field": "documents"}]


async def test_the_same_key_applies_once(http: httpx.AsyncClient) -> None:
    first = await ask(http, APPLY, text=OTHER, key="k")
    await ask(http, APPLY, text=PLANT)
    again = await ask(http, APPLY, text=OTHER, key="k")
    assert again == first | {"repeated": True} and "fanuc_m20" in (await ask(http, NOW))["text"]
    reused = await ask(http, APPLY, text=PLANT, key="k")
    assert (reused["errors"][0]["code"], reused["applied"]) == ("REUSED_KEY", False)
    wrong = await ask(http, APPLY, text="digital_twins: 5", key="k2")
    assert wrong["errors"] and (await ask(http, APPLY, text=OTHER, key="k2"))["applied"]
    assert (await ask(http, APPLY, text=OTHER, key="x" * 256))["errors"][0]["field"] == "key"
    outcomes = [each["outcome"] for each in await audited(http, "mutation applyDefinition")]
    assert outcomes[::-1] == ["ok", "ok", "reused-key", "definition", "ok", "invalid-value"]
    # The same key over REST is another request.
    body = {"documents": {"plant.yaml": PLANT}}
    over_rest = await http.post(f"{API}/definitions/apply", json=body, headers={"Idempotency-Key": "k"})
    assert over_rest.status_code == 200


async def test_who_may(running: Service, http: httpx.AsyncClient) -> None:
    assert running.context.keys is not None
    under = [running.twin.graph.find("line_1").key]
    tokens = {role: running.context.keys.create(role, sorted(role.scopes), role=role)[1] for role in Role}
    narrow = running.context.keys.create("part", sorted(Role.ENGINEER.scopes), under=under)[1]
    engineers = {
        APPLY: {"text": PLANT},
        "mutation { replayDeadLetters(all: true) { errors { code } } }": {},
        "mutation { purgeDeadLetters(all: true) { errors { code } } }": {},
        'mutation { repairStore(store: "x") { errors { code } } }': {},
    }
    for text, variables in engineers.items():
        for token in (tokens[Role.VIEWER], tokens[Role.OPERATOR], narrow):
            refused = await whole(http, text, token, **variables)
            assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN", text
        assert "errors" not in await whole(http, text, tokens[Role.ENGINEER], **variables)
    # One key of two people is two requests.
    for token in (tokens[Role.ENGINEER], tokens[Role.ADMIN]):
        made = await whole(http, APPLY, token, text=PLANT, key="k")
        assert made["data"]["applyDefinition"]["repeated"] is False


# Dead letters

LETTERS = "{ deadLetters { id source stage reason payload encoding size resolved } }"
REPLAY = """mutation($ids: [Long!], $all: Boolean! = false, $key: ID) {
  replayDeadLetters(ids: $ids, all: $all, key: $key) { replayed failed repeated errors { code field } } }"""
PURGE = REPLAY.replace("replayDeadLetters", "purgeDeadLetters").replace("replayed failed", "purged")


async def test_dead_letters(running: Service, http: httpx.AsyncClient) -> None:
    good = json.dumps({"device_id": "line_1.conveyor", "measurements": [{"name": "speed", "value": 2.5}]}).encode()
    bad, odd = b"\xff\xfe", b"no document"
    letters = [DeadLetter(1, "http", "parse", "why", payload) for payload in (good, bad, odd)]
    running.twin.submit(dead_letters=letters).result()
    found = await ask(http, LETTERS)
    assert [(each["encoding"], each["size"]) for each in found] == [("text", len(good)), ("base64", 2), ("text", 11)]
    ids = [each["id"] for each in found]
    done = await ask(http, REPLAY, ids=ids[:2], key="k")
    assert (done["replayed"], done["failed"], done["repeated"]) == (1, 1, False)
    assert await ask(http, REPLAY, ids=ids[:2], key="k") == done | {"repeated": True}
    assert [each["id"] for each in await ask(http, LETTERS)] == ids[1:]
    assert (await ask(http, REPLAY, ids=ids, key="k"))["errors"] == [{"code": "REUSED_KEY", "field": None}]
    for wrong in {}, {"ids": ids, "all": True}:
        assert (await ask(http, PURGE, **wrong))["errors"] == [{"code": "INVALID_VALUE", "field": "ids"}]
    assert (await ask(http, PURGE, all=True))["purged"] == 2
    assert await ask(http, LETTERS) == []
    everything = await ask(http, LETTERS.replace("deadLetters", "deadLetters(all: true, first: 2, after: 1)"))
    assert {each["resolved"] for each in everything} == {"purged"}


# Scenarios, stores

FORK = "mutation($title: String, $key: ID) { forkScenario(title: $title, key: $key) { id title } }"


async def test_scenarios_are_made_changed_and_removed_once(http: httpx.AsyncClient) -> None:
    made = await ask(http, FORK, title="a", key="k")
    assert await ask(http, FORK, title="a", key="k") == made
    assert len(await ask(http, "{ scenarios { id } }")) == 1
    reused = await whole(http, FORK, title="b", key="k")
    assert reused["errors"][0]["extensions"]["code"] == "REUSED_KEY"
    change = """mutation($id: ID!, $key: ID) {
      changeScenario(id: $id, overrides: {c_speed: 1.5}, key: $key) { signals { signal value } } }"""
    change = change.replace("c_speed", '"line_1.conveyor.c_speed"')
    change = change.replace('{"line_1.conveyor.c_speed": 1.5}', "$set").replace("$key: ID)", "$key: ID, $set: JSON)")
    held = {"line_1.conveyor.c_speed": 1.5}
    first = await ask(http, change, id=made["id"], key="k", set=held)
    assert await ask(http, change, id=made["id"], key="k", set=held) == first and len(first["signals"]) == 1
    remove = 'mutation($id: ID!) { removeScenario(id: $id, key: "k") }'
    assert [await ask(http, remove, id=made["id"]) for _ in range(2)] == [made["id"]] * 2
    assert len(await audited(http, "mutation removeScenario")) == 1


class Shown:
    """A graph database that can be repaired, once."""

    def __init__(self) -> None:
        self.repairs = 0

    async def look(self, repair: bool = False) -> Changes:
        assert repair
        self.repairs += 1
        if self.repairs > 1:
            raise StoreError("it is away")
        return Changes()


async def test_a_store_is_repaired(running: Service, http: httpx.AsyncClient) -> None:
    shown = Shown()
    running.context.graph_stores = lambda: {"neo4j": shown}  # type: ignore[dict-item]
    repair = """mutation($store: ID! = "neo4j", $key: ID) {
      repairStore(store: $store, key: $key) { store drift { empty text } repeated errors { code message } } }"""
    done = await ask(http, repair, key="k")
    assert done["drift"]["empty"] and (await ask(http, repair, key="k"))["repeated"] and shown.repairs == 1
    assert (await ask(http, repair))["errors"] == [{"code": "STORE", "message": "it is away"}]
    assert (await ask(http, repair, store="other"))["errors"][0]["code"] == "NOT_FOUND"
    records = await audited(http, "mutation repairStore")
    assert [(each["outcome"], each["target"]) for each in records[::-1]] == [
        ("ok", "neo4j"), ("store", "neo4j"), ("not-found", "other"),
    ]  # fmt: skip
    assert f"POST {PREFIX}/stores/{{name}}/repair" not in {each["what"] for each in records}
