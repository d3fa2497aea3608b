"""The graph port: a home of the plant's graph that others look into, and what they see there.

Every backend shows the same picture: `EmbeddedGraph` of the twin itself, `Neo4jPicture` of a database that
`store_projection` keeps as the plant is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

import numpy as np

from .anomalies import ANOMALY
from .graph import HEALTH, Graph
from .model import Level
from .store_neo4j import Neo4jGraph
from .store_rows import OPEN_ANOMALIES, node_row, relationships_from, state_names
from .store_state import SignalPlaces, anomaly_counts
from .store_words import LEVEL_LABELS
from .store_writer import about
from .twin import Twin

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEYOND = 1 << 62


class PicturedNode(NamedTuple):
    """A node: its labels (level, type, health) and its flat properties, state among them; times are aware UTC."""

    labels: frozenset[str]
    properties: dict[str, Any]


@dataclass
class Picture:
    """All that a graph store shows: nodes by id; relationships by (id of the source, type, id of the target)."""

    nodes: dict[str, PicturedNode] = field(default_factory=dict)
    relationships: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)


class GraphStore(Protocol):
    """A home of the plant's graph."""

    async def picture(self) -> Picture:
        """All that it shows now. Raises StoreError if it cannot be reached."""
        ...


class EmbeddedGraph:
    """The twin's own graph, as it looks from outside. `health_word` tells the word of a score [percent]."""

    def __init__(self, twin: Twin, health_word: Callable[[float], str]) -> None:
        self._twin = twin
        self._health_word = health_word

    async def picture(self) -> Picture:
        """What the twin knows now."""
        graph = self._twin.graph
        shown = {key: _pictured(graph, key) for key in graph.node_map}
        self._add_state(graph, shown)
        for key, count in anomaly_counts(graph, map(about, self._twin.open_events(ANOMALY))).items():
            shown[key].properties[OPEN_ANOMALIES] = count
        ids = {key: node.id for key, node in graph.node_map.items()}
        arrows = {
            (ids[one.source], one.type, ids[one.target]): properties
            for key in graph.node_map
            for one, properties in relationships_from(graph, key)
        }
        return Picture({ids[key]: node for key, node in shown.items()}, arrows)

    def _add_state(self, graph: Graph, shown: dict[int, PicturedNode]) -> None:
        places = SignalPlaces()
        places.follow(graph, graph.node_map)
        signals = np.array(sorted(graph.signal_map), dtype=np.int32)
        for place, rows in places.rows(self._twin.state, signals, self._twin.label).items():
            value, quality, time = state_names(place.name)
            for row, key in enumerate(rows.key):
                properties = shown[key].properties
                if rows.value[row] is not None:
                    properties[value] = rows.value[row]
                properties[quality] = rows.quality[row]
                properties[time] = _EPOCH + timedelta(
                    seconds=rows.seconds[row], microseconds=rows.nanoseconds[row] // 1000
                )
                if place.name == HEALTH and rows.value[row] is not None:
                    word = self._health_word(rows.value[row])
                    shown[key] = PicturedNode(shown[key].labels | {word.capitalize()}, properties)


def _pictured(graph: Graph, key: int) -> PicturedNode:
    row = node_row(graph, graph.node_map[key])
    return PicturedNode(row.labels, row.properties | {OPEN_ANOMALIES: 0})


class Neo4jPicture:
    """What a Neo4j database shows of the plant; strangers and what hangs on them are left out."""

    def __init__(self, store: Neo4jGraph) -> None:
        self._store = store

    async def picture(self) -> Picture:
        """What the database shows now."""
        picture = Picture()
        ids: dict[int, str] = {}
        async for _, _, nodes in self._store.nodes():
            for node in nodes:
                ids[node.key] = node.properties["id"]
                properties = {name: _native(value) for name, value in node.properties.items()}
                picture.nodes[node.properties["id"]] = PicturedNode(node.labels, properties)
        for level in Level:
            for one, properties in (await self._store.relationships(LEVEL_LABELS[level], 0, _BEYOND)).items():
                picture.relationships[ids[one.source], one.type, ids[one.target]] = properties
        return picture


def _native(value: Any) -> Any:
    """The driver's times have nanoseconds; Python's have microseconds."""
    from neo4j.time import DateTime

    return value.to_native() if isinstance(value, DateTime) else value
