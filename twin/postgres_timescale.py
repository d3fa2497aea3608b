"""Roll-ups and retention where TimescaleDB is there: continuous aggregates and policies, which it keeps by itself."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .durations import parse_duration

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    Connection = AsyncConnection[tuple[Any, ...]]

_AGGREGATES = "_aggregates"
_USABLE = "FILTER (WHERE quality >= 64 AND value <> 'NaN')"
_VIEW = f"""
CREATE MATERIALIZED VIEW IF NOT EXISTS iotsense.{{table}} WITH (timescaledb.continuous) AS
SELECT signal, time_bucket({{width}}, time) AS time, count(*) AS count, count(*) {_USABLE} AS usable,
    sum(value) {_USABLE} AS sum, min(value) {_USABLE} AS minimum, max(value) {_USABLE} AS maximum,
    first(value, time) {_USABLE} AS first, last(value, time) {_USABLE} AS last, avg(value) {_USABLE} AS mean
FROM iotsense.reading GROUP BY 1, 2 WITH NO DATA
"""
_POLICY = """
SELECT add_continuous_aggregate_policy({name}, start_offset => {start}, end_offset => {width},
    schedule_interval => {every}, if_not_exists => true)
"""
_RETENTION = "SELECT add_retention_policy({name}, drop_after => {after}, if_not_exists => true)"
_FORGET_POLICY = "SELECT remove_retention_policy({name}, if_exists => true)"
_SUPERSEDED = "DELETE FROM iotsense.reading_superseded WHERE time < now() - {after}::interval"


class TimescalePolicies:
    """The tiers of a configuration's `retention`."""

    def __init__(self, connection: "Connection", retention: Mapping[str, float]) -> None:
        self._connection = connection
        self._retention = retention

    async def begin(self) -> None:
        """Makes what is missing, and sets the policies to what is configured."""
        raw = self._retention.get("raw")
        for name, keep in self._retention.items():
            if name.endswith(_AGGREGATES):
                tier = name.removesuffix(_AGGREGATES)
                await self._tier(
                    f"reading_{tier}", timedelta(seconds=parse_duration(tier)), timedelta(seconds=keep), raw
                )
        await self._keep("reading", timedelta(seconds=raw) if raw is not None else None)

    async def keep_house(self, now: int, seconds: float) -> None:
        """TimescaleDB's own jobs do the rest; it does not know about superseded values."""
        raw = self._retention.get("raw")
        if raw is not None:
            await self._run(_SUPERSEDED, after=timedelta(seconds=raw))

    async def _tier(self, table: str, width: timedelta, keep: timedelta, raw: float | None) -> None:
        from psycopg import sql

        # As far back as there are readings, so that late ones are taken in, and never beyond: those are gone.
        start = max(timedelta(seconds=raw) - timedelta(days=1), width * 3) if raw is not None else None
        await self._run(_VIEW, table=sql.Identifier(table), width=width)
        every = min(max(width, timedelta(minutes=1)), timedelta(hours=1))
        await self._run(_POLICY, name=f"iotsense.{table}", start=start, width=width, every=every)
        await self._keep(table, keep)

    async def _keep(self, table: str, keep: timedelta | None) -> None:
        await self._run(_FORGET_POLICY, name=f"iotsense.{table}")
        if keep is not None:
            await self._run(_RETENTION, name=f"iotsense.{table}", after=keep)

    async def _run(self, statement: str, **values: object) -> None:
        from psycopg import sql

        literals = {k: v if isinstance(v, sql.Composable) else sql.Literal(v) for k, v in values.items()}
        await self._connection.execute(sql.SQL(statement).format(**literals))
