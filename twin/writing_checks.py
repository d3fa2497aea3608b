"""Checks of what may be set: interlocks whose names stand for nothing, limits that cannot be.

Interlocks are compiled on the graph that the project would make of an empty one, as they are before a value is sent.
"""

from collections.abc import Iterator

from .command_limits import interlock_of
from .computed import add_computed_signals
from .define_project import Project
from .define_twins import Sensor
from .define_writing import Writing
from .errors import IoTSenseError
from .graph import Graph
from .graph_edit import GraphEdit
from .plant_index import Defined, PlantIndex, Problem
from .project_graph import desired
from .revision import revise


def check_writing(project: Project, index: PlantIndex) -> Iterator[Problem]:
    """All that is wrong with what may be set."""
    settable = [(node, writing) for node in index.nodes if (writing := _writing(node)) is not None]
    for node, writing in settable:
        yield from _limits(node, writing)
    if any(writing.interlock is not None for _, writing in settable):
        yield from _interlocks(project, settable)


def _writing(node: Defined) -> Writing | None:
    return node.definition.writable if isinstance(node.definition, Sensor) else None


def _limits(node: Defined, writing: Writing) -> Iterator[Problem]:
    sensor = node.definition
    assert isinstance(sensor, Sensor)
    if not sensor.labels and sensor.data_type in (None, "number"):
        return
    for name in ("min", "max", "max_step", "tolerance"):
        if getattr(writing, name) is not None:
            kind = sensor.data_type or "text"
            yield Problem(
                (*node.path, "writable", name), f"found `{name}` of a {kind}; it belongs to numbers", key=True
            )


def _interlocks(project: Project, settable: list[tuple[Defined, Writing]]) -> Iterator[Problem]:
    edit = GraphEdit(Graph(), "validate")
    try:
        revise(edit, desired(project), lambda _: False)
        add_computed_signals(edit)
    except IoTSenseError:
        return  # what is wrong with the plant itself is told by others
    for node, writing in settable:
        if writing.interlock is None:
            continue
        try:
            interlock_of(edit.graph, edit.graph.find(node.id), writing.interlock)
        except IoTSenseError as error:
            yield Problem((*node.path, "writable", "interlock"), str(error))
