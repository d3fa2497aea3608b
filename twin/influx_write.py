"""A chunk of the journal into InfluxDB.

A point there is overwritten by one of the same series and time, so a chunk may come twice. What a late reading would
overwrite is looked up first and kept as a version of its own; versions are numbered in the order in which they were
recorded, so that a second time numbers them alike.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from .graph import Graph
from .influx_lines import READING, SUPERSEDED, SignalTags, Version, event_lines, reading_lines, version_lines
from .influx_read import Key, newest, versions
from .influx_server import InfluxServer
from .recent_keys import RecentKeys
from .state import NEVER
from .store import Chunk, Recorded


class InfluxWriter:
    """Writes chunks, in order; every call blocks."""

    def __init__(self, server: InfluxServer) -> None:
        self._server = server
        self._tags: SignalTags | None = None
        self._newest = newest(server)
        self._recent = RecentKeys(self._newest)

    def write(self, chunk: Chunk) -> None:
        """What was superseded first: who dies in between finds the chunk's own values the next time."""
        tags = self._tags_of(chunk.graph, chunk.texts)
        rows = chunk.current
        before = self._newest.copy()
        self._grow(int(rows.signal[-1]) + 1 if len(rows) else 0)
        late = rows.time <= self._newest[rows.signal]
        late[late] = self._recent.may_have(rows.signal[late], rows.time[late])
        changed = _keys(chunk.superseded)
        apart = late | np.array([key in changed for key in _pairs(rows)] if changed else np.zeros(len(rows), bool))
        held = rows.take(np.flatnonzero(apart))
        gone, valid = self._versions((chunk.superseded, held), rows.take(np.flatnonzero(late)), tags)
        self._server.write(gone)
        self._server.write(valid)
        self._server.write(reading_lines(rows.take(np.flatnonzero(~apart)), tags))
        self._server.write(event_lines(chunk.events, chunk.graph))
        # Only now: had it failed, the next attempt would take these for late ones, which is right but slow.
        self._recent.add(rows.signal, rows.time, before)
        np.maximum.at(self._newest, rows.signal, rows.time)

    def merge(self, rows: Recorded, graph: Graph, texts: Callable[[int], Sequence[str]]) -> None:
        """Readings of whatever age: whatever may be there is looked up."""
        if not len(rows):
            return
        gone, valid = self._versions((rows,), rows, self._tags_of(graph, texts))
        self._server.write(gone)
        self._server.write(valid)
        before = self._newest.copy()
        self._grow(int(rows.signal.max()) + 1)
        np.maximum.at(self._newest, rows.signal, rows.time)
        self._recent.add(rows.signal, rows.time, before)

    def _versions(self, new: Sequence[Recorded], late: Recorded, tags: SignalTags) -> tuple[list[str], list[str]]:
        """The lines of all readings that may have had another value: of those superseded, and of the valid ones."""
        known: dict[Key, dict[int, Version]] = defaultdict(dict)
        for rows in new:
            for key, version in zip(_pairs(rows), _version_list(rows), strict=True):
                known[key][version[0]] = version
        there = versions(self._server, list(_keys(late)), READING) if len(late) else {}
        old = versions(self._server, list(there), SUPERSEDED) if there else {}
        for found in (there, old):
            for key, several in found.items():
                known[key] |= {version[0]: version for version in several}
        gone: list[str] = []
        valid: list[str] = []
        for (signal, time), by_recorded in known.items():
            lines, line = version_lines(signal, time, [by_recorded[at] for at in sorted(by_recorded)], tags)
            gone += lines
            valid.append(line)
        return gone, valid

    def _tags_of(self, graph: Graph, texts: Callable[[int], Sequence[str]]) -> SignalTags:
        tags = self._tags
        if tags is None or not _same_names(tags.graph, graph):
            tags = self._tags = SignalTags(graph, texts)
        return tags

    def _grow(self, signals: int) -> None:
        missing = signals - len(self._newest)
        if missing > 0:
            self._newest = np.concatenate((self._newest, np.full(missing, NEVER, dtype=np.int64)))


def _same_names(one: Graph, other: Graph) -> bool:
    return one.node_map is other.node_map and one.signal_map is other.signal_map


def _pairs(rows: Recorded) -> list[Key]:
    return list(zip(rows.signal.tolist(), rows.time.tolist(), strict=True))


def _keys(rows: Recorded) -> set[Key]:
    return set(_pairs(rows))


def _version_list(rows: Recorded) -> list[Version]:
    return list(zip(rows.recorded.tolist(), rows.value.tolist(), rows.quality.tolist(), strict=True))
