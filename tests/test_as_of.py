"""The plant as of any instant equals a twin rebuilt from the journal's prefix."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from prefix import prefix_twin

from iotsense.twin.as_of import AsOf
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.entry import EventDraft
from iotsense.twin.errors import NotFoundError
from iotsense.twin.graph import Graph
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

SIGNALS = 4
STEP = 1_000


def plant(edit: GraphEdit) -> None:
    line = edit.add_node(id="line", level=Level.LINE)
    for i in range(SIGNALS):
        edit.add_signal(edit.add_node(id=f"line.s{i}", level=Level.SENSOR, parent=line.key).key)


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(plant, "test")
        yield twin


def stamp(twin: Twin) -> int:
    """When the last entry was recorded."""
    return list(twin.journal_entries(twin.last_seq - 1))[-1].recorded


def shown(view: AsOf, signals: int = SIGNALS) -> list[Any]:
    """Value, time and quality of every signal."""
    readings = [view.read(i) for i in range(signals)]
    return [None if r is None else (r.value, r.time, r.quality) for r in readings]


def same_structure(a: Graph, b: Graph) -> bool:
    """All but the numbers: in a rebuilt twin revisions that came later are empty."""
    return replace(a, revision=b.revision, next_key=b.next_key, next_index=b.next_index) == b


def compare(then: AsOf, rebuilt: Twin) -> None:
    now = rebuilt.as_of()
    assert same_structure(then.graph, now.graph)
    if then.graph.signal_map:
        assert shown(then) == shown(now)
    for kind in ("anomaly", "stale"):
        assert open_of(then, kind) == open_of(now, kind)
    assert [e for e in then.events() if e.kind != "structure"] == [e for e in now.events() if e.kind != "structure"]
    for i in then.graph.signal_map:
        assert then.labels(i) == now.labels(i)
        assert then.is_stale(i) == now.is_stale(i)
        assert then.history(i, 0, 1 << 62).value.tolist() == now.history(i, 0, 1 << 62).value.tolist()


def open_of(view: AsOf, kind: str) -> list[Any]:
    return sorted(view.open_events(kind), key=lambda event: event.seq)


# What may happen: readings in any order, corrections, events that begin, end and are taken back, structure, silence.
READINGS = st.lists(
    st.tuples(st.integers(0, SIGNALS - 1), st.integers(1, 30), st.integers(0, 99), st.sampled_from([0, 64, 192])),
    min_size=1,
    max_size=6,
)
HAPPENINGS = st.lists(
    st.one_of(
        READINGS,
        st.tuples(st.sampled_from(["begin", "end", "retract"]), st.integers(0, 3), st.integers(1, 30)),
        st.tuples(st.sampled_from(["add", "drop", "rename", "label", "silence"]), st.integers(0, SIGNALS - 1)),
    ),
    max_size=15,
)


@contextmanager
def directories() -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place) / "data", Path(place) / "rebuilt"


def happen(twin: Twin, what: Any, base: int) -> None:
    if isinstance(what, list):
        signal, time, value, quality = zip(*what, strict=True)
        twin.apply(ReadingBatch.of(signal, [base + t * STEP for t in time], value, quality))
        return
    word, number, *rest = what
    if word in ("begin", "end", "retract"):
        at = base + rest[0] * STEP
        identity = f"a{number}"
        known = twin.open_event(identity)
        begun = known.time if known else at
        until = max(begun, at) if word == "end" else None
        retracts = known.seq if known and word == "retract" else None
        if word == "begin" or known:
            twin.record([EventDraft(begun, "anomaly", None, until, {"n": number}, identity, retracts)])
    elif word == "silence":
        reading = twin.state.read(number)
        if reading is not None and not twin.is_stale(number):
            twin.mark_stale([(number, reading.time)])
    elif word == "label":
        twin.label_code(number, f"text {twin.last_seq}")
        twin.apply(ReadingBatch.of([number], base, [0.0]))
    else:
        twin.change(lambda edit: restructure(edit, word, number), "test")


def restructure(edit: GraphEdit, word: str, number: int) -> None:
    line = edit.graph.find("line")
    if word == "add":
        edit.add_node(id=f"line.n{edit.graph.next_key}", level=Level.COMPONENT, parent=line.key)
    elif word == "rename":
        edit.update_node(line.key, name=f"line {number}", properties={"n": number})
    else:
        extra = [node for node in edit.graph.children(line.key) if node.level is Level.COMPONENT]
        if extra:
            edit.remove_node(extra[0].key)


# Where to look: a number of the entries so far (or the newest), and a world time near the readings or the entries.
MOMENTS = st.tuples(st.sampled_from(["now", "step", "entry"]), st.integers(0, 31))


def instant(moment: tuple[str, int], base: int, stamps: list[int]) -> int | None:
    word, number = moment
    if word == "now":
        return None
    return base + number * STEP if word == "step" else stamps[number % len(stamps)]


@settings(
    max_examples=25,
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(HAPPENINGS, st.lists(st.tuples(MOMENTS, MOMENTS), min_size=1, max_size=2), st.booleans())
def test_any_instant_equals_a_twin_rebuilt_from_the_prefix(
    happenings: list[Any], moments: list[tuple[Any, Any]], restart: bool
) -> None:
    with directories() as (directory, other):
        twin = Twin.open(directory)
        try:
            twin.change(plant, "test")
            base = now_ns()
            stamps = [stamp(twin)]
            for what in happenings:
                happen(twin, what, base)
                stamps.append(stamp(twin))
            if restart:
                twin.close()
                twin = Twin.open(directory)
            for number, (time, known_at) in enumerate(moments):
                then = (instant(time, base, stamps), instant(known_at, base, stamps))
                with prefix_twin(twin, other / str(number), *then) as rebuilt:
                    compare(twin.as_of(*then), rebuilt)
        finally:
            twin.close()


def test_now_is_live(twin: Twin) -> None:
    now = twin.as_of()
    assert now.live
    assert now.graph is twin.graph
    twin.apply(ReadingBatch.of([0], 10, [1.0]))
    assert shown(now)[0] == (1.0, 10, 192)


def test_a_correction_supersedes_without_erasing(twin: Twin) -> None:
    twin.apply(ReadingBatch.of([0], 10, [1.0]))
    before = now_ns()
    twin.apply(ReadingBatch.of([0], 10, [2.0]))
    assert shown(twin.as_of())[0] == (2.0, 10, 192)
    assert shown(twin.as_of(known_at=before))[0] == (1.0, 10, 192)
    assert shown(twin.as_of(time=10))[0] is None or twin.as_of(time=10).graph.revision == 0


def test_structure_is_known_when_it_is_recorded(twin: Twin) -> None:
    first = stamp(twin)
    twin.change(lambda edit: edit.update_node(edit.graph.find("line").key, name="Filling"), "test")
    assert twin.as_of().graph.find("line").name == "Filling"
    assert twin.as_of(time=first).graph.find("line").name == "line"
    assert twin.as_of(known_at=first).graph.find("line").name == "line"
    assert len(twin.as_of(known_at=first - 10**9).graph) == 0


def test_every_revision_can_be_had_after_a_restart(tmp_path: Path) -> None:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(plant, "test")
        graphs = [Graph(), twin.graph]
        for i in range(300):
            twin.change(lambda edit, i=i: edit.update_node(edit.graph.find("line").key, name=f"n{i}"), "test")
            graphs.append(twin.graph)
    with Twin.open(tmp_path / "data") as twin:
        for revision in (300, 7, 150, 299, 0, 1, 301):
            graph = twin.revisions.graph(revision)
            assert graph.revision == revision
            assert same_structure(graph, graphs[revision])
        with pytest.raises(NotFoundError, match="no revision 302; the newest is 301"):
            twin.revisions.graph(302)
        line = twin.graph.find("line").key
        assert twin.revisions.of_node(line) == list(range(1, 302))
        assert [change.revision for _, change in twin.revisions.changes(298)] == [299, 300, 301]
