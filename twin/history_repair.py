"""Makes lost parts again from the journal, as far back as it reaches."""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from .entry import EntryKind
from .errors import DamagedFileError
from .history_flush import write_parts
from .history_gather import gathered
from .history_parts import DAY_NS, Parts, View, told_lost
from .history_raw_writer import RAW, PartInfo
from .history_rows import SignalRows
from .history_tier import Tier
from .journal import Journal

log = logging.getLogger("iotsense.history")

CHUNK_ROWS = 1 << 20


def repair(parts: Parts, journal: Journal) -> list[str]:
    """Writes what lost parts held and the journal still has; what stays lost, in words. Raises StorageError."""
    lost = [info for info in parts.manifest.lost if info.kind == RAW]
    try:
        first = next(journal.read(journal.first_seq - 1), None)
        whole = first is not None and first.seq == 1
        found = [info for info in lost if first is not None and (whole or first.recorded <= info.min_recorded)]
        if found:
            _write_again(parts, journal, found)
            log.warning("%d parts of history were made again from the journal", len(found))
        _ask_for_tiers(parts)
    except DamagedFileError as damage:
        log.error("parts of history cannot be made again: %s", damage)
    return [told_lost(parts.directory, info) for info in parts.manifest.lost]


def _ask_for_tiers(parts: Parts) -> None:
    """Lost parts of tiers whose readings are all here are forgotten: the readings will be summed up again."""
    manifest = parts.manifest
    marked: dict[str, PartInfo] = {}
    found = []
    for lost in manifest.lost:
        days = 0 if lost.kind == RAW else Tier(lost.kind).period_days
        if lost.kind == RAW or lost.day * days < manifest.raw_gone:
            continue
        found.append(lost)
        for info in manifest.parts:
            if info.kind == RAW and info.day // days == lost.day:
                info = marked.get(info.name, info)
                marked[info.name] = replace(info, tiers=[name for name in info.tiers if name != lost.kind])
    if found:
        parts.replace([info for info in manifest.parts if info.name in marked], list(marked.values()), found=found)


def _write_again(parts: Parts, journal: Journal, lost: Sequence[PartInfo]) -> None:
    written: list[PartInfo] = []
    with parts.reading() as view:
        for rows in _chunks(journal, lost, parts.manifest.applied_seq):
            missing = rows.take(~_held(view, rows))
            written += write_parts(missing, parts.directory, parts.new_name)
    parts.replace([], written, found=lost)


def _chunks(journal: Journal, lost: Sequence[PartInfo], last_seq: int) -> Iterator[SignalRows]:
    """The journal's readings that lost parts may have held, in the order of recording."""
    chunk: list[SignalRows] = []
    for entry in journal.read(journal.first_seq - 1):
        if entry.seq > last_seq:
            break
        days = [info.day for info in lost if info.min_recorded <= entry.recorded <= info.max_recorded]
        if entry.kind is not EntryKind.READINGS or not days:
            continue
        batch = entry.value.take(np.isin(entry.value.time // DAY_NS, days))
        recorded = np.full(len(batch), entry.recorded, dtype=np.int64)
        chunk.append(SignalRows(batch.signal, batch.time, batch.value, batch.quality, recorded))
        if sum(map(len, chunk)) >= CHUNK_ROWS:
            yield SignalRows.concat(chunk)
            chunk = []
    if chunk:
        yield SignalRows.concat(chunk)


def _held(view: View, rows: SignalRows) -> NDArray[np.bool_]:
    """Which of the rows are in parts that are still there."""
    held = np.zeros(len(rows), dtype=bool)
    for day in np.unique(rows.time // DAY_NS).tolist():
        for info in view.by_day.get((RAW, day), []):
            for segment in gathered([view.open(info)], lambda: False):
                held |= _common(rows, segment)
    return held


def _common(rows: SignalRows, others: SignalRows) -> NDArray[np.bool_]:
    """Which rows have the signal, the time and the `recorded` of one of the others."""
    signal, time, recorded = (
        np.concatenate([getattr(others, name), getattr(rows, name)]) for name in ("signal", "time", "recorded")
    )
    ours = np.arange(len(signal)) >= len(others)
    order = np.lexsort((ours, recorded, time, signal))
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for column in (signal, time, recorded):
        same &= np.diff(column[order]) == 0
    # The others come first among equals, so a group that begins with one of them has all its rows in common.
    begin = np.maximum.accumulate(np.where(np.append(True, ~same), np.arange(len(order)), 0))
    common = np.zeros(len(order), dtype=bool)
    common[order] = ~ours[order][begin]
    found: NDArray[np.bool_] = common[len(others) :]
    return found
