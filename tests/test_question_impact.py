"""Who starves, who blocks, and when: against a simulation step by step, and by hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from question_fixtures import Arrow, Still, drawn, feeds
from question_simulation import Belt, Line, Place

from iotsense.sim.bottling_line import BottlingLine
from iotsense.twin.errors import InvalidValueError, NotFoundError
from iotsense.twin.graph import Graph
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level
from iotsense.twin.question_impact import Impact, Outcome, impact
from iotsense.twin.question_loops import closing_pairs

S = 1_000_000_000
EXAMPLES = Path(__file__).parents[1] / "examples"
STANDS = (Outcome.STOPS, Outcome.STARVES, Outcome.BLOCKS)


def told(found: Impact) -> dict[str, tuple[str, float]]:
    return {effect.node.short_id: (str(effect.outcome), round(effect.after, 6)) for effect in found.effects}


def assumed(found: Impact) -> dict[str, list[str]]:
    return {each.text: [id.removeprefix("line.") for id in each.nodes] for each in found.assumed}


@dataclass
class Draft:
    """A line for both: every machine needs each of its ways in and out."""

    places: list[Place]
    belts: dict[tuple[int, int], int]
    stop: int

    def graph(self) -> Graph:
        stations: dict[str, dict[str, Any]] = {}
        for number, place in enumerate(self.places):
            stations[f"p{number}"] = {"parameters": {"rate": 1}}
            if place.capacity is not None:
                stations[f"p{number}"] = {"type": "buffer", "parameters": {"capacity": place.capacity}}
        arrows = [
            feeds(f"p{a}", f"p{b}", transfer_time=length, material=f"{a}-{b}") for (a, b), length in self.belts.items()
        ]
        return drawn(arrows, stations)


@st.composite
def lines(draw: st.DrawFn) -> Draft:
    """Machines joined at random without loops; on some ways stands a buffer."""
    machines = draw(st.integers(2, 7))
    pairs = [(a, b) for a in range(machines) for b in range(a + 1, machines)]
    chosen = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=10, unique=True))
    # Twice the number leaves room for a buffer between any two.
    places: dict[int, Place] = {1000 * number: Place() for number in range(machines)}
    belts = {}
    for n, (a, b) in enumerate(chosen):
        if draw(st.booleans()):
            capacity = draw(st.integers(0, 12))
            between = 1000 * a + 1 + n
            places[between] = Place(capacity, draw(st.integers(0, capacity)))
            belts[1000 * a, between] = draw(st.integers(1, 5))
            belts[between, 1000 * b] = draw(st.integers(1, 5))
        else:
            belts[1000 * a, 1000 * b] = draw(st.integers(1, 5))
    order = {old: new for new, old in enumerate(sorted(places))}
    joined = sorted({order[a] for pair in chosen for a in (1000 * pair[0], 1000 * pair[1])})
    return Draft(
        [places[old] for old in sorted(places)],
        {(order[a], order[b]): length for (a, b), length in belts.items()},
        draw(st.sampled_from(joined)),
    )


@settings(max_examples=300, deadline=None)
@given(lines())
def test_the_times_are_those_of_a_simulation(draft: Draft) -> None:
    graph = draft.graph()
    edit = GraphEdit(graph, "test")
    levels = {}
    for number, place in enumerate(draft.places):
        if place.capacity is not None:
            edit.add_signal(graph.find(f"line.p{number}").key, "level", unit="pieces")
            levels[f"line.p{number}.level"] = float(place.level)
    found = impact(Still(edit.graph, levels), f"line.p{draft.stop}", now=0)
    machines = {n for n, place in enumerate(draft.places) if place.capacity is None}
    answered = {
        int(effect.node.short_id[1:]): effect.after
        for effect in found.effects
        if effect.outcome in (Outcome.STOPS, Outcome.STARVES, Outcome.BLOCKS)
    }
    line = Line(
        [Place(place.capacity, place.level) for place in draft.places],
        {pair: Belt(length) for pair, length in draft.belts.items()},
    )
    simulated = line.run(draft.stop, seconds=400)
    assert answered == {n: second for n, second in simulated.items() if n in machines}


BUFFERED = [
    feeds("filler", "conveyor", transfer_time=2),
    feeds("conveyor", "capper", transfer_time=4),
    feeds("capper", "packer", transfer_time=10),
]
CONVEYOR = {"conveyor": {"type": "conveyor", "parameters": {"capacity": 60, "level_signal": "bottles"}}}
PACES = {"filler": {"parameters": {"rate": "300 bottles/min"}}, "capper": {"parameters": {"cycle_time": 0.2}}}


def bottling(stations: dict[str, Any], arrows: list[Arrow] = BUFFERED, **values: float) -> Still:
    edit = GraphEdit(drawn(arrows, stations), "test")
    for name, unit in (("bottles", None), ("level", "percent"), ("rate", "1/min")):
        if name in values:
            place = "conveyor" if name != "rate" else "capper"
            edit.add_signal(edit.graph.find(f"line.{place}").key, name, unit=unit)
    keyed = {f"line.{'capper' if name == 'rate' else 'conveyor'}.{name}": value for name, value in values.items()}
    return Still(edit.graph, keyed)


def test_downstream_starves_after_transfer_and_buffer_and_upstream_blocks_when_its_buffer_is_full() -> None:
    still = bottling(CONVEYOR | PACES, bottles=20)
    found = impact(still, "filler", now=5 * S)
    assert told(found) == {
        "filler": ("stops", 0.0), "conveyor": ("runs_empty", 6.0),
        "capper": ("starves", 10.0), "packer": ("starves", 20.0),
    }  # fmt: skip
    assert [(effect.at, effect.because and effect.because.short_id) for effect in found.effects] == [
        (5 * S, None), (11 * S, "filler"), (15 * S, "conveyor"), (25 * S, "capper"),
    ]  # fmt: skip
    assert found.assumed == []
    up = impact(still, "packer", now=0)
    assert told(up) == {
        "packer": ("stops", 0.0), "capper": ("blocks", 0.0), "conveyor": ("runs_full", 8.0), "filler": ("blocks", 8.0),
    }  # fmt: skip


def test_levels_in_percent_and_paces_from_live_signals() -> None:
    still = bottling(CONVEYOR | PACES, level=50, rate=600)
    assert told(impact(still, "filler", now=0))["conveyor"] == ("runs_empty", 2 + 30 / 10)
    standing = bottling(CONVEYOR | PACES, level=50, rate=0)
    assert told(impact(standing, "filler", now=0))["conveyor"] == ("runs_empty", 2 + 30 / 5)


def test_what_was_assumed_is_told() -> None:
    silent = bottling(CONVEYOR | PACES, bottles=20)
    silent.quality = {"line.conveyor.bottles": 64}
    found = impact(silent, "filler", now=0)
    assert told(found)["capper"] == ("starves", 10.0)
    assert assumed(found) == {"its level is uncertain; taken as it was last told": ["conveyor"]}
    silent.quality = {"line.conveyor.bottles": 0}
    assert told(impact(silent, "filler", now=0))["capper"] == ("starves", 12.0)  # a bad level is none
    unknown = impact(bottling(CONVEYOR | PACES), "filler", now=0)
    assert told(unknown)["capper"] == ("starves", 2 + 30 / 5 + 4)
    assert assumed(unknown) == {"its level is not known; taken to be 50% full": ["conveyor"]}
    assert told(impact(bottling(CONVEYOR | PACES), "filler", now=0, fill=1))["capper"] == ("starves", 2 + 60 / 5 + 4)
    paceless = impact(bottling(CONVEYOR, bottles=20), "filler", now=0)
    assert told(paceless)["capper"] == ("starves", 6.0)
    assert assumed(paceless) == {"no pace is known around it; its content does not count": ["conveyor"]}
    bare = impact(Still(drawn([feeds("a", "b"), feeds("b", "c")], {"b": {"type": "buffer"}})), "a", now=0)
    assert told(bare) == {"a": ("stops", 0.0), "b": ("runs_empty", 0.0), "c": ("starves", 0.0)}
    assert assumed(bare) == {
        "transfer_time is not told; taken as 0 s": ["a", "b"],
        "its capacity is not told; it takes no more than it holds": ["b"],
        "neither its capacity nor its level is known; it holds nothing": ["b"],
        "no pace is known around it; its content does not count": ["b"],
    }


def test_a_neighbour_without_a_pace_has_that_of_those_behind_it() -> None:
    stations = CONVEYOR | {"packer": {"parameters": {"rate": 2}}}
    assert told(impact(bottling(stations, bottles=20), "filler", now=0))["conveyor"] == ("runs_empty", 2 + 20 / 2)


def test_alternatives_keep_a_station_running_and_materials_do_not() -> None:
    two = [
        feeds("filler_1", "capper", transfer_time=3),
        feeds("filler_2", "capper", transfer_time=5),
        feeds("capper", "packer"),
    ]
    found = impact(Still(drawn(two)), "filler_1", now=0)
    assert told(found) == {"filler_1": ("stops", 0.0), "capper": ("slowed", 3.0)}
    assert any("alternatives" in text and nodes == ["capper"] for text, nodes in assumed(found).items())
    caps = [
        feeds("filler", "capper", transfer_time=3, material="bottles"),
        feeds("hopper", "capper", transfer_time=1, material="caps"),
    ]
    both = [*caps, feeds("capper", "packer", transfer_time=2)]
    assert told(impact(Still(drawn(both)), "hopper", now=0)) == {
        "hopper": ("stops", 0.0), "capper": ("starves", 1.0), "filler": ("blocks", 1.0), "packer": ("starves", 3.0),
    }  # fmt: skip


def test_a_way_out_that_is_left_keeps_upstream_running() -> None:
    split = [feeds("filler", "packer_1"), feeds("filler", "packer_2")]
    assert told(impact(Still(drawn(split)), "packer_1", now=0)) == {
        "packer_1": ("stops", 0.0),
        "filler": ("slowed", 0.0),
    }


def test_a_buffer_with_two_feeders_drains_at_what_the_lost_one_gave() -> None:
    arrows = [
        feeds("a", "b", transfer_time=1),
        feeds("x", "y", transfer_time=11),
        feeds("y", "b"),
        feeds("x", "a"),
        feeds("b", "c"),
    ]
    stations = {
        "b": {"type": "buffer", "parameters": {"capacity": 100}}, "a": {"parameters": {"rate": 1}},
        "y": {"parameters": {"rate": 2}}, "c": {"parameters": {"rate": 3}},
    }  # fmt: skip
    found = impact(Still(drawn(arrows, stations)), "x", now=0)
    # From 1 s on a's part is missing (1/s), from 11 s on y's too: 50 - 10, and 3/s from there.
    assert told(found)["b"] == ("runs_empty", round(11 + 40 / 3, 6))
    assert told(found)["c"] == ("starves", round(11 + 40 / 3, 6))


def test_a_buffer_that_nobody_fills_or_empties_any_more_stays_as_it_is() -> None:
    arrows = [
        feeds("x", "a", transfer_time=5), feeds("a", "b", transfer_time=1),
        feeds("b", "c", transfer_time=1, material="bottles"), feeds("x", "c", transfer_time=1, material="caps"),
    ]  # fmt: skip
    stations = {"b": {"type": "buffer", "parameters": {"capacity": 100}}, "a": {"parameters": {"rate": 1}}}
    # c takes nothing from 1 s on, so b fills; but from 6 s on nothing comes, long before it is full.
    assert told(impact(Still(drawn(arrows, stations)), "x", now=0)) == {
        "x": ("stops", 0.0), "c": ("starves", 1.0), "a": ("starves", 5.0),
    }  # fmt: skip


def test_a_buffer_runs_empty_once() -> None:
    arrows = [
        feeds("x", "b"), feeds("b", "c", transfer_time=50), feeds("b", "e", transfer_time=50), feeds("c", "d"),
        feeds("x", "d", transfer_time=30, material="caps"),
    ]  # fmt: skip
    stations = {"b": {"type": "buffer", "parameters": {"capacity": 20}}, "x": {"parameters": {"rate": 1}}}
    found = impact(Still(drawn(arrows, stations)), "x", now=0)
    # c blocks at 30 s, when the last of b is still on its way to e.
    assert [effect.after for effect in found.effects if effect.node.short_id == "b"] == [10.0]
    assert told(found)["c"] == ("blocks", 30.0)


def test_what_a_loop_brings_back_does_not_keep_it_running() -> None:
    rework = [
        feeds("infeed", "mix", transfer_time=1), feeds("mix", "test", transfer_time=1),
        feeds("test", "out", transfer_time=1), feeds("test", "repair", transfer_time=1),
        feeds("repair", "mix", transfer_time=1),
    ]  # fmt: skip
    assert {name: outcome for name, (outcome, _) in told(impact(Still(drawn(rework)), "infeed", now=0)).items()} == {
        "infeed": "stops", "mix": "starves", "test": "starves", "out": "starves", "repair": "starves",
    }  # fmt: skip
    # And a loop is no way out: when the outfeed stands, everything before it comes to stand.
    blocked = told(impact(Still(drawn(rework)), "out", now=0))
    assert {name: outcome for name, (outcome, _) in blocked.items()} == {
        "out": "stops", "test": "blocks", "mix": "blocks", "infeed": "blocks", "repair": "blocks",
    }  # fmt: skip


def test_a_closed_loop_comes_to_stand_from_both_sides() -> None:
    pallets = [feeds(a, b, transfer_time=10) for a, b in ("ab", "bc", "cd", "da")]
    found = told(impact(Still(drawn(pallets)), "a", now=0))
    assert found == {"a": ("stops", 0.0), "d": ("blocks", 0.0), "c": ("blocks", 0.0), "b": ("blocks", 0.0)}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=24))
def test_without_the_arrows_that_close_loops_there_are_none(pairs: list[tuple[int, int]]) -> None:
    onward: list[list[int]] = [sorted(b for a, b in set(pairs) if a == n) for n in range(8)]
    closing = closing_pairs(onward)
    rest = nx.DiGraph([pair for pair in pairs if pair not in closing])
    assert nx.is_directed_acyclic_graph(rest)
    graph = nx.DiGraph(pairs)
    if nx.is_directed_acyclic_graph(graph):
        assert closing == set()
    # Where the flow has a beginning, what closes a loop that has one entry comes from behind its target.
    graph.add_edges_from((-1, n) for n in range(8) if not any(n in each for each in onward))
    if -1 in graph:
        above = nx.immediate_dominators(graph, -1)
        natural = {(a, b) for a, b in set(pairs) if a in above and _dominates(above, b, a)}
        assert natural <= closing


def _dominates(above: dict[int, int], one: int, other: int) -> bool:
    at: int | None = other
    while at is not None and at != one:
        at = above.get(at)
    return at == one


def test_what_contains_stations_stops_them_and_what_is_contained_stops_its_station() -> None:
    edit = GraphEdit(
        drawn([feeds("filler", "capper", transfer_time=1), feeds("capper", "packer", transfer_time=1)]), "test"
    )
    edit.add_node(id="line.capper.motor", level=Level.COMPONENT, parent=edit.graph.find("capper").key)
    edit.add_node(id="line.office", level=Level.COMPONENT, parent=edit.graph.find("line").key)
    still = Still(edit.graph)
    motor = impact(still, "motor", now=0)
    assert [node.short_id for node in motor.stopped] == ["capper"]
    assert told(motor) == {"capper": ("stops", 0.0), "filler": ("blocks", 0.0), "packer": ("starves", 1.0)}
    assert assumed(motor) == {"has no feeds_into of its own; what contains it stops": ["capper.motor"]}
    assert {outcome for outcome, _ in told(impact(still, "line", now=0)).values()} == {"stops"}
    with pytest.raises(InvalidValueError, match=r"no material flows through line\.office"):
        impact(still, "office", now=0)
    with pytest.raises(NotFoundError):
        impact(still, "pump", now=0)


def test_only_what_happens_within_a_time() -> None:
    still = bottling(CONVEYOR | PACES, bottles=20)
    assert list(told(impact(still, "filler", now=0, within=10))) == ["filler", "conveyor", "capper"]
    found = impact(still, "filler", now=0, limit=2)
    assert (list(told(found)), found.truncated) == (["filler", "conveyor"], True)
    assert not impact(still, "filler", now=0, limit=4).truncated
    for wrong in ({"within": -1.0}, {"fill": 2.0}, {"within": float("nan")}):
        with pytest.raises(InvalidValueError):
            impact(still, "filler", now=0, **wrong)


@pytest.mark.parametrize(
    ("declared", "given"),
    [({"rate": {"unit": "bottles/min"}}, {"rate": 300}), ({"cycle_time": {"unit": "ms"}}, {"cycle_time": 200})],
)
def test_paces_and_capacities_in_the_units_of_component_types(declared: dict[str, Any], given: dict[str, Any]) -> None:
    stations = {
        "conveyor": {"type": "accumulation_table", "parameters": {"buffer_capacity": 5}},
        "capper": {"type": "capper", "parameters": given},
    }
    edit = GraphEdit(drawn(BUFFERED, stations), "test")
    buffers = [{"name": "buffer"}, {"name": "accumulation_table", "extends": "buffer"}]
    edit.set_definition({"component_types": [*buffers, {"name": "capper", "parameters": declared}]})
    assert told(impact(Still(edit.graph), "filler", now=0))["conveyor"] == ("runs_empty", 2 + 2.5 / 5)


@pytest.mark.parametrize("stop", ["filler", "capper", "labeller", "palletiser"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_demo_line_comes_to_stand_as_foretold(stop: str, seed: int) -> None:
    """Another simulation than the one above: belts that accumulate, machines that slow down while bottles are few."""
    (twin,) = yaml.safe_load((EXAMPLES / "bottling-line" / "line.yaml").read_text())["digital_twins"]
    arrows = [feeds(r["from"], r["to"], transfer_time=r["transfer_time"]) for r in twin["relationships"]]
    stations = {c["id"]: {"type": c["type"], "parameters": c["parameters"]} for c in twin["components"]}
    edit = GraphEdit(drawn(arrows, stations), "test")
    line = BottlingLine(seed)
    line._wear_and_repair = lambda: None  # type: ignore[method-assign]
    line.advance(60)
    levels = {}
    for belt in line.belts:
        edit.add_signal(edit.graph.find(f"line.{belt.name}").key, "bottles")
        levels[f"line.{belt.name}.bottles"] = float(len(belt))
    foretold = impact(Still(edit.graph, levels), stop, now=0)
    came = _stood_still(line, stop)
    expected = {effect.node.short_id: effect.after for effect in foretold.effects if effect.outcome in STANDS}
    assert came.keys() == expected.keys()
    for name, seconds in came.items():
        # Machines run slower than rated while bottles are few, so it may take longer, but not much.
        assert expected[name] - 0.5 <= seconds <= expected[name] * 1.3 + 1.5


def _stood_still(line: BottlingLine, stop: str) -> dict[str, float]:
    """Seconds after the stop at which each machine took its last bottle."""
    began, last = line.time, {machine.name: line.time for machine in line.machines}
    held = next(machine for machine in line.machines if machine.name == stop)
    held.rate = 0.0
    for _ in range(900):
        taken = {machine.name: machine.taken for machine in line.machines}
        line.step()
        last |= {machine.name: line.time for machine in line.machines if machine.taken > taken[machine.name]}
    return {name: time - began for name, time in last.items()}
