"""The signals that a subscriber chose, as the structure changes under it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .graph import Graph


class ChosenSignals:
    """Those of and below some nodes, and some by themselves; all of the plant where neither is said.

    What comes to a chosen node later is chosen, too. Raises NotFoundError for an id that is not there.
    """

    def __init__(self, graph: Graph, nodes: Sequence[str] | None, signals: Sequence[str] | None) -> None:
        self._everything = nodes is None and signals is None
        self._keys = [graph.find(id).key for id in nodes or ()]
        self._chosen = [graph.find_signal(id).index for id in signals or ()]
        self.graph = graph
        self.indexes = self._indexes(graph)
        """Their indexes, rising."""
        self._is_chosen = _mask(self.indexes)

    def follow(self, graph: Graph) -> NDArray[np.int32]:
        """Takes in a new revision; the signals that came with it."""
        if graph is self.graph:
            return np.zeros(0, dtype=np.int32)
        known, self.graph = self.indexes, graph
        self.indexes = self._indexes(graph)
        self._is_chosen = _mask(self.indexes)
        return np.setdiff1d(self.indexes, known)

    def among(self, changed: NDArray[np.int32]) -> NDArray[np.int32]:
        """Those of the changed signals that were chosen."""
        known = changed[changed < len(self._is_chosen)]
        return known[self._is_chosen[known]]

    def _indexes(self, graph: Graph) -> NDArray[np.int32]:
        if self._everything:
            return np.array(sorted(graph.signal_map), dtype=np.int32)
        found = {index for index in self._chosen if index in graph.signal_map}
        for key in self._keys:
            if key in graph.node_map:
                for node in [graph.node(key), *graph.descendants(key)]:
                    found.update(graph.signals_by_node.get(node.key, ()))
        return np.array(sorted(found), dtype=np.int32)


def _mask(indexes: NDArray[np.int32]) -> NDArray[np.bool_]:
    # Asked for every change of every subscriber: looking up is many times as fast as intersecting.
    mask = np.zeros(indexes[-1] + 1 if len(indexes) else 0, dtype=np.bool_)
    mask[indexes] = True
    return mask
