"""Reads parts of readings: the state as of an instant, the rows of a signal, and everything in order for a merge."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .history import Rows
from .history_blocks import BLOCK_ROWS
from .history_part import Part
from .history_raw_writer import PartInfo
from .history_rows import SignalRows

FIRST, LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_STEPS = 4
_WINDOWS = 512


@dataclass(frozen=True, slots=True)
class Found:
    """Readings of some signals: `at` are the positions of those signals in what was asked for."""

    at: NDArray[np.intp]
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]
    recorded: NDArray[np.int64]


def latest_in(part: Part, info: PartInfo, time: int, known_at: int, signals: NDArray[np.int32]) -> Found:
    """Per signal the newest reading until `time` among those recorded until `known_at` [ns]; work by signals, not rows.

    Readings that the answer cannot need are not stepped over one by one: nothing that was known lies later than
    `known_at` and what its time was ahead, and a block whose rows were all recorded later is passed as a whole.
    """
    at, runs = part.find(signals)
    part.check_runs(runs)
    limit = min(time, known_at + info.ahead, LAST)
    row = part.rows_until("time", np.full(len(runs), max(limit, FIRST)), runs) - 1
    row = np.where(row < part.row[runs], -1, row)
    if known_at < info.max_recorded:
        row = _known(part, row, runs, known_at)
    some = row >= 0
    at, runs, row = at[some], runs[some], row[some]
    times = part.integers("time", row, runs)
    quality = part.integers("quality", row, runs).astype(np.uint8)
    return Found(at, times, part.floats("value", row, runs), quality, _recorded(part, row, runs, times))


def _recorded(
    part: Part, rows: NDArray[np.int64], runs: NDArray[np.int64], times: NDArray[np.int64]
) -> NDArray[np.int64]:
    found = part.integers("recorded", rows, runs)
    return part.table("stamps")[found] if part.has("stamps") else found + times


def _known(part: Part, row: NDArray[np.int64], runs: NDArray[np.int64], known_at: int) -> NDArray[np.int64]:
    """The last row of each run, not behind `row`, that was recorded until `known_at`; -1 where there is none."""
    found = np.full(len(row), -1, dtype=np.int64)
    first = part.row[runs]
    waiting = np.flatnonzero(row >= 0)
    for step in range(_STEPS):
        rows = row[waiting] - step
        known = _is_known(part, rows, runs[waiting], known_at)
        found[waiting[known]] = rows[known]
        waiting = waiting[~known & (rows > first[waiting])]
    if len(waiting):
        found[waiting] = _known_by_blocks(part, row[waiting] - _STEPS, runs[waiting], known_at)
    return found


def _is_known(part: Part, rows: NDArray[np.int64], runs: NDArray[np.int64], known_at: int) -> NDArray[np.bool_]:
    times = np.zeros(0, dtype=np.int64) if part.has("stamps") else part.integers("time", rows, runs)
    return _recorded(part, rows, runs, times) <= known_at


def _known_by_blocks(part: Part, row: NDArray[np.int64], runs: NDArray[np.int64], known_at: int) -> NDArray[np.int64]:
    first = part.row[runs]
    first_block = part.table("block")[runs].astype(np.int64)
    block = first_block + (row - first) // BLOCK_ROWS
    found = _known_in_block(part, row, runs, first + (block - first_block) * BLOCK_ROWS, known_at)
    holds_known = part.table("known_from") <= known_at
    last = np.maximum.accumulate(np.where(holds_known, np.arange(len(holds_known)), -1))
    earlier = np.where(block > 0, last[block - 1], -1)
    again = np.flatnonzero((found < 0) & (earlier >= first_block))
    start = first[again] + (earlier[again] - first_block[again]) * BLOCK_ROWS
    found[again] = _known_in_block(part, start + BLOCK_ROWS - 1, runs[again], start, known_at)
    return found


def _known_in_block(
    part: Part, row: NDArray[np.int64], runs: NDArray[np.int64], start: NDArray[np.int64], known_at: int
) -> NDArray[np.int64]:
    found = np.full(len(row), -1, dtype=np.int64)
    for begin in range(0, len(row), _WINDOWS):  # so many blocks are in memory at once
        chosen = slice(begin, begin + _WINDOWS)
        rows = start[chosen, None] + np.arange(BLOCK_ROWS)
        within = rows <= row[chosen, None]
        rows = np.where(within, rows, start[chosen, None])
        of = np.broadcast_to(runs[chosen, None], rows.shape)
        known = within & _is_known(part, rows.ravel(), of.ravel(), known_at).reshape(rows.shape)
        back = np.argmax(known[:, ::-1], axis=1)
        found[chosen] = np.where(known.any(axis=1), start[chosen] + BLOCK_ROWS - 1 - back, -1)
    return found


def signal_rows(part: Part, signal: int, start: int, end: int, known_at: int | None = None) -> Rows | None:
    """The readings of one signal in [start, end) [ns] that were recorded until `known_at`, by time and `recorded`."""
    run = part.run_of(signal)
    if run is None:
        return None
    first, last = span_of(part, run, start, end)
    time = part.run_integers("time", run, first, last)
    recorded = part.run_integers("recorded", run, first, last)
    recorded = part.table("stamps")[recorded] if part.has("stamps") else recorded + time
    value = part.run_floats("value", run, first, last)
    quality = part.run_integers("quality", run, first, last).astype(np.uint8)
    if known_at is None or not len(recorded) or known_at >= recorded.max():
        return Rows(time, value, quality, recorded)
    known = recorded <= known_at
    return Rows(time[known], value[known], quality[known], recorded[known])


def span_of(part: Part, run: int, start: int, end: int) -> tuple[int, int]:
    """The rows of a run whose time is in [start, end) [ns]."""
    runs = np.array([run, run])
    part.check_runs(runs)
    limits = np.array([max(start - 1, FIRST), max(end - 1, FIRST)], dtype=np.int64)
    first, last = part.rows_until("time", limits, runs).tolist()
    return (int(part.row[run]) if start <= FIRST else first), max(first, last)


def rows_of_runs(part: Part, runs: NDArray[np.int64]) -> SignalRows:
    """All rows of some runs, one run behind another."""
    part.check_runs(runs)
    first, counts = part.row[runs], part.row[runs + 1] - part.row[runs]
    of = np.repeat(runs, counts)
    rows = np.arange(counts.sum()) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    found = rows_at(part, rows, of)
    return SignalRows(part.signal[of].astype(np.int32), found.time, found.value, found.quality, found.recorded)


def rows_at(part: Part, rows: NDArray[np.int64], runs: NDArray[np.int64]) -> Rows:
    """Single rows, each with the run that it is of; their bytes must have been checked."""
    times = part.integers("time", rows, runs)
    quality = part.integers("quality", rows, runs).astype(np.uint8)
    return Rows(times, part.floats("value", rows, runs), quality, _recorded(part, rows, runs, times))


def rows_of_run(part: Part, run: int, rows: NDArray[np.int64]) -> Rows:
    """Single rows of one run; their bytes must have been checked."""
    time = part.integers_of_run("time", run, rows)
    recorded = part.integers_of_run("recorded", run, rows)
    recorded = part.table("stamps")[recorded] if part.has("stamps") else recorded + time
    quality = part.integers_of_run("quality", run, rows).astype(np.uint8)
    return Rows(time, part.floats_of_run("value", run, rows), quality, recorded)
