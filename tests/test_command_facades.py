"""Values set through REST, GraphQL, the SDK and the command line."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from command_fixtures import Device, plant, show
from service_fixtures import API, client, run_cli, service

from iotsense import AsyncIoTSense, IoTSense
from iotsense.rest.app import ENDPOINTS
from iotsense.rest.scopes import scope_of
from iotsense.service import Service
from iotsense.twin.access import Scope
from iotsense.twin.errors import ConflictError, OutdatedError, SourceError

SPEED = f"{API}/signals/conveyor.speed/desired"


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[tuple[Service, Device, httpx.AsyncClient]]:
    async with service(tmp_path / "data", plant(tmp_path)) as started, client(started) as http:
        device = started.sources["plc"] = Device()
        try:
            yield started, device, http
        finally:
            del started.sources["plc"]


async def ended(http: httpx.AsyncClient, id: str) -> Any:
    while (found := (await http.get(f"{API}/commands/{id}")).json())["ended"] is None:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    return found


async def test_rest(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, device, http):
        nothing = (await http.get(SPEED)).json()
        assert (nothing["desired"], nothing["command"]) == (None, None)
        body = {"value": 90, "unit": "m/min", "reason": "new product", "actor": "Ada", "deadline": "5s"}
        answer = await http.put(SPEED, json=body, headers={"Idempotency-Key": "k"})
        made = answer.json()
        assert (answer.status_code, made["state"], made["value"], made["unit"]) == (202, "requested", 1.5, "m/s")
        assert (made["given"], made["actor"], made["origin"]) == ("90 m/min", "Ada", "rest from 127.0.0.1")
        assert answer.headers["location"] == f"{API}/commands/{made['id']}"
        found = await ended(http, made["id"])
        assert (found["state"], found["read_back"], found["address"]) == ("confirmed", 1.5, "c.speed")
        assert (await http.put(SPEED, json=body, headers={"Idempotency-Key": "k"})).json() == found
        wanted = await http.get(SPEED)
        assert (wanted.json()["desired"], wanted.json()["command"]) == (1.5, found)
        assert wanted.headers["etag"] == answer.headers["etag"]
        late = await http.put(SPEED, json={"value": 1}, headers={"If-Match": '"another"'})
        assert (late.status_code, late.json()["type"]) == (412, "/problems/outdated")
        seen = {"If-Match": wanted.headers["etag"]}
        again = (await http.put(SPEED, json={"value": 1}, headers=seen)).json()
        await ended(http, again["id"])
        listed = (await http.get(f"{API}/commands", params={"signal": "conveyor.speed", "limit": 1})).json()["commands"]
        assert [each["id"] for each in listed] == [again["id"]]
        assert device.writes == [("speed", 1500), ("speed", 1000)]
        log = (await http.get(f"{API}/events", params={"kind": "command"})).json()["events"]
        assert [event["data"]["state"] for event in log[:3]] == ["requested", "sent", "confirmed"]
        assert log[0]["data"]["actor"] == "Ada" and log[0]["node"] == "line_1.conveyor.speed"


async def test_rest_says_what_is_wrong(tmp_path: Path) -> None:
    async with running(tmp_path) as (started, device, http):
        show(started, "conveyor.state", "stopped")
        show(started, "conveyor.guarded", 1)
        for signal, body, status, words in (
            ("speed", {"value": 9}, 400, "above the highest"),
            ("speed", {"value": None}, 400, "Expected"),
            ("speed", {"value": 1, "deadline": "soon"}, 400, "soon"),
            ("speed", {"valu": 1}, 400, "valu"),
            ("fixed", {"value": 1}, 409, "must say `writable: true`"),
            ("guarded", {"value": 1}, 409, "does not hold: state is 'stopped'"),
            ("nowhere", {"value": 1}, 404, "nowhere"),
        ):
            answer = await http.put(f"{API}/signals/conveyor.{signal}/desired", json=body)
            assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text
        assert (await http.get(f"{API}/signals/conveyor.fixed/desired")).status_code == 404
        assert (await http.get(f"{API}/commands", params={"state": "lost"})).status_code == 400
        assert (await http.delete(f"{API}/commands/c1")).status_code == 404
        assert device.writes == []


async def test_writing_has_a_scope_of_its_own(tmp_path: Path) -> None:
    scoped = {(each.method, each.operation) for each in ENDPOINTS if scope_of(each) is Scope.COMMANDS_WRITE}
    assert scoped == {("PUT", "set_desired"), ("DELETE", "cancel_command")}
    async with running(tmp_path) as (_, _, http):
        paths = (await http.get("/openapi.json")).json()["paths"]
        assert paths[f"{API}/signals/{{id}}/desired"]["put"]["x-scope"] == "commands:write"


SET = """mutation($signal: ID!, $value: Setting!, $unit: String, $key: ID, $scenario: ID) {
  setDesired(signal: $signal, value: $value, unit: $unit, reason: "why not", actor: "Ada", key: $key,
             scenario: $scenario) {
    command { id state value unit origin actor reason signal { id desired { value role } } }
    errors { code message field }
  }
}"""
LIFE = """query($id: ID!) {
  command(id: $id) { state readBack why ended }
  commands(signal: "conveyor.speed", state: CONFIRMED) { id }
  signal(id: "conveyor.speed") { desired { id value time } command { id } }
}"""


async def graphql(http: httpx.AsyncClient, query: str, **variables: Any) -> Any:
    answer = (await http.post("/graphql", json={"query": query, "variables": variables})).json()
    assert "errors" not in answer, answer["errors"]
    return answer["data"]


async def test_graphql(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, device, http):
        made = (await graphql(http, SET, signal="conveyor.speed", value="90 m/min", key="k"))["setDesired"]
        assert made["errors"] == []
        assert (made["command"]["value"], made["command"]["origin"]) == (1.5, "graphql from 127.0.0.1")
        assert made["command"]["signal"]["desired"] == {"value": 1.5, "role": "DESIRED"}
        id = made["command"]["id"]
        await ended(http, id)
        life = await graphql(http, LIFE, id=id)
        assert (life["command"]["state"], life["command"]["readBack"]) == ("CONFIRMED", 1.5)
        assert life["commands"] == [{"id": id}] and life["signal"]["command"] == {"id": id}
        assert life["signal"]["desired"]["id"] == "line_1.conveyor.speed.desired"
        again = (await graphql(http, SET, signal="conveyor.speed", value="90 m/min", key="k"))["setDesired"]
        assert (again["command"]["id"], again["command"]["state"]) == (id, "CONFIRMED")
        wrong = (await graphql(http, SET, signal="conveyor.speed", value=9))["setDesired"]
        assert (wrong["command"], wrong["errors"][0]["code"], wrong["errors"][0]["field"]) == (
            None, "INVALID_VALUE", "value",
        )  # fmt: skip
        await graphql(http, 'mutation { forkScenario(id: "s") { id } }')
        held = (await graphql(http, SET, signal="conveyor.speed", value=2, scenario="s"))["setDesired"]["command"]
        assert held["state"] == "HELD"
        inside = await graphql(http, '{ signal(id: "conveyor.speed.desired", scenario: "s") { value } }')
        assert inside["signal"]["value"] == 2
        device.goes()
        waiting = (await graphql(http, SET, signal="conveyor.light", value=True))["setDesired"]["command"]["id"]
        cancel = f'mutation {{ cancelCommand(id: "{waiting}") {{ command {{ state }} errors {{ message }} }} }}'
        assert (await graphql(http, cancel))["cancelCommand"]["command"]["state"] == "CANCELLED"
        assert "cannot be cancelled" in (await graphql(http, cancel))["cancelCommand"]["errors"][0]["message"]
        assert device.writes == [("speed", 1500)]


async def test_the_sdk(tmp_path: Path) -> None:
    async with running(tmp_path) as (started, device, _):
        async with AsyncIoTSense(url=started.url) as iot:
            made = await iot.commands.set("conveyor.speed", 1.5, reason="new product", seen="")
            assert (await iot.commands.wait(made["id"]))["state"] == "confirmed"
            assert (await iot.commands.desired("conveyor.speed"))["desired"] == 1.5
            device.goes()
            waiting = await iot.commands.set("conveyor.light", True)
            assert (await iot.commands.cancel(waiting["id"], "no"))["why"] == "no"
            assert [each["state"] for each in await iot.commands.all()] == ["cancelled", "confirmed"]
        await asyncio.to_thread(blocking, started.url, device)


def blocking(url: str, device: Device) -> None:
    with IoTSense(url=url) as iot:
        for call, error in (
            (lambda: iot.commands.set("conveyor.fixed", 1), ConflictError),
            (lambda: iot.commands.set("conveyor.speed", 1, seen=""), OutdatedError),
        ):
            try:
                call()
            except error:
                continue
            raise AssertionError(error)
        waiting = iot.commands.set("conveyor.light", True)
        try:
            iot.commands.wait(waiting["id"], 0.1)
        except SourceError as error:
            assert "is still requested" in str(error)
        device.returns()
        assert iot.commands.wait(waiting["id"])["state"] == "confirmed"
        assert iot.commands.get(waiting["id"])["read_back"] is True
        assert iot.commands.desired("conveyor.light")["desired"] is True


async def test_the_command_line(tmp_path: Path) -> None:
    async with running(tmp_path) as (started, device, _):

        async def cli(*arguments: str, code: int = 0) -> str:
            done = await asyncio.to_thread(run_cli, *arguments, "--url", started.url, cwd=tmp_path)
            assert done.returncode == code, done.stderr + done.stdout
            return done.stdout + done.stderr

        said = await cli("set", "conveyor.speed", "90 m/min", "--reason", "new product", "--actor", "Ada", "--wait")
        assert "line_1.conveyor.speed to 1.5 m/s is confirmed" in said
        assert "above the highest" in await cli("set", "conveyor.speed", "9", code=1)
        device.goes()
        made = json.loads(await cli("set", "conveyor.state", "running", "--json"))
        assert "is cancelled: no" in await cli("commands", "cancel", made["id"], "--reason", "no")
        device.returns()
        device.deaf = True
        slow = await cli("set", "conveyor.speed", "1", "--deadline", "100ms", "--wait", code=1)
        assert "is expired: not confirmed in time: the device shows 1.5 m/s" in slow
        listed = await cli("commands", "list", "--signal", "conveyor.speed")
        assert "Ada" in listed and "new product" in listed and "refused" in listed
        shown = await cli("commands", "show", made["id"])
        assert "signal:      line_1.conveyor.state" in shown and "state:       cancelled" in shown


async def test_without_a_service_nothing_can_be_sent(tmp_path: Path) -> None:
    async with service(tmp_path / "data", plant(tmp_path)):
        pass
    done = await asyncio.to_thread(run_cli, "set", "conveyor.speed", "1", "--data", "data", cwd=tmp_path)
    assert done.returncode == 1 and "no service runs on this data directory" in done.stderr
