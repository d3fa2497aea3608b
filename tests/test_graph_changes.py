"""The changes of the graph, pushed: complete, of a part, resumed without a gap, and to whom they are told."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from facade_fixtures import Context, Server, breach, build, plant, put, serving, subscribed
from following_fixtures import Following, following, narrow, remove, rename
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from graphql import GraphQLError
from iotsense.twin.graph_changes import GraphChanges
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level
from iotsense.twin.structure_diff import structure_diff
from iotsense.twin.twin import Twin

CHANGES = """subscription($after: Long, $nodes: [ID!], $parts: [GraphPart!]) {
    graphChanges(after: $after, nodes: $nodes, parts: $parts) {
        revision author counts definition
        nodes { change id movedFrom fields signals { change name } node { id } }
        relationships { change source type target } } }"""
SHORT = "subscription($after: Long) { graphChanges(after: $after) { revision nodes { change id movedFrom } } }"
RULES = {"anomaly_detection": {"rules": []}}
Step = Callable[[GraphEdit], object]


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with plant(tmp_path / "data") as twin:
        yield twin


def key(edit: GraphEdit, id: str) -> int:
    return edit.graph.find(id).key


def add(edit: GraphEdit, id: str, parent: str, signal: str | None = None) -> None:
    node = edit.add_node(id=id, level=Level.COMPONENT, parent=key(edit, parent))
    if signal:
        edit.add_signal(node.key, signal)


async def told(changes: Following) -> tuple[int, list[tuple[str, str]], list[tuple[str, ...]]]:
    """The revision, its nodes and its relationships."""
    change = await changes.next()
    nodes = [(node["change"], node["id"]) for node in change["nodes"]]
    return change["revision"], nodes, [tuple(arrow.values()) for arrow in change["relationships"]]


async def test_every_kind_of_change_is_told(twin: Twin) -> None:
    start = twin.graph.revision
    async with following(twin, CHANGES, after=start) as changes:
        twin.change(lambda edit: add(edit, "line_2.spare", "line_2", "torque"), "anna")
        change = await changes.next()
        (node,) = change["nodes"]
        assert (change["revision"], change["author"], change["counts"]["added"]) == (start + 1, "anna", 1)
        assert (node["change"], node["signals"]) == ("ADDED", [{"change": "ADDED", "name": "torque"}])
        assert node["node"] == {"id": "line_2.spare"}
        twin.change(lambda edit: edit.update_node(key(edit, "line_2.spare"), properties={"model": "x"}), "anna")
        (node,) = (await changes.next())["nodes"]
        assert node["fields"] == [{"path": "model", "change": "added", "before": None, "after": "x"}]
        twin.change(lambda edit: rename(edit, "line_2.spare", "line_2.other"), "anna")
        (node,) = (await changes.next())["nodes"]
        assert (node["change"], node["movedFrom"]) == ("MOVED", "line_2.spare")
        twin.change(lambda edit: edit.add_signal(key(edit, "line_2.other"), "force"), "anna")
        (node,) = (await changes.next())["nodes"]
        assert (node["change"], node["signals"]) == ("CHANGED", [{"change": "ADDED", "name": "force"}])

        def arrow(edit: GraphEdit) -> None:
            edit.relate(key(edit, "line_2.conveyor"), "feeds_into", key(edit, "line_2.other"))

        twin.change(arrow, "anna")
        assert (await told(changes))[2] == [("ADDED", "line_2.conveyor", "feeds_into", "line_2.other")]
        twin.change(lambda edit: edit.set_definition(RULES), "anna")
        assert (await changes.next())["definition"] == [
            {"path": "anomaly_detection", "change": "added", "before": None, "after": {"rules": []}}
        ]
        twin.change(lambda edit: remove(edit, "line_2.other"), "anna")
        revision, nodes, relationships = await told(changes)
        assert (revision, nodes) == (start + 7, [("REMOVED", "line_2.other")])
        assert relationships == [("REMOVED", "line_2.conveyor", "feeds_into", "line_2.other")]


async def test_it_begins_now_unless_told_and_at_the_empty_plant_with_0(twin: Twin) -> None:
    async with following(twin, CHANGES) as changes, following(twin, CHANGES, after=0) as all_of_them:
        waiting = asyncio.ensure_future(told(changes))
        first = await all_of_them.next()
        assert first["revision"] == 1 and {"plant", "line_2.conveyor.speed"} <= {node["id"] for node in first["nodes"]}
        await asyncio.sleep(0.1)
        put(twin, "line_2.conveyor.speed", 1.0)
        assert not waiting.done()
        twin.change(lambda edit: add(edit, "line_2.spare", "line_2"), "test")
        assert await waiting == (2, [("ADDED", "line_2.spare")], [])


async def test_only_a_part_of_the_graph(twin: Twin) -> None:
    """What is moved in is new there, with all below it; what concerns others is passed over."""
    async with following(twin, CHANGES, nodes=["line_2"], after=1) as changes:
        twin.change(lambda edit: add(edit, "line_1.spare", "line_1"), "test")
        twin.change(lambda edit: edit.set_definition(RULES), "test")
        twin.change(lambda edit: edit.update_node(key(edit, "line_1.packer"), parent=key(edit, "line_2")), "test")
        revision, nodes, relationships = await told(changes)
        assert nodes == [("ADDED", "line_1.packer"), ("ADDED", "line_1.packer.speed")] and not relationships
        assert revision == twin.graph.revision
        twin.change(lambda edit: edit.update_node(key(edit, "line_1.packer"), parent=key(edit, "line_1")), "test")
        assert sorted((await told(changes))[1]) == [("REMOVED", "line_1.packer"), ("REMOVED", "line_1.packer.speed")]
        twin.change(lambda edit: remove(edit, "line_2"), "test")
        assert ("REMOVED", "line_2") in (await told(changes))[1]
    async with following(twin, CHANGES, nodes=["line_2"], after=1) as changes:  # it was there then
        assert ("ADDED", "line_1.packer") in (await told(changes))[1]


async def test_only_relationships_or_the_definition(twin: Twin) -> None:
    async with (
        following(twin, CHANGES, parts=["RELATIONSHIPS"]) as arrows,
        following(twin, CHANGES, parts=["DEFINITION"]) as definition,
    ):
        waiting = asyncio.gather(arrows.next(), definition.next())
        await asyncio.sleep(0.1)
        twin.change(lambda edit: edit.set_definition(RULES), "test")
        twin.change(lambda edit: remove(edit, "line_1.packer"), "test")
        cut, defined = await waiting
        assert defined["revision"] + 1 == cut["revision"] == twin.graph.revision
        assert not cut["nodes"] and {each["target"] for each in cut["relationships"]} == {
            "line_1.packer", "line_1.conveyor"
        }  # fmt: skip


async def test_what_cannot_be_followed_is_told(twin: Twin) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"after": 99}, "NOT_FOUND"),
        ({"after": -1}, "NOT_FOUND"),
        ({"nodes": ["nowhere"]}, "NOT_FOUND"),
        ({"nodes": []}, "INVALID_VALUE"),
        ({"parts": []}, "INVALID_VALUE"),
    ]
    for variables, code in wrong:
        with pytest.raises(GraphQLError) as error:
            async with following(twin, CHANGES, **variables) as changes:
                await changes.next()
        assert (error.value.extensions or {})["code"] == code, variables


# Whom it is told to


async def test_a_key_is_told_of_its_part_only(twin: Twin) -> None:
    who = narrow(twin, "line_2")
    async with following(twin, CHANGES, who, after=0) as changes:
        _, nodes, relationships = await told(changes)
        assert {id for _, id in nodes} == {"line_2", "line_2.conveyor", "line_2.conveyor.speed"} and not relationships
        twin.change(lambda edit: add(edit, "line_1.spare", "line_1"), "test")
        twin.change(lambda edit: edit.set_definition(RULES), "test")

        def arrow(edit: GraphEdit) -> None:
            edit.relate(key(edit, "line_2.conveyor"), "feeds_into", key(edit, "line_1.robot"))

        twin.change(arrow, "test")  # there is nothing at its other end
        twin.change(lambda edit: add(edit, "line_2.spare", "line_2"), "test")
        change = await changes.next()
        assert [node["id"] for node in change["nodes"]] == ["line_2.spare"]
        assert change["revision"] == twin.graph.revision and not change["definition"] and not change["relationships"]


async def test_what_leaves_the_part_of_a_key_is_gone_for_it(twin: Twin) -> None:
    """Also for who follows this very node."""
    who = narrow(twin, "line_2")
    async with following(twin, CHANGES, who, nodes=["line_2.conveyor"], after=1) as changes:
        twin.change(lambda edit: edit.update_node(key(edit, "line_2.conveyor"), parent=key(edit, "line_1")), "test")
        assert sorted((await told(changes))[1])[0] == ("REMOVED", "line_2.conveyor")
        twin.change(lambda edit: edit.update_node(key(edit, "line_2.conveyor"), name="Secret"), "test")
        assert await changes.is_silent()


async def test_a_node_elsewhere_is_one_that_does_not_exist(twin: Twin) -> None:
    texts = []
    for id in ("line_1.robot", "line_1.sobot"):
        with pytest.raises(GraphQLError) as error:
            async with following(twin, CHANGES, narrow(twin, "line_2"), nodes=[id]) as changes:
                await changes.next()
        texts.append(str(error.value).replace(id, "ID"))
    assert texts[0] == texts[1]


# Resuming


def random_step(choice: random.Random, number: int) -> Step:
    """A change of the plant that is possible at any time."""

    def step(edit: GraphEdit) -> None:
        free = [node for node in edit.graph.nodes() if node.id.startswith("free_")]
        kind = choice.choice(["add", "add", "rename", "move", "change", "relate", "remove"]) if len(free) > 1 else "add"
        node = choice.choice(free) if free else None
        lines = [key(edit, "line_1"), key(edit, "line_2")]
        if kind == "add" or node is None:
            edit.add_signal(edit.add_node(id=f"free_{number}", level=Level.COMPONENT, parent=choice.choice(lines)).key)
        elif kind == "rename":
            edit.update_node(node.key, id=f"free_{number}")
        elif kind == "move":
            edit.update_node(node.key, parent=lines[0] if node.parent == lines[1] else lines[1])
        elif kind == "change":
            edit.update_node(node.key, properties={"number": number})
        elif kind == "relate":
            other = choice.choice([each for each in free if each.key != node.key])
            edit.relate(node.key, "feeds_into", other.key, number=number)
        else:
            edit.remove_node(node.key)

    return step


def test_what_a_revision_touched_is_all_that_differs(twin: Twin) -> None:
    """The changes that are pushed, of all and of a part, are those that a whole comparison finds."""
    choice = random.Random(6)
    line = frozenset({twin.graph.find("line_2").key})
    followers = GraphChanges(twin.revisions, 1), GraphChanges(twin.revisions, 1, line)
    for number in range(150):
        for follower in followers:
            before = follower._seen(follower._graph)
            found = follower.more()
            whole = structure_diff(before, follower._seen(follower._graph))
            assert [each.changes for each in found if not each.changes.empty] == ([] if whole.empty else [whole])
        twin.change(random_step(choice, number), "test")
    assert twin.graph.revision > 100


@dataclass
class Copy:
    """A client's copy of the nodes, made of nothing but what it is told."""

    ids: set[str] = field(default_factory=set)
    seen: list[int] = field(default_factory=list)

    @property
    def last(self) -> int:
        return self.seen[-1] if self.seen else 0

    def take(self, change: Any) -> None:
        self.seen.append(change["revision"])
        for node in change["nodes"]:
            self.ids.discard(node["movedFrom"] or node["id"])
            if node["change"] != "REMOVED":
                self.ids.add(node["id"])


