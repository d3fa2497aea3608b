"""Every change of the structure can be taken back, exactly."""

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsense.twin.changes import StructureChange
from iotsense.twin.checkpoint import StructureImage
from iotsense.twin.errors import ConflictError, NotFoundError
from iotsense.twin.graph import Graph
from iotsense.twin.graph_edit import GraphEdit, apply_change, revert_change
from iotsense.twin.model import Level

WORDS = ("add", "drop", "rename", "signal", "unsignal", "unit", "relate", "unrelate", "define")
STEPS = st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 30), st.integers(0, 30)), max_size=12)


def same(a: Graph, b: Graph) -> bool:
    """All but the numbers that will be given next."""
    return replace(a, next_key=b.next_key, next_index=b.next_index) == b


def step(edit: GraphEdit, what: str, a: int, b: int) -> None:
    graph = edit.graph
    nodes, signals = sorted(graph.node_map), sorted(graph.signal_map)
    arrows = list(graph.relationships())
    node = nodes[a % len(nodes)] if nodes else None
    if what == "add" or node is None:
        parent = node if node is not None and graph.node(node).level is not Level.SENSOR else None
        level = Level.AREA if parent is None else [Level.COMPONENT, Level.SENSOR][b % 2]
        edit.add_node(id=f"n{graph.next_key}", level=level, parent=parent)
    elif what == "drop":
        edit.remove_node(node)
    elif what == "rename":
        edit.update_node(node, id=f"m{b}", properties={"b": b})
    elif what == "signal":
        edit.add_signal(node, f"s{b}")
    elif what == "relate":
        edit.relate(node, "feeds_into", nodes[b % len(nodes)], transfer_time=b)
    elif what == "define":
        edit.set_definition({"b": b})
    elif what == "unrelate" and arrows:
        arrow = arrows[b % len(arrows)]
        edit.unrelate(arrow.source, arrow.type, arrow.target)
    elif what in ("unsignal", "unit") and signals:
        index = signals[b % len(signals)]
        _ = edit.remove_signal(index) if what == "unsignal" else edit.update_signal(index, unit=f"u{a}")


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=6))
def test_walking_back_gives_every_graph_again(revisions: list[list[tuple[str, int, int]]]) -> None:
    graph, past, changes = Graph(), [], []
    for steps in revisions:
        edit = GraphEdit(graph, "test")
        for one in steps:
            with contextlib.suppress(ConflictError, NotFoundError):  # refused whole: nothing of it was collected
                step(edit, *one)
        change = edit.change()
        if change is not None:
            past.append(graph)
            changes.append(change)
            graph = apply_change(graph, change)
    for change, before in zip(reversed(changes), reversed(past), strict=True):
        graph = revert_change(graph, change)
        assert same(graph, before)
        assert graph.revision == before.revision
        assert StructureImage.of(graph).nodes == StructureImage.of(before).nodes


def test_a_change_of_an_old_journal_cannot_be_taken_back() -> None:
    with pytest.raises(NotFoundError, match="before revision 3 is not known"):
        revert_change(Graph(revision=3), StructureChange(3, "test", []))


def test_the_undo_travels_with_the_change() -> None:
    edit = GraphEdit(Graph(), "test")
    edit.add_node(id="line", level=Level.LINE)
    change: Any = edit.change()
    assert revert_change(apply_change(Graph(), change), change).node_map == Graph().node_map
