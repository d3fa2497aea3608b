"""Parts of tiers: written, read for one signal or many, and merged."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .history_aggregate import Pieces
from .history_gather import Stopped, signal_groups
from .history_part import Part
from .history_part_writer import PartWriter
from .history_parts import DAY_NS, View
from .history_raw_writer import PartInfo
from .history_tier import Tier
from .times import now_ns

_INTEGERS = ("time", "rows", "usable", "good", "last_time", "duration", "worst")
_FLOATS = ("low", "high", "first", "last", "mean", "weighted")
COLUMNS = dict.fromkeys(_INTEGERS, "i") | dict.fromkeys(_FLOATS, "f")


def write_tier(directory: Path, name: str, tier: Tier, period: int, segments: Iterable[Pieces]) -> PartInfo | None:
    """Writes a part of pieces by signal and time, durably; None if there are none. Raises StorageError."""
    writer = PartWriter(directory / name, tier.name, COLUMNS)
    rows, times, signals = 0, [], []
    try:
        for pieces in segments:
            if len(pieces):
                rows += len(pieces)
                times += [int(pieces.time.min()), int(pieces.time.max())]
                signals += [int(pieces.signal[0]), int(pieces.signal[-1])]
                writer.add(pieces.signal, _stored(pieces))
        if not rows:
            writer.abandon()
            return None
        size, checksum = writer.finish({})
    except BaseException:
        writer.abandon()
        raise
    now = now_ns()
    extremes = (min(times), max(times), now, now, 0, min(signals), max(signals))
    return PartInfo(name, tier.name, period, rows, size, checksum, *extremes)


def _stored(pieces: Pieces) -> dict[str, NDArray[Any]]:
    columns = {name: getattr(pieces, name) for name in COLUMNS}
    # The distance takes fewer bytes than the instant.
    columns["last_time"] = pieces.last_time - pieces.time
    return columns


def pieces_at(part: Part, rows: NDArray[np.int64], runs: NDArray[np.int64]) -> Pieces:
    """Single rows of a part, each with the run that it is of."""
    columns: dict[str, NDArray[Any]] = {name: part.integers(name, rows, runs) for name in _INTEGERS}
    columns |= {name: part.floats(name, rows, runs) for name in _FLOATS}
    columns["last_time"] = columns["last_time"] + columns["time"]
    columns["worst"] = columns["worst"].astype(np.uint8)
    return Pieces(signal=part.signal[runs].astype(np.int32), **columns)


def pieces_of_signals(view: View, infos: Sequence[PartInfo], signals: NDArray[np.int32]) -> Pieces:
    """All pieces of some signals (sorted) in parts of one tier, by signal and time, of each day the newest ones."""
    found: list[Pieces] = []
    order: list[NDArray[np.int64]] = []
    for info in sorted(infos, key=lambda info: info.number):
        part = view.open(info)
        _, runs = part.find(signals)
        if not len(runs):
            continue
        part.check_runs(runs)
        first, counts = part.row[runs], part.row[runs + 1] - part.row[runs]
        rows = np.arange(counts.sum()) + np.repeat(first - (np.cumsum(counts) - counts), counts)
        found.append(pieces_at(part, rows, np.repeat(runs, counts)))
        order.append(np.full(len(rows), len(order)))
    return newest(found, order)


def newest(found: Sequence[Pieces], order: Sequence[NDArray[np.int64]]) -> Pieces:
    """Of each signal and UTC day the pieces of the highest order: those replace all earlier ones of that day."""
    pieces = joined(found)
    if not len(pieces):
        return pieces
    rank = np.concatenate(order)
    sort = np.lexsort((rank, pieces.time, pieces.signal))
    pieces, rank = pieces.take(sort), rank[sort]
    day = pieces.time // DAY_NS
    first = np.append(True, (np.diff(pieces.signal) != 0) | (np.diff(day) != 0))
    starts = np.flatnonzero(first)
    best = np.maximum.reduceat(rank, starts)
    return pieces.take(rank == np.repeat(best, np.diff(np.append(starts, len(rank)))))


def joined(pieces: Sequence[Pieces]) -> Pieces:
    """All rows, in order."""
    if not pieces:
        return Pieces(*(np.zeros(0, dtype=_dtype(field.name)) for field in fields(Pieces)))
    return Pieces(*(np.concatenate([getattr(p, field.name) for p in pieces]) for field in fields(Pieces)))


def _dtype(name: str) -> type:
    special = {"signal": np.int32, "worst": np.uint8}
    return special.get(name, np.float64 if name in _FLOATS else np.int64)


def merged_tier(view: View, infos: Sequence[PartInfo], stopping: Callable[[], bool]) -> Iterator[Pieces]:
    """The pieces of several parts of one period as one; raises Stopped."""
    for signals in signal_groups([view.open(info) for info in infos]):
        if stopping():
            raise Stopped
        yield pieces_of_signals(view, infos, signals)