async def test_a_client_whose_connection_breaks_again_and_again_misses_nothing(
    twin: Twin, caplog: pytest.LogCaptureFixture
) -> None:
    choice, copy = random.Random(7), Copy()

    def change_on() -> None:
        for number in range(120):
            twin.change(random_step(choice, number), "test")
            time.sleep(0.01)

    with serving(Context(twin)) as server:
        changing, cuts = asyncio.ensure_future(asyncio.to_thread(change_on)), 0
        while not changing.done() or copy.last < twin.graph.revision:
            with suppress(TimeoutError):  # all of it is told
                await _listen_until_cut(server, copy, choice.randrange(1, 9))
            cuts += 1
        await changing
    assert cuts > 10 and not caplog.records
    assert copy.seen == list(range(1, twin.graph.revision + 1))
    assert copy.ids == {node.id for node in twin.graph.nodes()}


async def _listen_until_cut(server: Server, copy: Copy, messages: int) -> None:
    """Its connection is cut after some messages, whatever is on its way then."""
    url = f"ws://127.0.0.1:{server.port}/graphql"
    async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send('{"type":"connection_init"}')
        await socket.recv()
        payload = {"query": SHORT, "variables": {"after": copy.last}}
        await socket.send(orjson.dumps({"id": "1", "type": "subscribe", "payload": payload}).decode())
        try:
            for _ in range(messages):
                message = orjson.loads(await asyncio.wait_for(socket.recv(), 1))
                copy.take(message["payload"]["data"]["graphChanges"])
        finally:
            socket.transport.abort()


