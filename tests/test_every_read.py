"""Every read of every facade, at random moments, equals the same read of a plant rebuilt from the journal's prefix.

A new endpoint, GraphQL field, SDK call or verb fails here until it either takes the moment and stands in a table of
how to call it, or stands among those that do not read the plant.
"""

import asyncio
import inspect
import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from every_read import Moment, Walk, walk

from graphql import GraphQLField, GraphQLObjectType, get_named_type, is_composite_type
from iotsense.cli import cli, run_cli
from iotsense.client import AsyncIoTSense, IoTSense
from iotsense.graphql.schema import schema
from iotsense.rest.app import ENDPOINTS
from iotsense.twin.errors import IoTSenseError
from iotsense.twin.report import KINDS

CONVEYOR, SPEED = "line_1.conveyor", "line_1.conveyor.c_speed"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    with walk(tmp_path_factory.mktemp("walk"), 3) as made:
        yield made


def masked(answer: Any, *names: str) -> Any:
    """Without members that tell of the service and not of the plant."""
    if isinstance(answer, dict):
        return {name: masked(value, *names) for name, value in answer.items() if name not in names}
    return [masked(each, *names) for each in answer] if isinstance(answer, list) else answer


def check(plant: Walk, ask: Callable[[str, Moment | None], Any]) -> None:
    """`ask` at every moment, of the plant and of the one rebuilt for it."""
    for moment in plant.moments:
        assert ask(plant.url, moment) == ask(moment.url, None), moment


# REST

REST: dict[str, list[tuple[dict[str, str], dict[str, str]]]] = {
    "twins": [({}, {})],
    "twin": [({"id": "line_1"}, {})],
    "twin_state": [({"id": "line_1"}, {})],
    "nodes": [({}, {}), ({}, {"level": "component", "within": "line_1"})],
    "node": [({"id": "line_1"}, {}), ({"id": CONVEYOR}, {}), ({"id": SPEED}, {})],
    "history": [
        ({"id": SPEED}, {"from": "$start", "to": "$end"}),
        ({"id": SPEED}, {"from": "$start", "to": "$end", "points": "7"}),
    ],
    "events": [({}, {}), ({}, {"node": CONVEYOR, "kind": "anomaly"})],
    "definitions": [({}, {})],
    "export_definitions": [({}, {})],
    "neighbours": [({}, {"node": CONVEYOR})],
    "downstream": [({}, {"node": CONVEYOR})],
    "upstream": [({}, {"node": "line_1.robot"})],
    "paths": [({}, {"from": CONVEYOR, "to": "line_1.robot"})],
    "rollup": [({}, {"node": "line_1", "signal": "speed", "aggregate": "max"})],
    "impact_of_a_stop": [({}, {"node": CONVEYOR})],
    "single_points_of_failure": [({}, {})],
    "anomalies": [({}, {}), ({}, {"node": CONVEYOR, "open": "false"}), ({}, {"acknowledged": "true"})],
    "one_anomaly": [({"id": "6"}, {}), ({"id": "9"}, {})],
    "event": [({"id": "R-0"}, {}), ({"id": "R-1"}, {}), ({"id": "9"}, {})],
    "reports": [({}, {}), ({}, {"node": CONVEYOR, "open": "true"})],
    "assets": [({}, {})],
    "stays": [({}, {}), ({}, {"node": CONVEYOR}), ({}, {"serial_number": "A1"})],
    "asset_history": [({}, {"serial_number": "A1", "signal": "speed", "from": "$start", "to": "$end"})],
    "rows": [({}, {})],
    "desired": [({"id": SPEED}, {})],
    "list_commands": [({}, {}), ({}, {"signal": SPEED, "state": "confirmed"})],
    "get_command": [({"id": "c0"}, {})],
}
NO_READS = {
    "scenarios", "scenario", "replay", "revisions",
    "revision_diff", "export_file", "export_job", "import_errors", "import_job", "dead_letters",
    "backup_file", "backup_job", "stores", "drift", "publishing",
    "health", "livez", "readyz", "metrics", "sources", "source", "problem_page", "openapi_document", "ping",
    "storage", "reporting", "keys", "session", "audit", "audit_export",
}  # fmt: skip
AGES = ("installed_s", "in_service_s", "installedS", "inServiceS")  # which go on until now
SERVICE_MEMBERS = ("last", "notices", "last_seq", "at", *AGES)


def test_every_endpoint_that_reads_is_walked() -> None:
    got = [endpoint for endpoint in ENDPOINTS if endpoint.method == "GET"]
    assert {e.operation for e in got if not e.reads} <= NO_READS
    assert {e.operation for e in got if e.reads} == set(REST)


