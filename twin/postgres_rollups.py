"""Roll-ups of readings in plain PostgreSQL: a table for each tier, `reading_1m`, `reading_1h` and so on.

Each is made of the tier below it, the first one of the readings, bucket by bucket behind what happens now. A reading
that comes later than its bucket was made has it made again; where the bucket's readings have been dropped already, it
is added to what is there. Bad readings count in `count` and nowhere else. Buckets are UTC's, weeks begin on Mondays.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from .durations import parse_duration
from .postgres_copy import moment, nanoseconds
from .postgres_partitions import DAY_NS
from .postgres_write import PostgresWriter
from .times import NS

if TYPE_CHECKING:
    from psycopg import AsyncConnection, sql

    Connection = AsyncConnection[tuple[Any, ...]]

SETTLE_NS = 120 * NS
_PATIENCE = "SET LOCAL lock_timeout = '5s'"
_FIRST_STEP_S = 600
_LONGEST_STEP_S = 30 * 86_400
_QUICK_S, _SLOW_S = 0.2, 1.0
_AGGREGATES = "_aggregates"

_TABLE = """
CREATE TABLE IF NOT EXISTS iotsense.{table} (
    signal integer NOT NULL, time timestamptz NOT NULL, count bigint NOT NULL, usable bigint NOT NULL,
    sum double precision NOT NULL, minimum double precision, maximum double precision,
    first double precision, last double precision,
    mean double precision GENERATED ALWAYS AS (sum / nullif(usable, 0)) STORED,
    PRIMARY KEY (signal, time))
"""
_BIN = "date_bin({width}, r.time, TIMESTAMPTZ '2000-01-03 00:00:00+00')"
_OF_READINGS = f"""
SELECT r.signal, {_BIN}, count(*), count(*) FILTER (WHERE r.quality >= 64 AND r.value <> 'NaN'),
    coalesce(sum(r.value) FILTER (WHERE r.quality >= 64 AND r.value <> 'NaN'), 0),
    min(r.value) FILTER (WHERE r.quality >= 64 AND r.value <> 'NaN'),
    max(r.value) FILTER (WHERE r.quality >= 64 AND r.value <> 'NaN'),
    (array_agg(r.value ORDER BY r.time, r.nanosecond) FILTER (WHERE r.quality >= 64 AND r.value <> 'NaN'))[1],
    (array_agg(r.value ORDER BY r.time DESC, r.nanosecond DESC) FILTER (WHERE r.quality >= 64 AND r.value <> 'NaN'))[1]
FROM iotsense.{{source}} r
"""
_OF_TIER = f"""
SELECT r.signal, {_BIN}, sum(r.count), sum(r.usable), sum(r.sum), min(r.minimum), max(r.maximum),
    (array_agg(r.first ORDER BY r.time) FILTER (WHERE r.usable > 0))[1],
    (array_agg(r.last ORDER BY r.time DESC) FILTER (WHERE r.usable > 0))[1]
FROM iotsense.{{source}} r
"""
_INSERT = """
INSERT INTO iotsense.{table} AS old (signal, time, count, usable, sum, minimum, maximum, first, last)
"""
_REPLACE = """
ON CONFLICT (signal, time) DO UPDATE SET (count, usable, sum, minimum, maximum, first, last) =
(excluded.count, excluded.usable, excluded.sum, excluded.minimum, excluded.maximum, excluded.first, excluded.last)
"""
_MERGE = """
ON CONFLICT (signal, time) DO UPDATE SET (count, usable, sum, minimum, maximum, first, last) =
(old.count + excluded.count, old.usable + excluded.usable, old.sum + excluded.sum,
 least(old.minimum, excluded.minimum), greatest(old.maximum, excluded.maximum),
 coalesce(old.first, excluded.first), coalesce(old.last, excluded.last))
