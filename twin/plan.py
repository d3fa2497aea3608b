"""A plan: what applying a project would change in the running graph, to be read before it is done."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .define_project import Project
from .desired import Desired
from .graph import Graph
from .graph_edit import GraphEdit
from .plan_changes import Changes
from .plan_text import changes_text
from .project_graph import desired
from .revision import revise
from .state import NEVER, TwinState


@dataclass(frozen=True, slots=True)
class Plan:
    """What making the graph of `revision` as `desired` changes; nothing is done yet."""

    desired: Desired
    revision: int
    changes: Changes

    @property
    def empty(self) -> bool:
        """Whether nothing would change."""
        return self.changes.empty

    def text(self, colour: bool = False) -> str:
        """The plan as a diff to read: `+` added, `~` changed, `-` removed."""
        return changes_text(self.changes, colour)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"revision": self.revision, **self.changes.to_dict()}


def plan(project: Project, graph: Graph, state: TwinState | None = None) -> Plan:
    """What applying a project would change; with the live state it tells which removals lose history.

    Only nodes of origin `defined` are governed: discovered ones stay, unless the project names them. Raises
    ConflictError where the graph cannot become what the project says.
    """
    return plan_desired(desired(project), graph, state)


def plan_desired(wanted: Desired, graph: Graph, state: TwinState | None = None) -> Plan:
    """`plan` for what is not a project."""
    return Plan(wanted, graph.revision, revise(GraphEdit(graph, "plan"), wanted, readings_of(state)))


def readings_of(state: TwinState | None) -> Callable[[int], bool]:
    """Whether the signal of an index has ever had a reading."""
    if state is None:
        return lambda _: False
    times = state.snapshot().time
    return lambda index: index < len(times) and bool(times[index] != NEVER)
