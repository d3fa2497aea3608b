"""Scenarios: forks of the plant from an instant, with parameters and signals that are set to something else.

A fork copies nothing. It is an instant, what was known then, and what is different; whoever reads it reads the plant
as of that instant and, on top, the differences. Replaying recorded inputs into it moves its clock on.
"""

from typing import Any

import msgspec

from .changes import UpdateNode, UpdateSignal
from .graph import Graph
from .graph_draft import GraphDraft
from .model import Role

PARAMETERS = "parameters"


class Setting(msgspec.Struct, frozen=True, array_like=True):
    """A signal (index) is held at a value from a world time on [ns]."""

    signal: int
    time: int
    value: float


class Scenario(msgspec.Struct, frozen=True):
    """A fork: of the plant as of `time`, by what was known at `known_at`; its own clock stands at `clock` [ns].

    parameters: values by node key and name. settings: held signals, in the order of time. `removed` ends it.
    """

    id: str
    time: int
    known_at: int
    clock: int
    parameters: dict[int, dict[str, Any]] = {}
    settings: list[Setting] = []
    title: str | None = None
    removed: bool = False

    def forked(self, graph: Graph) -> Graph:
        """The graph with the scenario's parameters, its held signals marked as simulated; all else is shared."""
        draft = GraphDraft(graph)
        for key, values in self.parameters.items():
            node = graph.node_map.get(key)
            if node is not None:
                given = node.properties.get(PARAMETERS, {}) | values
                draft.apply(
                    [UpdateNode(msgspec.structs.replace(node, properties=node.properties | {PARAMETERS: given}))]
                )
        for index in {setting.signal for setting in self.settings}:
            signal = graph.signal_map.get(index)
            if signal is not None:
                draft.apply([UpdateSignal(msgspec.structs.replace(signal, role=Role.SIMULATED))])
        return draft.finish()
