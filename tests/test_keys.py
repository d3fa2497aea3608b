"""Keys: made, shown once, rotated, revoked, tied to a part of the plant; and what becomes of those who have none."""

import asyncio
import base64
import json
import shlex
import stat
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import websockets
from facade_fixtures import build
from service_fixtures import API, process, write_plant
from test_cli import typed

from iotsense import IoTSense
from iotsense.ingest.ingest_config import IngestConfig
from iotsense.ingest.pipeline import Pipeline
from iotsense.rest.app import build_app
from iotsense.rest.context import Context
from iotsense.rest.key_authentication import WRONG_A_MINUTE, KeyAuthentication
from iotsense.rest.rate import Buckets
from iotsense.twin.access import Role, Scope
from iotsense.twin.access_key import digest_of, is_token, new_token
from iotsense.twin.backup import backup, restore
from iotsense.twin.errors import (
    ConflictError,
    DamagedFileError,
    ForbiddenError,
    InvalidValueError,
    NotFoundError,
    UnauthenticatedError,
)
from iotsense.twin.key_store import FILE, KeyStore
from iotsense.twin.times import NS, now_ns
from iotsense.twin.twin import Twin

VIEWER = sorted(Role.VIEWER.scopes)
PAGE = (Path(__file__).parents[1] / "docs" / "access.md").read_text("utf-8")


# The store


def test_a_key_is_shown_once_and_kept_as_its_digest(tmp_path: Path) -> None:
    key, token = KeyStore(tmp_path).create("gateway-7", [Scope.TELEMETRY_WRITE])
    assert is_token(token) and token.endswith(key.hint)
    kept = (tmp_path / FILE).read_text()
    assert token not in kept and digest_of(token) in kept
    assert stat.S_IMODE((tmp_path / FILE).parent.stat().st_mode) == 0o700
    again = KeyStore(tmp_path)
    assert again.find(token, now_ns()) == key
    with pytest.raises(UnauthenticatedError, match=r"not one of this service's$"):
        again.find(new_token(), now_ns())
    with pytest.raises(UnauthenticatedError, match="was it cut off"):
        again.find(token[:-1], now_ns())


def test_no_two_keys_are_alike_and_a_typo_is_no_key() -> None:
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000 and {len(token) for token in tokens} == {54}
    token = tokens.pop()
    assert all(not is_token(token[:at] + ("x" if token[at] != "x" else "y") + token[at + 1 :]) for at in range(54))
    assert not is_token("") and not is_token("iots_")


def test_a_key_ends_and_a_former_one_has_a_while(tmp_path: Path) -> None:
    store, now = KeyStore(tmp_path), now_ns()
    _, token = store.create("a", VIEWER, expires=now + 60 * NS)
    assert store.find(token, now + 59 * NS).name == "a"
    with pytest.raises(UnauthenticatedError, match="the key a has expired"):
        store.find(token, now + 60 * NS)
    _, first = store.create("b", VIEWER)
    _, second = store.rotate("b", grace=3600)
    assert {store.find(each, now_ns()).name for each in (first, second)} == {"b"}
    with pytest.raises(UnauthenticatedError, match="the key b was rotated"):
        store.find(first, now_ns() + 3601 * NS)
    _, third = store.rotate("b", grace=0)
    for former in (first, second):
        with pytest.raises(UnauthenticatedError):
            store.find(former, now_ns())
    store.revoke("b")
    with pytest.raises(UnauthenticatedError):
        KeyStore(tmp_path).find(third, now_ns())


