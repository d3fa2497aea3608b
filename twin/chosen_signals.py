"""The signals that a subscriber chose, as the structure changes under it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .graph import Graph

_NONE: NDArray[np.int32] = np.zeros(0, dtype=np.int32)


class Turn(NamedTuple):
    """Indexes of the signals that came to those that are followed, and of those that went."""

    came: NDArray[np.int32] = _NONE
    gone: NDArray[np.int32] = _NONE


class ChosenSignals:
    """Those of and below some nodes, and some by themselves; all of the plant where neither is said.

    What comes to a chosen node later is chosen, too. `matching` are nodes (keys) that a filter found: others with each
    `follow`, while the chosen ones stay. Raises NotFoundError for an id that is not there.
    """

    def __init__(
        self,
        graph: Graph,
        nodes: Sequence[str] | None,
        signals: Sequence[str] | None,
        matching: frozenset[int] | None = None,
    ) -> None:
        self._everything = nodes is None and signals is None and matching is None
        self._keys = [graph.find(id).key for id in nodes or ()]
        self._chosen = [graph.find_signal(id).index for id in signals or ()]
        self._matching = matching or frozenset()
        self.graph = graph
        self.indexes = self._indexes()
        """Their indexes, rising."""
        self._is_chosen = _mask(self.indexes)

    def follow(self, graph: Graph, matching: frozenset[int] | None = None) -> Turn:
        """Takes in a new revision, and what the filter finds now; the signals that came and went with it."""
        matching = matching or frozenset()
        if graph is self.graph and matching == self._matching:
            return Turn()
        known, self.graph, self._matching = self.indexes, graph, matching
        self.indexes = self._indexes()
        self._is_chosen = _mask(self.indexes)
        return Turn(np.setdiff1d(self.indexes, known), np.setdiff1d(known, self.indexes))

    def among(self, changed: NDArray[np.int32]) -> NDArray[np.int32]:
        """Those of the changed signals that were chosen."""
        known = changed[changed < len(self._is_chosen)]
        return known[self._is_chosen[known]]

    def _indexes(self) -> NDArray[np.int32]:
        graph = self.graph
        if self._everything:
            return np.array(sorted(graph.signal_map), dtype=np.int32)
        found = {index for index in self._chosen if index in graph.signal_map}
        for key in at_and_below(graph, [*self._keys, *self._matching]):
            found.update(graph.signals_by_node.get(key, ()))
        return np.array(sorted(found), dtype=np.int32)


def at_and_below(graph: Graph, keys: Iterable[int]) -> set[int]:
    """The keys of these nodes, as far as they are there, and of everything below them."""
    found: set[int] = set()
    for key in keys:
        if key in graph.node_map and key not in found:
            found.add(key)
            found.update(node.key for node in graph.descendants(key))
    return found


def _mask(indexes: NDArray[np.int32]) -> NDArray[np.bool_]:
    # Asked for every change of every subscriber: looking up is many times as fast as intersecting.
    mask = np.zeros(indexes[-1] + 1 if len(indexes) else 0, dtype=np.bool_)
    mask[indexes] = True
    return mask
