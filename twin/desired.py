"""What a project wants the graph to be: nodes with their signals, relationships, and the sections that are no nodes."""

from dataclasses import dataclass, field
from typing import Any

from .model import DataType, Level, Role


@dataclass(frozen=True, slots=True)
class DesiredSignal:
    """A signal of a sensor, with the fields of `Signal` that a definition governs.

    A unit or data type that the definition leaves out is learned from the readings: None means whatever it is.
    """

    name: str
    unit: str | None = None
    data_type: str | None = None
    labels: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    stepped: bool = False
    expected_interval: float | None = None
    role: Role = Role.MEASURED

    def fields(self) -> dict[str, Any]:
        """The fields of `Signal` that it sets."""
        given: dict[str, Any] = {
            "labels": self.labels,
            "low": self.low,
            "high": self.high,
            "stepped": self.stepped,
            "expected_interval": self.expected_interval,
        }
        if self.unit is not None:
            given["unit"] = self.unit
        if self.data_type is not None:
            given["data_type"] = DataType(self.data_type)
        return given


@dataclass(frozen=True, slots=True)
class DesiredNode:
    """A node by its full id; `parent` is the parent's full id. `moved_from` is where its history came from."""

    id: str
    level: Level
    name: str
    type: str | None = None
    parent: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    signals: tuple[DesiredSignal, ...] = ()
    moved_from: str | None = None

    @property
    def short_id(self) -> str:
        """The last part of the dotted id."""
        return self.id.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class DesiredRelationship:
    """A relationship by full ids."""

    source: str
    type: str
    target: str
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Desired:
    """All of it; parents stand before their children."""

    nodes: tuple[DesiredNode, ...] = ()
    relationships: tuple[DesiredRelationship, ...] = ()
    sections: dict[str, Any] = field(default_factory=dict)
