"""History in PostgreSQL, with TimescaleDB where the server has it: psycopg 3, async, COPY.

The position is in the database, in the transaction of the rows that it goes with, so nothing comes twice and nothing
is missing, whenever either side dies.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import postgres_read, postgres_schema
from .errors import MissingExtraError, StoreError, StoreRefusedError
from .graph import Graph
from .model import Event
from .postgres_rollups import Rollups
from .postgres_timescale import TimescalePolicies
from .postgres_write import PostgresWriter
from .store import Chunk, Recorded

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.AsyncConnection[tuple[Any, ...]]

EXTRA = "postgresql"
CONNECT_S = 10
ANSWER_S = 300.0
# SQLSTATE classes and codes that somebody has to do something about: authorisation, no such database, no rights.
_REFUSALS = ("28", "3D000", "42501", "0LP01")


@dataclass(frozen=True)
class PostgresAddress:
    """Where a database is. What is left out is libpq's: PGUSER, PGPASSWORD, the password file.

    password: fetched at each connecting, so that a changed one needs no restart.
    retention: how long [s] `raw` readings and aggregates (`1m_aggregates`) are kept; what is not named, for ever.
    """

    host: str
    port: int = 5432
    database: str = "iotsense"
    username: str | None = None
    password: Callable[[], str | None] = field(default=lambda: None, repr=False)
    tls: bool = False
    retention: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"


class PostgresStore:
    """A store of history; see `HistoryStore`."""

    def __init__(self, name: str, address: PostgresAddress) -> None:
        self.name = name
        self.address = str(address)
        self.raw_retention = address.retention.get("raw")
        self.timescale = False
        self._address = address
        self._connection: Connection | None = None
        self._writer: PostgresWriter | None = None
        self._house: Rollups | TimescalePolicies | None = None
        self._reader: Connection | None = None
        self._writing, self._reading = asyncio.Lock(), asyncio.Lock()

    async def open(self, plant: str) -> tuple[int, int] | None:
        """Connects, brings the tables up to date; the entry that the database has come to."""
        await self.close()
        with translated(self.address):
            self._connection = await self._connect()
            async with asyncio.timeout(ANSWER_S):
                return await self._begin(self._connection, plant)

    async def write(self, chunk: Chunk) -> None:
        """One transaction with its position."""
        assert self._writer is not None, "open it first"
        with translated(self.address):
            async with self._writing, asyncio.timeout(ANSWER_S):
                await self._writer.write(chunk)

    async def skip(self, first: int, last: int) -> None:
        """Into the table `gap`."""
        assert self._writer is not None, "open it first"
        with translated(self.address):
            async with self._writing:
                await self._writer.skip(first, last)

    async def merge(self, rows: Recorded, graph: Graph, texts: Callable[[int], Sequence[str]]) -> None:
        """One transaction."""
        assert self._writer is not None, "open it first"
        with translated(self.address):
            async with self._writing, asyncio.timeout(ANSWER_S):
                await self._writer.merge(rows, graph, texts)

    async def merge_events(self, events: Sequence[Event], graph: Graph) -> None:
        """One transaction."""
        assert self._writer is not None, "open it first"
        with translated(self.address):
            async with self._writing, asyncio.timeout(ANSWER_S):
                await self._writer.merge_events(events, graph)

    async def versions(self, start: int, end: int, known_at: int) -> Recorded:
        """All readings in [start, end) [ns] that were recorded until `known_at`."""
        async with self._read() as connection:
            return await postgres_read.versions(connection, start, end, known_at)

    async def keep_house(self, now: int, seconds: float) -> None:
        """Roll-ups, then retention."""
        assert self._house is not None, "open it first"
        with translated(self.address):
            async with self._writing:
                await self._house.keep_house(now, seconds)

    async def rows(self, signal: int, start: int, end: int, known_at: int | None = None) -> Recorded:
        """Readings of a signal in [start, end) [ns], as known at `known_at` [ns]."""
        async with self._read() as connection:
            return await postgres_read.rows(connection, signal, start, end, known_at)

    async def latest(
        self, time: int, known_at: int | None = None, signals: NDArray[np.int32] | None = None
    ) -> Recorded:
        """Of each signal (or of these) the newest reading at or before `time` [ns]."""
        async with self._read() as connection:
            return await postgres_read.latest(connection, time, known_at, signals)

    async def downgrade(self) -> int:
        """Takes the tables back by one version, for the program before this one; the version that they have now."""
        with translated(self.address):
            async with await self._connect() as connection:
                return await postgres_schema.downgrade(connection)

    async def close(self) -> None:
        """Disconnects; it may be opened again."""
        connections = (self._connection, self._reader)
        self._connection = self._reader = self._writer = self._house = None
        for connection in connections:
            if connection is not None:
                with contextlib.suppress(Exception):  # it may be broken already, which is why it is closed
                    await connection.close()

    async def _begin(self, connection: "Connection", plant: str) -> tuple[int, int]:
        self.timescale = await postgres_schema.upgrade(connection, plant)
        self._writer = PostgresWriter(connection, self.timescale)
        position = await self._writer.begin()
        if self.timescale:
            self._house = TimescalePolicies(connection, self._address.retention)
        else:
            self._house = Rollups(self._writer, connection, self._address.retention)
        await self._house.begin()
        return position

    @contextlib.asynccontextmanager
    async def _read(self) -> "AsyncIterator[Connection]":
        async with self._reading:
            with translated(self.address):
                if self._reader is None or self._reader.closed:
                    self._reader = await self._connect()
                async with asyncio.timeout(ANSWER_S):
                    yield self._reader

    async def _connect(self) -> "Connection":
        try:
            import psycopg
        except ImportError:
            raise MissingExtraError("the PostgreSQL store", EXTRA) from None
        address = self._address
        return await psycopg.AsyncConnection.connect(
            host=address.host,
            port=address.port,
            dbname=address.database,
            # None leaves it to libpq.
            user=address.username,
            password=address.password(),
            sslmode="require" if address.tls else "prefer",
            connect_timeout=CONNECT_S,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            application_name="iotsense",
            options="-c TimeZone=UTC",
            autocommit=True,
        )


@contextlib.contextmanager
def translated(address: str) -> Iterator[None]:
    """psycopg's errors and time-outs as ours."""
    try:
        import psycopg
    except ImportError:
        raise MissingExtraError("the PostgreSQL store", EXTRA) from None
    try:
        yield
    except TimeoutError as error:
        raise StoreError(f"PostgreSQL at {address} does not answer") from error
    except psycopg.Error as error:
        text = " ".join(str(error).split()) or type(error).__name__
        refused = _refused(error.sqlstate, text)
        raise (StoreRefusedError if refused else StoreError)(f"PostgreSQL at {address}: {text}") from error


def _refused(sqlstate: str | None, text: str) -> bool:
    # While connecting there is no SQLSTATE, only libpq's words.
    words = ("authentication failed", "does not exist", "no password supplied", "no pg_hba.conf entry")
    return sqlstate.startswith(_REFUSALS) if sqlstate else any(word in text for word in words)
