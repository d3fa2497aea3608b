"""A signal of a whole subtree at a glance: against random values summed up by hand, and over GraphQL."""

import asyncio
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from facade_fixtures import Context, breach, plant, put
from hypothesis import given
from hypothesis import strategies as st
from question_fixtures import Still

from iotsense.graphql.context import Request
from iotsense.graphql.schema import schema
from iotsense.twin.access import LOCAL, Principal, Role
from iotsense.twin.as_of import AsOf
from iotsense.twin.errors import InvalidValueError
from iotsense.twin.graph import Graph
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import DataType, Level
from iotsense.twin.past import Past
from iotsense.twin.question_summary import Summary, summarize
from iotsense.twin.times import format_time, now_ns
from iotsense.twin.twin import Twin

SUMMARY = "summary(signal: $signal, unit: $unit) { count leftOut unit min max mean minAt maxAt worstHealth }"
ASKED = f"query($id: ID!, $signal: String!, $unit: String, $at: Time) {{ node(id: $id, asOf: $at) {{ {SUMMARY} }} }}"


def summed_up(still: Still, name: str, unit: str | None = None) -> Summary:
    root = still.graph.find("line")
    return summarize(still, [root, *still.graph.descendants(root.key)], name, unit)


def graph(units: list[str | None]) -> Graph:
    """A line with as many machines, each with a sensor `temperature`."""
    edit = GraphEdit(Graph(), "test")
    line = edit.add_node(id="line", level=Level.LINE).key
    for number, unit in enumerate(units):
        part = edit.add_node(id=f"line.m{number}", level=Level.COMPONENT, parent=line).key
        sensor = edit.add_node(id=f"line.m{number}.temperature", level=Level.SENSOR, parent=part)
        edit.add_signal(sensor.key, unit=unit)
    return edit.graph


@given(st.lists(st.tuples(st.floats(-1e9, 1e9) | st.sampled_from([math.nan, math.inf]), st.sampled_from([0, 64, 192]))))
def test_only_what_is_good_and_finite_counts(readings: list[tuple[float, int]]) -> None:
    values = {f"line.m{i}.temperature": value for i, (value, _) in enumerate(readings)}
    qualities = {f"line.m{i}.temperature": quality for i, (_, quality) in enumerate(readings)}
    found = summed_up(Still(graph([None] * len(readings)), values, quality=qualities), "temperature")
    good = [value for value, quality in readings if quality >= 192 and math.isfinite(value)]
    assert (found.count, found.left_out) == (len(good), len(readings) - len(good))
    if not good:
        assert (found.low, found.high, found.mean, found.low_at, found.newest) == (None,) * 5
        return
    assert (found.low, found.high) == (min(good), max(good))
    assert found.mean == pytest.approx(sum(good) / len(good), abs=1e-6)
    assert found.total == pytest.approx(math.fsum(good), abs=1e-6)
    assert found.low_at is not None and values[found.low_at] == min(good)
    assert found.high_at is not None and values[found.high_at] == max(good)


def test_units_become_one() -> None:
    values = {"line.m0.temperature": 20.0, "line.m1.temperature": 300.15, "line.m2.temperature": 999.0}
    still = Still(graph(["celsius", "kelvin", None]), values)
    found = summed_up(still, "temperature")
    assert (found.count, found.left_out, found.unit) == (2, 1, "celsius")
    assert (found.low, found.high, found.mean) == pytest.approx((20.0, 27.0, 23.5))
    assert found.total is None  # of temperatures there is none
    powers = Still(graph(["kW", "W"]), {"line.m0.temperature": 2.0, "line.m1.temperature": 500.0})
    assert summed_up(powers, "temperature").total == 2.5
    assert summed_up(still, "temperature", "kelvin").low == pytest.approx(293.15)
    with pytest.raises(InvalidValueError, match="does not fit the others"):
        summed_up(still, "temperature", "metre")
    with pytest.raises(InvalidValueError, match="m1"):
        summed_up(Still(graph(["celsius", "m/s"]), values), "temperature")


