"""Scenarios: forks that share everything, are read through an AsOf like any instant, and survive a restart."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.errors import ConflictError, InvalidValueError, NotFoundError
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level, Role
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

S = 1_000_000_000


def plant(edit: GraphEdit) -> None:
    line = edit.add_node(id="line", level=Level.LINE)
    conveyor = edit.add_node(
        id="line.conveyor", level=Level.COMPONENT, parent=line.key, properties={"parameters": {"length": 50}}
    )
    edit.add_signal(edit.add_node(id="line.conveyor.speed", level=Level.SENSOR, parent=conveyor.key).key)
    edit.add_signal(
        edit.add_node(id="line.conveyor.mode", level=Level.SENSOR, parent=conveyor.key).key, labels=("idle", "running")
    )


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(plant, "test")
        yield twin


def speeds(twin: Twin, *values: float) -> int:
    """One reading a second that ends ten seconds from now; the time of the first [ns]."""
    first = now_ns() + S
    twin.apply(ReadingBatch.of([0] * len(values), [first + i * S for i in range(len(values))], values))
    return first


def test_a_fork_differs_only_in_what_was_set(twin: Twin) -> None:
    first = speeds(twin, 1.0, 2.0, 3.0)
    twin.scenarios.fork(
        "fast",
        time=first + S,
        overrides={"conveyor.length": 60, "conveyor.speed": 9.5, "line.conveyor.mode": "running"},
    )
    fork, plain = twin.as_of(scenario="fast"), twin.as_of(time=first + S)
    assert fork.graph.find("conveyor").properties == {"parameters": {"length": 60}}
    assert twin.graph.find("conveyor").properties == {"parameters": {"length": 50}}
    assert plain.read(0) == (2.0, first + S, 192, 0)
    assert fork.read(0) == (9.5, first + S, 192, 0)
    assert fork.snapshot(np.array([1, 0], dtype=np.int32)).value.tolist() == [1.0, 9.5]
    assert fork.label(1, 1.0) == "running"
    assert [fork.graph.signal(i).role for i in (0, 1)] == [Role.SIMULATED] * 2
    assert fork.graph.find("line") is plain.graph.find("line")
    assert twin.as_of().read(0) == (3.0, first + 2 * S, 192, 3)


def test_replaying_moves_the_clock_and_leaves_held_signals(twin: Twin) -> None:
    first = speeds(twin, 1.0, 2.0, 3.0, 4.0)
    twin.scenarios.fork("held", time=first, known_at=now_ns(), overrides={"conveyor.mode": "running"})
    assert twin.as_of(scenario="held").read(0) == (1.0, first, 192, 0)
    twin.scenarios.replay("held", first + 2 * S)
    now = twin.as_of(scenario="held")
    assert now.read(0) == (3.0, first + 2 * S, 192, 0)
    assert now.read(1) == (1.0, first, 192, 0)
    assert twin.as_of(time=first + S, scenario="held").read(0) == (2.0, first + S, 192, 0)
    twin.scenarios.override("held", {"conveyor.speed": 7})
    assert twin.as_of(scenario="held").history(0, 0, 1 << 62).value.tolist() == [1.0, 2.0, 7.0]
    assert twin.as_of(time=first + S, scenario="held").history(0, 0, 1 << 62).value.tolist() == [1.0, 2.0]
    with pytest.raises(InvalidValueError, match="cannot stand before"):
        twin.scenarios.replay("held", first - 1)


def test_late_readings_do_not_change_a_fork(twin: Twin) -> None:
    first = speeds(twin, 1.0)
    twin.scenarios.fork("then", time=first)
    twin.apply(ReadingBatch.of([0], [first], [5.0]))
    assert twin.as_of(time=first).read(0) == (5.0, first, 192, 0)
    assert twin.as_of(scenario="then").read(0) == (1.0, first, 192, 0)


def test_scenarios_survive_a_restart_and_are_removed(tmp_path: Path) -> None:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(plant, "test")
        speeds(twin, 1.0)
        kept = twin.scenarios.fork("kept", overrides={"conveyor.length": 1})
        twin.scenarios.fork("gone")
        twin.scenarios.remove("gone")
    for _ in range(2):  # from the checkpoint, then from the journal
        with Twin.open(tmp_path / "data") as twin:
            assert twin.scenarios.all() == [kept]
            with pytest.raises(NotFoundError, match="did you mean kept"):
                twin.as_of(scenario="kep")
        for checkpoint in (tmp_path / "data" / "checkpoints").iterdir():
            checkpoint.unlink()


def test_wrong_scenarios_are_refused_with_words(twin: Twin) -> None:
    twin.scenarios.fork("a")
    assert twin.scenarios.fork().id == "scenario_2"
    with pytest.raises(ConflictError, match="there already"):
        twin.scenarios.fork("a")
    with pytest.raises(InvalidValueError, match="letters, digits"):
        twin.scenarios.fork("a b")
    with pytest.raises(NotFoundError, match="has no signal 'sped'"):
        twin.scenarios.override("a", {"conveyor.sped": 1})
    with pytest.raises(InvalidValueError, match="knows the texts idle, running"):
        twin.scenarios.override("a", {"conveyor.mode": "fast"})
    with pytest.raises(InvalidValueError, match="to a number or a text"):
        twin.scenarios.override("a", {"conveyor.speed": [1]})
    with pytest.raises(InvalidValueError, match="leave known_at out"):
        twin.as_of(known_at=5, scenario="a")
    assert twin.scenarios.get("a").settings == []
