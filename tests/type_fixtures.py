"""Component types for tests, and what is done with them."""

from collections.abc import Callable
from textwrap import dedent

from iotsense.twin.define_project import Project
from iotsense.twin.graph import Graph
from iotsense.twin.graph_edit import GraphEdit, apply_change
from iotsense.twin.project import load_texts
from iotsense.twin.project_graph import desired
from iotsense.twin.revision import revise

TYPES = """\
component_types:
  - name: machine
    parameters:
      number: { type: number }
    sensors: [{ id: power, type: power, unit: kW, low: 0 }]
    rules:
      - { name: hungry, type: threshold, sensor: power, conditions: [{ operator: ">", threshold: 50 }] }
  - name: pump
    extends: machine
    parameters:
      max_flow: { unit: l/min, default: 120, min: 0, max: 500 }
      length: { unit: m, range: [0.1, 4] }
    sensors:
      - { id: flow, type: flow, unit: l/min, source: "plant/${component.id}/flow" }
    rules:
      - name: too_much
        type: threshold
        sensor: flow
        conditions: [{ operator: ">", threshold: "${parameters.max_flow}" }]
"""
SEAL = "      - { id: seal_temp, type: temperature, unit: celsius }\n"
FORTY = """\
digital_twins:
  - name: line_1
    components:
      - for_each: { range: [1, 40] }
        id: "pump_${each}"
        type: pump
        parameters: { number: "${each}" }
"""


def second_version(types: str = TYPES) -> str:
    """The types with a pump of version 2, whose seals have a temperature."""
    flow = '      - { id: flow, type: flow, unit: l/min, source: "plant/${component.id}/flow" }\n'
    return types.replace("extends: machine\n", "extends: machine\n    version: 2\n", 1).replace(flow, flow + SEAL)


def load(*texts: str, strict: bool = True) -> Project:
    """A project without any mistake."""
    project, findings = load_texts({f"{number}.yaml": dedent(text) for number, text in enumerate(texts)}, {})
    assert project is not None, [str(finding) for finding in findings]
    assert not strict or findings == [], [str(finding) for finding in findings]
    return project


def mistakes(*texts: str) -> list[str]:
    """The findings, each with file, line and column."""
    _, findings = load_texts({f"{number}.yaml": dedent(text) for number, text in enumerate(texts)}, {})
    return [str(finding) for finding in findings]


def applied(graph: Graph, project: Project, has_readings: Callable[[int], bool] = lambda _: False) -> Graph:
    """The graph after applying a project."""
    edit = GraphEdit(graph, "test")
    revise(edit, desired(project), has_readings)
    change = edit.change()
    return apply_change(graph, change) if change else graph
