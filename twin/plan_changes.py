"""What one revision changes, as values: nodes with their signals, relationships, other definitions."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .difference import Difference
from .model import Level


@dataclass(frozen=True, slots=True)
class SignalChange:
    """A sensor's signal is `added`, `changed` or `removed`; `history` says whether it has readings."""

    change: str
    name: str
    fields: tuple[Difference, ...] = ()
    history: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        fields = [field.to_dict() for field in self.fields]
        return {"change": self.change, "name": self.name, "fields": fields, "history": self.history}


@dataclass(frozen=True, slots=True)
class NodeChange:
    """A node is `added`, `changed`, `moved`, `adopted` (it was discovered) or `removed`.

    `moved_from` is its id before, if that changes. `history` says that a removed node has readings or was discovered.
    """

    change: str
    id: str
    level: Level
    type: str | None = None
    moved_from: str | None = None
    fields: tuple[Difference, ...] = ()
    signals: tuple[SignalChange, ...] = ()
    history: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "change": self.change,
            "id": self.id,
            "level": str(self.level),
            "type": self.type,
            "moved_from": self.moved_from,
            "fields": [field.to_dict() for field in self.fields],
            "signals": [signal.to_dict() for signal in self.signals],
            "history": self.history,
        }


@dataclass(frozen=True, slots=True)
class RelationshipChange:
    """A relationship is `added`, `changed` or `removed`."""

    change: str
    source: str
    type: str
    target: str
    fields: tuple[Difference, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        ends = {"from": self.source, "type": self.type, "to": self.target}
        return {"change": self.change, **ends, "fields": [field.to_dict() for field in self.fields]}


@dataclass(frozen=True, slots=True)
class TypeChange:
    """Instances of a type in which the same changes; `before` and `after` are the versions, None where there is none.

    `nodes` are the changes of an instance and its sensors, with ids relative to the instance (its own is empty);
    `rules` are what is watched on them from then on, or no longer.
    """

    type: str
    before: int | None
    after: int
    instances: tuple[str, ...]
    nodes: tuple[NodeChange, ...]
    rules: tuple[Difference, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "type": self.type,
            "from": self.before,
            "to": self.after,
            "instances": list(self.instances),
            "nodes": [node.to_dict() for node in self.nodes],
            "rules": [rule.to_dict() for rule in self.rules],
        }


@dataclass(frozen=True, slots=True)
class Changes:
    """All changes of a revision; removed nodes stand last, parents before children.

    `types` tell once what changes alike in many instances of a component type.
    """

    nodes: tuple[NodeChange, ...] = ()
    relationships: tuple[RelationshipChange, ...] = ()
    sections: tuple[Difference, ...] = ()
    types: tuple[TypeChange, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing changes."""
        return not (self.nodes or self.relationships or self.sections)

    def removed(self) -> list[str]:
        """The ids of all nodes that go."""
        return [node.id for node in self.nodes if node.change == "removed"]

    def lost(self) -> list[str]:
        """Nodes and signals with history that go."""
        return list(self._lost())

    def _lost(self) -> Iterator[str]:
        for node in self.nodes:
            if node.change == "removed" and node.history:
                yield node.id
            for signal in node.signals:
                if signal.change == "removed" and signal.history:
                    yield f"{node.id}.{signal.name}"

    def counts(self) -> dict[str, int]:
        """How many nodes are added, changed, moved, adopted, removed; relationships and other definitions changed."""
        kinds = Counter(node.change for node in self.nodes)
        numbers = {kind: kinds[kind] for kind in ("added", "changed", "moved", "adopted", "removed")}
        return numbers | {"relationships": len(self.relationships), "sections": len(self.sections)}

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "empty": self.empty,
            "counts": self.counts(),
            "lost": self.lost(),
            "nodes": [node.to_dict() for node in self.nodes],
            "relationships": [relationship.to_dict() for relationship in self.relationships],
            "sections": [section.to_dict() for section in self.sections],
            "types": [type.to_dict() for type in self.types],
        }
