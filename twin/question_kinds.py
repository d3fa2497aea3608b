"""What component types and relationship types tell a question: units of parameters and properties, and subtypes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .component_types import TypeLibrary
from .graph import Graph
from .model import Node
from .question_cache import VIEWS

TRANSFER_TIME = "transfer_time"
_SECTION = "relationship_types"


@dataclass(frozen=True, slots=True)
class Kinds:
    """The types of one revision's definition."""

    library: TypeLibrary
    properties: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, graph: Graph) -> "Kinds":
        """Those of a graph; read once for each."""
        return VIEWS.of(graph, "kinds", lambda: cls._read(graph.definition))

    @classmethod
    def _read(cls, definition: dict[str, Any]) -> "Kinds":
        relationships = definition.get(_SECTION) or ()
        return cls(TypeLibrary.of(definition), {each["name"]: each.get("properties", {}) for each in relationships})

    def parameter_unit(self, node: Node, name: str) -> str | None:
        """The unit that a node's type declares for a parameter, in which its value is kept."""
        kind = self.library.of_node(node) if self.library else None
        unit: str | None = kind.parameters.get(name, {}).get("unit") if kind else None
        return unit

    def property_unit(self, relationship: str, name: str) -> str | None:
        """The unit that a relationship type declares for a property; transfer times are in seconds."""
        if name == TRANSFER_TIME:
            return "s"
        unit: str | None = self.properties.get(relationship, {}).get(name, {}).get("unit")
        return unit

    def is_a(self, node: Node, type: str) -> bool:
        """Whether the node's type is that one, or extends it."""
        return node.type == type or (bool(self.library) and type in self.library.lineage(node.type))

    def with_subtypes(self, types: Iterable[str]) -> frozenset[str]:
        """These types and all that extend them."""
        if not self.library:
            return frozenset(types)
        return frozenset(each for type in types for each in self.library.subtypes(type))
