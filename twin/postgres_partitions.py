"""The days of the table of readings, each a partition: made before its first reading comes, dropped when it is old.

What is too far from today for a partition of its own (a wrong clock, a file of old times) goes to the default one.
"""

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .times import NS

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    Connection = AsyncConnection[tuple[Any, ...]]

DAY_NS = 86_400 * NS
OLDEST_DAYS = 800
AHEAD_DAYS = 2
_PREFIX = "reading_d"


class Partitions:
    """Which days have a partition."""

    def __init__(self) -> None:
        self._days: set[int] = set()

    async def load(self, connection: "Connection") -> None:
        """Learns what is there."""
        found = await connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'iotsense'::regnamespace AND relispartition"
            " AND relkind = 'r' AND relname ~ '^reading_d[0-9]{8}$'"
        )
        self._days = {_day_of(name) for (name,) in await found.fetchall()}

    async def cover(self, connection: "Connection", time: NDArray[np.int64], now: int) -> None:
        """Makes the partitions that readings of these times [ns] want; part of the caller's transaction."""
        days = np.unique(time // DAY_NS)
        today = now // DAY_NS
        days = days[(days >= today - OLDEST_DAYS) & (days <= today + AHEAD_DAYS)]
        for day in set(days.tolist()) - self._days:
            await self._make(connection, day)

    def made(self, days: "set[int] | None" = None) -> set[int]:
        """The days that have one now; given, they replace what is known (a transaction was undone)."""
        if days is not None:
            self._days = set(days)
        return set(self._days)

    async def drop_before(self, connection: "Connection", time: int) -> None:
        """Forgets the readings before `time` [ns]: whole days at once, the rest of them one by one."""
        from psycopg import sql

        for day in sorted(day for day in self._days if (day + 1) * DAY_NS <= time):
            await connection.execute(sql.SQL("DROP TABLE iotsense.{}").format(sql.Identifier(_name(day))))
            self._days.discard(day)
        whole = datetime.fromtimestamp(time // DAY_NS * DAY_NS // NS, UTC)
        await connection.execute("DELETE FROM iotsense.reading_other WHERE time < %s", [whole])
        await connection.execute("DELETE FROM iotsense.reading_superseded WHERE time < %s", [whole])

    async def _make(self, connection: "Connection", day: int) -> None:
        # Readings of that day may have gone to the default partition, when the day was still too far away.
        from psycopg import sql

        table = sql.Identifier(_name(day))
        start = datetime.fromtimestamp(day * DAY_NS // NS, UTC)
        end = start + timedelta(days=1)
        span = {"table": table, "start": sql.Literal(start), "end": sql.Literal(end)}
        for statement in (
            "CREATE TABLE iotsense.{table} (LIKE iotsense.reading INCLUDING DEFAULTS)",
            "WITH moved AS (DELETE FROM iotsense.reading_other WHERE time >= {start} AND time < {end} RETURNING *)"
            " INSERT INTO iotsense.{table} SELECT * FROM moved",
            "ALTER TABLE iotsense.reading ATTACH PARTITION iotsense.{table} FOR VALUES FROM ({start}) TO ({end})",
        ):
            await connection.execute(sql.SQL(statement).format(**span))
        self._days.add(day)


def _name(day: int) -> str:
    return _PREFIX + (date(1970, 1, 1) + timedelta(days=day)).strftime("%Y%m%d")


def _day_of(name: str) -> int:
    return (datetime.strptime(name.removeprefix(_PREFIX), "%Y%m%d").date() - date(1970, 1, 1)).days
