"""The address space of an OPC UA server, kept equal to a twin's graph."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeAlias

from asyncua import ua

from .opcua_insert import Item, insert, relate, unrelate
from .opcua_nodes import PLANT, Items
from .opcua_values import gone
from .twin.graph import Graph
from .twin.model import Level, Node, Signal

log = logging.getLogger("iotsense.opcua_server")

# So many nodes are made, or values told, before others get their turn.
_AT_ONCE = 100
_VALUE = ua.AttributeIds.Value
Read = Callable[[int], ua.DataValue]
Arrow = tuple[int, str, int]
Change: TypeAlias = ua.ModelChangeStructureDataType
_ADDED, _DELETED = ua.ModelChangeStructureVerbMask.NodeAdded, ua.ModelChangeStructureVerbMask.NodeDeleted


class Space:
    """The nodes of the twin in a server's address space. `graph` is the revision that it shows.

    space: of asyncua. read: the latest value of a signal, by index; it is asked when a client reads.
    """

    def __init__(self, space: Any, items: Items, read: Read) -> None:
        self.graph = Graph()
        self.items = items
        self._space = space
        self._read = read
        self._own: dict[int, list[ua.NodeId]] = {}  # by a node's key, without its signals
        self._indexes: dict[int, list[int]] = {}  # by a node's key
        self._variables: dict[int, list[ua.NodeId]] = {}  # by a signal's index: the variable, and its properties
        self._index_of: dict[ua.NodeId, int] = {}
        self._arrows: set[Arrow] = set()
        insert(self._space, self.items.plant())

    def signal_at(self, id: ua.NodeId) -> Signal | None:
        """The signal that a variable shows."""
        index = self._index_of.get(id)
        return None if index is None else self.graph.signal_map.get(index)

    def variable(self, index: int) -> ua.NodeId | None:
        """The variable that shows a signal."""
        ids = self._variables.get(index)
        return ids[0] if ids else None

    async def push(self, indexes: Iterable[int]) -> None:
        """Tells those who monitor the variables of these signals; what nobody monitors costs a look-up."""
        for number, index in enumerate(indexes):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            id = self.variable(index)
            if id is not None and self._watchers(id):
                await self._tell(id, self._read(index))

    async def follow(self, graph: Graph) -> list[Change]:
        """Becomes that revision; the nodes that came and went, as OPC UA tells it."""
        fresh = _fresh(self.graph, graph)
        gone = [key for key in self._own if key in fresh or key not in graph.node_map]
        changes = [_change(await self._remove(key), _DELETED) for key in gone]
        self._arrows = {arrow for arrow in self._arrows if not {arrow[0], arrow[2]}.intersection(gone)}
        for key in set(self._own) - fresh:
            await self._follow_signals(graph, key)
        self.graph = graph
        for number, node in enumerate(_parents_first(graph, fresh)):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            changes.append(_change(self._make(node), _ADDED))
        self._relate(graph)
        return changes

    # Making

    def _make(self, node: Node) -> ua.NodeId:
        if node.type is not None and self.items.type_id(node.type) not in self._space:
            insert(self._space, self.items.object_type(node.type))
        self._own[node.key], self._indexes[node.key] = [], []
        self._enter(node.key, self.items.of_node(self.graph, node))
        return self.items.id(node.id)

    def _enter(self, key: int, made: Iterable[tuple[Item, Signal | None]]) -> None:
        """Puts in what a node is made of. Of a signal and a node of one id the first is shown."""
        left_out: set[int] = set()
        for item, signal in made:
            if signal is not None and signal.index in left_out:
                continue
            if item.id in self._space:
                log.warning("OPC UA server: %s is left out: another has its id", item.id.Identifier)
                left_out |= {signal.index} if signal is not None else set()
                continue
            insert(self._space, item)
            if signal is None:
                self._own[key].append(item.id)
            else:
                self._enter_signal(key, item.id, signal.index)

    def _enter_signal(self, key: int, id: ua.NodeId, index: int) -> None:
        ids = self._variables.setdefault(index, [])
        ids.append(id)
        if len(ids) == 1:
            self._indexes[key].append(index)
            self._index_of[id] = index
            self._space.set_attribute_value_callback(id, _VALUE, lambda *_: self._read(index))

    async def _follow_signals(self, graph: Graph, key: int) -> None:
        """A node that is as it was may have other signals, such as its health."""
        before, after = self.graph.signals_of(key), graph.signals_of(key)
        if before == after:
            return
        for signal in before:
            if signal not in after and signal.index in self._variables:
                self._indexes[key].remove(signal.index)
                await self._remove_signal(signal.index)
        made = self.items.of_node(graph, graph.node(key))
        self._enter(key, [(item, signal) for item, signal in made if signal is not None and signal not in before])

    # Removing

    async def _remove(self, key: int) -> ua.NodeId:
        for index in self._indexes.pop(key):
            await self._remove_signal(index)
        for id in reversed(self._own.pop(key)):
            self._drop(id)
        return self.items.id(self.graph.node(key).id)

    async def _remove_signal(self, index: int) -> None:
        """Whoever monitors its variable is told that it is gone."""
        ids = self._variables.pop(index)
        del self._index_of[ids[0]]
        await self._tell(ids[0], gone())
        for handle in list(self._watchers(ids[0])):
            self._space.delete_datachange_callback(handle)
        for id in reversed(ids):
            self._drop(id)

    def _drop(self, id: ua.NodeId) -> None:
        """No node refers to it any more. The server's own way looks through all nodes of the space."""
        for reference in self._space[id].references:
            neighbour = self._space.get(reference.NodeId)
            if neighbour is not None:
                neighbour.references[:] = [each for each in neighbour.references if each.NodeId != id]
        del self._space[id]

    # Monitored items

    def _watchers(self, id: ua.NodeId) -> dict[int, Any]:
        watchers: dict[int, Any] = self._space[id].attributes[_VALUE].datachange_callbacks
        return watchers

    async def _tell(self, id: ua.NodeId, value: ua.DataValue) -> None:
        for handle, tell in list(self._watchers(id).items()):
            try:
                await tell(handle, value)
            except TypeError:
                # A deadband on a text: there is no difference to compare with, so nothing passes it.
                continue

    # Relationships

    def _relate(self, graph: Graph) -> None:
        wanted = {(one.source, one.type, one.target) for one in graph.relationships()}
        for source, type, target in self._arrows - wanted:
            unrelate(self._space, self._id(graph, source), self.items.reference_id(type), self._id(graph, target))
        for source, type, target in sorted(wanted - self._arrows):
            id = self.items.reference_id(type)
            if id not in self._space:
                insert(self._space, self.items.reference_type(type))
            relate(self._space, self._id(graph, source), id, self._id(graph, target))
        self._arrows = wanted

    def _id(self, graph: Graph, key: int) -> ua.NodeId:
        return self.items.id(graph.node(key).id)

    @property
    def plant(self) -> ua.NodeId:
        """The folder of all."""
        return self.items.id(PLANT)


def _fresh(before: Graph, after: Graph) -> set[int]:
    """The nodes that are new or have to be made anew, with all that stands in these."""
    fresh: set[int] = set()
    for key, node in after.node_map.items():
        known = before.node_map.get(key)
        if known is node or known == node:
            if node.level is Level.SENSOR and before.signals_of(key) != after.signals_of(key):
                fresh.add(key)
            continue
        fresh.add(key)
        if known is not None:
            fresh.update(below.key for below in after.descendants(key))
    return fresh


def _parents_first(graph: Graph, keys: Collection[int]) -> list[Node]:
    nodes = [graph.node(key) for key in sorted(keys)]
    return sorted(nodes, key=lambda node: sum(1 for _ in graph.ancestors(node.key)))


def _change(id: ua.NodeId, verb: ua.ModelChangeStructureVerbMask) -> Change:
    changed: Change = ua.ModelChangeStructureDataType(Affected=id, AffectedType=ua.NodeId(), Verb=verb)
    return changed
