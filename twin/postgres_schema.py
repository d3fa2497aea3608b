"""The tables that history has in PostgreSQL, by version, with the way up and the way down.

Version 1 holds readings, signals and events; version 2 adds roll-ups. A way up or down is one transaction, which
PostgreSQL undoes whole if it fails; before it, everything but readings and events is copied to a schema of its own.
"""

from typing import TYPE_CHECKING, Any, LiteralString

from .errors import StoreRefusedError

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    Connection = AsyncConnection[tuple[Any, ...]]

VERSION = 2
OLDEST_SERVER = 140_000
_LOCK = 5_034_723_418_820_557_901  # of PostgreSQL's advisory locks; any number that nobody else takes

_READING: LiteralString = """
    signal integer NOT NULL, nanosecond smallint NOT NULL, quality smallint NOT NULL,
    time timestamptz NOT NULL, value double precision NOT NULL, recorded bigint NOT NULL
"""

_UP: dict[int, list[LiteralString]] = {
    1: [
        """CREATE TABLE iotsense.meta (
            version integer NOT NULL, plant text NOT NULL, timescale boolean NOT NULL,
            created timestamptz NOT NULL DEFAULT now())""",
        "CREATE TABLE iotsense.position (seq bigint NOT NULL, recorded bigint NOT NULL, written timestamptz NOT NULL)",
        "INSERT INTO iotsense.position VALUES (0, 0, now())",
        """CREATE TABLE iotsense.gap (
            first bigint PRIMARY KEY, last bigint NOT NULL, told timestamptz NOT NULL DEFAULT now())""",
        """CREATE TABLE iotsense.signal (
            signal integer PRIMARY KEY, id text NOT NULL, node text NOT NULL, name text NOT NULL, node_type text,
            level text NOT NULL, role text NOT NULL, unit text, data_type text, removed timestamptz)""",
        "CREATE INDEX ON iotsense.signal (id)",
        """CREATE TABLE iotsense.label (
            signal integer, code double precision, text text NOT NULL, PRIMARY KEY (signal, code))""",
        f"CREATE TABLE iotsense.reading_superseded ({_READING}, superseded bigint NOT NULL)",
        "CREATE INDEX ON iotsense.reading_superseded (signal, time)",
        """CREATE TABLE iotsense.event (
            seq bigint PRIMARY KEY, kind text NOT NULL, node integer, node_id text,
            time_ns bigint NOT NULL, until_ns bigint, recorded_ns bigint NOT NULL,
            identity text, retracts bigint, data jsonb NOT NULL,
            time timestamptz GENERATED ALWAYS AS (to_timestamp(time_ns / 1e9)) STORED,
            until timestamptz GENERATED ALWAYS AS (to_timestamp(until_ns / 1e9)) STORED,
            recorded timestamptz GENERATED ALWAYS AS (to_timestamp(recorded_ns / 1e9)) STORED)""",
        "CREATE INDEX ON iotsense.event (kind, time)",
        "CREATE INDEX ON iotsense.event (node_id, time)",
    ],
    2: [
        """CREATE TABLE iotsense.rollup (
            tier text PRIMARY KEY, seconds bigint NOT NULL, done timestamptz NOT NULL)""",
        "CREATE TABLE iotsense.rollup_late (signal integer NOT NULL, time timestamptz NOT NULL)",
        "ALTER TABLE iotsense.meta ADD COLUMN raw_from timestamptz NOT NULL DEFAULT '-infinity'",
    ],
}

_DOWN: dict[int, list[LiteralString]] = {
    2: [
        """DO $$ DECLARE made record; BEGIN
            FOR made IN SELECT 'reading_' || r.tier AS name FROM iotsense.rollup r LOOP
                EXECUTE format('DROP TABLE IF EXISTS iotsense.%I', made.name);
            END LOOP;
        END $$""",
        "DROP TABLE iotsense.rollup",
        "DROP TABLE iotsense.rollup_late",
        "ALTER TABLE iotsense.meta DROP COLUMN raw_from",
    ],
}

_READINGS: list[LiteralString] = [
    """CREATE VIEW iotsense.readings AS
        SELECT s.id, s.node, s.name, r.time, r.value, s.unit, l.text,
            CASE WHEN r.quality >= 192 THEN 'good' WHEN r.quality >= 64 THEN 'uncertain' ELSE 'bad' END AS quality,
            to_timestamp(r.recorded / 1e9) AS recorded, r.signal
        FROM iotsense.reading r JOIN iotsense.signal s USING (signal)
        LEFT JOIN iotsense.label l ON l.signal = r.signal AND l.code = r.value""",
    """CREATE VIEW iotsense.latest AS
        SELECT s.id, s.node, s.name, r.time, r.value, s.unit, l.text,
            CASE WHEN r.quality >= 192 THEN 'good' WHEN r.quality >= 64 THEN 'uncertain' ELSE 'bad' END AS quality,
            s.signal
        FROM iotsense.signal s CROSS JOIN LATERAL (
            SELECT time, value, quality FROM iotsense.reading
            WHERE signal = s.signal ORDER BY time DESC, nanosecond DESC LIMIT 1) r
        LEFT JOIN iotsense.label l ON l.signal = s.signal AND l.code = r.value
        WHERE s.removed IS NULL""",
]

