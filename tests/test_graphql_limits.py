"""What a question may cost and how long it may take, and whether the schema is told."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from facade_fixtures import Context, plant, put, serving, subscribed

from graphql import get_operation_ast, parse
from iotsense.graphql.context import Request
from iotsense.graphql.cost import estimate
from iotsense.graphql.options import MAX_COST, Options
from iotsense.graphql.schema import schema
from iotsense.twin.past import Past
from iotsense.twin.twin import Twin


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with plant(tmp_path) as twin:
        yield twin


async def ask(twin: Twin, text: str, options: Options, **variables: Any) -> Any:
    request = Request(Context(twin), asyncio.Semaphore(4), options=options)  # type: ignore[arg-type]
    return await schema.execute(text, variables, context_value=request)


# Cost


def cost(text: str, **variables: Any) -> int:
    document = parse(text)
    operation = get_operation_ast(document)
    assert operation is not None
    return estimate(schema._schema, document, operation, variables)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ node(id: 1) { id name } }", 3),
        ("{ nodes(first: 10) { totalCount nodes { id name } } }", 1 + 1 + 1 + 10 * 2),
        ("{ nodes { nodes { id } } }", 1 + 1 + 100 * 1),  # 100 unless told
        ("{ nodes(first: null) { nodes { id } } }", 1 + 1 + 100 * 1),
        ("{ nodesConnection(first: 10) { edges { cursor node { id } } } }", 1 + 1 + 10 * 3),
        ("{ nodes(first: 100, ids: [1, 2]) { nodes { id } } }", 1 + 1 + 2 * 1),
        ("{ nodes(first: 10) { nodes { children { id } } } }", 1 + 1 + 10 * (1 + 5 * 1)),
        ("{ nodes(first: 10) { nodes { state(first: 2) { name value } } } }", 1 + 1 + 10 * (1 + 2 * 2)),
        ("{ twins { sensors { signals { value } } } }", 1 + 5 * (1 + 5 * (1 + 5 * 1))),
        ("{ signal(id: 1) { history(points: 200) { time value } } }", 1 + 100 + 20 + 2),
        ("{ node(id: 1) { ...F } } fragment F on Node { id children { ...G } } fragment G on Node { id }", 2 + 1 + 5),
        ("{ node(id: 1) { ... on Node { id } ... { id } } }", 3),
        ("{ a: node(id: 1) { id } b: node(id: 2) { id } }", 4),
        ("{ __schema { types { fields { name } } } __typename }", 0),
        ("subscription { state { columns { value } signals { id } } }", 1 + 1 + 1 + 1 + 5 * 1),
    ],
)
def test_the_estimate_multiplies_pages_down_the_selection(text: str, expected: int) -> None:
    assert cost(text) == expected


def test_the_estimate_heeds_variables() -> None:
    text = "query($n: Int = 7, $ids: [ID!]) { nodes(first: $n, ids: $ids) { nodes { id } } }"
    assert cost(text) == 1 + 1 + 7
    assert cost(text, n=20) == 1 + 1 + 20
    assert cost(text, n=20, ids=["a", "b", "c"]) == 1 + 1 + 3
    assert cost(text, n=-5) == cost(text, n="x") - 95 == 1 + 1 + 5  # what is no number is refused later


def test_fragments_of_fragments_are_estimated_at_once() -> None:
    twice = "fragment F{0} on Node {{ children {{ ...F{1} }} parent {{ ...F{1} }} }}"
    more = " ".join(twice.format(i, i + 1) for i in range(60))
    before = time.process_time()
    assert cost(f"{{ node(id: 1) {{ ...F0 }} }} {more} fragment F60 on Node {{ id }}") > 10**40
    assert time.process_time() - before < 1


async def test_what_costs_too_much_is_refused_with_both_figures(twin: Twin) -> None:
    text = "query A($n: Int!) { nodes(first: $n) { nodes { id name } } } query B { twins { id } }"

    async def asked(n: int, name: str = "A") -> Any:
        request = Request(Context(twin), asyncio.Semaphore(4), options=Options(max_cost=22))  # type: ignore[arg-type]
        return await schema.execute(text, {"n": n}, context_value=request, operation_name=name)

    assert (await asked(10)).errors is None and (await asked(1000, "B")).errors is None
    result = await asked(11)
    (error,) = result.errors
    assert result.data is None
    assert error.message.startswith("this question would cost 24 and the limit is 22")
    assert error.extensions == {"code": "TOO_COSTLY", "cost": 24, "limit": 22}
    for _ in range(2):  # the second time from what is known of the text
        text = "{ nodes(first: 1000) { nodes { id name } } }"
        (error,) = (await ask(twin, text, Options(max_cost=2001))).errors
        assert error.extensions["cost"] == 2002
    assert (await ask(twin, text, Options(max_cost=2002))).errors is None


async def test_nobody_who_asks_for_a_page_of_everything_is_refused(twin: Twin) -> None:
    text = """{ nodes(first: 1000) { nodes { id name type health { score status } parent { id }
        state { name value unit time } children { id signals { name value unit time quality } } } } }"""
    assert cost(text) < MAX_COST and (await ask(twin, text, Options())).errors is None
    text = "{ nodes(first: 1000) { nodes { children { children { children { children { signals { id } } } } } } } }"
    assert (await ask(twin, text, Options())).errors[0].extensions["code"] == "TOO_COSTLY"


async def test_a_subscription_is_refused_too(twin: Twin) -> None:
    with serving(Context(twin), options=Options(max_cost=5)) as server:
        async with subscribed(server, "subscription { state { signals { id value } } }") as following:
            (error,) = await following()
        assert error["extensions"]["code"] == "TOO_COSTLY"
        async with subscribed(server, "subscription { state { whole columns { value } } }") as following:
            assert (await following())["data"]["state"]["whole"]


# Time


def slow(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Makes histories take so long."""
    read = Past.histories

    def slowly(*args: Any, **more: Any) -> Any:
        time.sleep(seconds)
        return read(*args, **more)

    monkeypatch.setattr(Past, "histories", slowly)