def test_texts_do_not_count() -> None:
    edit = GraphEdit(graph(["celsius"]), "test")
    node = edit.graph.find("line.m0").key
    edit.add_signal(node, "mode", data_type=DataType.TEXT, labels=("off", "on"))
    found = summed_up(Still(edit.graph, {"line.m0.mode": 1.0}), "mode")
    assert (found.count, found.left_out) == (0, 1)
    assert summed_up(Still(edit.graph, {}), "nothing") == Summary(0, 0)


@pytest.fixture
def twin(tmp_path: Path) -> Any:
    with plant(tmp_path) as twin:
        put(twin, "line_1.conveyor.speed", 1.5)
        put(twin, "line_2.conveyor.speed", 2.5)
        put(twin, "line_1.conveyor.health", 35.0)
        put(twin, "line_2.conveyor.health", 70.0)
        yield twin


async def ask(twin: Twin, id: str, signal: str, whom: Principal = LOCAL, **more: Any) -> Any:
    request = Request(Context(twin).seen_by(whom), asyncio.Semaphore(4), principal=whom)
    return await schema.execute(ASKED, {"id": id, "signal": signal, **more}, context_value=request)


async def test_over_graphql(twin: Twin) -> None:
    found = (await ask(twin, "hall", "speed", unit="m/s")).data["node"]["summary"]
    # The packer has no reading.
    assert found == {
        "count": 2, "leftOut": 1, "unit": "m/s", "min": 1.5, "max": 2.5, "mean": 2.0,
        "minAt": "line_1.conveyor.speed", "maxAt": "line_2.conveyor.speed", "worstHealth": "CRITICAL",
    }  # fmt: skip
    alone = (await ask(twin, "line_2", "speed")).data["node"]["summary"]
    assert (alone["count"], alone["mean"], alone["worstHealth"]) == (1, 2.5, "WARNING")
    nothing = (await ask(twin, "robot", "speed")).data["node"]["summary"]
    assert (nothing["count"], nothing["min"], nothing["worstHealth"]) == (0, None, "UNKNOWN")
    sensor = (await ask(twin, "line_1.conveyor.speed", "speed")).data["node"]["summary"]
    assert (sensor["count"], sensor["worstHealth"]) == (1, "HEALTHY")
    (error,) = (await ask(twin, "hall", "speed", unit="celsius")).errors
    assert error.extensions == {"code": "INVALID_VALUE", "field": "unit"}


async def test_as_of_an_instant(twin: Twin) -> None:
    before = now_ns()
    put(twin, "line_2.conveyor.speed", 9.0)
    assert (await ask(twin, "hall", "speed")).data["node"]["summary"]["max"] == 9.0
    assert (await ask(twin, "hall", "speed", at=format_time(before))).data["node"]["summary"]["max"] == 2.5


async def test_of_a_part_of_the_plant(twin: Twin) -> None:
    whom = Principal("key k", Role.VIEWER.scopes, frozenset({twin.graph.find("line_2").key}))
    found = (await ask(twin, "line_2", "speed", whom)).data["node"]["summary"]
    assert (found["count"], found["leftOut"], found["worstHealth"]) == (1, 0, "WARNING")
    assert (await ask(twin, "hall", "speed", whom)).errors[0].extensions["code"] == "NOT_FOUND"


CHOSEN = """query($id: ID!, $type: [String!], $level: [Level!]) {
  node(id: $id) { summary(signal: "speed", type: $type, level: $level) { count sum max unit worstHealth } } }"""
HOW = """query($id: ID!, $type: [String!], $level: [Level!], $at: Time) { node(id: $id, asOf: $at) {
    healthSummary(type: $type, level: $level) {
      nodes critical warning healthy unknown worst lowestScore worstAt { id }
      openAnomalies criticalAnomalies unacknowledged silent } } }"""


async def of(twin: Twin, text: str, whom: Principal = LOCAL, **variables: Any) -> Any:
    request = Request(Context(twin).seen_by(whom), asyncio.Semaphore(4), principal=whom)
    found = await schema.execute(text, variables, context_value=request)
    assert not found.errors, found.errors
    (summary,) = found.data["node"].values()
    return summary


