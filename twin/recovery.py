"""How a twin comes back: from the newest checkpoint, then from the journal's entries behind it."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from .checkpoint import CheckpointFiles, decode
from .entry import EntryKind
from .errors import DamagedFileError
from .journal import Journal
from .live import Live
from .projection import Projection
from .times import now_ns

log = logging.getLogger("iotsense.recovery")


T = TypeVar("T", bound=Projection)


def recover(live: Live, journal: Journal, checkpoints: CheckpointFiles, stores: Sequence[Projection]) -> list[str]:
    """Rebuilds the twin in memory; what is damaged and could not be made good, in words.

    Entries that are missing from the journal's end or middle make it refuse writes (`journal.damage`): numbers that
    somebody has seen must not be given a second time.
    """
    checkpoint, wrong = checkpoints.load()
    if checkpoint is not None:
        live.restore(checkpoint)
    else:
        _begin_with_snapshot(live, journal)
    try:
        for entry in journal.read(live.seq):
            live.committed([entry])
    except DamagedFileError as damage:
        journal.damage = journal.damage or damage
    known = max(live.seq, _marked_end(journal, wrong), *(store.applied_seq for store in stores))
    if known > journal.last_seq:
        missing = f"{journal.last_seq + 1} to {known}"
        journal.damage = journal.damage or DamagedFileError(f"{journal.directory}: the entries {missing} are missing")
    for store in stores:
        if store.applied_seq < journal.first_seq - 1:
            gap = f"{store.applied_seq + 1} to {journal.first_seq - 1}"
            wrong.append(f"{store.path}: the entries {gap} can no longer be projected; history has a gap there")
            store.applied_seq = journal.first_seq - 1
    if journal.damage is not None:
        wrong.append(str(journal.damage))
    for text in wrong:
        log.error("damage: %s", text)
    return wrong


def _marked_end(journal: Journal, wrong: list[str]) -> int:
    try:
        return journal.end.read()
    except DamagedFileError as damage:
        wrong.append(str(damage))
        return 0


def _begin_with_snapshot(live: Live, journal: Journal) -> None:
    """Without a checkpoint the newest segment that begins with a snapshot is the start."""
    for segment in reversed(journal.segments):
        entry = next(iter(journal.read_from_files(segment.first - 1)), None)
        if entry is not None and entry.kind is EntryKind.SNAPSHOT:
            live.restore(decode(entry.value))
            return


def open_or_renew(path: Path, open_store: Callable[[Path], T]) -> T:
    """A projection of the journal; a damaged one is set aside, and a new one is filled from the journal."""
    try:
        return open_store(path)
    except DamagedFileError as damage:
        log.error("%s is set aside and built anew from the journal: %s", path.name, damage)
        aside = f".damaged-{now_ns() // 1_000_000_000}"
        for file in path.parent.glob(f"{path.name}*"):
            if ".damaged-" not in file.name:
                file.rename(file.with_name(file.name + aside))
        return open_store(path)
