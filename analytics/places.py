"""What contained what, and when: health rolls up along the structure of its time."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from ..twin.changes import AddNode, AddSignal, RemoveNode, StructureChange, UpdateNode
from ..twin.graph import HEALTH, Graph
from ..twin.model import Level, Node
from ..twin.state import NEVER
from .anomaly_book import FOREVER


class Stay(NamedTuple):
    """`child` was part of `parent` (both node keys; None: of nothing) from `start` until before `end` [ns]."""

    child: int
    parent: int | None
    start: int
    end: int


class Places:
    """The stays of all nodes but sensors. Where a node was first it has been for ever: readings may be older."""

    def __init__(self, changes: Iterable[tuple[int, StructureChange]], graph: Graph) -> None:
        """From all revisions, each with when it was recorded [ns], up to that of `graph`."""
        self._stays: dict[int, list[Stay]] = {}
        self._parts: defaultdict[int, list[Stay]] = defaultdict(list)
        self.health_signals: dict[int, int] = {}
        self.follow(changes)
        for node in graph.nodes():
            self._add(node)  # where the oldest revisions are not known any more

    def follow(self, changes: Iterable[tuple[int, StructureChange]]) -> list[int]:
        """Takes revisions, each with when it was recorded [ns]; the nodes whose parts are others now."""
        touched: dict[int | None, None] = {}
        for recorded, change in changes:
            for operation in change.operations:
                match operation:
                    case AddNode(node):
                        self._add(node)
                    case UpdateNode(node):
                        touched |= dict.fromkeys(self._move(node.key, node.parent, recorded))
                    case RemoveNode(key):
                        touched |= dict.fromkeys(self._end(key, recorded))
                    case AddSignal(signal) if signal.name == HEALTH:
                        self.health_signals[signal.node] = signal.index
        return [key for key in touched if key is not None]

    def parts(self, key: int, start: int, end: int) -> list[Stay]:
        """The stays of the node's parts that reach into [start, end]."""
        return [stay for stay in self._parts.get(key, ()) if stay.start <= end and stay.end > start]

    def wholes(self, key: int) -> list[int]:
        """Whatever the node was ever a part of."""
        return [stay.parent for stay in self._stays.get(key, ()) if stay.parent is not None]

    def _add(self, node: Node) -> None:
        if node.level is not Level.SENSOR and not self._stays.get(node.key):
            self._put(Stay(node.key, node.parent, NEVER, FOREVER))

    def _put(self, stay: Stay) -> None:
        self._stays.setdefault(stay.child, []).append(stay)
        if stay.parent is not None:
            self._parts[stay.parent].append(stay)

    def _move(self, key: int, parent: int | None, recorded: int) -> list[int | None]:
        stays = self._stays.get(key)
        if not stays or (stays[-1].end == FOREVER and stays[-1].parent == parent):
            return []
        before = self._end(key, recorded)
        self._put(Stay(key, parent, recorded, FOREVER))
        return [*before, parent]

    def _end(self, key: int, recorded: int) -> list[int | None]:
        stays = self._stays.get(key)
        if not stays or stays[-1].end != FOREVER:
            return []
        last = stays.pop()
        if last.parent is not None:
            self._parts[last.parent].remove(last)
        self._put(last._replace(end=recorded))
        return [last.parent]