async def test_a_copy_begins_with_a_question(twin: Twin) -> None:
    with serving(Context(twin)) as server:
        answer = server.ask("{ revision nodes(first: 1000) { nodes { id } } }")
        twin.change(lambda edit: add(edit, "line_2.spare", "line_2"), "test")
        copy = Copy({node["id"] for node in answer["nodes"]["nodes"]})
        async with subscribed(server, SHORT, after=answer["revision"]) as listen:
            copy.take((await listen())["data"]["graphChanges"])
        assert copy.ids == {node.id for node in twin.graph.nodes()}


async def test_it_resumes_when_the_service_comes_back(tmp_path: Path) -> None:
    """Started anew from its files, with changes that nobody listened to."""
    with Twin.open(tmp_path) as twin:
        twin.change(build, "test")
        with serving(Context(twin)) as server:
            async with subscribed(server, SHORT, after=0) as listen:
                assert (await listen())["data"]["graphChanges"]["revision"] == 1
        twin.change(lambda edit: add(edit, "line_2.spare", "line_2"), "test")
    with Twin.open(tmp_path) as twin:
        twin.change(lambda edit: add(edit, "line_2.third", "line_2"), "test")
        with serving(Context(twin)) as server:
            async with subscribed(server, SHORT, after=1) as listen:
                found = [(await listen())["data"]["graphChanges"] for _ in range(2)]
    assert [each["revision"] for each in found] == [2, 3]
    assert [node["id"] for each in found for node in each["nodes"]] == ["line_2.spare", "line_2.third"]


@pytest.mark.parametrize("whole", [True, False])
async def test_events_are_told_once_each_to_who_comes_back_again_and_again(twin: Twin, whole: bool) -> None:
    """Also of a part of the plant, where what happens elsewhere leaves gaps in the numbers."""
    start, total, choice, seen = twin.last_event_seq, 150, random.Random(8), list[int]()
    who = None if whole else narrow(twin, "line_2")
    mine = range(start + 1, start + total + 1) if whole else range(start + 2, start + total + 1, 2)

    def go_on() -> None:
        for number in range(total):
            breach(twin, "line_2.conveyor.speed" if number % 2 else "line_1.conveyor.motor_temp")

    text = "subscription($after: Long) { events(after: $after) { seq } }"
    happening = asyncio.ensure_future(asyncio.to_thread(go_on))
    while len(seen) < len(mine):
        async with following(twin, text, *([who] if who else []), after=seen[-1] if seen else start) as events:
            for _ in range(min(choice.randrange(1, 9), len(mine) - len(seen))):
                seen.append((await events.next())["seq"])
    await happening
    assert seen == list(mine)