@pytest.mark.parametrize("operation", sorted(REST))
def test_rest(plant: Walk, operation: str) -> None:
    (endpoint,) = (each for each in ENDPOINTS if each.operation == operation)

    def ask(url: str, moment: Moment | None) -> Any:
        answers = []
        for places, query in REST[operation]:
            given = {
                name: {"$start": plant.start, "$end": plant.end}.get(value, value) for name, value in query.items()
            }
            parameters = given | (moment.parameters if moment else {})
            path = endpoint.path.replace(":path}", "}").format(**places)
            answer = httpx.get(url + path, params=parameters, timeout=60)
            is_json = answer.headers["content-type"].endswith(("/json", "+json"))
            answers.append((answer.status_code, masked(answer.json(), *SERVICE_MEMBERS) if is_json else answer.text))
        return answers

    check(plant, ask)


# GraphQL: each field of each type that can be reached from a root that reads, by its shortest way

NO_PLANT_FIELDS = {
    "deadLetters",
    "revisions",
    "structureDiff",
    "sources",
    "service",
    "scenarios",
    "storage",
    "publishing",
    "reporting",
    "explain",
}
ARGUMENTS = {
    "Query.twin": 'id: "line_1"',
    "Query.node": f'id: "{CONVEYOR}"',
    "Query.signal": f'id: "{SPEED}"',
    "Query.neighbours": f'node: "{CONVEYOR}"',
    "Query.downstream": f'node: "{CONVEYOR}"',
    "Query.upstream": 'node: "line_1.robot"',
    "Query.paths": f'from: "{CONVEYOR}", to: "line_1.robot"',
    "Query.rollup": 'node: "line_1", signal: "speed", aggregate: MAX',
    "Query.impact": f'node: "{CONVEYOR}"',
    "Query.asset": 'serialNumber: "A1"',
    "Query.anomaly": 'id: "9"',
    "Query.event": 'id: "R-1"',
    "Query.command": 'id: "c0"',
    "Asset.history": 'signal: "speed", from: $start, to: $end',
    "Node.signal": 'name: "speed"',
    "Node.rollup": 'signal: "speed", aggregate: MAX',
    "Node.summary": 'signal: "speed"',
    "Signal.history": "from: $start, to: $end, points: 9",
}


def roots() -> dict[str, GraphQLField]:
    query = schema._schema.query_type
    assert query is not None
    return {name: field for name, field in query.fields.items() if name not in NO_PLANT_FIELDS}


def call(parent: str, name: str) -> str:
    given = ARGUMENTS.get(f"{parent}.{name}", "")
    if parent == "Query":
        given = f"{given}, asOf: $asOf, knownAt: $knownAt" if given else "asOf: $asOf, knownAt: $knownAt"
    return f"{name}({given})" if given else name


def plain(kind: Any) -> str:
    """All fields of a type that hold no others, and the ids of those that do."""
    names = [call(kind.name, n) for n, f in kind.fields.items() if not is_composite_type(get_named_type(f.type))]
    return " ".join(names) or "__typename"


def questions() -> Iterator[tuple[str, str]]:
    """(field, document) for each field of each type."""
    waiting: deque[tuple[GraphQLObjectType, list[str]]] = deque()
    seen: set[str] = set()

    def follow(kind: Any, way: list[str]) -> None:
        if isinstance(kind, GraphQLObjectType) and kind.name not in seen:
            seen.add(kind.name)
            waiting.append((kind, way))

    for name, field in roots().items():
        kind = get_named_type(field.type)
        way = [call("Query", name)]
        yield f"Query.{name}", document(way, kind)
        follow(kind, way)
    while waiting:
        parent, way = waiting.popleft()
        for name, field in parent.fields.items():
            kind = get_named_type(field.type)
            step = [*way, call(parent.name, name)]
            yield f"{parent.name}.{name}", document(step, kind)
            follow(kind, step)


def document(way: list[str], kind: Any) -> str:
    body = f"{{ {plain(kind)} }}" if isinstance(kind, GraphQLObjectType) else ""
    for step in reversed(way):
        body = f"{{ {step} {body} }}"
    return body


QUESTIONS = dict(questions())


