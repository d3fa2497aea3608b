"""Questions to the readings in PostgreSQL. Every answer comes as a binary COPY, so whole columns at a time."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .postgres_copy import READING_COLUMNS, moment, unpack_readings
from .store import Recorded
from .store_chunk import newest_known, newest_of_each

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.abc import Query

    Connection = AsyncConnection[tuple[Any, ...]]

_FAR = np.iinfo(np.int64).max

_ROWS = """
SELECT {columns} FROM iotsense.reading
WHERE signal = {signal} AND time >= {start} AND time <= {end} AND recorded <= {known}
UNION ALL SELECT {columns} FROM iotsense.reading_superseded
WHERE signal = {signal} AND time >= {start} AND time <= {end} AND recorded <= {known} AND superseded > {known}
"""

_VERSIONS = """
SELECT {columns} FROM iotsense.reading WHERE time >= {start} AND time <= {end} AND recorded <= {known}
UNION ALL
SELECT {columns} FROM iotsense.reading_superseded WHERE time >= {start} AND time <= {end} AND recorded <= {known}
"""

_LATEST = """
SELECT r.* FROM unnest({signals}::integer[]) AS wanted(signal) CROSS JOIN LATERAL (
    SELECT {columns} FROM iotsense.reading
    WHERE signal = wanted.signal AND (time, nanosecond) <= ({time}, {rest}) AND recorded <= {known}
    ORDER BY time DESC, nanosecond DESC LIMIT 1) r
UNION ALL SELECT r.* FROM unnest({signals}::integer[]) AS wanted(signal) CROSS JOIN LATERAL (
    SELECT {columns} FROM iotsense.reading_superseded
    WHERE signal = wanted.signal AND (time, nanosecond) <= ({time}, {rest})
        AND recorded <= {known} AND superseded > {known}
    ORDER BY time DESC, nanosecond DESC LIMIT 1) r
"""


async def rows(connection: "Connection", signal: int, start: int, end: int, known_at: int | None) -> Recorded:
    """Readings of a signal in [start, end) [ns], as known at `known_at`."""
    found = await _copied(
        connection, _ROWS, signal=signal, start=moment(start), end=moment(end), known=_known(known_at)
    )
    # The server compares microseconds; what is between them is ours.
    return newest_known([found.take((found.time >= start) & (found.time < end))])


async def versions(connection: "Connection", start: int, end: int, known_at: int) -> Recorded:
    """All readings in [start, end) [ns] that were recorded until `known_at`, superseded ones too."""
    found = await _copied(connection, _VERSIONS, start=moment(start), end=moment(end), known=known_at)
    return found.take((found.time >= start) & (found.time < end))


async def latest(
    connection: "Connection", time: int, known_at: int | None, signals: "NDArray[np.int32] | None"
) -> Recorded:
    """Of each signal the newest reading at or before `time` [ns], as known at `known_at`."""
    if signals is None:
        named = await connection.execute("SELECT array_agg(signal) FROM iotsense.signal")
        row = await named.fetchone()
        wanted = row[0] if row and row[0] else []
    else:
        wanted = signals.tolist()
    found = await _copied(
        connection, _LATEST, signals=wanted, time=moment(time), rest=time % 1000, known=_known(known_at)
    )
    return newest_of_each([found])


def _known(known_at: int | None) -> int:
    return _FAR - 1 if known_at is None else known_at


async def _copied(connection: "Connection", query: str, **values: object) -> Recorded:
    from psycopg import sql

    literals = {name: sql.Literal(value) for name, value in values.items()}
    columns = sql.SQL(READING_COLUMNS)
    statement: Query = sql.SQL("COPY ({}) TO STDOUT (FORMAT BINARY)").format(
        sql.SQL(query).format(columns=columns, **literals)
    )
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return unpack_readings(b"".join([bytes(block) async for block in copy]))
