"""History in InfluxDB 2, through influxdb-client. The position is the plant's, and what comes twice changes nothing."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from . import influx_read
from .graph import Graph
from .influx_buckets import InfluxBuckets
from .influx_lines import event_lines
from .influx_server import InfluxAddress, InfluxServer
from .influx_write import InfluxWriter
from .model import Event
from .store import Chunk, Recorded

T = TypeVar("T")


class InfluxStore:
    """A store of history; see `HistoryStore`. Every request is made in a thread."""

    def __init__(self, name: str, address: InfluxAddress) -> None:
        self.name = name
        self.address = str(address)
        self.raw_retention = address.retention.get("raw")
        self._address = address
        self._server: InfluxServer | None = None
        self._writer: InfluxWriter | None = None
        self._reader: InfluxServer | None = None
        self._writing = asyncio.Lock()

    async def open(self, plant: str) -> tuple[int, int] | None:
        """Connects, makes what is missing; None, for how far it has come is the plant's to know."""
        await self.close()
        await _in_thread(lambda: self._open(plant))
        return None

    async def write(self, chunk: Chunk) -> None:
        """Durable when it returns."""
        writer = self._writer
        assert writer is not None, "open it first"
        async with self._writing:
            await _in_thread(lambda: writer.write(chunk))

    async def skip(self, first: int, last: int) -> None:
        """Into the measurement `gap`."""
        server = self._server
        assert server is not None, "open it first"
        await _in_thread(lambda: server.write([f"gap first={first}i,last={last}i"]))

    async def merge(self, rows: Recorded, graph: Graph, texts: Callable[[int], Sequence[str]]) -> None:
        """Durable when it returns."""
        writer = self._writer
        assert writer is not None, "open it first"
        async with self._writing:
            await _in_thread(lambda: writer.merge(rows, graph, texts))

    async def merge_events(self, events: Sequence[Event], graph: Graph) -> None:
        """The same points as before, where they are there already."""
        server = self._server
        assert server is not None, "open it first"
        await _in_thread(lambda: server.write(event_lines(events, graph)))

    async def versions(self, start: int, end: int, known_at: int) -> Recorded:
        """All readings in [start, end) [ns] that were recorded until `known_at`."""
        return await _in_thread(lambda: influx_read.all_versions(self._read(), start, end, known_at))

    async def keep_house(self, now: int, seconds: float) -> None:
        """The server's buckets and tasks do it."""

    async def rows(self, signal: int, start: int, end: int, known_at: int | None = None) -> Recorded:
        """Readings of a signal in [start, end) [ns], as known at `known_at` [ns]."""
        return await _in_thread(lambda: influx_read.rows(self._read(), signal, start, end, known_at))

    async def latest(
        self, time: int, known_at: int | None = None, signals: NDArray[np.int32] | None = None
    ) -> Recorded:
        """Of each signal (or of these) the newest reading at or before `time` [ns]."""
        return await _in_thread(lambda: influx_read.latest(self._read(), time, known_at, signals))

    async def downgrade(self) -> int:
        """Takes the layout back by one version, for the program before this one; the version that it has now."""

        def work() -> int:
            server = InfluxServer(self._address)
            try:
                return InfluxBuckets(server).downgrade()
            finally:
                server.close()

        return await _in_thread(work)

    async def close(self) -> None:
        """Disconnects; it may be opened again."""
        servers = (self._server, self._reader)
        self._server = self._reader = self._writer = None
        for server in servers:
            if server is not None:
                await _in_thread(server.close)

    def _open(self, plant: str) -> None:
        self._server = InfluxServer(self._address)
        InfluxBuckets(self._server).upgrade(plant)
        self._writer = InfluxWriter(self._server)

    def _read(self) -> InfluxServer:
        # Apart from the writing, so that a long answer does not hold it up.
        if self._reader is None:
            self._reader = InfluxServer(self._address)
        return self._reader


async def _in_thread(work: Callable[[], T]) -> T:
    """Blocking work; if cancelled meanwhile it is waited for, so that nothing is written after that."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at, or asyncio would complain
        raise