def test_every_root_field_takes_the_moment() -> None:
    for name, field in roots().items():
        assert {"asOf", "knownAt", "scenario", "minRevision"} <= set(field.args), name


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_graphql(plant: Walk, name: str) -> None:
    text = QUESTIONS[name]
    head = "query($asOf: Time, $knownAt: Time" + (", $start: Time, $end: Time" if "$start" in text else "") + ") "

    def ask(url: str, moment: Moment | None) -> Any:
        given = moment.parameters if moment else {}
        variables = {"asOf": given.get("as_of"), "knownAt": given.get("known_at")}
        variables |= {"start": plant.start, "end": plant.end} if "$start" in text else {}
        answer = httpx.post(f"{url}/graphql", json={"query": head + text, "variables": variables}, timeout=60).json()
        for error in answer.get("errors", ()):
            assert error["extensions"]["code"] in ("NOT_FOUND", "INVALID_VALUE"), (text, error)
        return masked(answer, "at", "atNs", *AGES)

    check(plant, ask)


# SDK

SDK: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "twins": [((), {})],
    "twin": [(("line_1",), {})],
    "state": [(("line_1",), {})],
    "node": [((CONVEYOR,), {})],
    "nodes": [((), {"level": "sensor"})],
    "history": [((SPEED, "$start", "$end"), {})],
    "events": [((), {"kind": "anomaly"})],
    "graph.neighbours": [((CONVEYOR,), {})],
    "graph.downstream": [((CONVEYOR,), {})],
    "graph.upstream": [(("line_1.robot",), {})],
    "graph.paths": [((CONVEYOR, "line_1.robot"), {})],
    "graph.rollup": [(("line_1", "speed"), {"aggregate": "max"})],
    "graph.impact": [((CONVEYOR,), {})],
    "graph.single_points_of_failure": [((), {})],
    "anomalies.all": [((), {}), ((), {"node": CONVEYOR, "open": False})],
    "anomalies.get": [((9,), {})],
    "reports.get": [(("R-1",), {})],
    "reports.all": [((), {}), ((), {"kind": ["failure", "repair"], "node": CONVEYOR})],
    "assets.all": [((), {})],
    "assets.stays": [((), {"node": CONVEYOR})],
    "assets.history": [(("A1", "speed"), {"start": "$start", "end": "$end"})],
    "commands.get": [(("c0",), {})],
    "commands.all": [((), {}), ((), {"signal": SPEED, "limit": 2})],
    "commands.desired": [((SPEED,), {})],
}
SCENARIO_CALLS = {f"scenarios.{call}" for call in ("all", "get", "fork", "override", "replay", "remove")}
REMARKING = {"anomalies.acknowledge", "anomalies.comment"}
REPORTING = {f"reports.{call}" for call in ("report", "end", "amend", "retract", "load")}
COMMANDING = {"commands.set", "commands.wait", "commands.cancel"}
INSTALLING = {"assets.install", "assets.remove"}
NO_READ_CALLS = (
    {"close", "aclose", "flush", "health", "bulk_export", "bulk_import", "backup", "replay"}
    | {"structure.log", "structure.diff"}
    | SCENARIO_CALLS
    | REMARKING
    | REPORTING
    | INSTALLING
    | COMMANDING
)


def calls(client: Any, prefix: str = "") -> Iterator[str]:
    for name, value in inspect.getmembers(client):
        if name.startswith("_") or name == "telemetry":
            continue
        if callable(value):
            yield prefix + name
        else:
            yield from calls(value, f"{name}.")


def test_every_call_that_reads_is_walked() -> None:
    with IoTSense(url="http://127.0.0.1:9") as iot:
        assert set(calls(iot)) - NO_READ_CALLS == set(SDK)
    assert set(calls(AsyncIoTSense(url="http://127.0.0.1:9"))) - NO_READ_CALLS == set(SDK)


def resolved(client: Any, name: str) -> Any:
    for part in name.split("."):
        client = getattr(client, part)
    return client


def settled(found: Any) -> Any:
    if hasattr(found, "items") and not isinstance(found, dict):  # histories
        return {id: (series.time.tolist(), series.value.tolist(), series.quality) for id, series in found.items()}
    return masked(found, *SERVICE_MEMBERS) if isinstance(found, dict | list) else masked(list(found), *SERVICE_MEMBERS)


@pytest.mark.parametrize("name", sorted(SDK))
def test_sdk(plant: Walk, name: str) -> None:
    def ask(url: str, moment: Moment | None) -> Any:
        with IoTSense(url=url, timeout=60) as iot:
            return [told(resolved(iot, name), a, k) for a, k in sdk_calls(plant, name, moment)]

    check(plant, ask)


