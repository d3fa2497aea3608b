"""Questions of the graph: three hops among 100,000 nodes; a stop, and single points of failure, of 1,000 stations."""

import dataclasses
import gc
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
from figure import Figure, clock

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.graph import Graph
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level
from iotsense.twin.question_cuts import single_points_of_failure
from iotsense.twin.question_formula import Formula
from iotsense.twin.question_impact import impact
from iotsense.twin.question_reach import Selection, reach
from iotsense.twin.question_step import Direction, Tracks
from iotsense.twin.question_subject import Instant
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

COMPONENTS, SENSORS = 20_000, 4
STATIONS = 1_000
ROUNDS = 200
TYPES = ("feeds_into", "powered_by", "controls")
OUT_OF_EACH = 3


@dataclasses.dataclass
class Moment:
    """A graph with the live state of a twin."""

    graph: Graph
    twin: Twin

    def __getattr__(self, name: str) -> Any:
        return getattr(self.twin if name == "label" else self.twin.state, name)


def run() -> list[Figure]:
    """Each question many times, about places drawn at random."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        with Twin.open(f"{place}/large") as twin:
            twin.change(_web, "bench")
            moment = _settled(twin)
            figures = [_three_hops(moment)]
        with Twin.open(f"{place}/line") as twin:
            twin.change(_line, "bench")
            _fill(twin)
            moment = _settled(twin)
            figures += [_impact(moment, fresh=False), _impact(moment, fresh=True), _cuts(moment)]
    return figures


def _settled(twin: Twin) -> Moment:
    """The twin at rest, as a service is between two changes: all projected, and the collector as the service has it."""
    twin.catch_up()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    return Moment(twin.graph, twin)


def _web(edit: GraphEdit) -> None:
    """20,000 components with 4 sensors each, every one with three relationships of each of three types."""
    line = edit.add_node(id="line", level=Level.LINE).key
    keys = []
    for i in range(COMPONENTS):
        properties = {"criticality": random.choice(("high", "low"))}
        key = edit.add_node(
            id=f"line.c{i}", level=Level.COMPONENT, type="machine", parent=line, properties=properties
        ).key
        keys.append(key)
        for s in range(SENSORS):
            edit.add_node(id=f"line.c{i}.s{s}", level=Level.SENSOR, parent=key)
    for key in keys:
        for type in TYPES:
            for other in random.sample(keys, OUT_OF_EACH):
                edit.relate(key, type, other, transfer_time=random.uniform(0, 10))


def _three_hops(moment: Moment) -> Figure:
    names = [f"line.c{i}" for i in random.sample(range(COMPONENTS), ROUNDS)]
    found = 0

    def ask(name: str) -> None:
        nonlocal found
        tracks = Tracks.of(["feeds_into"], Direction.BOTH, Formula("transfer_time < 8", "along"))
        select = Selection.of([Level.COMPONENT], ["machine"], Formula("criticality == 'high'", "where"))
        found += len(reach(moment, name, tracks, select, hops=3).nodes)

    times, cpu = _timed(ask, names)
    control, _ = _timed(lambda name: _naive(moment.graph, name), names[:3])
    return Figure(
        f"3-hop query, typed and filtered, {len(moment.graph):,} nodes, median",
        statistics.median(times),
        "ms",
        cpu,
        at_most=5.0,
        control=statistics.median(control),
        control_name="a networkx copy for each question",
        note=f"p99 {_p99(times):.2g} ms, {found // ROUNDS} nodes an answer",
    )


def _naive(graph: Graph, name: str) -> int:
    copy = nx.MultiDiGraph()
    for node in graph.nodes():
        copy.add_node(node.key, level=node.level, type=node.type, **node.properties)
    for arrow in graph.relationships("feeds_into"):
        if arrow.properties["transfer_time"] < 8:
            copy.add_edge(arrow.source, arrow.target)
    near = nx.single_source_shortest_path_length(copy.to_undirected(as_view=True), graph.find(name).key, 3)
    return sum(copy.nodes[key].get("criticality") == "high" for key in near)


def _line(edit: GraphEdit) -> None:
    """500 machines and as many buffers behind them, three lanes wide, with sensors on all of them."""
    line = edit.add_node(id="line", level=Level.LINE).key
    before: list[int] = []
    lane: list[int] = []
    for i in range(STATIONS):
        machine = i % 6 < 3
        parameters = {"rate": 2} if machine else {"capacity": random.randint(20, 200)}
        fields: dict[str, Any] = {"type": "machine" if machine else "buffer", "properties": {"parameters": parameters}}
        key = edit.add_node(id=f"line.p{i}", level=Level.COMPONENT, parent=line, **fields).key
        for name in ("temperature", "power") if machine else ("level",):
            sensor = edit.add_node(id=f"line.p{i}.{name}", level=Level.SENSOR, parent=key)
            edit.add_signal(sensor.key, unit={"level": "percent"}.get(name))
        lane.append(key)
        if len(lane) == 3 or i == STATIONS - 1:
            for a in before:
                _feed(edit, a, random.choice(lane))
            for b in lane:
                if before:
                    _feed(edit, random.choice(before), b)
            before, lane = lane, []


def _feed(edit: GraphEdit, source: int, target: int) -> None:
    # Every station needs each of its ways in and out, so that a stop goes through all of them.
    edit.relate(source, "feeds_into", target, transfer_time=random.uniform(1, 20), material=f"{source}-{target}")


def _fill(twin: Twin) -> None:
    levels = [s.index for s in twin.graph.signals() if twin.graph.node(s.node).name == "level"]
    twin.apply(ReadingBatch.of(levels, now_ns(), np.random.default_rng().uniform(10, 90, len(levels))))


def _impact(moment: Moment, *, fresh: bool) -> Figure:
    """`fresh`: the first question after a change of the structure, so that nothing is prepared."""
    names = [f"line.p{i}" for i in random.choices(range(STATIONS), k=ROUNDS)]
    touched = 0

    def ask(name: str) -> None:
        nonlocal touched
        graph = dataclasses.replace(moment.graph) if fresh else moment.graph
        touched += len(impact(Moment(graph, moment.twin), name, now=now_ns()).effects)

    times, cpu = _timed(ask, names)
    return Figure(
        f"impact of a stop through {STATIONS:,} stations, {'the first after a change, ' if fresh else ''}median",
        statistics.median(times),
        "ms",
        cpu,
        at_most=None if fresh else 20.0,
        note=f"p99 {_p99(times):.2g} ms, {touched // len(times)} effects",
    )


def _cuts(moment: Instant) -> Figure:
    times, cpu = _timed(lambda _: single_points_of_failure(moment), [""] * 20)
    return Figure(f"single points of failure of {STATIONS:,} stations, median", statistics.median(times), "ms", cpu)


def _timed(ask: Callable[[str], object], names: list[str]) -> tuple[list[float], float]:
    times = []
    with clock() as whole:
        for name in names:
            began = time.perf_counter()
            ask(name)
            times.append((time.perf_counter() - began) * 1000)
    return times, whole.cpu


def _p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]
