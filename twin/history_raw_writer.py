"""Writes parts of readings: rows in order, with the summaries of their blocks."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .history_blocks import COLUMNS as BLOCK_COLUMNS
from .history_blocks import summarise
from .history_part_writer import PartWriter
from .history_rows import SignalRows, run_starts

RAW = "raw"
RAW_COLUMNS = {"time": "i", "value": "f", "quality": "i", "recorded": "i"}
SEGMENT_ROWS = 1 << 18


class PartInfo(msgspec.Struct, frozen=True):
    """What is known of a part without opening it.

    `day` counts UTC days since the epoch. Times in ns. `ahead` is the most that a time is later than its `recorded`.
    tiers: those that hold what these readings amount to. thinned [ns]: of spans so long only the last reading is left.
    """

    name: str
    kind: str
    day: int
    rows: int
    size: int
    checksum: int
    min_time: int
    max_time: int
    min_recorded: int
    max_recorded: int
    ahead: int
    min_signal: int
    max_signal: int
    tiers: list[str] = []
    thinned: int = 0

    @property
    def number(self) -> int:
        """Rises with every part that is written."""
        return int(self.name.rpartition("-")[2].partition(".")[0])


class _Extent:
    """The extremes of the rows that go by."""

    def __init__(self) -> None:
        self.rows = 0
        self.low: list[tuple[int, int, int]] = []
        self.high: list[tuple[int, int, int]] = []
        self.ahead: list[int] = []

    def add(self, rows: SignalRows) -> None:
        self.rows += len(rows)
        self.low.append((int(rows.time.min()), int(rows.recorded.min()), int(rows.signal[0])))
        self.high.append((int(rows.time.max()), int(rows.recorded.max()), int(rows.signal[-1])))
        # As floats, which do not wrap, and so a little more than they are.
        ahead = float((rows.time.astype(np.float64) - rows.recorded.astype(np.float64)).max()) + 4096
        self.ahead.append(int(min(max(ahead, -(2.0**62)), 2.0**62)))

    def info(self, name: str, day: int, size: int, checksum: int) -> PartInfo:
        low, high = np.array(self.low).min(axis=0).tolist(), np.array(self.high).max(axis=0).tolist()
        bounds = {"min_time": low[0], "max_time": high[0], "min_recorded": low[1], "max_recorded": high[1]}
        signals = {"min_signal": low[2], "max_signal": high[2]}
        ahead = max(self.ahead)
        return PartInfo(name, RAW, day, self.rows, size, checksum, **bounds, ahead=ahead, **signals)


def write_raw(
    directory: Path, name: str, day: int, count: int, stamps: NDArray[np.int64], segments: Iterable[SignalRows]
) -> PartInfo:
    """Writes a part of `count` rows durably; raises StorageError and leaves nothing.

    stamps: the distinct `recorded` of all rows, rising. segments: rows in order, each of whole runs.
    """
    # A number of a table of stamps, and its share of the table, or the distance from `time`, of some 5 bytes.
    table = 8 * len(stamps) < 3 * count
    writer = PartWriter(directory / name, RAW, RAW_COLUMNS)
    extent = _Extent()
    blocks: dict[str, list[NDArray[Any]]] = {column: [] for column in BLOCK_COLUMNS}
    counts: list[NDArray[np.int64]] = []
    try:
        for rows in segments:
            extent.add(rows)
            first = run_starts(rows.signal)
            summary, number = summarise(rows, first, np.diff(np.append(first, len(rows))))
            for column, parts in blocks.items():
                parts.append(getattr(summary, column))
            counts.append(number)
            recorded = np.searchsorted(stamps, rows.recorded) if table else rows.recorded - rows.time
            columns: dict[str, NDArray[Any]] = {
                "time": rows.time,
                "value": rows.value,
                "quality": rows.quality,
                "recorded": recorded,
            }
            writer.add(rows.signal, columns)
        tables: dict[str, NDArray[Any]] = {c: np.concatenate(p).astype(BLOCK_COLUMNS[c]) for c, p in blocks.items()}
        tables["block"] = np.append(0, np.cumsum(np.concatenate(counts))).astype("<u4")
        if table:
            tables["stamps"] = stamps.astype("<i8")
        size, checksum = writer.finish(tables)
    except BaseException:
        writer.abandon()
        raise
    return extent.info(name, day, size, checksum)