"""
_DROPPED = f"WHERE r.time < {{kept}} AND {_BIN} + {{width}} <= {{done}} GROUP BY 1, 2"
_AHEAD = "WHERE r.time >= {start} AND r.time < {end} GROUP BY 1, 2"
_AGAIN = """
JOIN (SELECT DISTINCT signal, date_bin({width}, time, TIMESTAMPTZ '2000-01-03 00:00:00+00') AS bucket
      FROM iotsense.rollup_late WHERE time >= {kept}) late
ON r.signal = late.signal AND r.time >= late.bucket AND r.time < late.bucket + {width}
WHERE late.bucket + {width} <= {done} GROUP BY 1, 2
"""


@dataclass(slots=True)
class Tier:
    """A tier: its name (`1m`), the width of its buckets, how long [s] it is kept, how far it is made."""

    name: str
    width: timedelta
    keep: float
    done: datetime

    @property
    def table(self) -> str:
        """The table's name."""
        return f"reading_{self.name}"


class Rollups:
    """The tiers of a configuration's `retention`, the finest first, and the retention of everything."""

    def __init__(self, writer: PostgresWriter, connection: "Connection", retention: Mapping[str, float]) -> None:
        self._writer = writer
        self._connection = connection
        self._raw = retention.get("raw")
        self._step_s = float(_FIRST_STEP_S)
        self._raw_from = datetime.min.replace(tzinfo=UTC)
        names = [name.removesuffix(_AGGREGATES) for name in retention if name.endswith(_AGGREGATES)]
        tiers = [
            Tier(name, timedelta(seconds=parse_duration(name)), retention[name + _AGGREGATES], self._raw_from)
            for name in names
        ]
        self.tiers = sorted(tiers, key=lambda tier: tier.width)

    async def begin(self) -> None:
        """Makes the tables of new tiers, and learns how far the others are."""
        from psycopg import sql

        async with self._connection.transaction():
            for tier in self.tiers:
                await self._connection.execute(sql.SQL(_TABLE).format(table=sql.Identifier(tier.table)))
                await self._connection.execute(
                    "INSERT INTO iotsense.rollup VALUES (%s, %s, '0001-01-01 00:00:00+00') ON CONFLICT DO NOTHING",
                    [tier.name, int(tier.width.total_seconds())],
                )
                row = await self._one("SELECT done FROM iotsense.rollup WHERE tier = %s", [tier.name])
                tier.done = row[0]
            row = await self._one("SELECT CASE WHEN isfinite(raw_from) THEN raw_from END FROM iotsense.meta")
            self._raw_from = row[0] or self._raw_from
        self._tell_writer()

    async def keep_house(self, now: int, seconds: float) -> None:
        """Makes what is due, for some `seconds` at most; then forgets what is too old."""
        began = time.monotonic()
        await self._prepare(now)
        await self._make_again()
        while time.monotonic() - began < seconds and await self._step(now):
            pass
        await self._forget(now)

    async def _prepare(self, now: int) -> None:
        """Tomorrow's partition, so that no reading has to wait until a long query lets it be made."""
        async with self._connection.transaction():
            await self._connection.execute(_PATIENCE)
            made = self._writer.partitions.made()
            try:
                await self._writer.partitions.cover(self._connection, np.array([now, now + DAY_NS]), now)
            except BaseException:
                self._writer.partitions.made(made)
                raise

    # Making

    async def _step(self, now: int) -> bool:
        """One stretch of every tier, as one transaction; whether there is more."""
        began = time.monotonic()
        limit, more = moment(now - SETTLE_NS), False
        for below, tier in zip([None, *self.tiers], self.tiers, strict=False):
            source = below.table if below else "reading"
            more |= await self._advance(tier, source, min(limit, below.done) if below else limit)
        took = time.monotonic() - began
        if took < _QUICK_S:
            self._step_s = min(self._step_s * 2, _LONGEST_STEP_S)
        elif took > _SLOW_S:
            self._step_s = max(self._step_s / 2, 60)
        self._tell_writer()
        return more

    async def _advance(self, tier: Tier, source: str, limit: datetime) -> bool:
        from psycopg import sql

        row = await self._one(
            sql.SQL("SELECT min(time) FROM iotsense.{} WHERE time >= %s").format(sql.Identifier(source)), [tier.done]
        )
        first = row[0]
        start = _floor(max(tier.done, first), tier.width) if first is not None else _floor(limit, tier.width)
        end = min(_floor(limit, tier.width), start + max(tier.width, _whole(self._step_s, tier.width)))
        if end <= tier.done:
            return False
        async with self._connection.transaction():
            if first is not None and start < end:
                span = {"start": sql.Literal(start), "end": sql.Literal(end)}
                await self._insert(tier, source, _AHEAD, span)
            await self._connection.execute("UPDATE iotsense.rollup SET done = %s WHERE tier = %s", [end, tier.name])
        tier.done = end
        return end < _floor(limit, tier.width)

    async def _make_again(self) -> None:
        """The buckets that late readings fall into."""
        from psycopg import sql

        row = await self._one("SELECT EXISTS (SELECT FROM iotsense.rollup_late)")
        if not row[0]:
            return
        async with self._connection.transaction():
            for below, tier in zip([None, *self.tiers], self.tiers, strict=False):
                source = below.table if below else "reading"
                again = {"kept": sql.Literal(self._raw_from), "done": sql.Literal(tier.done)}
                await self._insert(tier, source, _AGAIN, again)
                # What is older than all readings that are kept came after they had gone, and goes in a moment.
                await self._insert(tier, "reading", _DROPPED, again, _MERGE)
            await self._connection.execute("DELETE FROM iotsense.rollup_late")
            await self._drop_readings(self._raw_from)

    async def _insert(
        self, tier: Tier, source: str, which: str, values: "Mapping[str, sql.Composable]", conflict: str = _REPLACE
    ) -> None:
        from psycopg import sql

        select = _OF_READINGS if source == "reading" else _OF_TIER
        await self._connection.execute(
            sql.SQL(_INSERT + select + which + conflict).format(
                table=sql.Identifier(tier.table),
                source=sql.Identifier(source),
                width=sql.Literal(tier.width),
                **values,
            )
        )

    # Forgetting

    async def _forget(self, now: int) -> None:
        """Readings go only after the finest tier has them; whole days at a time."""
        from psycopg import sql

        async with self._connection.transaction():
            for tier in self.tiers:
                query = sql.SQL("DELETE FROM iotsense.{} WHERE time < %s").format(sql.Identifier(tier.table))
                await self._connection.execute(query, [moment(now - round(tier.keep * NS))])
            if self._raw is not None:
                cutoff = moment(now - round(self._raw * NS))
                cutoff = min(cutoff, self.tiers[0].done) if self.tiers else cutoff
                await self._drop_readings(max(_floor(cutoff, timedelta(days=1)), self._raw_from))

    async def _drop_readings(self, before: datetime) -> None:
        """Part of the caller's transaction; a partition can be dropped when nobody reads it."""
        if before.year == 1:
            return
        await self._connection.execute(_PATIENCE)
        made = self._writer.partitions.made()
        try:
            await self._writer.partitions.drop_before(self._connection, nanoseconds(before))
            await self._connection.execute("UPDATE iotsense.meta SET raw_from = %s", [before])
        except BaseException:
            self._writer.partitions.made(made)
            raise
        self._raw_from = before

    def _tell_writer(self) -> None:
        if self.tiers:
            self._writer.rolled_until = nanoseconds(max(self.tiers[0].done, datetime(1700, 1, 1, tzinfo=UTC)))

    async def _one(self, query: Any, values: list[Any] | None = None) -> tuple[Any, ...]:
        found = await self._connection.execute(query, values)
        row = await found.fetchone()
        assert row is not None  # an aggregate and a row that was just made always answer
        return row


_ORIGIN = datetime(2000, 1, 3, tzinfo=UTC)


def _floor(time: datetime, width: timedelta) -> datetime:
    """The beginning of the bucket."""
    return time - (time - _ORIGIN) % width if time.year > 1 else time


def _whole(seconds: float, width: timedelta) -> timedelta:
    """So many seconds as whole buckets."""
    return width * max(1, int(seconds // width.total_seconds()))
