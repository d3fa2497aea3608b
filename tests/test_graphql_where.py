"""Filters, order and cursors of node lists, against what a plain look at the plant says."""

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from facade_fixtures import Context, breach, build, put

from iotsense.graphql import node_page
from iotsense.graphql.context import Request
from iotsense.graphql.schema import schema
from iotsense.twin.access import LOCAL, Principal, Role
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level
from iotsense.twin.times import format_time, now_ns
from iotsense.twin.twin import Twin

LISTED = """query($where: NodeWhere, $order: [NodeOrder!], $first: Int! = 100, $after: String) {
    nodes(where: $where, orderBy: $order, first: $first, after: $after) { totalCount nodes { id } } }"""
CONNECTED = """query($where: NodeWhere, $order: [NodeOrder!], $first: Int! = 100, $after: String, $at: Time) {
    nodesConnection(where: $where, orderBy: $order, first: $first, after: $after, asOf: $at) {
        totalCount edges { cursor node { id } } pageInfo { startCursor endCursor hasPreviousPage hasNextPage } } }"""


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(build, "test")
        put(twin, "line_1.conveyor.speed", 1.5)
        put(twin, "line_1.conveyor.motor_temp", 91.5, quality=64)
        put(twin, "line_1.conveyor.status", 1)
        put(twin, "line_1.conveyor.jam", 1.0)
        put(twin, "line_1.conveyor.health", 35.0)
        put(twin, "line_1.robot.health", 90.0)
        put(twin, "line_1.packer.speed", 40.0, quality=0)
        put(twin, "line_2.conveyor.speed", math.inf)
        put(twin, "line_1.robot.joints.value[2]", 12.0)
        yield twin


async def ask(twin: Twin, text: str, whom: Principal = LOCAL, **variables: Any) -> Any:
    request = Request(Context(twin).seen_by(whom), asyncio.Semaphore(4), principal=whom)
    return await schema.execute(text, variables, context_value=request)


async def found(twin: Twin, where: Any, whom: Principal = LOCAL) -> list[str]:
    """The ids, of which there are as many as `totalCount` says."""
    result = await ask(twin, LISTED, whom, where=where)
    assert not result.errors, result.errors
    page = result.data["nodes"]
    assert page["totalCount"] == len(page["nodes"])
    return [node["id"] for node in page["nodes"]]