async def test_what_waits_too_long_is_given_up(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.5)
    text = '{ twins { id } signal(id: "line_1.conveyor.speed") { history { value } } }'
    began = time.monotonic()
    result = await ask(twin, text, Options(timeout=0.1))
    assert time.monotonic() - began < 0.4
    (error,) = result.errors
    assert result.data is None
    assert error.extensions == {"code": "TIMEOUT", "limit": 0.1} and "longer than 0.1 s" in error.message
    assert (await ask(twin, "{ twins { id } }", Options(timeout=0.5))).errors is None


async def test_what_works_too_long_is_given_up_between_lists(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    children = type(twin.graph).children

    def slowly(*args: Any) -> Any:
        nonlocal looked
        looked += 1
        time.sleep(0.05)
        return children(*args)

    monkeypatch.setattr(type(twin.graph), "children", slowly)
    # An argument keeps the list from being completed at once.
    text = '{ nodes { nodes { children(where: {not: {type: "x"}}) { children(where: {not: {type: "x"}}) { id } } } } }'
    result = await ask(twin, text, Options(timeout=0.12))
    (error,) = result.errors
    assert error.extensions["code"] == "TIMEOUT" and result.data is None
    whole, looked = looked, 0
    assert (await ask(twin, text, Options(timeout=60))).errors is None
    assert whole < looked


async def test_what_is_slow_alone_is_too_late_as_well(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(twin.graph), "twins", lambda graph: time.sleep(0.1) or [])
    (error,) = (await ask(twin, "{ twins { id } }", Options(timeout=0.05))).errors
    assert error.extensions["code"] == "TIMEOUT"


async def test_explaining_may_wait_as_long_as_it_was_told(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    from iotsense.graphql import ingest_query

    async def waiting(*args: Any) -> Any:
        await asyncio.sleep(0.3)
        raise TimeoutError("a resolver's own")

    class Pipeline:
        def explainer(self) -> None:
            return None

    monkeypatch.setattr(ingest_query, "explained", waiting)
    monkeypatch.setattr(Context, "pipeline", Pipeline(), raising=False)
    text = 'query($wait: Float!) { explain(point: "x", waitS: $wait) { point } }'
    (error,) = (await ask(twin, text, Options(timeout=0.1), wait=5.0)).errors
    assert error.extensions["code"] == "INTERNAL"
    (error,) = (await ask(twin, text, Options(timeout=0.1), wait=0.0)).errors
    assert error.extensions["code"] == "TIMEOUT"


async def test_a_change_is_never_given_up(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'mutation { reportEvent(report: {kind: "note", node: "line_1"}) { seq } }'
    result = await ask(twin, text, Options(timeout=0.0000001))
    assert not [error for error in result.errors or () if error.extensions.get("code") == "TIMEOUT"]


# Introspection


async def test_the_schema_is_told_unless_that_is_switched_off(twin: Twin) -> None:
    for text in ("{ __schema { types { name } } }", '{ __type(name: "Node") { name } }'):
        assert (await ask(twin, text, Options())).errors is None
        error = (await ask(twin, text, Options(introspection=False))).errors[0]
        assert "introspection" in error.message and error.extensions["code"] == "BAD_REQUEST"
        assert (await ask(twin, text, Options())).errors is None
    assert (await ask(twin, "{ __typename twins { __typename } }", Options(introspection=False))).errors is None


async def test_a_schema_that_is_not_told_is_not_told_by_guesses(twin: Twin) -> None:
    for text in ("{ twinz { id } }", '{ node(idd: "a") { id } }', "{ nodes(level: LINES) { totalCount } }"):
        both = [await ask(twin, text, Options(introspection=on)) for on in (True, False)]
        said = [[error.message for error in result.errors] for result in both]
        assert any("Did you mean" in message for message in said[0]), text
        assert not any("Did you mean" in message for message in said[1]), text


async def test_the_time_is_also_kept_over_http(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    put(twin, "line_1.conveyor.speed", 1.0)
    slow(monkeypatch, 0.5)
    with serving(Context(twin), options=Options(timeout=0.2)) as server:
        answer = server.ask_whole('{ signal(id: "line_1.conveyor.speed") { history { value } } }')
    assert answer["data"] is None and answer["errors"][0]["extensions"]["code"] == "TIMEOUT"
