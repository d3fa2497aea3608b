"""The state of nodes that a filter means: who joins, who leaves, and for whom."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from facade_fixtures import breach, plant, put
from following_fixtures import following, narrow, remove, rename

from graphql import GraphQLError
from iotsense.graphql import followed_nodes
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level
from iotsense.twin.twin import Twin

STATE = """subscription($where: NodeWhere, $nodes: [ID!], $signals: [ID!], $hz: Float! = 60) {
    state(where: $where, nodes: $nodes, signals: $signals, maxHz: $hz) {
        whole revision columns { signal value } gone { signal index } } }"""
EVENTS = (
    "subscription($after: Long, $node: ID, $kind: String) { events(after: $after, node: $node, kind: $kind) { seq } }"
)
SPEED, STATUS, TEMPERATURE = (f"line_1.conveyor.{name}" for name in ("speed", "status", "motor_temp"))


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with plant(tmp_path) as twin:
        yield twin


def add_conveyor(twin: Twin, line: str = "line_2", name: str = "spare") -> str:
    """Another conveyor with a signal of its own; its id."""

    def add(edit: GraphEdit) -> None:
        node = edit.add_node(
            id=f"{line}.{name}", level=Level.COMPONENT, type="conveyor", parent=edit.graph.find(line).key
        )
        edit.add_signal(node.key, "torque")

    twin.change(add, "test")
    return f"{line}.{name}"


async def test_a_node_joins_that_is_as_the_filter_says(twin: Twin) -> None:
    async with following(twin, STATE, where={"type": "conveyor", "under": "line_2"}) as state:
        assert await state.signals() == {"line_2.conveyor.speed", "line_2.conveyor.health"}
        spare = add_conveyor(twin)  # nothing is measured yet: it joins all the same
        batch = await state.next()
        assert batch["columns"] == {"signal": [f"{spare}.torque"], "value": [None]}
        assert batch["revision"] == twin.graph.revision and not batch["whole"]
        put(twin, f"{spare}.torque", 12.5)
        assert (await state.next())["columns"] == {"signal": [f"{spare}.torque"], "value": [12.5]}
        add_conveyor(twin, "line_1")
        put(twin, "line_1.spare.torque", 1.0)
        assert await state.is_silent()


async def test_a_node_leaves_that_is_so_no_more(twin: Twin) -> None:
    put(twin, SPEED, 2.0)
    where = {"level": "COMPONENT", "signal": {"name": "speed", "gt": 1.5}}
    async with following(twin, STATE, where=where) as state:
        assert SPEED in await state.signals()
        put(twin, SPEED, 1.0)
        assert {SPEED, STATUS} <= set(await state.gone())
        put(twin, STATUS, 1.0)  # nobody's any more
        put(twin, "line_1.packer.speed", 40.0)
        assert await state.signals() == {"line_1.packer.speed", "line_1.packer.health"}
        put(twin, SPEED, 3.0)  # back, and told as a whole
        batch = await state.next()
        value = dict(zip(batch["columns"]["signal"], batch["columns"]["value"], strict=True))
        assert value[SPEED] == 3.0 and value[STATUS] == "running"


async def test_health_and_events_move_nodes_too(twin: Twin) -> None:
    put(twin, "line_1.robot.health", 90.0)
    async with following(twin, STATE, where={"level": "COMPONENT", "health": "CRITICAL"}) as state:
        assert await state.signals() == set()
        put(twin, "line_1.robot.health", 20.0)
        assert "line_1.robot.health" in await state.signals()
        put(twin, "line_1.robot.health", 85.0)
        assert "line_1.robot.health" in await state.gone()


async def test_a_node_that_is_removed_leaves_under_its_former_id(twin: Twin) -> None:
    index = twin.graph.find_signal("line_2.conveyor.speed").index
    async with following(twin, STATE, nodes=["line_2"], where={"type": "robot_arm"}) as state:
        assert "line_1.robot.joints.value[0]" in await state.signals()
        twin.change(lambda edit: remove(edit, "line_2.conveyor"), "test")
        gone = (await state.next())["gone"]
        assert dict(zip(gone["signal"], gone["index"], strict=True))["line_2.conveyor.speed"] == index


async def test_a_subtree_is_the_same_node_under_another_name(twin: Twin) -> None:
    async with following(twin, STATE, where={"under": "line_2", "level": "SENSOR"}) as state:
        assert await state.signals() == {"line_2.conveyor.speed"}
        twin.change(lambda edit: rename(edit, "line_2", "line_9"), "test")
        put(twin, "line_9.conveyor.speed", 4.0)
        assert (await state.next())["columns"]["signal"] == ["line_9.conveyor.speed"]
        twin.change(lambda edit: remove(edit, "line_9"), "test")
        assert await state.gone() == ["line_9.conveyor.speed"]


async def test_a_wrong_filter_is_told(twin: Twin) -> None:
    for where, code in (({}, "INVALID_VALUE"), ({"under": "nowhere"}, "NOT_FOUND")):
        with pytest.raises(GraphQLError) as told:
            async with following(twin, STATE, where=where) as state:
                await state.next()
        assert (told.value.extensions or {})["code"] == code


async def test_a_filter_finds_nothing_beyond_the_part_of_a_key(twin: Twin) -> None:
    async with following(twin, STATE, narrow(twin, "line_2"), where={"type": "conveyor"}) as state:
        assert await state.signals() == {"line_2.conveyor.speed", "line_2.conveyor.health"}
        add_conveyor(twin, "line_1")
        put(twin, "line_1.spare.torque", 1.0)
        spare = add_conveyor(twin, "line_2")
        assert await state.signals() == {f"{spare}.torque"}


async def test_a_large_plant_is_not_looked_through_without_end(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter of what lives pauses in proportion to what it costs, and is asked again though nothing more happens."""
    looks = 0
    found = followed_nodes.FollowedNodes._found

    def slow(self: Any, view: Any) -> Any:
        nonlocal looks
        looks += 1
        time.sleep(0.05)
        return found(self, view)

    monkeypatch.setattr(followed_nodes.FollowedNodes, "_found", slow)
    monkeypatch.setattr(followed_nodes, "INLINE_NODES", 0)
    where = {"level": "COMPONENT", "signal": {"name": "speed", "gt": 1.5}}
    async with following(twin, STATE, where=where, signals=[TEMPERATURE]) as state:
        await state.next()
        for value in range(10):
            put(twin, TEMPERATURE, float(value))
            await state.next()
        assert looks == 1
        put(twin, SPEED, 2.0)
        assert SPEED in await state.signals()
        assert looks == 2


async def test_who_sees_a_part_of_the_events_waits_for_more_at_rest(
    twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happens elsewhere is looked at once."""
    start = twin.last_event_seq
    async with following(twin, EVENTS, narrow(twin, "line_2"), after=start) as events:
        for _ in range(3):
            breach(twin, TEMPERATURE)
        looks = 0
        log = Twin.as_of

        def counted(self: Twin, *args: Any) -> Any:
            nonlocal looks
            looks += 1
            return log(self, *args)

        monkeypatch.setattr(Twin, "as_of", counted)
        waiting = asyncio.ensure_future(events.next())
        await asyncio.sleep(0.5)
        assert not waiting.done() and looks <= 2
        breach(twin, "line_2.conveyor.speed")
        assert (await waiting)["seq"] == twin.last_event_seq


async def test_events_of_a_node(twin: Twin) -> None:
    start = twin.last_event_seq
    for signal in (TEMPERATURE, "line_2.conveyor.speed", TEMPERATURE):
        breach(twin, signal)
    async with following(twin, EVENTS, after=start, node="line_1.conveyor", kind="anomaly") as events:
        assert [(await events.next())["seq"] for _ in range(2)] == [start + 1, start + 3]
