"""What a graph database has been told so far, and the statements for what is different now."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from . import store_cypher as cypher
from .anomalies import ANOMALY
from .graph import HEALTH, Graph
from .model import Event
from .store_changes import RowChanges, row_changes
from .store_cypher import Statement
from .store_neo4j import Neo4jGraph
from .store_state import Place, SignalPlaces, StateRows, anomaly_counts
from .store_words import LEVEL_LABELS
from .twin import Twin

_ASIDE = 2_000  # from so many signals on, columns are made in a thread


class GraphWriter:
    """`graph` and `seq` are what the database holds: the structure, and the journal's entry up to which state is told.

    Whatever fails is done again: a statement changes nothing when it comes twice, and `graph` and `seq` move only when
    all of it is done.
    """

    def __init__(self, twin: Twin, store: Neo4jGraph, health_word: Callable[[float], str]) -> None:
        self._twin = twin
        self._store = store
        self._health_word = health_word
        self.begin(Graph(), 0, {})

    def begin(self, graph: Graph, seq: int, counts: dict[int, int], empty: bool = False) -> None:
        """The database holds this structure, state up to the journal's entry `seq`, and these counts of anomalies.

        empty: it was looked at, and there is nothing in it.
        """
        self._empty = empty
        self.graph = graph
        self.seq = seq
        self._places = SignalPlaces()
        self._places.follow(graph, graph.node_map)
        self._counts = counts
        self._words: dict[int, str] = {}
        self._events = -1
        # The labels of health are told anew: nobody remembers which of them the nodes bear.
        self._fresh = {signal.node for signal in graph.signal_map.values() if signal.name == HEALTH}

    # Structure

    async def write_structure(self) -> int:
        """Brings the database to the newest revision; how many rows that were."""
        graph = self._twin.graph
        if graph is self.graph:
            return 0
        changes = await asyncio.to_thread(row_changes, self.graph, graph)
        create, self._empty = self._empty, False  # if it is done again, some of it may be there
        rows = await self._store.write(cypher.structure(changes, create))
        await asyncio.to_thread(self._follow, graph, changes)
        return rows

    def _follow(self, graph: Graph, changes: RowChanges) -> None:
        self._places.follow(graph, changes.keys)
        for key in changes.keys:
            if key not in self.graph.node_map or key not in graph.node_map:
                self._counts.pop(key, None)
                self._words.pop(key, None)
        # What is new has state only if it is told all of it, however old.
        self._fresh.update(key for key in changes.keys if key in graph.node_map)
        self.graph = graph
        self._events = -1

    # State

    async def write_state(self) -> int:
        """Tells what changed since it was told last: values, health, open anomalies; how many rows that were."""
        seq, events = self._twin.last_seq, self._twin.last_event_seq
        if self._twin.graph is not self.graph:
            seq = self.seq  # there may be readings of nodes that are not written yet: they are looked for again
        signals = self._twin.state.changed_since(self.seq)
        if self._fresh:
            signals = np.union1d(signals, self._places.signals_of(self._fresh)).astype(np.int32)
        found = await self._columns(signals)
        words = self._changed_words(found)
        counts = self._changed_counts() if events != self._events else {}
        statements = chain(_values(found), self._labels(words), self._anomalies(counts))
        rows = await self._store.write(statements)
        self._words |= words
        self._counts |= counts
        self._fresh.clear()
        self.seq, self._events = seq, events
        return rows

    async def _columns(self, signals: NDArray[np.int32]) -> dict[Place, StateRows]:
        arguments = (self._twin.state, signals, self._twin.label)
        if len(signals) < _ASIDE:
            return self._places.rows(*arguments)
        return await asyncio.to_thread(self._places.rows, *arguments)

    def _changed_words(self, found: dict[Place, StateRows]) -> dict[int, str]:
        words = {
            key: self._health_word(score)
            for place, rows in found.items()
            if place.name == HEALTH
            for key, score in zip(rows.key, rows.value, strict=True)
            if score is not None
        }
        return {key: word for key, word in words.items() if self._words.get(key) != word}

    def _labels(self, words: dict[int, str]) -> Iterator[Statement]:
        groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for key, word in words.items():
            groups[LEVEL_LABELS[self.graph.node_map[key].level], word].append(key)
        for (label, word), keys in groups.items():
            yield from cypher.health(label, word, keys)

    def _changed_counts(self) -> dict[int, int]:
        now = anomaly_counts(self.graph, map(about, self._twin.open_events(ANOMALY)))
        known = {key: count for key, count in self._counts.items() if key in self.graph.node_map}
        return {key: now.get(key, 0) for key in now.keys() | known.keys() if now.get(key, 0) != known.get(key, 0)}

    def _anomalies(self, counts: dict[int, int]) -> Iterator[Statement]:
        groups: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for key, count in counts.items():
            groups[LEVEL_LABELS[self.graph.node_map[key].level]].append((key, count))
        for label, rows in groups.items():
            yield from cypher.open_anomalies(label, rows)


def _values(found: dict[Place, StateRows]) -> Iterator[Statement]:
    for place, rows in sorted(found.items()):
        yield from cypher.state(place, rows)


def about(event: Event) -> tuple[int | None, int | None]:
    """The node (key) and the signal (index) that an anomaly is about."""
    signal = event.data.get("signal")
    return event.node, signal if isinstance(signal, int) else None
