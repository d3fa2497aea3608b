"""The rows of a bulk export or import: JSON Lines that other systems can write, too.

Every row may say what it is (`"row": "node"`); in a file that is called like its rows (`nodes.jsonl`) it need not.
"""

import sys
from typing import Any

import msgspec

from .changes import Operation
from .errors import InvalidValueError
from .model import DataType, Event, Level, Node, Origin, Relationship, Role, Signal
from .times import format_time, parse_time

Moment = int | str
"""ns since the epoch, or ISO 8601."""


class NodeRow(msgspec.Struct, tag_field="row", tag="node", forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A node; `parent` is the parent's id. `key` is told by an export and kept where the twin is empty."""

    id: str
    level: Level
    name: str | None = None
    type: str | None = None
    parent: str | None = None
    origin: Origin = Origin.DEFINED
    properties: dict[str, Any] = {}
    key: int | None = None


class RelationshipRow(
    msgspec.Struct, tag_field="row", tag="relationship", forbid_unknown_fields=True, omit_defaults=True, gc=False
):
    """A relationship by the ids of its ends."""

    source: str
    type: str
    target: str
    properties: dict[str, Any] = {}


class SignalRow(
    msgspec.Struct, tag_field="row", tag="signal", forbid_unknown_fields=True, omit_defaults=True, gc=False
):
    """A signal of the node with this id; fields as in `Signal`. Readings may name it by its `index` in the export."""

    node: str
    name: str = "value"
    role: Role = Role.MEASURED
    unit: str | None = None
    data_type: DataType | None = None
    labels: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    stepped: bool = False
    expected_interval: float | None = None
    index: int | None = None


class SectionRow(msgspec.Struct, tag_field="row", tag="definition", forbid_unknown_fields=True, gc=False):
    """A section of the definition that is no node, such as `anomaly_detection`."""

    section: str
    value: Any


class LabelRow(msgspec.Struct, tag_field="row", tag="label", forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A text of a text signal (by `index`): what its code stands for, and since when that is known."""

    signal: int
    code: int
    text: str
    recorded: Moment = 0


class EventRow(msgspec.Struct, tag_field="row", tag="event", forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """An event at the node with this id. An export tells `seq`, `recorded` and the node's `key`, too."""

    time: Moment
    kind: str
    node: str | None = None
    until: Moment | None = None
    data: dict[str, Any] = {}
    identity: str | None = None
    retracts: int | None = None
    seq: int | None = None
    recorded: Moment | None = None
    key: int | None = None


class ReadingRow(msgspec.Struct, tag_field="row", tag="reading", forbid_unknown_fields=True, gc=False):
    """A reading of a signal by its id; `value` is a number, a text or a truth. `quality` is the OPC quality byte."""

    signal: str
    time: Moment
    value: float | str | bool
    quality: int = 192


class RevisionRow(msgspec.Struct, tag_field="row", tag="revision", forbid_unknown_fields=True):
    """A revision of the structure: what made the graph, step by step."""

    recorded: str
    revision: int
    author: str
    operations: list[Operation]
    undo: list[Operation] | None = None


Row = NodeRow | RelationshipRow | SignalRow | SectionRow | LabelRow | EventRow | ReadingRow | RevisionRow

FILES: dict[str, type[msgspec.Struct]] = {
    "nodes": NodeRow,
    "relationships": RelationshipRow,
    "signals": SignalRow,
    "definitions": SectionRow,
    "labels": LabelRow,
    "events": EventRow,
    "readings": ReadingRow,
    "revisions": RevisionRow,
}
"""The rows of a file by its name without `.jsonl`."""


def moment(value: Moment) -> int:
    """A time as ns; raises InvalidValueError."""
    if isinstance(value, int):
        return value
    return parse_time(value)


def node_row(node: Node, parent: str | None) -> NodeRow:
    """A node as a row."""
    name = None if node.name == node.short_id else node.name
    return NodeRow(node.id, node.level, name, node.type, parent, node.origin, node.properties, node.key)


def relationship_row(arrow: Relationship, source: str, target: str) -> RelationshipRow:
    """A relationship as a row."""
    return RelationshipRow(source, arrow.type, target, arrow.properties)


def signal_row(signal: Signal, node: str) -> SignalRow:
    """A signal as a row."""
    s = signal
    name = sys.intern(s.name)  # a default is left out only where it is the very same object
    return SignalRow(
        node, name, s.role, s.unit, s.data_type, s.labels, s.low, s.high, s.stepped, s.expected_interval, s.index
    )


SIGNAL_FIELDS = ("role", "unit", "data_type", "labels", "low", "high", "stepped", "expected_interval")


def event_row(event: Event, node: str | None) -> EventRow:
    """An event as a row."""
    return EventRow(
        time=format_time(event.time),
        kind=event.kind,
        node=node,
        until=None if event.until is None else format_time(event.until),
        data=event.data,
        identity=event.identity,
        retracts=event.retracts,
        seq=event.seq,
        recorded=format_time(event.recorded),
        key=event.node,
    )


def event_of(row: EventRow) -> Event:
    """The event of an exported row; raises InvalidValueError for one that was made by hand."""
    if row.seq is None or row.recorded is None:
        raise InvalidValueError("an event without `seq` and `recorded` is not from an export")
    until = None if row.until is None else moment(row.until)
    return Event(
        row.seq, moment(row.time), moment(row.recorded), row.kind, row.key, until, row.data, row.identity, row.retracts
    )
