"""What one transaction of the journal is made of."""

import hashlib
from collections.abc import Mapping, Sequence

from .batch import ReadingBatch
from .changes import StructureChange
from .counts import DERIVED, Counts
from .entry import DeadLetter, EntryKind, EventDraft
from .graph import Graph
from .journal import Part
from .live import STALE, position
from .structure_event import structure_event


def identity_hash(identity: str) -> bytes:
    """What stands for a message's identity in the journal."""
    return hashlib.blake2b(identity.encode(), digest_size=16).digest()


def identity_hashes(identities: Sequence[str]) -> list[bytes]:
    """The same for several."""
    return [identity_hash(identity) for identity in identities]


def reading_parts(
    batch: ReadingBatch | None,
    dead_letters: Sequence[DeadLetter] = (),
    counts: Counts | None = None,
    positions: Mapping[str, int] | None = None,
) -> list[Part]:
    """Readings behind the counts that say whose they are, what came with them and could not be used, and how far
    their sources have been read.
    """
    parts: list[Part] = []
    if counts is not None:
        parts.append((EntryKind.COUNTS, counts))
    if batch is not None and len(batch):
        parts.append((EntryKind.READINGS, batch))
    if dead_letters:
        parts.append((EntryKind.DEAD_LETTERS, list(dead_letters)))
    parts += [position(name, number) for name, number in (positions or {}).items()]
    return parts


def structure_parts(change: StructureChange, before: Graph) -> list[Part]:
    """A revision, and the event that tells of it."""
    return [(EntryKind.STRUCTURE, change), (EntryKind.EVENTS, [structure_event(change, before)])]


def record_parts(drafts: Sequence[EventDraft], batch: ReadingBatch | None, read: tuple[str, int] | None) -> list[Part]:
    """What a reader of the journal concluded, and how far it has read."""
    parts: list[Part] = []
    if drafts:
        parts.append((EntryKind.EVENTS, list(drafts)))
    if batch is not None and len(batch):
        parts += reading_parts(batch, counts=Counts.of_readings(DERIVED, len(batch)))
    if read is not None:
        parts.append(position(*read))
    return parts


def stale_drafts(graph: Graph, silent: Sequence[tuple[int, int]]) -> list[EventDraft]:
    """An event for each signal (index) that has been silent since the time of its last reading [ns]."""
    drafts = []
    for index, since in silent:
        signal = graph.signal(index)
        data = {"signal": index, "signal_id": graph.signal_id(signal)}
        drafts.append(EventDraft(since, STALE, signal.node, data=data, identity=f"{STALE}:{index}:{since}"))
    return drafts
