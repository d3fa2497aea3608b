"""What may be set, as a definition says it: the desired signal, limits, interlocks that lead nowhere."""

from pathlib import Path

import pytest

from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.export_definition import export
from iotsense.twin.finding import Finding
from iotsense.twin.model import Role
from iotsense.twin.plan import plan
from iotsense.twin.project import load_texts
from iotsense.twin.twin import Twin

PLANT = """
component_types:
  - name: pump
    parameters: {limit: {type: number, default: 3}}
    sensors:
      - {id: speed, unit: m/s, writable: {max: 3, interlock: "state == 'on' and speed < limit"}}
      - {id: state, labels: [off, on], writable: true}
digital_twins:
  - name: line
    components: [{id: pump_1, type: pump}, {id: pump_2, type: pump, sensors: [{id: speed, writable: false}]}]
"""


def findings(sensor: str) -> list[Finding]:
    text = f"digital_twins: [{{name: l, components: [{{id: c, sensors: [{sensor}, {{id: other}}]}}]}}]\n"
    return load_texts({"p.yaml": text})[1]


@pytest.mark.parametrize(
    ("sensor", "words"),
    [
        ("{id: s, writable: {interlock: 'stat == 1'}}", "has no signal or parameter 'stat'; it has s, other"),
        ("{id: s, writable: {interlock: 'other >'}}", "expected"),
        ("{id: s, writable: {min: 3, max: 2}}", "found min 3 above max 2"),
        ("{id: s, labels: [a, b], writable: {max: 2}}", "found `max` of a text; it belongs to numbers"),
        ("{id: s, joints: 3, writable: true}", "found `writable` on a sensor with joints"),
        ("{id: s, writable: {maximum: 3}}", "maximum"),
        ("{id: s, writable: yes_please}", "yes_please"),
        ("{id: s, writable: {deadline: 5}}", "expected a duration"),
    ],
)
def test_mistakes_are_told(sensor: str, words: str) -> None:
    found = findings(sensor)
    assert len(found) == 1 and found[0].severity == "error", found
    assert words in str(found[0])


@pytest.mark.parametrize("writable", ["true", "false", "{}", "{min: 1, deadline: 5s, interlock: 'other < 3'}"])
def test_what_may_be_said(writable: str) -> None:
    assert findings(f"{{id: s, writable: {writable}}}") == []


def test_it_is_applied_exported_and_taken_back(tmp_path: Path) -> None:
    project, found = load_texts({"p.yaml": PLANT})
    assert project is not None, found
    with Twin.open(tmp_path / "data") as twin:
        apply_plan(plan(project, twin.graph), twin)
        roles = {twin.graph.signal_id(signal): signal.role for signal in twin.graph.signals()}
        desired = [id for id, role in roles.items() if role is Role.DESIRED]
        assert desired == ["line.pump_1.speed.desired", "line.pump_1.state.desired", "line.pump_2.state.desired"]
        signal = twin.graph.find_signal("pump_1.speed.desired")
        assert (signal.unit, signal.stepped) == ("m/s", True)
        assert twin.graph.find_signal("pump_1.speed").name == "value"
        again, found = load_texts({"e.yaml": export(twin.graph)})
        assert again is not None, found
        assert plan(again, twin.graph).changes.empty
        without, _ = load_texts({"p.yaml": PLANT.replace("writable: true", "writable: false")})
        assert without is not None
        apply_plan(plan(without, twin.graph), twin)
        assert [s.role for s in twin.graph.signals()].count(Role.DESIRED) == 1