def test_what_is_wrong_with_keys_is_told(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    store.create("gateway", VIEWER)
    with pytest.raises(ConflictError, match="there is a key gateway already"):
        store.create("gateway", VIEWER)
    for name in ("", "Gate way", "../x", "a" * 65):
        with pytest.raises(InvalidValueError, match="no name for a key"):
            store.create(name, VIEWER)
    for change in (store.revoke, lambda name: store.rotate(name, 1)):
        with pytest.raises(NotFoundError, match="did you mean gateway"):
            change("gatewy")
    (tmp_path / FILE).write_text("{torn")
    with pytest.raises(DamagedFileError):
        KeyStore(tmp_path)


def test_when_a_key_was_used_is_known_after_a_restart(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    _, token = store.create("a", VIEWER)
    store.find(token, 5)
    store.close()
    assert KeyStore(tmp_path).used == {"a": 5}


def test_keys_are_part_of_a_backup(tmp_path: Path) -> None:
    with Twin.open(tmp_path / "data") as twin:
        _, token = KeyStore(twin.directory).create("a", VIEWER)
        backup(twin, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "again")
    assert KeyStore(tmp_path / "again").find(token, now_ns()).name == "a"


# Rates


def test_a_bucket_fills_again_and_its_memory_is_bounded() -> None:
    now = 0.0
    buckets = Buckets(lambda: now)
    assert [buckets.take("a", 2.0, 2.0) for _ in range(3)] == [0.0, 0.0, 0.5]
    now = 0.5
    assert buckets.take("a", 2.0, 2.0) == 0.0
    for number in range(20_000):
        buckets.take(str(number), 2.0, 2.0)
    assert len(buckets._left) == 10_000


# Over HTTP


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(build, "test")
        yield twin


class Door:
    """The application behind keys; `now` [s] moves the clock of the rates."""

    def __init__(self, twin: Twin) -> None:
        self.now = 0.0
        self.keys = KeyStore(twin.directory)
        authentication = KeyAuthentication(self.keys, clock=lambda: self.now)
        pipeline = Pipeline(twin, IngestConfig())
        self.context = Context(twin, pipeline, authenticators=[authentication], keys=self.keys)
        self.app = build_app(self.context)

    async def ask(self, path: str, method: str = "GET", headers: dict[str, str] | None = None, **more: Any) -> Any:
        return await self.ask_root(API + path, method, headers, **more)

    async def ask_root(self, path: str, method: str, headers: dict[str, str] | None = None, **more: Any) -> Any:
        transport = httpx.ASGITransport(self.app, client=("192.0.2.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://plant.example") as http:
            return await http.request(method, path, headers=headers, **more)

    async def status(self, path: str, **headers: str) -> int:
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        return int((await self.ask(path, headers=shown)).status_code)


async def test_a_key_opens_what_its_scopes_name(twin: Twin) -> None:
    door = Door(twin)
    _, token = door.keys.create("viewer", VIEWER)
    assert await door.status("/nodes") == 401
    basic = base64.b64encode(f"telegraf:{token}".encode()).decode()
    for headers in (
        {"authorization": f"Bearer {token}"},
        {"authorization": f"Token {token}"},
        {"authorization": f"Basic {basic}"},
        {"x_api_key": token},
    ):
        assert await door.status("/nodes", **headers) == 200
    refused = await door.ask("/keys", headers={"X-API-Key": token})
    assert refused.status_code == 403 and "lacks the scope access:write" in refused.json()["detail"]
    for wrong in (new_token(), token[:-1], "x"):
        answer = await door.ask("/nodes", headers={"X-API-Key": wrong})
        assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Bearer")
    assert await door.status("/nodes", authorization="Basic YTpi") == 401
    door.keys.revoke("viewer")
    door.keys.create("other", VIEWER)
    assert await door.status("/nodes", x_api_key=token) == 401


async def test_a_key_that_is_tied_to_a_line_sees_that_line(twin: Twin) -> None:
    door = Door(twin)
    _, token = door.keys.create("line", VIEWER, under=[twin.graph.find("line_2").key])
    shown = (await door.ask("/nodes", headers={"X-API-Key": token})).json()["nodes"]
    assert {node["id"] for node in shown} == {"line_2", "line_2.conveyor", "line_2.conveyor.speed"}
    foreign = await door.ask("/nodes/line_1", headers={"X-API-Key": token})
    missing = await door.ask("/nodes/line_9", headers={"X-API-Key": token})
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["detail"].replace("line_1", "line_9") == missing.json()["detail"]


async def test_a_key_that_is_tied_to_a_line_writes_to_that_line(twin: Twin) -> None:
    door = Door(twin)
    _, whole = door.keys.create("all", [Scope.TELEMETRY_WRITE])
    _, narrow = door.keys.create("line", [Scope.TELEMETRY_WRITE], under=[twin.graph.find("line_2").key])

    async def send(token: str, device: str, name: str = "speed", **headers: str) -> tuple[int, int, list[str]]:
        body = {"device_id": device, "measurements": [{"name": name, "value": 1.5}]}
        answer = await door.ask("/telemetry", "POST", {"X-API-Key": token, **headers}, json=body)
        assert answer.status_code == 202
        receipt = answer.json()
        return receipt["accepted"], receipt["dead_lettered"], receipt["reasons"]

    async with door.context.pipeline:
        assert await send(narrow, "line_2.conveyor") == (1, 0, [])
        # Two lines have a conveyor; for this key there is one.
        assert await send(narrow, "conveyor") == (1, 0, [])
        before = twin.graph
        for device, name in (("line_1.conveyor", "speed"), ("robot", "value[0]"), ("line_9.conveyor", "speed")):
            assert await send(narrow, device, name) == (0, 1, [f"{device}.{name} is unknown"])
        lines = "conveyor speed=2.5\nline_1.conveyor speed=9\n"
        written = await door.ask_root(
            "/api/v2/write?bucket=b", "POST", {"Authorization": f"Token {narrow}"}, content=lines
        )
        assert written.status_code == 400 and "line_1.conveyor.speed is unknown dropped=1" in written.json()["message"]
        assert twin.graph is before, "nothing is discovered for it"
        # Nor does another key learn which idempotency keys were used, or a dead letter go where its sender may not.
        assert await send(whole, "line_2.conveyor", **{"Idempotency-Key": "k"}) == (1, 0, [])
        assert await send(narrow, "line_2.conveyor", **{"Idempotency-Key": "k"}) == (1, 0, [])
        assert await door.context.pipeline.replay(twin.dead_letters()) == (0, 4)
    read = {
        id: twin.state.read(twin.graph.find_signal(id).index)
        for id in ("line_1.conveyor.speed", "line_2.conveyor.speed")
    }
    assert read["line_1.conveyor.speed"] is None and read["line_2.conveyor.speed"] is not None


async def test_a_rate_and_wrong_keys_are_limited(twin: Twin) -> None:
    door = Door(twin)
    _, token = door.keys.create("slow", VIEWER, rate=2)
    codes = [await door.status("/nodes", x_api_key=token) for _ in range(3)]
    assert codes == [200, 200, 429]
    answer = await door.ask("/nodes", headers={"X-API-Key": token})
    assert "allows 2 requests a second" in answer.json()["detail"] and answer.headers["retry-after"] == "1"
    door.now += 1
    assert await door.status("/nodes", x_api_key=token) == 200
    codes = [await door.status("/nodes", x_api_key=new_token()) for _ in range(WRONG_A_MINUTE + 1)]
    assert codes == [401] * WRONG_A_MINUTE + [429]
    assert await door.status("/nodes", x_api_key=token) == 200, "a right key does not suffer for wrong ones"


async def test_keys_are_made_rotated_and_revoked_over_rest(twin: Twin) -> None:
    door = Door(twin)
    _, admin = door.keys.create("admin", sorted(Scope))
    headers = {"X-API-Key": admin}
    wanted = {"name": "gateway", "scopes": ["telemetry:write"], "under": ["line_1"], "expires": "90d", "rate": 50}
    made = await door.ask("/keys", "POST", headers, json=wanted)
    assert made.status_code == 201
    key = made.json()["key"]
    assert (key["scopes"], key["under"], key["rate"], key["expired"]) == (["telemetry:write"], ["line_1"], 50, False)
    assert door.keys.find(made.json()["token"], now_ns()).name == "gateway"
    rotated = await door.ask("/keys/gateway/rotate", "POST", headers, json={"grace": "0"})
    assert rotated.json()["token"] != made.json()["token"]
    with pytest.raises(UnauthenticatedError):
        door.keys.find(made.json()["token"], now_ns())
    listed = (await door.ask("/keys", headers=headers)).json()["keys"]
    assert [each["name"] for each in listed] == ["admin", "gateway"] and listed[0]["last_used"]
    assert all("token" not in each and "digest" not in each for each in listed)
    assert (await door.ask("/keys/gateway", "DELETE", headers)).json()["name"] == "gateway"
    assert (await door.ask("/keys/gateway", "DELETE", headers)).status_code == 404
    for wrong, field in (
        ({"name": "x"}, "role"),
        ({"name": "x", "role": "viewer", "scopes": ["plant:read"]}, "role"),
        ({"name": "x", "role": "king"}, "$.role"),
        ({"name": "x", "role": "viewer", "expires": "soon"}, "expires"),
        ({"name": "x", "role": "viewer", "rate": 0}, "rate"),
        ({"name": "X!", "role": "viewer"}, "name"),
    ):
        answer = await door.ask("/keys", "POST", headers, json=wrong)
        assert (answer.status_code, answer.json()["field"]) == (400, field)
    unknown = await door.ask("/keys", "POST", headers, json={"name": "x", "role": "viewer", "under": ["line_7"]})
    assert unknown.status_code == 404


# A service


def test_a_service_with_keys_serves_others_and_lets_only_them_in(tmp_path: Path) -> None:
    data, file = tmp_path / "data", write_plant(tmp_path)
    assert typed("apply", str(file), "--data", str(data))[0] == 0
    code, token, told = typed("keys", "create", "admin", "--role", "admin", "--data", str(data))
    assert code == 0 and "shown this once" in told
    with process(data, "--listen", "0.0.0.0:0") as running:
        url = running.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/readyz").status_code == 200
        assert httpx.get(f"{url}{API}/nodes").status_code == 401
        with IoTSense(token.strip(), url) as iot:
            assert [twin["id"] for twin in iot.twins()] == ["line_1"]
            iot.telemetry.send({"device_id": "conveyor", "measurements": [{"name": "speed", "value": 1.5}]})
        # Over its socket the owner of the data directory needs none.
        code, line, _ = typed("keys", "create", "line", "--scope", "plant:read", "--data", str(data))
        with IoTSense(line.strip(), url) as iot, pytest.raises(ForbiddenError, match="lacks the scope events:write"):
            iot.reports.report("failure", "conveyor")
        code, listed, _ = typed("keys", "list", "--data", str(data), "--json")
        assert [key["name"] for key in json.loads(listed)] == ["admin", "line"]
        code, listed, _ = typed("keys", "list", "--url", url, "--api-key", token.strip())
        assert code == 0 and "admin" in listed and token.strip() not in listed
        assert typed("keys", "revoke", "line", "--data", str(data))[0] == 0
        with IoTSense(line.strip(), url) as iot, pytest.raises(UnauthenticatedError):
            iot.twins()
        assert asyncio.run(_states(url, {})) == "a key or token is needed: Authorization: Bearer KEY"
        assert asyncio.run(_states(url, {"authorization": f"Bearer {token.strip()}"})) is None
        assert asyncio.run(_states(url, {"Authorization": f"Bearer {line.strip()}"})) == 4403
        # Nobody passes without proof even when the last key is gone.
        assert typed("keys", "revoke", "admin", "--data", str(data))[0] == 0
        assert httpx.get(f"{url}{API}/nodes").status_code == 401


async def _states(url: str, said: dict[str, str]) -> str | int | None:
    """What a subscriber that says this hears: None for the state, else the error or the code of the close."""
    address = url.replace("http", "ws") + "/graphql"
    async with websockets.connect(address, subprotocols=["graphql-transport-ws"]) as socket:
        await socket.send(orjson.dumps({"type": "connection_init", "payload": said}).decode())
        query = {"id": "1", "type": "subscribe", "payload": {"query": "subscription { state { whole } }"}}
        try:
            assert orjson.loads(await socket.recv())["type"] == "connection_ack"
            await socket.send(orjson.dumps(query).decode())
            answer = orjson.loads(await socket.recv())
        except websockets.ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 0
    payload = answer["payload"]
    errors = payload if isinstance(payload, list) else payload.get("errors")
    return str(errors[0]["message"]) if errors else None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["keys", "create", "x"], "say what the key is for"),
        (["keys", "create", "x", "--role", "king"], "'king' is not one of"),
        (["keys", "create", "x", "--role", "viewer", "--under", "nowhere"], "nowhere"),
        (["keys", "create", "x", "--role", "viewer", "--expires", "soon"], "'soon'"),
        (["keys", "revoke", "x"], "no key is called 'x'"),
    ],
)
def test_wrong_words(tmp_path: Path, arguments: list[str], words: str) -> None:
    data = tmp_path / "data"
    assert typed("apply", str(write_plant(tmp_path)), "--data", str(data))[0] == 0
    code, _, told = typed(*arguments, "--data", str(data))
    assert code != 0 and words in told and "Traceback" not in told


# The page


def test_the_page_names_every_scope_and_role() -> None:
    for word in (*Scope, *Role):
        assert f"| `{word}` |" in PAGE
    assert f"{WRONG_A_MINUTE} wrong keys" in PAGE


def test_the_commands_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_plant(tmp_path).parent)
    shown, _, python = (block.split("\n", 1)[1] for block in PAGE.split("```")[1:6:2])
    tokens = {}
    for line in shown.splitlines():
        words = shlex.split(line, comments=True)
        if words[1] == "run":
            assert words[2:] == ["--listen", "0.0.0.0:8080"]
            continue
        target = words.pop() if words[-2] == ">" else ""
        code, out, told = typed(*(word for word in words[1:] if word != ">"))
        assert code == 0, told
        tokens[target] = out.strip()
    with process(tmp_path / "iotsense-data", "--listen", "0.0.0.0:0") as running:
        monkeypatch.setenv("IOTSENSE_URL", running.url.replace("0.0.0.0", "127.0.0.1"))
        monkeypatch.setenv("IOTSENSE_API_KEY", tokens["hmi.key"])
        with redirect_stdout(StringIO()) as out:
            exec(compile(python, "access.md", "exec"), {})
        assert "line_1" in out.getvalue()
