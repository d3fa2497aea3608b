"""The frames of the state stream: readings as columns, binary or JSON. docs/stream.md has them byte by byte."""

import struct
from enum import IntFlag
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from ..twin.state import NEVER, StateColumns
from ..twin.times import format_time

STATE = 1
VERSION = 1
HEADER = struct.Struct("<BBHIIIqq")
"""Kind, version, flags, count, subscription, sequence, server's time [ns], the journal's number: 32 bytes."""

_FLOAT32_MAX = float(np.finfo(np.float32).max)


class Flags(IntFlag):
    """What a frame of readings holds."""

    SNAPSHOT = 1
    """The whole state of what was chosen; otherwise what changed."""
    FLOAT64 = 2
    """Values of 8 bytes instead of 4."""
    TIMES = 4
    """Each reading's own time [ns]."""


CHANGES = Flags(0)


class Mark(NamedTuple):
    """Where a frame stands: `sequence` rises by one within a `subscription`; `time` is the server's [ns]."""

    subscription: int
    sequence: int
    time: int
    journal: int


def binary(mark: Mark, indexes: NDArray[np.int32], state: StateColumns, flags: Flags) -> bytes:
    """Header, indexes (uint32), values, times if wanted (int64), qualities (uint8); little-endian.

    Each column begins at a multiple of 8. What overflows float32 becomes its largest number, lest it look like none.
    """
    header = HEADER.pack(STATE, VERSION, flags, len(indexes), mark.subscription, mark.sequence, mark.time, mark.journal)
    value = state.value.astype("<f8") if Flags.FLOAT64 in flags else _narrowed(state.value)
    parts = [header, _padded(indexes.astype("<u4")), _padded(value)]
    if Flags.TIMES in flags:
        parts.append(state.time.astype("<i8").tobytes())
    parts.append(state.quality.tobytes())
    return b"".join(parts)


def text(mark: Mark, indexes: NDArray[np.int32], state: StateColumns, flags: Flags) -> str:
    """The same as JSON; what is no number is null."""
    value = state.value if Flags.FLOAT64 in flags else _narrowed(state.value)
    document = {
        "type": "state",
        **marked(mark),
        "snapshot": Flags.SNAPSHOT in flags,
        "index": np.ascontiguousarray(indexes),
        "value": np.ascontiguousarray(value),
        "quality": np.ascontiguousarray(state.quality),
    }
    if Flags.TIMES in flags:
        document["times"] = [format_time(time) for time in state.time.tolist()]
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def marked(mark: Mark) -> dict[str, object]:
    """A mark in JSON: the time as ISO 8601, and in nanoseconds as text, since JavaScript's numbers end before."""
    return {
        "subscription": mark.subscription,
        "sequence": mark.sequence,
        "time": format_time(mark.time),
        "timeNs": str(mark.time),
        "journal": mark.journal,
    }


def with_readings(indexes: NDArray[np.int32], state: StateColumns) -> tuple[NDArray[np.int32], StateColumns]:
    """Without those that never had a reading."""
    read = np.flatnonzero(state.time != NEVER).astype(np.int32)
    return (indexes, state) if len(read) == len(indexes) else (indexes[read], state.take(read))


def _narrowed(value: NDArray[np.float64]) -> NDArray[np.float32]:
    finite = np.isfinite(value)
    return np.where(finite, np.clip(value, -_FLOAT32_MAX, _FLOAT32_MAX), value).astype("<f4")


def _padded(column: NDArray[np.generic]) -> bytes:
    body = column.tobytes()
    return body + bytes(-len(body) % 8)
