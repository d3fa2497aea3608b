"""Many operations at once give the graph that they give one by one, whatever they are."""

import gc
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsense.twin.changes import Operation
from iotsense.twin.collector import collector_paused
from iotsense.twin.errors import ConflictError, NotFoundError
from iotsense.twin.graph import Graph
from iotsense.twin.graph_edit import GraphEdit, apply_operations
from iotsense.twin.model import Level
from iotsense.twin.twin import Twin

NUMBERS = st.integers(0, 30)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "node",
                "node",
                "node",
                "move",
                "rename",
                "remove",
                "signal",
                "signal",
                "alter",
                "drop_signal",
                "relate",
                "relate",
                "unrelate",
                "define",
            ]
        ),
        NUMBERS,
        NUMBERS,
    ),
    max_size=60,
)


def step(edit: GraphEdit, verb: str, a: int, b: int) -> None:
    """One random thing that somebody wants; what does not fit is refused, and changes nothing."""
    keys = [node.key for node in edit.graph.nodes()] or [0]
    indexes = [signal.index for signal in edit.graph.signals()] or [0]
    one, other, index = keys[a % len(keys)], keys[b % len(keys)], indexes[a % len(indexes)]
    match verb:
        case "node":
            level = Level.AREA if a % 3 else Level.COMPONENT
            edit.add_node(id=f"n{a}.s{b % 5}", level=level, parent=one if b % 4 else None)
        case "move":
            edit.update_node(one, parent=other)
        case "rename":
            edit.update_node(one, id=f"n{b}.s{a % 5}")
        case "remove":
            edit.remove_node(one)
        case "signal":
            edit.add_signal(one, f"signal{b % 3}", unit="kelvin")
        case "alter":
            edit.update_signal(index, high=float(b))
        case "drop_signal":
            edit.remove_signal(index)
        case "relate":
            edit.relate(one, f"type{a % 2}", other, weight=b)
        case "unrelate":
            edit.unrelate(one, f"type{a % 2}", other)
        case "define":
            edit.set_definition({"sections": b})


def edited(edit: GraphEdit, steps: list[tuple[str, int, int]]) -> None:
    for verb, a, b in steps:
        try:
            step(edit, verb, a, b)
        except (ConflictError, NotFoundError):
            continue


@settings(max_examples=200, deadline=None)
@given(STEPS, STEPS)
def test_all_at_once_is_as_one_by_one(first: list[tuple[str, int, int]], then: list[tuple[str, int, int]]) -> None:
    begun = GraphEdit(Graph(), "test")
    edited(begun, first)
    before = begun.graph
    image = replace(before)
    edit = GraphEdit(before, "test")
    edited(edit, then)
    one_by_one = before
    for operation in edit.operations:
        one_by_one = apply_operations(one_by_one, [operation])
    at_once = apply_operations(before, edit.operations)
    assert at_once == one_by_one == edit.graph
    assert before == image
    for name in ("children_map", "signals_by_node", "arrows_out", "arrows_in", "keys_by_short_id"):
        assert all(getattr(at_once, name).values()), f"an empty entry was left in {name}"


@settings(max_examples=50, deadline=None)
@given(STEPS)
def test_the_view_shows_what_the_graph_will_be(steps: list[tuple[str, int, int]]) -> None:
    edit = GraphEdit(Graph(), "test")
    for verb, a, b in steps:
        edited(edit, [(verb, a, b)])
        view = edit.view
        seen = {key: (view.node(key), view.children(key), view.signals_of(key)) for key in _keys(edit.operations)}
        arrows = {key: (view.outgoing(key), view.incoming(key)) for key in seen}
        definition = view.definition
        graph = edit.graph
        assert definition == graph.definition
        assert seen == {key: (graph.node(key), graph.children(key), graph.signals_of(key)) for key in seen}
        assert arrows == {key: (graph.outgoing(key), graph.incoming(key)) for key in seen}
        assert all(view.find(node.id) == node and node.id in view for node in graph.nodes())


def _keys(operations: list[Operation]) -> list[int]:
    graph = apply_operations(Graph(), operations)
    return [node.key for node in graph.nodes()]


def test_a_graph_that_was_handed_out_is_not_touched_by_what_follows() -> None:
    edit = GraphEdit(Graph(), "test")
    line = edit.add_node(id="line", level=Level.LINE)
    before = edit.graph
    edit.add_node(id="line.pump", level=Level.COMPONENT, parent=line.key)
    assert "line.pump" not in before
    assert before.children(line.key) == []
    assert [node.id for node in edit.graph.children(line.key)] == ["line.pump"]


def test_the_view_says_what_is_missing() -> None:
    edit = GraphEdit(Graph(), "test")
    edit.add_node(id="line", level=Level.LINE)
    with pytest.raises(NotFoundError, match="no node is called 'lime'"):
        edit.view.find("lime")
    with pytest.raises(NotFoundError, match="did you mean line"):
        edit.graph.find("lime")


def test_the_collector_rests_until_the_last_pause_ends() -> None:
    assert gc.isenabled()
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with collector_paused():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with collector_paused():
        thread.start()
        entered.wait()
        assert not gc.isenabled()
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


def test_whoever_switched_the_collector_off_finds_it_off() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_comes_and_goes_within_one_change_is_told(tmp_path: Path) -> None:
    def build(edit: GraphEdit) -> None:
        line = edit.add_node(id="line", level=Level.LINE)
        edit.remove_node(edit.add_node(id="line.pump", level=Level.COMPONENT, parent=line.key).key)

    with Twin.open(tmp_path / "data") as twin:
        twin.change(build, "test")
        event = twin.events()[-1]
        assert (event.data["added"], event.data["removed"]) == (["line", "line.pump"], [])
