"""Roll-ups: against sums made by hand of random values, and by hand."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from question_fixtures import Still

from iotsense.twin.errors import InvalidValueError
from iotsense.twin.graph import Graph
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import DataType, Level
from iotsense.twin.question_formula import Formula, formula
from iotsense.twin.question_reach import Selection, reach
from iotsense.twin.question_rollup import Aggregate, Rollup, roll_up
from iotsense.twin.question_step import Direction, Tracks

MACHINES = [("filler", "kW", 10), ("capper", "W", 5), ("packer", "kW", 1)]


def plant(machines: list[tuple[str, str | None, float]] = MACHINES) -> Graph:
    """A line with a meter of its own; machines with a power sensor, a mass and a temperature."""
    edit = GraphEdit(Graph(), "test")
    line = edit.add_node(id="line", level=Level.LINE).key
    edit.add_signal(edit.add_node(id="line.power", level=Level.SENSOR, parent=line).key, unit="kW")
    before = None
    for name, unit, mass in machines:
        properties = {"parameters": {"mass": mass}}
        part = edit.add_node(
            id=f"line.{name}", level=Level.COMPONENT, type=name, parent=line, properties=properties
        ).key
        sensor = edit.add_node(id=f"line.{name}.p1", name="power", level=Level.SENSOR, parent=part)
        edit.add_signal(sensor.key, unit=unit)
        edit.add_signal(part, "temperature", unit="celsius")
        edit.add_signal(part, "state", data_type=DataType.TEXT, labels=("off", "on"))
        if before is not None:
            edit.relate(before, "feeds_into", part)
        before = part
    return edit.graph


def rolled(
    still: Still,
    signal: str,
    aggregate: str,
    start: str = "line",
    types: tuple[str, ...] = ("contains", "has_sensor"),
    levels: tuple[Level, ...] = (Level.COMPONENT,),
    weight: str | None = None,
    **more: Any,
) -> Rollup:
    found = reach(still, start, Tracks.of(types, Direction.OUT), Selection.of(levels), limit=10**6)
    return roll_up(still, found, signal, Aggregate(aggregate), weight=formula(weight, "weight"), **more)


POWERS = {"line.power": 99.0, "line.filler.p1": 4.0, "line.capper.p1": 500.0, "line.packer.p1": 1.5}


@pytest.mark.parametrize(
    ("aggregate", "value", "unit", "at"),
    [
        ("sum", 6.0, "kW", None), ("mean", 2.0, "kW", None), ("min", 0.5, "kW", "line.capper.p1"),
        ("max", 4.0, "kW", "line.filler.p1"), ("count", 3.0, None, None),
    ],
)  # fmt: skip
def test_values_of_different_units_become_one(aggregate: str, value: float, unit: str | None, at: str | None) -> None:
    found = rolled(Still(plant(), POWERS), "power", aggregate)
    assert (found.value, found.unit, found.at, found.count) == (value, unit, at, 3)
    assert (found.oldest, found.newest, found.quality, found.left_out) == (1000, 1000, 192, [])


def test_the_asked_unit_counts() -> None:
    found = rolled(Still(plant(), POWERS), "power", "sum", unit="W")
    assert (found.value, found.unit) == (6000.0, "W")
    with pytest.raises(
        InvalidValueError, match=r"line\.filler\.p1 does not fit the others: kW.* cannot be converted to bar"
    ):
        rolled(Still(plant(), POWERS), "power", "sum", unit="bar")
    with pytest.raises(InvalidValueError, match="not a unit"):
        rolled(Still(plant(), POWERS), "power", "count", unit="powers")


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 100)), max_size=20))
def test_weighted_and_plain_against_plain_arithmetic(drawn: list[tuple[float, float]]) -> None:
    still = Still(
        plant([(f"m{i}", None, mass) for i, (_, mass) in enumerate(drawn)]),
        {f"line.m{i}.p1": value for i, (value, _) in enumerate(drawn)},
    )
    values, masses = [value for value, _ in drawn], [mass for _, mass in drawn]
    assert rolled(still, "power", "sum").value == (pytest.approx(sum(values)) if drawn else None)
    weighted = sum(value * mass for value, mass in drawn)
    assert rolled(still, "power", "sum", weight="mass").value == (pytest.approx(weighted) if drawn else None)
    mean = rolled(still, "power", "mean", weight="mass").value
    assert mean == (pytest.approx(weighted / sum(masses)) if sum(masses) else None)
    assert rolled(still, "power", "max").value == (max(values) if drawn else None)


def test_a_whole_subtree_counts_each_signal_once() -> None:
    still = Still(plant(), POWERS)
    assert rolled(still, "power", "count", levels=()).value == 4  # the line's meter, too
    assert rolled(still, "power", "sum", levels=(Level.SENSOR,)).value == 105.0
    assert rolled(still, "power", "sum", start="line.filler", levels=()).value == 4.0


def test_along_relationships() -> None:
    found = rolled(Still(plant(), POWERS), "power", "sum", start="filler", types=("feeds_into",))
    assert (found.value, found.unit, found.count) == (2000.0, "W", 2)


def test_temperatures_are_averaged_but_not_added() -> None:
    values = {"line.filler.temperature": 20.0, "line.capper.temperature": 40.0}
    found = rolled(Still(plant(), values), "temperature", "mean", unit="kelvin", weight="mass")
    assert found.value == pytest.approx((20 * 10 + 40 * 5) / 15 + 273.15)
    with pytest.raises(InvalidValueError, match="ask for their mean"):
        rolled(Still(plant(), values), "temperature", "sum")


def test_what_does_not_count_is_named() -> None:
    still = Still(
        plant([("filler", "kW", 1), ("capper", None, 1), ("packer", "kW", 1), ("robot", "kW", 1)]), dict(POWERS)
    )
    still.values = {"line.filler.p1": 4.0, "line.capper.p1": 3.0, "line.packer.p1": 2.0}
    still.quality = {"line.packer.p1": 0}
    found = rolled(still, "power", "sum")
    assert found.value == 4.0
    assert {each.signal: each.reason for each in found.left_out} == {
        "line.capper.p1": "it has no unit",
        "line.packer.p1": "its last reading is bad",
        "line.robot.p1": "it has no reading",
    }
    texts = rolled(Still(plant(), {"line.filler.state": 1.0}), "state", "count")
    assert (texts.value, {each.reason for each in texts.left_out}) == (0.0, {"it is no number"})
    unknown = rolled(Still(plant(), POWERS), "power", "mean", weight="volume")
    assert (unknown.value, unknown.notes) == (None, ["weight: nothing here has 'volume'"])
    assert {each.reason for each in unknown.left_out} == {"its weight is unknown"}
    uncertain = rolled(Still(plant(), POWERS, {"line.filler.p1": 64}), "power", "sum")
    assert (uncertain.value, uncertain.quality) == (6.0, 64)


def test_nothing_is_told_as_nothing() -> None:
    found = rolled(Still(plant(), POWERS), "pressure", "sum")
    assert (found.value, found.count, found.notes) == (None, 0, ["nothing here has a signal 'pressure'"])


def test_errors() -> None:
    still = Still(plant(), POWERS)
    with pytest.raises(InvalidValueError, match="only a sum or a mean can be weighted"):
        rolled(still, "power", "max", weight="mass")
    with pytest.raises(InvalidValueError, match=r"the weight of line.filler is -10"):
        rolled(still, "power", "sum", weight="-mass")
    assert Formula("mass", "weight").text == "mass"
