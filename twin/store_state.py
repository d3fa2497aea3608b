"""The latest state as columns for a graph database: what changed, grouped by the property that it goes to."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .graph import Graph
from .model import DataType, Signal, quality_word
from .state import NEVER, StateColumns, TwinState
from .store_rows import signal_name
from .store_words import LEVEL_LABELS
from .times import NS

Label = Callable[[int, float], str | None]
_NONE, _NUMBER, _TEXT, _BOOLEAN, _LIST = range(5)
_WORDS = np.array([quality_word(quality) for quality in range(256)], dtype=object)


class Place(NamedTuple):
    """Where values go: nodes with this label, to the property of this name (and its quality and time)."""

    label: str
    name: str


@dataclass(slots=True)
class StateRows:
    """Columns of equal length, sorted by key; times are split into seconds and nanoseconds since the epoch."""

    key: list[int] = field(default_factory=list)
    value: list[Any] = field(default_factory=list)
    quality: list[str] = field(default_factory=list)
    seconds: list[int] = field(default_factory=list)
    nanoseconds: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.key)

    def slices(self, length: int) -> "Iterable[StateRows]":
        """The same in pieces of at most `length` rows."""
        for start in range(0, len(self), length):
            part = slice(start, start + length)
            yield StateRows(
                self.key[part], self.value[part], self.quality[part], self.seconds[part], self.nanoseconds[part]
            )


class SignalPlaces:
    """Where each signal's value goes, by index; follows the graph, looking closely only at nodes that changed."""

    def __init__(self) -> None:
        self._graph = Graph()
        self._key: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._kind: NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        self._place: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._places: list[Place] = []
        self._numbers: dict[Place, int] = {}

    def follow(self, graph: Graph, keys: Iterable[int]) -> None:
        """The graph is another now; the nodes with these keys are different ones, or have other signals."""
        self._grow(graph.signal_count)
        for key in keys:
            for index in self._graph.signals_by_node.get(key, ()):
                self._kind[index] = _NONE
            if key in graph.node_map:
                self._put(graph, key)
        self._graph = graph

    def _grow(self, count: int) -> None:
        missing = count - len(self._key)
        if missing > 0:
            missing = max(missing, len(self._key))
            self._key, self._kind, self._place = (
                np.concatenate((column, np.zeros(missing, dtype=column.dtype)))
                for column in (self._key, self._kind, self._place)
            )

    def _put(self, graph: Graph, key: int) -> None:
        label = LEVEL_LABELS[graph.node_map[key].level]
        for signal in graph.signals_of(key):
            self._key[signal.index] = key
            self._kind[signal.index] = _kind(signal)
            self._place[signal.index] = self._number(Place(label, signal_name(signal)))

    def _number(self, place: Place) -> int:
        if place not in self._numbers:
            self._numbers[place] = len(self._places)
            self._places.append(place)
        return self._numbers[place]

    def signals_of(self, keys: Iterable[int]) -> NDArray[np.int32]:
        """The indexes of these nodes' signals."""
        found = [index for key in keys for index in self._graph.signals_by_node.get(key, ())]
        return np.array(found, dtype=np.int32)

    def rows(self, state: TwinState, signals: NDArray[np.int32], label: Label) -> dict[Place, StateRows]:
        """The state of these signals, those left out that never had a reading; `label` tells the text of a code."""
        signals = signals[signals < len(self._kind)]
        signals = signals[np.argsort(self._key[signals], kind="stable")]
        columns = state.snapshot(signals)
        known = (columns.time != NEVER) & (self._kind[signals] != _NONE)
        lists = known & (self._kind[signals] == _LIST)
        found: dict[Place, StateRows] = {}
        single = np.flatnonzero(known & ~lists)
        for number in np.unique(self._place[signals[single]]).tolist():
            chosen = single[self._place[signals[single]] == number]
            found[self._places[number]] = self._columns(signals[chosen], _taken(columns, chosen), label)
        if lists.any():
            self._add_lists(found, state, signals[lists])
        return found

    def _columns(self, signals: NDArray[np.int32], columns: StateColumns, label: Label) -> StateRows:
        values: list[Any] = columns.value.tolist()
        for row in np.flatnonzero(np.isnan(columns.value)).tolist():
            values[row] = None  # a bad reading without a number
        kinds = self._kind[signals]
        for row in np.flatnonzero((kinds == _TEXT) | (kinds == _BOOLEAN)).tolist():
            if values[row] is not None:
                code = values[row]
                values[row] = bool(code) if kinds[row] == _BOOLEAN else label(int(signals[row]), code)
        return StateRows(
            self._key[signals].tolist(),
            values,
            _WORDS[columns.quality].tolist(),
            (columns.time // NS).tolist(),
            (columns.time % NS).tolist(),
        )

    def _add_lists(self, found: dict[Place, StateRows], state: TwinState, signals: NDArray[np.int32]) -> None:
        """`value[0]`, `value[1]`, ... are one list on their node: with the newest time and the worst quality."""
        wanted = dict.fromkeys(
            (int(key), int(place)) for key, place in zip(self._key[signals], self._place[signals], strict=True)
        )
        for key, place in wanted:
            parts = [index for index in self._graph.signals_by_node[key] if self._place[index] == place]
            columns = state.snapshot(np.array(parts, dtype=np.int32))
            if (columns.time == NEVER).any() or np.isnan(columns.value).any():
                continue  # a list in a graph database has no holes
            rows = found.setdefault(self._places[place], StateRows())
            time = int(columns.time.max())
            rows.key.append(key)
            rows.value.append(columns.value.tolist())
            rows.quality.append(_WORDS[int(columns.quality.min())])
            rows.seconds.append(time // NS)
            rows.nanoseconds.append(time % NS)


def _kind(signal: Signal) -> int:
    if "[" in signal.name:
        return _LIST
    if signal.data_type is DataType.BOOLEAN:
        return _BOOLEAN
    text = signal.data_type is DataType.TEXT or (signal.data_type is None and signal.labels)
    return _TEXT if text else _NUMBER


def _taken(columns: StateColumns, rows: NDArray[np.intp]) -> StateColumns:
    return StateColumns(columns.value[rows], columns.time[rows], columns.quality[rows], columns.seq[rows])


def anomaly_counts(graph: Graph, anomalies: Iterable[tuple[int | None, int | None]]) -> dict[int, int]:
    """How many anomalies are open on a node and on all that it contains, by key; `anomalies` are (node, signal)."""
    counts: dict[int, int] = defaultdict(int)
    for node, index in anomalies:
        signal = None if index is None else graph.signal_map.get(index)
        key = node if signal is None else signal.node
        if key is None or key not in graph.node_map:
            continue
        counts[key] += 1
        for ancestor in graph.ancestors(key):
            counts[ancestor.key] += 1
    return counts