async def test_some_types_and_levels_only(twin: Twin) -> None:
    put(twin, "line_1.packer.speed", 7.0)  # in another unit
    conveyors = await of(twin, CHOSEN, id="hall", type=["conveyor"])
    assert conveyors == {"count": 2, "sum": 4.0, "max": 2.5, "unit": "m/s", "worstHealth": "CRITICAL"}
    assert (await of(twin, CHOSEN, id="hall", level=["LINE"]))["count"] == 0
    assert (await of(twin, CHOSEN, id="hall", type=["conveyor"], level=["SENSOR"]))["count"] == 0
    assert (await of(twin, CHOSEN, id="line_2", level=["SENSOR"])) == {
        "count": 1, "sum": 2.5, "max": 2.5, "unit": "m/s", "worstHealth": "HEALTHY",
    }  # fmt: skip
    assert (await of(twin, CHOSEN, id="hall", type=[]))["count"] == 0


async def test_the_health_of_a_subtree(twin: Twin) -> None:
    before = now_ns()
    seen = breach(twin, "line_1.conveyor.motor_temp", "critical")
    breach(twin, "line_1.conveyor.speed")
    breach(twin, "line_2.conveyor.speed")
    twin.remarks.acknowledge(seen, "anna")
    twin.mark_stale([(twin.graph.find_signal("line_1.conveyor.speed").index, now_ns())])
    hall = await of(twin, HOW, id="hall")
    assert hall == {
        "nodes": 7, "critical": 1, "warning": 1, "healthy": 0, "unknown": 5, "worst": "CRITICAL", "lowestScore": 35.0,
        "worstAt": {"id": "line_1.conveyor"}, "openAnomalies": 3, "criticalAnomalies": 1, "unacknowledged": 2,
        "silent": 1,
    }  # fmt: skip
    line = await of(twin, HOW, id="line_2")
    assert (line["worst"], line["openAnomalies"], line["unacknowledged"], line["silent"]) == ("WARNING", 1, 1, 0)
    robots = await of(twin, HOW, id="hall", type=["robot_arm"])
    assert (robots["nodes"], robots["worst"], robots["worstAt"], robots["openAnomalies"]) == (1, "UNKNOWN", None, 0)
    conveyors = await of(twin, HOW, id="line_1", type=["conveyor"], level=["COMPONENT"])
    assert (conveyors["nodes"], conveyors["openAnomalies"]) == (1, 2)
    assert (await of(twin, HOW, id="line_1", level=["LINE"]))["openAnomalies"] == 0
    sensor = await of(twin, HOW, id="line_1.conveyor.speed")
    assert (sensor["nodes"], sensor["openAnomalies"], sensor["silent"]) == (1, 1, 1)
    then = await of(twin, HOW, id="hall", at=format_time(before))
    assert (then["openAnomalies"], then["silent"], then["worst"]) == (0, 0, "CRITICAL")
    whom = Principal("key k", Role.VIEWER.scopes, frozenset({twin.graph.find("line_2").key}))
    assert await of(twin, HOW, whom, id="line_2") == line


async def test_many_summaries_look_once(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    for id in ("line_1.conveyor.speed", "line_2.conveyor.speed", "line_1.packer.speed"):
        breach(twin, id)
    looks: list[int] = []
    told_of, opened = Past.told_of, AsOf.open_events

    def counted(self: Past, identities: Any) -> Any:
        looks.append(len(identities))
        return told_of(self, identities)

    kinds: Counter[str] = Counter()

    def counting(self: AsOf, kind: str, node: int | None = None) -> Any:
        kinds[kind] += 1
        return opened(self, kind, node)

    monkeypatch.setattr(Past, "told_of", counted)
    monkeypatch.setattr(AsOf, "open_events", counting)
    request = Request(Context(twin), asyncio.Semaphore(4))
    text = "{ nodes(first: 100) { nodes { anomalies { id } healthSummary { openAnomalies unacknowledged silent } } } }"
    found = await schema.execute(text, context_value=request)
    assert not found.errors and found.data is not None
    assert sum(each["healthSummary"]["unacknowledged"] for each in found.data["nodes"]["nodes"]) > 3
    assert looks == [3]
    assert kinds["anomaly"] == 1 and kinds["stale"] == 1