CONVEYOR, ROBOT, PACKER, OTHER = "line_1.conveyor", "line_1.robot", "line_1.packer", "line_2.conveyor"
COMPONENT = {"level": "COMPONENT"}


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ({"type": ["robot_arm", "packer"]}, [ROBOT, PACKER]),
        ({"type": "packer"}, [PACKER]),
        ({"level": "LINE"}, ["line_1", "line_2"]),
        ({"idPrefix": "line_2.conv", "level": "COMPONENT"}, [OTHER]),
        ({"under": "line_2"}, ["line_2", OTHER, "line_2.conveyor.speed"]),
        ({"under": "hall", "level": ["COMPONENT"]}, [CONVEYOR, ROBOT, PACKER, OTHER]),
        ({"health": "CRITICAL"}, [CONVEYOR]),
        ({"health": ["HEALTHY", "CRITICAL"], "level": "COMPONENT"}, [CONVEYOR, ROBOT]),
        ({"search": "infeed CONVEYOR"}, [CONVEYOR]),
        ({"origin": "DISCOVERED"}, []),
        ({"stale": True}, []),
        ({"properties": {"name": "model", "eq": "fanuc_m20"}}, [ROBOT]),
        ({"properties": {"name": "parameters.length", "gte": 50, "lt": 51}}, [CONVEYOR]),
        ({"properties": {"name": "parameters.length", "in": [49, 50]}}, [CONVEYOR]),
        ({"properties": {"name": "parameters.length", "eq": "50"}}, []),
        ({"properties": {"name": "model", "gt": 0}}, []),
        ({"properties": {"name": "model", "exists": False}, **COMPONENT}, [CONVEYOR, PACKER, OTHER]),
        ({"properties": {"name": "model.deeper", "exists": True}}, []),
        ({"signal": {"name": "speed", "gt": 1}, **COMPONENT}, [CONVEYOR]),  # the packer's is bad, the other's infinite
        ({"signal": {"name": "speed", "gt": 1, "quality": ["GOOD", "BAD"]}, **COMPONENT}, [CONVEYOR, PACKER]),
        ({"signal": {"name": "speed", "gt": 1.5}, **COMPONENT}, []),
        ({"signal": {"name": "speed", "gte": 1.5, "lte": 1.5}}, [CONVEYOR, "line_1.conveyor.speed"]),
        ({"signal": {"name": "motor_temp", "gt": 80}, **COMPONENT}, [CONVEYOR]),
        ({"signal": {"name": "motor_temp", "gt": 80, "quality": "GOOD"}}, []),
        ({"signal": {"name": "status", "eq": "running"}, **COMPONENT}, [CONVEYOR]),
        ({"signal": {"name": "status", "eq": 1}}, []),
        ({"signal": {"name": "jam", "eq": True}, **COMPONENT}, [CONVEYOR]),
        ({"signal": {"name": "jam", "eq": 1}}, []),
        ({"signal": {"name": "joint_positions", "eq": 12}, **COMPONENT}, [ROBOT]),
        ({"signal": {"name": "speed", "exists": True}, **COMPONENT}, [CONVEYOR, PACKER, OTHER]),
        ({"signal": {"name": "speed", "exists": False}, **COMPONENT}, [ROBOT]),
        ({"signal": {"name": "speed", "quality": "BAD"}, **COMPONENT}, [PACKER]),
        ({"signal": [{"name": "speed", "gt": 1}, {"name": "motor_temp", "lt": 80}]}, []),
        ({"signal": {"name": "no_such_signal", "gt": 1}}, []),
        ({"not": {"signal": {"name": "speed", "gt": 1}}, **COMPONENT}, [ROBOT, PACKER, OTHER]),
        ({"or": [{"type": "packer"}, {"signal": {"name": "speed", "eq": 1.5}, **COMPONENT}]}, [CONVEYOR, PACKER]),
        ({"and": [{"under": "line_1"}, {"not": [{"type": "packer"}, {"health": "CRITICAL"}]}], **COMPONENT}, [ROBOT]),
        ({"type": None, "level": "LINE"}, ["line_1", "line_2"]),
    ],
)
@pytest.mark.parametrize("in_thread", [False, True])
async def test_where(twin: Twin, where: Any, ids: list[str], in_thread: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if in_thread:
        monkeypatch.setattr(node_page, "INLINE_NODES", 0)
    assert await found(twin, where) == ids


@pytest.mark.parametrize(
    ("where", "words", "place"),
    [
        ({}, "where is empty", "where"),
        ({"type": []}, "where.type is empty", "where.type"),
        ({"idPrefix": ""}, "where.idPrefix is empty", "where.idPrefix"),
        ({"search": "  "}, "where.search is empty", "where.search"),
        ({"or": []}, "where.or is empty", "where.or"),
        ({"or": [{"type": "a"}, {}]}, "where.or[1] is empty", "where.or[1]"),
        ({"signal": []}, "where.signal is empty", "where.signal"),
        ({"signal": {"name": "x"}}, "says nothing of 'x'", "where.signal"),
        ({"signal": {"name": "x", "gt": 2, "gte": 2}}, "give gt or gte", "where.signal"),
        ({"signal": {"name": "x", "lt": 2, "lte": 2}}, "give lt or lte", "where.signal"),
        ({"signal": {"name": "x", "gt": 2, "lt": 2}}, "no number is both", "where.signal"),
        ({"signal": {"name": "x", "gte": 2, "lte": 1}}, "no number is both", "where.signal"),
        ({"signal": {"name": "x", "eq": 2, "gt": 1}}, "leave nothing", "where.signal"),
        ({"signal": {"name": "x", "eq": 2, "in": [2]}}, "give eq or in", "where.signal"),
        ({"signal": {"name": "x", "in": []}}, "where.signal.in is empty", "where.signal.in"),
        ({"signal": {"name": "x", "quality": []}}, "where.signal.quality is empty", "where.signal.quality"),
        ({"signal": {"name": "x", "exists": False, "gt": 1}}, "no value to compare", "where.signal"),
        ({"signal": {"name": "x", "exists": False, "stale": True}}, "not stale", "where.signal"),
        ({"properties": {"name": "x"}}, "says nothing of 'x'", "where.properties"),
        (
            {"not": {"properties": [{"name": "x", "eq": 1}, {"name": "y"}]}},
            "where.not[0].properties[1] says nothing",
            "where.not[0].properties[1]",
        ),
        ({"or": [{"type": "a"}] * 101}, "more than 100 conditions", "where"),
    ],
)
async def test_what_says_nothing_or_contradicts_itself_is_refused(
    twin: Twin, where: Any, words: str, place: str
) -> None:
    (error,) = (await ask(twin, LISTED, where=where)).errors
    assert words in error.message and error.extensions == {"code": "INVALID_VALUE", "field": place}


async def test_a_node_that_is_not_there_is_an_error_even_inside_a_filter(twin: Twin) -> None:
    (error,) = (await ask(twin, LISTED, where={"not": {"under": "line_9"}})).errors
    assert error.extensions["code"] == "NOT_FOUND"


async def test_filters_can_stand_in_the_text(twin: Twin) -> None:
    text = """{ nodes(where: {or: [{properties: {name: "model", in: ["fanuc_m20", 5, true]}},
        {signal: {name: "jam", eq: true}, level: COMPONENT}]}) { nodes { id } } }"""
    result = await ask(twin, text)
    assert [node["id"] for node in result.data["nodes"]["nodes"]] == [CONVEYOR, ROBOT]


# Order and cursors


def order(field: str, direction: str = "ASC", **more: Any) -> dict[str, Any]:
    return {"field": field, "direction": direction, **more}


@pytest.mark.parametrize(
    ("by", "ids"),
    [
        ([order("KEY", "DESC")], [OTHER, PACKER, ROBOT, CONVEYOR]),
        ([order("ID")], [CONVEYOR, PACKER, ROBOT, OTHER]),
        ([order("NAME", "DESC")], [ROBOT, OTHER, CONVEYOR, PACKER]),
        ([order("TYPE"), order("KEY", "DESC")], [OTHER, CONVEYOR, PACKER, ROBOT]),
        ([order("HEALTH")], [CONVEYOR, ROBOT, PACKER, OTHER]),
        ([order("HEALTH", "DESC")], [ROBOT, CONVEYOR, PACKER, OTHER]),
        ([order("SIGNAL", signal="speed"), order("ID", "DESC")], [CONVEYOR, OTHER, ROBOT, PACKER]),
        ([order("SIGNAL", signal="status")], [CONVEYOR, ROBOT, PACKER, OTHER]),
        ([order("LEVEL"), order("ID")], [CONVEYOR, PACKER, ROBOT, OTHER]),
    ],
)
@pytest.mark.parametrize("size", [1, 3])
async def test_pages_in_order_hold_everything_once(twin: Twin, by: Any, ids: list[str], size: int) -> None:
    seen, after, pages = [], None, 0
    while True:
        variables = {"where": COMPONENT, "order": by, "first": size, "after": after}
        page = (await ask(twin, CONNECTED, **variables)).data["nodesConnection"]
        seen += [edge["node"]["id"] for edge in page["edges"]]
        info = page["pageInfo"]
        assert page["totalCount"] == 4 and info["hasPreviousPage"] is (pages > 0)
        assert (info["startCursor"], info["endCursor"]) == (page["edges"][0]["cursor"], page["edges"][-1]["cursor"])
        pages, after = pages + 1, info["endCursor"]
        if not info["hasNextPage"]:
            break
    assert seen == ids
    assert [n["id"] for n in (await ask(twin, LISTED, where=COMPONENT, order=by)).data["nodes"]["nodes"]] == ids


@pytest.mark.parametrize("by", [None, [order("ID")], [order("HEALTH", "DESC"), order("NAME")]])
async def test_what_comes_and_goes_meanwhile_moves_nothing_to_another_page(twin: Twin, by: Any) -> None:
    async def page(after: str | None) -> tuple[list[str], str]:
        result = await ask(twin, CONNECTED, where=COMPONENT, order=by, first=2, after=after)
        edges = result.data["nodesConnection"]["edges"]
        return [edge["node"]["id"] for edge in edges], edges[-1]["cursor"]

    whole = [n["id"] for n in (await ask(twin, LISTED, where=COMPONENT, order=by)).data["nodes"]["nodes"]]
    first, after = await page(None)

    def change(edit: GraphEdit) -> None:
        line = edit.graph.find("line_1").key
        for name in ("aaa", "aab", "zzz"):
            edit.add_node(id=f"line_1.{name}", name=name, level=Level.COMPONENT, parent=line)
        gone = edit.graph.find(first[1]).key
        for child in edit.graph.children(gone):
            edit.remove_node(child.key)
        edit.remove_node(gone)

    twin.change(change, "test")
    rest: list[str] = []
    while True:
        ids, after = await page(after)
        rest += ids
        if len(ids) < 2 or after is None or len(rest) > 9:
            break
    assert [id for id in rest if id in whole] == whole[2:]
    assert len(rest) == len(set(rest))


async def test_a_cursor_of_another_order_is_refused_and_so_is_rubbish(twin: Twin) -> None:
    result = await ask(twin, CONNECTED, order=[order("ID")], first=1)
    cursor = result.data["nodesConnection"]["edges"][0]["cursor"]
    for by, after in (
        (None, cursor), ([order("ID", "DESC")], cursor), ([order("ID")], "3"), ([order("ID")], "rubbish!"),
        (None, "-1"), ([order("ID")], "é"), ([order("ID")], "bnVsbA"), ([order("ID")], ""), (None, "9" * 400),
    ):  # fmt: skip
        (error,) = (await ask(twin, CONNECTED, order=by, after=after)).errors
        assert error.extensions == {"code": "INVALID_VALUE", "field": "after"}, after


@pytest.mark.parametrize(
    ("by", "place"),
    [
        ([], "orderBy"),
        ([order("SIGNAL")], "orderBy[0].signal"),
        ([order("ID", signal="speed")], "orderBy[0].signal"),
        ([order("ID"), order("ID", "DESC")], "orderBy[1]"),
        ([order("SIGNAL", signal=f"s{i}") for i in range(9)], "orderBy"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(twin: Twin, by: Any, place: str) -> None:
    (error,) = (await ask(twin, LISTED, order=by)).errors
    assert error.extensions == {"code": "INVALID_VALUE", "field": place}


async def test_children_are_narrowed_and_ordered_as_well(twin: Twin) -> None:
    result = await ask(
        twin,
        """{ node(id: "line_1") { components(where: {health: [CRITICAL, HEALTHY]},
        orderBy: {field: ID, direction: DESC}) { id } children { id } }
        node2: node(id: "line_1.conveyor") { sensors(where: {search: "temp"}) { id } } }""",
    )
    assert [n["id"] for n in result.data["node"]["components"]] == [ROBOT, CONVEYOR]
    assert [n["id"] for n in result.data["node"]["children"]] == [CONVEYOR, ROBOT, PACKER]
    assert result.data["node2"]["sensors"] == [{"id": "line_1.conveyor.motor_temp"}]


# Other instants, and those who see a part


async def test_the_past_is_filtered_by_what_was_so_then(twin: Twin) -> None:
    before = now_ns()
    put(twin, "line_1.conveyor.speed", 9.0)
    put(twin, "line_2.conveyor.speed", 8.0)
    where = {"signal": {"name": "speed", "gt": 5}, **COMPONENT}
    by = [order("SIGNAL", "DESC", signal="speed")]

    async def asked(at: int | None) -> list[str]:
        variables = {"where": where, "order": by, "at": None if at is None else format_time(at)}
        page = (await ask(twin, CONNECTED, **variables)).data["nodesConnection"]
        assert page["totalCount"] == len(page["edges"])
        return [edge["node"]["id"] for edge in page["edges"]]

    assert await asked(None) == [CONVEYOR, OTHER]
    assert await asked(before) == []
    known = "query($where: NodeWhere, $at: Time) { nodes(where: $where, knownAt: $at) { totalCount } }"
    assert (await ask(twin, known, where=where, at=format_time(before))).data == {"nodes": {"totalCount": 0}}


async def test_whoever_is_tied_to_a_part_learns_nothing_of_the_rest(twin: Twin) -> None:
    breach(twin, "line_1.conveyor.motor_temp", "critical")
    whom = Principal("key k", Role.VIEWER.scopes, frozenset({twin.graph.find("line_2").key}))
    assert await found(twin, {"signal": {"name": "speed", "exists": True}, **COMPONENT}, whom) == [OTHER]
    assert await found(twin, {"not": {"type": "nothing"}}, whom) == ["line_2", OTHER, "line_2.conveyor.speed"]
    assert await found(twin, {"health": "CRITICAL"}, whom) == []
    for under in ("line_1", "hall", "line_1.conveyor"):
        (error,) = (await ask(twin, LISTED, whom, where={"under": under})).errors
        assert error.extensions == {"code": "NOT_FOUND"}
        assert "line_1" not in error.message.replace(f"'{under}'", "") and "conveyor.s" not in error.message
    for by in (None, [order("SIGNAL", signal="speed")], [order("HEALTH")]):
        page = (await ask(twin, CONNECTED, whom, order=by, first=1)).data["nodesConnection"]
        assert page["totalCount"] == 3 and page["edges"][0]["node"]["id"].startswith("line_2")
    # A cursor of somebody who sees all of it is no more than a place.
    all_of_it = (await ask(twin, CONNECTED, order=[order("ID")], first=4)).data["nodesConnection"]
    variables = {"order": [order("ID")], "after": all_of_it["pageInfo"]["endCursor"]}
    rest = (await ask(twin, CONNECTED, whom, **variables)).data["nodesConnection"]
    assert [edge["node"]["id"] for edge in rest["edges"]] == ["line_2", OTHER, "line_2.conveyor.speed"]
