"""Small plants for questions: graphs drawn from pairs, and readings that do not move."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iotsense.twin.graph import Graph
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level
from iotsense.twin.state import NEVER, Reading, StateColumns

Arrow = tuple[str, str, str, dict[str, Any]]


@dataclass
class Still:
    """The plant at one instant: a graph and readings (value, quality) by the dotted ids of signals."""

    graph: Graph
    values: Mapping[str, float] = field(default_factory=dict)
    quality: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    time: int = 1_000

    def read(self, signal: int) -> Reading | None:
        """The reading, if there is one."""
        id = self.graph.signal_id(self.graph.signal(signal))
        if id not in self.values:
            return None
        return Reading(self.values[id], self.time, self.quality.get(id, 192), 1)

    def snapshot(self, signals: NDArray[np.int32] | None = None) -> StateColumns:
        """Those of several signals."""
        indexes = range(self.graph.signal_count) if signals is None else signals.tolist()
        found = [self.read(index) or Reading(np.nan, NEVER, 0, 0) for index in indexes]
        value, time, quality, seq = zip(*found, strict=True) if found else ((), (), (), ())
        return StateColumns(
            np.array(value, np.float64), np.array(time, np.int64), np.array(quality, np.uint8), np.array(seq, np.int64)
        )

    def label(self, signal: int, code: float) -> str | None:
        """A text signal's text."""
        texts = self.texts.get(self.graph.signal_id(self.graph.signal(signal)), ())
        return texts[int(code)] if texts else None


def drawn(arrows: Iterable[Arrow], stations: Mapping[str, Mapping[str, Any]] | None = None) -> Graph:
    """A line of components with these relationships; `stations` gives type, parameters and properties of some."""
    edit = GraphEdit(Graph(), "test")
    line = edit.add_node(id="line", level=Level.LINE).key
    known = dict(stations or {})
    arrows = list(arrows)
    for name in dict.fromkeys([*known, *(end for source, _, target, _ in arrows for end in (source, target))]):
        fields = dict(known.get(name, {}))
        type = fields.pop("type", None)
        properties = {"parameters": fields.pop("parameters", {}), **fields}
        edit.add_node(id=f"line.{name}", level=Level.COMPONENT, parent=line, type=type, properties=properties)
    for source, type, target, properties in arrows:
        edit.relate(edit.graph.find(f"line.{source}").key, type, edit.graph.find(f"line.{target}").key, **properties)
    return edit.graph


def feeds(source: str, target: str, **properties: Any) -> Arrow:
    """`source feeds_into target`."""
    return source, "feeds_into", target, properties
