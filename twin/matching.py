"""Which nodes of the running graph a project's nodes are, so that their history stays with them."""

from collections import Counter

from .desired import Desired, DesiredNode
from .errors import NotFoundError
from .graph import Graph
from .model import Level, Node, Origin

UNASSIGNED = "unassigned"


class Matching:
    """Desired ids to the keys of the nodes that are there.

    A node is, in this order: the one of its id; the one that its `moved_from` names (a sensor's without dots means one
    of the same component, wherever that was); the one that its parent had under the same short id before the parent
    was moved; the discovered sensor that its parent has under its name; the discovered component of the same short id
    that waits in the area `unassigned`, if there is only one such component and one such definition.
    """

    def __init__(self, desired: Desired, graph: Graph) -> None:
        self._graph = graph
        self.keys: dict[str, int] = {}
        self._claimed: set[int] = set()
        wanted = {node.id: node for node in desired.nodes}
        for node in desired.nodes:
            if node.id in graph:
                self._claim(node, graph.find(node.id))
        for node in desired.nodes:
            if node.id not in self.keys:
                self._claim(node, self._origin_of(node, wanted))
        shorts = Counter(node.short_id for node in desired.nodes if node.level is Level.COMPONENT)
        for node in desired.nodes:
            if node.id not in self.keys:
                lonely = node.level is Level.COMPONENT and shorts[node.short_id] == 1
                self._claim(node, self._below_parent(node) or (self._waiting(node) if lonely else None))

    def __contains__(self, key: int) -> bool:
        return key in self._claimed

    def _claim(self, node: DesiredNode, found: Node | None) -> None:
        if found is None or found.key in self._claimed:
            return
        # Another level is another thing, unless nobody had said yet what it is.
        leaf = found.origin is Origin.DISCOVERED and not self._graph.children(found.key)
        if found.level is node.level or leaf:
            self.keys[node.id] = found.key
            self._claimed.add(found.key)

    def _origin_of(self, node: DesiredNode, wanted: dict[str, DesiredNode]) -> Node | None:
        if node.moved_from is None:
            return self._below_parent(node)
        beside = node.level is Level.SENSOR and "." not in node.moved_from
        if beside and (found := self._below_parent(node, node.moved_from)):
            return found
        for prefix in self._prefixes(node, wanted):
            if prefix + node.moved_from in self._graph:
                return self._graph.find(prefix + node.moved_from)
        if beside:
            # A type says it of all of its instances; a sensor of that name on another machine is not meant.
            return self._below_parent(node)
        try:
            return self._graph.find(node.moved_from)
        except NotFoundError:
            # It was moved by an earlier apply elsewhere, or never was: then the node is new.
            return None

    @staticmethod
    def _prefixes(node: DesiredNode, wanted: dict[str, DesiredNode]) -> list[str]:
        """A `moved_from` is a full id, or one beside the node, or one within its twin."""
        prefixes = [""]
        parent = node.parent
        while parent is not None:
            prefixes.append(f"{parent}.")
            parent = wanted[parent].parent if parent in wanted else None
        return prefixes

    def _below_parent(self, node: DesiredNode, short_id: str | None = None) -> Node | None:
        key = self.keys.get(node.parent) if node.parent is not None else None
        if key is None:
            return None
        old = self._graph.node(key).id
        before = f"{old}.{short_id or node.short_id}"
        if before in self._graph:
            return self._graph.find(before)
        # Readings that came before the definition were kept under the name that they came with.
        if node.level is Level.SENSOR and f"{old}.{node.name}" in self._graph:
            found = self._graph.find(f"{old}.{node.name}")
            return found if found.origin is Origin.DISCOVERED else None
        return None

    def _waiting(self, node: DesiredNode) -> Node | None:
        if UNASSIGNED not in self._graph:
            return None
        area = self._graph.find(UNASSIGNED)
        found = [
            candidate
            for candidate in self._graph.candidates(node.short_id)
            if candidate.origin is Origin.DISCOVERED
            and candidate.level is Level.COMPONENT
            and any(ancestor.key == area.key for ancestor in self._graph.ancestors(candidate.key))
        ]
        return found[0] if len(found) == 1 else None
