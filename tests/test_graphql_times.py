"""Instants: each also in nanoseconds, and `minRevision` wherever the structure is looked at."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from facade_fixtures import Context, Server, breach, plant, put, serving
from following_fixtures import following

import graphql as core
from graphql import GraphQLError
from iotsense.graphql.schema import schema
from iotsense.twin import revisions
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.times import parse_time
from iotsense.twin.twin import Twin

SCHEMA: core.GraphQLSchema = schema._schema
EXACT = parse_time("2026-01-15T10:30:00.123456789Z")
SIGNAL = """{ signal(id: "line_1.conveyor.speed") {
    time timeNs history(from: "2026-01-15T10:00:00Z", to: "2026-01-15T11:00:00Z") { time timeNs start startNs } }
    silent: signal(id: "line_2.conveyor.speed") { time timeNs } }"""
STATE = (
    'subscription { state(signals: ["line_1.conveyor.speed", "line_2.conveyor.speed"]) { columns { time timeNs } } }'
)


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with plant(tmp_path) as twin:
        yield twin


@pytest.fixture
def server(twin: Twin) -> Iterator[Server]:
    with serving(Context(twin)) as server:
        yield server


def of_kind(*names: str) -> list[tuple[str, str, Any]]:
    """The fields of the output types whose type is called so."""
    types = [each for each in SCHEMA.type_map.values() if core.is_object_type(each)]
    found = [(type.name, name, field) for type in types for name, field in type.fields.items()]
    return [each for each in found if core.get_named_type(each[2].type).name in names]


def test_every_instant_is_told_in_nanoseconds_too() -> None:
    """A type of output with times bears `@timed` below `@strawberry.type`."""
    found = of_kind("Time", "TimeColumn")
    assert len(found) > 30
    for type, name, field in found:
        owner: Any = SCHEMA.type_map[type]
        assert f"{name}Ns" in owner.fields, f"{type}.{name}"
        beside = "TextColumn" if core.get_named_type(field.type).name == "TimeColumn" else "String"
        assert str(owner.fields[f"{name}Ns"].type).rstrip("!") == beside
        assert core.is_non_null_type(owner.fields[f"{name}Ns"].type) is core.is_non_null_type(field.type)


def test_both_are_the_same_instant(server: Server, twin: Twin) -> None:
    put(twin, "line_1.conveyor.speed", 1.0, 2.0, time=EXACT)
    told = server.ask(SIGNAL)
    assert told["signal"]["timeNs"] == str(EXACT) == str(parse_time(told["signal"]["time"]))
    history = told["signal"]["history"]
    assert history["timeNs"] == [str(parse_time(time)) for time in history["time"]] and history["timeNs"][-1] == str(
        EXACT
    )
    assert history["startNs"] == str(parse_time(history["start"]))
    assert told["silent"] == {"time": None, "timeNs": None}


def test_of_objects_in_lists_too(server: Server, twin: Twin) -> None:
    breach(twin, "line_1.conveyor.motor_temp", time=EXACT)
    put(twin, "line_1.conveyor.speed", 1.0, time=EXACT)
    told = server.ask(
        """{ anomalies { since sinceNs until untilNs } events { time timeNs recorded recordedNs untilNs }
        node(id: "line_1.conveyor") { state { time timeNs } } service { time timeNs startedAtNs } }"""
    )
    assert told["anomalies"] == [{"since": "2026-01-15T10:30:00.123456789Z", "sinceNs": str(EXACT)} | NEVER_ENDED]
    for event in told["events"]:
        assert event["timeNs"] == str(parse_time(event["time"]))
        assert event["recordedNs"] == str(parse_time(event["recorded"]))
    assert {each["timeNs"] for each in told["node"]["state"]} == {str(EXACT), None}
    assert told["service"]["timeNs"] == str(parse_time(told["service"]["time"]))


NEVER_ENDED = {"until": None, "untilNs": None}


async def test_of_what_is_pushed_too(twin: Twin) -> None:
    put(twin, "line_1.conveyor.speed", 1.0, time=EXACT)
    async with following(twin, STATE) as state:
        columns = (await state.next())["columns"]
    assert columns == {"time": ["2026-01-15T10:30:00.123456789Z", None], "timeNs": [str(EXACT), None]}


# minRevision


def test_all_that_looks_at_the_structure_can_wait_for_a_revision() -> None:
    """But for what tells of the service, not of the plant."""
    service = {"service", "sources", "publishing", "storage", "reporting", "explain", "scenarios", "deadLetters"}
    for operation in core.OperationType.QUERY, core.OperationType.SUBSCRIPTION:
        root = SCHEMA.get_root_type(operation)
        assert root is not None
        lacking = {name for name, field in root.fields.items() if "minRevision" not in field.args}
        assert lacking == (service if operation is core.OperationType.QUERY else set())


@pytest.mark.parametrize(
    "text",
    [
        "{ revisions(minRevision: 2) { revision } }",
        '{ structureDiff(from: "1", minRevision: 2) { after } }',
        "{ revision(minRevision: 2) }",
    ],
)
async def test_a_question_waits_for_it(twin: Twin, text: str) -> None:
    from iotsense.graphql.context import Request

    def later(edit: GraphEdit) -> None:
        edit.update_node(edit.graph.find("line_2").key, name="Line two")

    asking = asyncio.ensure_future(schema.execute(text, context_value=Request(Context(twin), asyncio.Semaphore(4))))
    await asyncio.sleep(0.1)
    assert not asking.done()
    twin.change(later, "test")
    result = await asking
    assert not result.errors and "2" in str(result.data)


@pytest.mark.parametrize("field", ["state { whole }", "events { seq }", "graphChanges { revision }"])
async def test_a_subscription_waits_for_it(twin: Twin, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "LONGEST_WAIT_S", 0.1)
    name, _, selection = field.partition(" ")
    with pytest.raises(GraphQLError) as error:
        async with following(twin, f"subscription {{ {name}(minRevision: 9) {selection} }}") as told:
            await told.next()
    assert (error.value.extensions or {})["code"] == "NOT_YET"