@pytest.mark.parametrize("name", sorted(SDK))
def test_async_sdk(plant: Walk, name: str) -> None:
    async def asked(url: str, moment: Moment | None) -> list[Any]:
        async with AsyncIoTSense(url=url, timeout=60) as iot:
            found = []
            for a, k in sdk_calls(plant, name, moment):
                try:
                    result = resolved(iot, name)(*a, **k)
                    whole = [each async for each in result] if hasattr(result, "__aiter__") else await result
                    found.append(settled(whole))
                except IoTSenseError as error:
                    found.append(str(error))
            return found

    check(plant, lambda url, moment: asyncio.run(asked(url, moment)))


def sdk_calls(plant: Walk, name: str, moment: Moment | None) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    for arguments, options in SDK[name]:
        given = [{"$start": plant.start, "$end": plant.end}.get(each, each) for each in arguments]
        yield given, options | (moment.parameters if moment else {})


def told(call: Callable[..., Any], arguments: list[Any], options: dict[str, Any]) -> Any:
    try:
        return settled(call(*arguments, **options))
    except IoTSenseError as error:
        return str(error)


# The command line

VERBS: dict[str, list[list[str]]] = {
    "twins": [[], ["--json"]],
    "state": [["line_1"], ["line_1", "--json"]],
    "history": [[SPEED, "--from", "$start", "--to", "$end"]],
    "events": [["--json"], ["--kind", "anomaly"]],
    "export": [[]],
    "graph neighbours": [[CONVEYOR]],
    "graph downstream": [[CONVEYOR]],
    "graph upstream": [["line_1.robot"]],
    "graph paths": [[CONVEYOR, "line_1.robot"]],
    "graph rollup": [["line_1", "speed", "--aggregate", "max"]],
    "graph impact": [[CONVEYOR]],
    "graph single-points-of-failure": [[]],
    "report list": [["--json"], ["--node", CONVEYOR, "--open"]],
    "assets list": [["--json"]],
    "assets stays": [["--node", CONVEYOR]],
    "assets history": [["A1", "speed", "--from", "$start", "--to", "$end"]],
    "commands list": [["--json"], ["--signal", SPEED, "--limit", "2"]],
    "commands show": [["c0"]],
}
NO_READ_VERBS = {
    "version", "run", "demo", "init", "validate", "plan", "apply", "schema", "load", "status", "sources", "explain",
    "dead-letters list", "dead-letters replay", "dead-letters purge", "bulk export", "bulk import", "backup", "restore",
    "stores", "repair", "report end", "report amend", "report retract", "report load", "report event",
    *(f"report {kind.replace('_', '-')}" for kind in KINDS), "assets install", "assets remove",
    "scenario list", "scenario show", "scenario fork", "scenario set", "scenario remove", "replay", "log", "diff",
    "migrate", "downgrade", *(f"discover {each}" for each in ("opcua", "modbus", "bacnet", "mqtt", "sparkplug")),
    "storage", "set", "commands cancel", "publishing", "trust list", "trust add", "trust reject",
    *(f"keys {each}" for each in ("create", "list", "rotate", "revoke")),
    *(f"audit {each}" for each in ("list", "export", "verify")),
}  # fmt: skip


def verbs(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from verbs(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def test_every_verb_that_reads_is_walked() -> None:
    found = dict(verbs(cli))
    reading = {name for name, verb in found.items() if any(p.name == "known_at" for p in verb.params)}
    assert reading - {"scenario fork", "replay"} == set(VERBS)  # which fork, or go on from, then
    assert set(found) - set(VERBS) == NO_READ_VERBS


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_command_line(plant: Walk, verb: str) -> None:
    def ask(url: str, moment: Moment | None) -> Any:
        answers = []
        for arguments in VERBS[verb]:
            given = [{"$start": plant.start, "$end": plant.end}.get(each, each) for each in arguments]
            for name, value in (moment.parameters if moment else {}).items():
                given += [f"--{name.replace('_', '-')}", value]
            with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
                code = run_cli([*verb.split(), *given, "--url", url])
            answers.append((code, without_clock(out.getvalue()), err.getvalue()))
        return answers

    check(plant, ask)


def without_clock(text: str) -> str:
    """`graph impact` counts from the moment itself, which for a rebuilt plant is now."""
    try:
        return json.dumps(masked(json.loads(text), "at", *AGES))
    except ValueError:
        return text


def test_the_walk_finds_a_difference(plant: Walk, tmp_path: Path) -> None:
    """A read that ignores the moment would not pass."""
    with pytest.raises(AssertionError):
        check(plant, lambda url, moment: httpx.get(f"{url}/api/v1/iotsense/events", timeout=60).json()["events"])