_PLAIN: list[LiteralString] = [
    f"""CREATE TABLE iotsense.reading ({_READING}, PRIMARY KEY (signal, time, nanosecond))
        PARTITION BY RANGE (time)""",
    "CREATE INDEX ON iotsense.reading USING brin (time)",
    "CREATE TABLE iotsense.reading_other PARTITION OF iotsense.reading DEFAULT",
]

TIMESCALE: list[LiteralString] = [
    f"CREATE TABLE iotsense.reading ({_READING}, PRIMARY KEY (signal, time, nanosecond))",
    "SELECT create_hypertable('iotsense.reading', 'time', chunk_time_interval => INTERVAL '1 day')",
    """ALTER TABLE iotsense.reading SET (
        timescaledb.compress, timescaledb.compress_segmentby = 'signal',
        timescaledb.compress_orderby = 'time, nanosecond')""",
    "SELECT add_compression_policy('iotsense.reading', INTERVAL '7 days')",
]
"""A hypertable in place of partitions of our own (TimescaleDB 2.11 or newer, which can change compressed chunks)."""


async def upgrade(connection: "Connection", plant: str) -> bool:
    """Makes the tables or brings them up to date, within a transaction; whether TimescaleDB keeps the readings.

    Raises StoreRefusedError if they are a newer version's or another plant's, or the server is too old.
    """
    if connection.info.server_version < OLDEST_SERVER:
        raise StoreRefusedError(f"PostgreSQL 14 or newer is needed, this is {connection.info.server_version // 10_000}")
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        found = await _meta(connection)
        if found is None:
            return await _create(connection, plant)
        version, owner, timescale = found
        if owner != plant:
            raise StoreRefusedError("the database holds the history of another plant; give each a database of its own")
        if version > VERSION:
            raise StoreRefusedError(
                f"its tables are of version {version}, and this program knows {VERSION}:"
                f" run `iotsense downgrade` of the newer program first, or update this one"
            )
        if version < VERSION:
            await _backup(connection, version)
            for step in range(version + 1, VERSION + 1):
                await _run(connection, _UP[step])
            await connection.execute("UPDATE iotsense.meta SET version = %s", [VERSION])
        return timescale


async def downgrade(connection: "Connection") -> int:
    """Takes the tables back by one version, within a transaction; the version that they have now.

    Raises StoreRefusedError where there is nothing to take back.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        found = await _meta(connection)
        if found is None or found[0] not in _DOWN:
            raise StoreRefusedError(
                "the database has no tables of ours" if found is None else f"nothing is older than version {found[0]}"
            )
        if found[2]:
            raise StoreRefusedError("with TimescaleDB the first version is that of the continuous aggregates already")
        await _backup(connection, found[0])
        await _run(connection, _DOWN[found[0]])
        await connection.execute("UPDATE iotsense.meta SET version = %s", [found[0] - 1])
        return found[0] - 1


async def _create(connection: "Connection", plant: str) -> bool:
    timescale = await _has_timescale(connection)
    await connection.execute("CREATE SCHEMA IF NOT EXISTS iotsense")
    for version in range(1, VERSION + 1):
        await _run(connection, _UP[version])
    await _run(connection, TIMESCALE if timescale else _PLAIN)
    await _run(connection, _READINGS)
    await connection.execute(
        "INSERT INTO iotsense.meta (version, plant, timescale) VALUES (%s, %s, %s)", [VERSION, plant, timescale]
    )
    return timescale


async def _has_timescale(connection: "Connection") -> bool:
    """Whether TimescaleDB is in this database, or can be brought into it."""
    found = await connection.execute("SELECT installed_version FROM pg_available_extensions WHERE name = 'timescaledb'")
    row = await found.fetchone()
    if row is None:
        return False
    if row[0] is None:
        await connection.execute("CREATE EXTENSION timescaledb")
    return True


async def _meta(connection: "Connection") -> tuple[int, str, bool] | None:
    found = await connection.execute("SELECT to_regclass('iotsense.meta') IS NOT NULL")
    row = await found.fetchone()
    if row is None or not row[0]:
        return None
    found = await connection.execute("SELECT version, plant, timescale FROM iotsense.meta")
    row = await found.fetchone()
    if row is None:
        raise StoreRefusedError("the table iotsense.meta is empty; restore it from the schema iotsense_backup_*")
    return row[0], row[1], row[2]


async def _backup(connection: "Connection", version: int) -> None:
    """Copies of all small tables; the ways up and down leave readings and events as they are."""
    from psycopg import sql

    schema = sql.Identifier(f"iotsense_backup_{version}")
    await connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(schema))
    await connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
    found = await connection.execute(
        """SELECT relname FROM pg_class WHERE relnamespace = 'iotsense'::regnamespace AND relkind = 'r'
            AND NOT relispartition AND relname NOT IN ('event', 'reading', 'reading_superseded')"""
    )
    for (name,) in await found.fetchall():
        table = sql.Identifier(name)
        await connection.execute(sql.SQL("CREATE TABLE {0}.{1} AS TABLE iotsense.{1}").format(schema, table))


async def _run(connection: "Connection", statements: list[LiteralString]) -> None:
    for statement in statements:
        await connection.execute(statement)
