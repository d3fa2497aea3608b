"""Columns of numbers as PostgreSQL's binary COPY format, and back: whole arrays at a time, no object per row.

The format is described in the manual of PostgreSQL under COPY, "Binary Format": a header, then for each row the number
of its fields and for each field its length and its bytes, big-endian.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import StoreError
from .store import Recorded

READING_COLUMNS = "signal, nanosecond, quality, time, value, recorded"
"""Fixed in width and never null, so that a row has always the same layout. `time` is a timestamptz, which has
microseconds; `nanosecond` (0 to 999) is the rest of it."""

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_READING: tuple[str, ...] = (">i4", ">i2", ">i2", ">i8", ">f8", ">i8")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_US = 946_684_800_000_000  # PostgreSQL counts from 2000
BIGINT = ">i8"
TIMESTAMP = ">i8"
INTEGER = ">i4"


def pack_columns(types: Sequence[str], columns: "Sequence[NDArray[Any]]") -> bytes:
    """A complete binary COPY of columns of equal length; `types` are their numpy types in big-endian."""
    layout = _layout(types)
    rows = np.zeros(len(columns[0]), dtype=layout)
    rows["fields"] = len(types)
    for i, (type, column) in enumerate(zip(types, columns, strict=True)):
        rows[f"length{i}"] = np.dtype(type).itemsize
        rows[f"value{i}"] = column
    return b"".join((_HEADER, rows.tobytes(), _TRAILER))


def pack_readings(rows: Recorded, *more: "NDArray[np.int64]") -> bytes:
    """Readings in the order of READING_COLUMNS, with further columns of bigint behind them."""
    columns: tuple[NDArray[Any], ...] = (rows.signal, rows.time % 1000, rows.quality, timestamps(rows.time))
    columns = (*columns, rows.value, rows.recorded, *more)
    return pack_columns([*_READING, *[BIGINT] * len(more)], columns)


def unpack_readings(data: bytes) -> Recorded:
    """The inverse of `pack_readings`; raises StoreError if it is no such thing."""
    layout = _layout(_READING)
    body = memoryview(data)[len(_HEADER) : -len(_TRAILER)]
    if not data.startswith(_HEADER[:11]) or len(body) % layout.itemsize:
        raise StoreError("PostgreSQL sent readings in a format that is not known")
    rows = np.frombuffer(body, dtype=layout)
    return Recorded(
        signal=rows["value0"].astype(np.int32),
        time=(rows["value3"].astype(np.int64) + _EPOCH_US) * 1000 + rows["value1"].astype(np.int64),
        value=rows["value4"].astype(np.float64),
        quality=rows["value2"].astype(np.uint8),
        recorded=rows["value5"].astype(np.int64),
    )


def timestamps(time: NDArray[np.int64]) -> NDArray[np.int64]:
    """Times [ns since 1970] as a timestamptz is sent [µs since 2000], rounded down."""
    return time // 1000 - _EPOCH_US


def moment(time: int) -> datetime:
    """A time [ns] rounded down to the microseconds that a timestamptz has."""
    return _EPOCH + timedelta(microseconds=time // 1000)


def nanoseconds(moment: datetime) -> int:
    """The inverse of `moment`."""
    delta = moment - _EPOCH
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1000


def _layout(types: Sequence[str]) -> np.dtype[np.void]:
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for i, type in enumerate(types):
        fields += [(f"length{i}", ">i4"), (f"value{i}", type)]
    return np.dtype(fields)
