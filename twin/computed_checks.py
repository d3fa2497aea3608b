"""Checks of computed signals: names that stand for nothing, units that do not go together, circles.

They are compiled on the graph that the project would make of an empty one, just as the service compiles them.
"""

from collections.abc import Iterator

from .computed import COMPUTED, Definition, Formula, add_computed_signals, circles, compile_formula, definitions
from .define_project import Project
from .errors import IoTSenseError
from .finding import Path
from .graph import Graph
from .graph_edit import GraphEdit
from .plant_index import PlantIndex, Problem
from .project_graph import desired
from .revision import revise


def check_computed(project: Project, index: PlantIndex) -> Iterator[Problem]:
    """All that is wrong with the computed signals of a project."""
    if not _has_computed(project, index):
        return
    yield from _twice(index)
    edit = GraphEdit(Graph(), "validate")
    try:
        revise(edit, desired(project), lambda _: False)
        add_computed_signals(edit)
    except IoTSenseError:
        return  # what is wrong with the plant itself is told by others
    yield from _formulas(edit.graph, index)


def _has_computed(project: Project, index: PlantIndex) -> bool:
    of_nodes = any(getattr(node.definition, COMPUTED, ()) for node in index.nodes)
    return of_nodes or any(kind.computed for kind in project.component_types)


def _twice(index: PlantIndex) -> Iterator[Problem]:
    for node in index.nodes:
        seen: set[str] = set()
        for place, one in enumerate(getattr(node.definition, COMPUTED, ())):
            if one.name in seen:
                yield Problem((*node.path, COMPUTED, place, "name"), f"found the name {one.name!r} twice in {node.id}")
            seen.add(one.name)


def _formulas(graph: Graph, index: PlantIndex) -> Iterator[Problem]:
    formulas: list[Formula] = []
    by_signal: dict[int, Definition] = {}
    for definition in definitions(graph):
        try:
            formula = compile_formula(graph, definition)
        except IoTSenseError as error:
            yield Problem(_path(index, definition), f"{_of_type(definition)}{error}")
        else:
            formulas.append(formula)
            by_signal[formula.signal] = definition
    for circle in circles(formulas):
        ids = " → ".join(graph.signal_id(graph.signal(signal)) for signal in circle)
        yield Problem(_path(index, by_signal[circle[0]]), f"found a signal that is computed from itself: {ids}")


def _of_type(definition: Definition) -> str:
    return "" if definition.place is not None else f"{definition.name} of {definition.node.type} does not fit here: "


def _path(index: PlantIndex, definition: Definition) -> Path:
    path = index.by_id[definition.node.id].path
    return (*path, "type") if definition.place is None else (*path, COMPUTED, definition.place, "expression")
