"""The words of the plant: nodes, relationships, signals, events.

All are immutable values; what changes is which of them a `Graph` holds.
"""

from enum import IntEnum, StrEnum
from typing import Any

import msgspec

CONTAINS = "contains"
HAS_SENSOR = "has_sensor"
FEEDS_INTO = "feeds_into"


class Level(StrEnum):
    """ISA-95 equipment levels; `component` is a work unit or equipment module."""

    ENTERPRISE = "enterprise"
    SITE = "site"
    AREA = "area"
    LINE = "line"
    COMPONENT = "component"
    SENSOR = "sensor"


class Origin(StrEnum):
    """Who brought a node: an engineer's definition, or a reading from a device that nobody had defined."""

    DEFINED = "defined"
    DISCOVERED = "discovered"


class Role(StrEnum):
    """What a signal's values are."""

    MEASURED = "measured"
    DESIRED = "desired"
    DERIVED = "derived"
    SIMULATED = "simulated"


class DataType(StrEnum):
    """How a signal's float64 values are meant. Text and boolean values are codes into its labels."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"


class Quality(IntEnum):
    """OPC quality byte: good >= 192, uncertain >= 64, bad below."""

    BAD = 0
    UNCERTAIN = 64
    GOOD = 192


def quality_word(quality: int) -> str:
    """`good`, `uncertain` or `bad` for an OPC quality byte."""
    if quality >= Quality.GOOD:
        return "good"
    return "uncertain" if quality >= Quality.UNCERTAIN else "bad"


class Node(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One thing of the plant.

    `key` is immutable and never reused; `id` is the readable dotted name and may change by revision.
    `properties` is a JSON object; reserved keys (`parameters`, `model`, `pose`, `geo`, `external_ids`,
    `documents`, `source`, ...) keep the meaning that they have in definitions, all others are free.
    """

    key: int
    id: str
    level: Level
    name: str
    type: str | None = None
    parent: int | None = None
    origin: Origin = Origin.DEFINED
    properties: dict[str, Any] = {}

    @property
    def short_id(self) -> str:
        """The last part of the dotted id."""
        return self.id.rpartition(".")[2]


class Relationship(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A typed arrow between two nodes; `properties` such as `transfer_time` [s]."""

    source: int
    type: str
    target: int
    properties: dict[str, Any] = {}


class Signal(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A named time series on a node. `index` (int32) is stable for ever and never reused.

    `labels` are the texts that the codes 0, 1, ... of a text or boolean signal stand for; those met at run time
    come after the defined ones. `data_type` is None until the first reading decides it.
    `low`/`high` bound the plausible range [unit]; `expected_interval` [s] is the longest normal silence.
    """

    index: int
    node: int
    name: str
    role: Role = Role.MEASURED
    unit: str | None = None
    data_type: DataType | None = None
    labels: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    stepped: bool = False
    expected_interval: float | None = None


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Something that happened. Numbered without gaps by `seq`; an interval if `until` is set.

    `time`, `until` and `recorded` are ns since the epoch (UTC). An event with the `identity` of an earlier one
    amends it (an anomaly that clears gets its `until` this way); one that names another in `retracts` takes it back.
    """

    seq: int
    time: int
    recorded: int
    kind: str
    node: int | None = None
    until: int | None = None
    data: dict[str, Any] = {}
    identity: str | None = None
    retracts: int | None = None
