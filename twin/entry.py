"""The journal's entries: what kinds there are, and how each is packed with a checksum."""

import struct
import zlib
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

from .batch import ReadingBatch
from .changes import StructureChange
from .counts import Counts
from .errors import DamagedFileError
from .model import Event
from .scenario import Scenario


class EntryKind(IntEnum):
    """What an entry holds; the numbers are in the files and never change."""

    READINGS = 1
    STRUCTURE = 2
    EVENTS = 3
    LABELS = 4
    DEAD_LETTERS = 5
    RESOLVED = 6
    POSITION = 7
    SNAPSHOT = 8
    SCENARIO = 9
    COUNTS = 10


class EventDraft(msgspec.Struct, frozen=True):
    """An event before the journal has given it its number and its `recorded`; fields as in `Event`."""

    time: int
    kind: str
    node: int | None = None
    until: int | None = None
    data: dict[str, Any] = {}
    identity: str | None = None
    retracts: int | None = None

    def numbered(self, seq: int, recorded: int) -> Event:
        """The event that it becomes."""
        return Event(
            seq, self.time, recorded, self.kind, self.node, self.until, self.data, self.identity, self.retracts
        )


class NewLabel(msgspec.Struct, frozen=True, array_like=True):
    """A text that a signal had never shown: its code from now on."""

    signal: int
    code: int
    text: str


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """Input that could not be used: the raw bytes, where it failed (`stage`) and why (`reason`).

    `id` is given by the journal (0 before). `time` is when it came [ns]. `resolved` says what became of it.
    """

    time: int
    source: str
    stage: str
    reason: str
    payload: bytes = b""
    topic: str | None = None
    metadata: dict[str, Any] = {}
    id: int = 0
    resolved: str | None = None


class Resolution(msgspec.Struct, frozen=True):
    """Dead letters that were `replayed` or `purged`."""

    ids: list[int]
    how: str


class Position(msgspec.Struct, frozen=True, array_like=True):
    """How far a reader of the journal has come; journalled together with what it concluded."""

    name: str
    seq: int


class Entry(NamedTuple):
    """One entry: its number, when it was recorded [ns, strictly rising], its kind and its content."""

    seq: int
    recorded: int
    kind: EntryKind
    value: Any


_CHECKSUM = struct.Struct("<I")
_TYPES: dict[EntryKind, Any] = {
    EntryKind.STRUCTURE: StructureChange,
    EntryKind.EVENTS: list[Event],
    EntryKind.LABELS: list[NewLabel],
    EntryKind.DEAD_LETTERS: list[DeadLetter],
    EntryKind.RESOLVED: Resolution,
    EntryKind.POSITION: Position,
    EntryKind.SCENARIO: Scenario,
    EntryKind.COUNTS: Counts,
}
_DECODERS = {kind: msgspec.msgpack.Decoder(type) for kind, type in _TYPES.items()}
_encoder = msgspec.msgpack.Encoder()


def pack(kind: EntryKind, value: Any) -> bytes:
    """The payload of an entry: the content behind its CRC-32."""
    if kind is EntryKind.READINGS:
        return bytes(value.pack())
    body = value if kind is EntryKind.SNAPSHOT else _encoder.encode(value)
    return _CHECKSUM.pack(zlib.crc32(body)) + body


def unpack(kind: EntryKind, payload: bytes) -> Any:
    """The inverse of `pack`; raises DamagedFileError if a byte is missing or altered."""
    if kind is EntryKind.READINGS:
        return ReadingBatch.unpack(payload)
    body = payload[_CHECKSUM.size :]
    if len(payload) < _CHECKSUM.size or _CHECKSUM.unpack_from(payload)[0] != zlib.crc32(body):
        raise DamagedFileError(f"an entry of kind {kind.name.lower()} fails its checksum")
    return body if kind is EntryKind.SNAPSHOT else _DECODERS[kind].decode(body)
