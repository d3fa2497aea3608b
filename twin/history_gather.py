"""Reads several parts as one, in order and a segment at a time, so that memory stays bounded."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .history_blocks import superseded_by_next
from .history_part import Part
from .history_raw import rows_of_runs
from .history_raw_writer import SEGMENT_ROWS
from .history_rows import SignalRows, in_order


class Stopped(Exception):
    """The store is closing; what was under way was given up and left nothing."""


def gathered(
    parts: Sequence[Part], stopping: Callable[[], bool], signals: NDArray[np.int32] | None = None
) -> Iterator[SignalRows]:
    """The rows of some signals (sorted), or of all, as segments of whole signals in order; raises Stopped."""
    for chosen in signal_groups(parts, signals):
        if stopping():
            raise Stopped
        pieces = []
        for part in parts:
            _, runs = part.find(chosen)
            if len(runs):
                pieces.append(rows_of_runs(part, runs))
        rows = SignalRows.concat(pieces)
        yield rows.take(in_order(rows)) if len(pieces) > 1 else rows


def without_superseded(rows: SignalRows) -> SignalRows:
    """Of rows in order, of each signal and time the last recorded."""
    superseded = superseded_by_next(rows.signal, rows.time)
    return rows.take(~superseded) if superseded.any() else rows


def stamps_of(parts: Sequence[Part]) -> NDArray[np.int64]:
    """The distinct `recorded` [ns] of all rows, rising."""
    found = np.zeros(0, dtype=np.int64)
    for part in parts:
        if part.has("stamps"):
            found = np.union1d(found, part.table("stamps"))
        else:
            for rows in gathered([part], lambda: False):
                found = np.union1d(found, rows.recorded)
    return found


def signal_groups(parts: Sequence[Part], wanted: NDArray[np.int32] | None = None) -> Iterator[NDArray[np.int32]]:
    """Signals that have some SEGMENT_ROWS together."""
    signals, where = np.unique(np.concatenate([part.signal for part in parts]), return_inverse=True)
    rows = np.zeros(len(signals), dtype=np.int64)
    np.add.at(rows, where, np.concatenate([np.diff(part.row) for part in parts]))
    if wanted is not None:
        chosen = np.isin(signals, wanted)
        signals, rows = signals[chosen], rows[chosen]
    before = np.cumsum(rows) - rows
    start = 0
    while start < len(signals):
        end = max(start + 1, int(np.searchsorted(before, before[start] + SEGMENT_ROWS)))
        yield signals[start:end]
        start = end
