"""The one revision that makes a graph what a project wants; planning tries it out, applying carries it out."""

from collections.abc import Callable

from .desired import Desired, DesiredNode, DesiredSignal
from .difference import differences
from .errors import ConflictError
from .graph_edit import GraphEdit
from .matching import Matching
from .model import Level, Node, Origin, Role, Signal
from .node_changes import described, governed, node_change
from .plan_changes import Changes, NodeChange, RelationshipChange, SignalChange
from .plan_types import type_changes

Readings = Callable[[int], bool]


def revise(edit: GraphEdit, desired: Desired, has_readings: Readings) -> Changes:
    """Edits the graph into what is desired and tells what that changed. Raises ConflictError."""
    revision = _Revision(edit, desired, has_readings)
    return revision.run()


class _Revision:
    def __init__(self, edit: GraphEdit, desired: Desired, has_readings: Readings) -> None:
        self._edit = edit
        self._before = edit.graph
        self._desired = desired
        self._has_readings = has_readings
        self._matching = Matching(desired, edit.graph)
        self._keys: dict[str, int] = {}

    def run(self) -> Changes:
        nodes = [change for node in self._desired.nodes if (change := self._node(node)) is not None]
        relationships = self._relationships()
        removed = self._removals()
        sections = list(differences(self._before.definition, self._desired.sections))
        if sections:
            self._edit.set_definition(self._desired.sections)
        told = tuple(nodes + removed)
        types = type_changes(told, self._desired, self._before, self._matching.keys)
        return Changes(told, tuple(relationships), tuple(sections), types)

    # Nodes

    def _node(self, wanted: DesiredNode) -> NodeChange | None:
        parent = None if wanted.parent is None else self._key_of(wanted.parent)
        key = self._matching.keys.get(wanted.id)
        if key is None:
            return self._add(wanted, parent)
        old = self._before.node(key)
        self._keys[wanted.id] = key
        if self._edit.view.node(key).id != wanted.id:
            self._rename(key, wanted.id)
        node = self._edit.update_node(
            key,
            level=wanted.level,
            name=wanted.name,
            type=wanted.type,
            parent=parent,
            origin=Origin.DEFINED,
            properties=wanted.properties,
        )
        return node_change(old, node, self._signals(wanted, key))

    def _key_of(self, id: str) -> int:
        """A project's own node, or one that is there already: a definition may stand within a discovered area."""
        return self._keys[id] if id in self._keys else self._edit.graph.find(id).key

    def _add(self, wanted: DesiredNode, parent: int | None) -> NodeChange:
        self._make_room(wanted.id)
        node = self._edit.add_node(
            id=wanted.id,
            level=wanted.level,
            name=wanted.name,
            type=wanted.type,
            parent=parent,
            properties=wanted.properties,
        )
        self._keys[wanted.id] = node.key
        fields = tuple(differences({}, described(node)))
        return NodeChange(
            "added", node.id, node.level, node.type, fields=fields, signals=self._signals(wanted, node.key)
        )

    def _parent_ids(self, old: Node, wanted: DesiredNode) -> tuple[str | None, str | None]:
        before = None if old.parent is None else self._before.node(old.parent).id
        return before, wanted.parent

    def _rename(self, key: int, id: str) -> None:
        """The node and all that stands below it, defined or discovered, get their new ids."""
        graph = self._edit.graph
        prefix = f"{graph.node(key).id}."
        below = [node for node in graph.descendants(key) if node.id.startswith(prefix)]
        self._make_room(id)
        self._edit.update_node(key, id=id)
        for node in below:
            moved = f"{id}.{node.id.removeprefix(prefix)}"
            self._make_room(moved)
            self._edit.update_node(node.key, id=moved)

    def _make_room(self, id: str) -> None:
        """Whoever has the id, and will be moved or removed, steps aside."""
        if id in self._edit.view:
            occupant = self._edit.view.find(id)
            if occupant.key not in self._matching and occupant.origin is Origin.DISCOVERED:
                raise ConflictError(
                    f"{id} is defined as another kind of thing than the {occupant.level} that was discovered"
                )
            self._edit.update_node(occupant.key, id=f"{id}~{occupant.key}")

    # Signals

    def _signals(self, wanted: DesiredNode, key: int) -> tuple[SignalChange, ...]:
        """A definition governs what its sensors measure and are to show; derived signals belong to the engines."""
        if wanted.level is not Level.SENSOR:
            return ()
        roles = (Role.MEASURED, Role.DESIRED)
        there = {signal.name: signal for signal in self._edit.view.signals_of(key) if signal.role in roles}
        changes = [self._signal(key, signal, there.pop(signal.name, None)) for signal in wanted.signals]
        for signal in there.values():
            self._edit.remove_signal(signal.index)
            changes.append(SignalChange("removed", signal.name, history=self._has_readings(signal.index)))
        return tuple(change for change in changes if change is not None)

    def _signal(self, key: int, wanted: DesiredSignal, there: Signal | None) -> SignalChange | None:
        if there is None:
            signal = self._edit.add_signal(key, wanted.name, role=wanted.role, **wanted.fields())
            return SignalChange("added", wanted.name, tuple(differences({}, governed(signal))))
        signal = self._edit.update_signal(there.index, **wanted.fields())
        fields = tuple(differences(governed(there), governed(signal)))
        return SignalChange("changed", wanted.name, fields, self._has_readings(signal.index)) if fields else None

    # Relationships

    def _relationships(self) -> list[RelationshipChange]:
        wanted = {
            (self._key_of(arrow.source), arrow.type, self._key_of(arrow.target)): arrow
            for arrow in self._desired.relationships
        }
        changes: list[RelationshipChange] = []
        for arrow in self._before.relationships():
            ends = (self._before.node(arrow.source), self._before.node(arrow.target))
            place = (arrow.source, arrow.type, arrow.target)
            if place not in wanted and all(end.origin is Origin.DEFINED for end in ends):
                self._edit.unrelate(*place)
                fields = tuple(differences(arrow.properties, {}))
                changes.append(RelationshipChange("removed", ends[0].id, arrow.type, ends[1].id, fields))
        there = {(arrow.source, arrow.type, arrow.target): arrow for arrow in self._before.relationships()}
        for place, desired in wanted.items():
            known = there.get(place)
            fields = tuple(differences(known.properties if known else {}, desired.properties))
            if known is None or fields:
                self._edit.relate(*place, **desired.properties)
                change = "changed" if known else "added"
                changes.append(RelationshipChange(change, desired.source, desired.type, desired.target, fields))
        return changes

    # Removals

    def _removals(self) -> list[NodeChange]:
        """Defined nodes that the project no longer names, with all that is still below them; parents told first."""
        unwanted = [node for node in self._before.nodes(origin=Origin.DEFINED) if node.key not in self._matching]
        doomed: dict[int, Node] = {}
        for node in unwanted:
            for below in (self._edit.view.node(node.key), *self._edit.view.descendants(node.key)):
                doomed[below.key] = below
        changes = [self._removal(self._before.node(key)) for key in doomed]
        depth = {key: sum(1 for _ in self._edit.view.ancestors(key)) for key in doomed}
        for key in sorted(doomed, key=lambda key: -depth[key]):
            self._edit.remove_node(key)
        return changes

    def _removal(self, node: Node) -> NodeChange:
        read = any(self._has_readings(signal.index) for signal in self._before.signals_of(node.key))
        discovered = node.origin is Origin.DISCOVERED
        return NodeChange("removed", node.id, node.level, node.type, history=read or discovered)
