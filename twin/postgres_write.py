"""A chunk of the journal into PostgreSQL: one transaction with the position that goes with it.

Nearly all readings are newer than their signal's newest, and are copied straight into the table. The others may change
a value that is there: that one moves to `reading_superseded` first, so that `known_at` finds it.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .errors import StoreError
from .graph import Graph
from .model import Event
from .postgres_copy import INTEGER, READING_COLUMNS, TIMESTAMP, moment, pack_columns, pack_readings, timestamps
from .postgres_partitions import Partitions
from .state import NEVER
from .store import Chunk, Recorded
from .times import now_ns

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    Connection = AsyncConnection[tuple[Any, ...]]

_MOVE = f"""
WITH gone AS (
    DELETE FROM iotsense.reading r USING late l
    WHERE r.signal = l.signal AND r.time = l.time AND r.nanosecond = l.nanosecond AND r.time >= %s AND r.time <= %s
    RETURNING r.signal, r.nanosecond, r.quality, r.time, r.value, r.recorded, l.first_recorded)
INSERT INTO iotsense.reading_superseded ({READING_COLUMNS}, superseded) SELECT * FROM gone
"""
_NAMES = "id, node, name, node_type, level, role, unit, data_type"
_NEW_NAMES = ", ".join(f"excluded.{name}" for name in _NAMES.split(", "))
_OLD_NAMES = ", ".join(f"old.{name}" for name in _NAMES.split(", "))
_SIGNAL = f"""
INSERT INTO iotsense.signal AS old (signal, {_NAMES}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (signal) DO UPDATE SET ({_NAMES}, removed) = ({_NEW_NAMES}, NULL)
WHERE ({_OLD_NAMES}, old.removed) IS DISTINCT FROM ({_NEW_NAMES}, NULL)
"""
_KEYS = "SELECT DISTINCT signal, time, nanosecond FROM merged"
_TAKE = f"""
WITH there AS (
    DELETE FROM iotsense.{{table}} r USING ({_KEYS}) m
    WHERE r.signal = m.signal AND r.time = m.time AND r.nanosecond = m.nanosecond AND r.time >= %s AND r.time <= %s
    RETURNING r.signal, r.nanosecond, r.quality, r.time, r.value, r.recorded)
INSERT INTO merged SELECT * FROM there
"""
_PUT = f"""
WITH one AS (
    SELECT DISTINCT ON (signal, time, nanosecond, recorded) * FROM merged),
versions AS (
    SELECT *, lead(recorded) OVER (PARTITION BY signal, time, nanosecond ORDER BY recorded) AS superseded FROM one),
gone AS (
    INSERT INTO iotsense.reading_superseded ({READING_COLUMNS}, superseded)
    SELECT {READING_COLUMNS}, superseded FROM versions WHERE superseded IS NOT NULL)
INSERT INTO iotsense.reading ({READING_COLUMNS})
SELECT {READING_COLUMNS} FROM versions WHERE superseded IS NULL
"""
_MERGED = """
CREATE TEMPORARY TABLE IF NOT EXISTS merged (
    signal integer, nanosecond smallint, quality smallint, time timestamptz, value double precision, recorded bigint)
    ON COMMIT DELETE ROWS
"""
_LATE = """
CREATE TEMPORARY TABLE IF NOT EXISTS late (
    signal integer, nanosecond smallint, quality smallint, time timestamptz, value double precision, recorded bigint,
    first_recorded bigint) ON COMMIT DELETE ROWS
"""


class PostgresWriter:
    """Writes chunks, in order, over one connection. `rolled_until` [ns]: roll-ups are made up to there."""

    def __init__(self, connection: "Connection", timescale: bool) -> None:
        self._connection = connection
        self._timescale = timescale
        self._newest = np.zeros(0, dtype=np.int64)
        self._graph: Graph | None = None
        self._labels: dict[int, int] = {}
        self.partitions = Partitions()
        self.rolled_until = NEVER

    async def begin(self) -> tuple[int, int]:
        """Learns what is there; the entry that the database has come to, and when it was recorded [ns]."""
        await self._connection.execute(_LATE)
        if not self._timescale:
            await self.partitions.load(self._connection)
        found = await self._connection.execute(
            """SELECT s.signal, r.time FROM iotsense.signal s CROSS JOIN LATERAL (
                SELECT time FROM iotsense.reading WHERE signal = s.signal ORDER BY time DESC LIMIT 1) r"""
        )
        newest = await found.fetchall()
        self._grow(max((signal for signal, _ in newest), default=-1) + 1)
        for signal, time in newest:
            # The end of the microsecond: what lies within it may be there.
            self._newest[signal] = int(time.timestamp() * 1_000_000) * 1000 + 2999
        found = await self._connection.execute("SELECT seq, recorded FROM iotsense.position")
        row = await found.fetchone()
        if row is None:
            raise StoreError("the table iotsense.position is empty")
        return int(row[0]), int(row[1])

    async def write(self, chunk: Chunk) -> None:
        """One transaction; raises StoreError if somebody else has moved the position."""
        async with self._undone():
            await self._write(chunk)

    async def merge(self, rows: Recorded, graph: Graph, texts: Callable[[int], Sequence[str]]) -> None:
        """Readings of whatever age, as one transaction: all versions of what they meet are put in order anew."""
        if not len(rows):
            return
        span = [moment(int(rows.time.min())), moment(int(rows.time.max()))]
        async with self._undone():
            await self._write_signals(graph)
            await self._write_labels(np.unique(rows.signal).tolist(), texts)
            if not self._timescale:
                await self.partitions.cover(self._connection, rows.time, now_ns())
            await self._connection.execute(_MERGED)
            await self._copy("merged", pack_readings(rows))
            await self._connection.execute("ANALYZE merged")
            for table in ("reading", "reading_superseded"):
                await self._connection.execute(_TAKE.format(table=table).encode(), span)
            await self._connection.execute(_PUT.encode())
            self._grow(int(rows.signal.max()) + 1)
            np.maximum.at(self._newest, rows.signal, rows.time)
            await self._mark_rolled(rows)

    async def merge_events(self, events: Sequence[Event], graph: Graph) -> None:
        """Those that are not there yet, as one transaction."""
        async with self._undone():
            seqs = [event.seq for event in events]
            found = await self._connection.execute("SELECT seq FROM iotsense.event WHERE seq = ANY(%s)", [seqs])
            there = {seq for (seq,) in await found.fetchall()}
            await self._write_events([event for event in events if event.seq not in there], graph)

    @contextlib.asynccontextmanager
    async def _undone(self) -> AsyncIterator[None]:
        """A transaction; if it is undone, so is what we know of the database."""
        made, newest = self.partitions.made(), self._newest.copy()
        graph, labels = self._graph, dict(self._labels)
        try:
            async with self._connection.transaction():
                yield
        except BaseException:
            self.partitions.made(made)
            self._newest, self._graph, self._labels = newest, graph, labels
            raise

    async def skip(self, first: int, last: int) -> None:
        """Writes down that these entries are missing, and goes on behind them."""
        async with self._connection.transaction():
            await self._connection.execute(
                "INSERT INTO iotsense.gap (first, last) VALUES (%s, %s) ON CONFLICT DO NOTHING", [first, last]
            )
            await self._connection.execute(
                "UPDATE iotsense.position SET seq = %s, recorded = 0, written = now()", [last]
            )

    async def _write(self, chunk: Chunk) -> None:
        found = await self._connection.execute("SELECT seq FROM iotsense.position FOR UPDATE")
        row = await found.fetchone()
        if row is None or row[0] != chunk.after:
            raise StoreError(
                f"the database is at entry {row and row[0]}, not at {chunk.after}; does somebody else write?"
            )
        await self._write_signals(chunk.graph)
        await self._write_labels(np.unique(chunk.current.signal).tolist(), chunk.texts)
        if len(chunk.current):
            await self._write_readings(chunk)
        await self._write_events(chunk.events, chunk.graph)
        await self._connection.execute(
            "UPDATE iotsense.position SET seq = %s, recorded = %s, written = now()", [chunk.seq, chunk.recorded]
        )

    # Readings

    async def _write_readings(self, chunk: Chunk) -> None:
        rows = chunk.current
        self._grow(int(rows.signal[-1]) + 1)
        if not self._timescale:
            await self.partitions.cover(self._connection, rows.time, now_ns())
        fresh = rows.time > self._newest[rows.signal]
        np.maximum.at(self._newest, rows.signal, rows.time)
        late = np.flatnonzero(~fresh)
        await self._copy(f"iotsense.reading ({READING_COLUMNS})", pack_readings(rows.take(fresh)))
        if len(late):
            await self._write_late(rows.take(late), chunk.first_recorded[late])
        if len(chunk.superseded):
            data = pack_readings(chunk.superseded, chunk.superseded_at)
            await self._copy(f"iotsense.reading_superseded ({READING_COLUMNS}, superseded)", data)
        await self._mark_rolled(rows)

    async def _write_late(self, rows: Recorded, first_recorded: NDArray[np.int64]) -> None:
        await self._copy("late", pack_readings(rows, first_recorded))
        # Without statistics of the temporary table the planner would rather read all of the readings.
        await self._connection.execute("SET LOCAL enable_hashjoin = off")
        await self._connection.execute("SET LOCAL enable_mergejoin = off")
        span = [moment(int(rows.time.min())), moment(int(rows.time.max()))]
        await self._connection.execute(_MOVE.encode(), span)
        await self._connection.execute(
            f"INSERT INTO iotsense.reading ({READING_COLUMNS}) SELECT {READING_COLUMNS} FROM late".encode()
        )

    async def _mark_rolled(self, rows: Recorded) -> None:
        """What is older than the roll-ups makes them be computed again."""
        late = np.flatnonzero(rows.time < self.rolled_until)
        if len(late):
            columns = (rows.signal[late], timestamps(rows.time[late]))
            await self._copy("iotsense.rollup_late", pack_columns([INTEGER, TIMESTAMP], columns))

    async def _copy(self, table: str, data: bytes) -> None:
        statement = f"COPY {table} FROM STDIN (FORMAT BINARY)".encode()
        async with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            await copy.write(data)

    def _grow(self, signals: int) -> None:
        missing = signals - len(self._newest)
        if missing > 0:
            more = np.full(max(missing, len(self._newest)), NEVER, dtype=np.int64)
            self._newest = np.concatenate((self._newest, more))

    # What is around them

    async def _write_signals(self, graph: Graph) -> None:
        if graph is self._graph:
            return
        known = {} if self._graph is None else self._graph.signal_map
        changed = [s for index, s in graph.signal_map.items() if known.get(index) is not s]
        # A node that is renamed or moved renames its signals, which themselves stay as they are.
        same_nodes = self._graph is not None and self._graph.node_map is graph.node_map
        rows = []
        for signal in changed if same_nodes else graph.signals():
            node = graph.node(signal.node)
            names = (signal.index, graph.signal_id(signal), node.id, signal.name, node.type, str(node.level))
            data_type = str(signal.data_type) if signal.data_type else None
            rows.append((*names, str(signal.role), signal.unit, data_type))
        async with self._connection.cursor() as cursor:
            await cursor.executemany(_SIGNAL.encode(), rows)
        await self._connection.execute(
            "UPDATE iotsense.signal SET removed = now() WHERE removed IS NULL AND NOT signal = ANY(%s)",
            [list(graph.signal_map)],
        )
        self._graph = graph

    async def _write_labels(self, signals: Sequence[int], texts: Callable[[int], Sequence[str]]) -> None:
        rows = []
        for signal in signals:
            known, all_of_it = self._labels.get(signal, 0), texts(signal)
            rows += [(signal, known + i, text.replace("\0", "\ufffd")) for i, text in enumerate(all_of_it[known:])]
            if all_of_it:
                self._labels[signal] = len(all_of_it)
        async with self._connection.cursor() as cursor:
            if rows:
                await cursor.executemany("INSERT INTO iotsense.label VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", rows)

    async def _write_events(self, events: Sequence[Event], graph: Graph) -> None:
        if not events:
            return
        nodes = graph.node_map
        columns = "seq, kind, node, node_id, time_ns, until_ns, recorded_ns, identity, retracts, data"
        statement = f"COPY iotsense.event ({columns}) FROM STDIN".encode()
        async with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for event in events:
                node = nodes.get(event.node) if event.node is not None else None
                # PostgreSQL's texts cannot hold a zero byte.
                data = msgspec.json.encode(event.data).decode().replace("\\u0000", "\\ufffd")
                where = (event.node, node.id if node else None)
                when = (event.time, event.until, event.recorded)
                await copy.write_row((event.seq, event.kind, *where, *when, event.identity, event.retracts, data))
