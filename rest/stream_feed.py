"""What feeds one subscription of the state stream: table and state at first, then what changed of either."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from starlette.websockets import WebSocket

from ..twin.chosen_signals import ChosenSignals
from ..twin.graph import Graph
from ..twin.model import DataType
from ..twin.times import now_ns
from ..twin.twin import Twin
from .stream_frames import CHANGES, Flags, Mark, binary, marked, text, with_readings
from .stream_messages import SignalRow, Subscribe, encoded, row

ALIVE_S = 10.0
"""After how long [s] without news an empty frame tells that the stream is alive."""
_INLINE_ROWS = 2000
"""Rows of a table that are written on the event loop; more of them would hold up readings."""


class Feed:
    """One subscription. `allowed` raises once who asked may see it no more. Raises NotFoundError for an unknown id."""

    def __init__(
        self, twin: Twin, wanted: Subscribe, subscription: int, as_json: bool, allowed: Callable[[], None]
    ) -> None:
        self._twin = twin
        self._allowed = allowed
        self._wanted = wanted
        self._number = subscription
        self._sequence = 0
        self._encode = text if as_json else binary
        # Followed before the first look, so that what changes meanwhile is told again, never missed.
        self._changes = twin.subscribe_state()
        self._chosen = ChosenSignals(twin.graph, wanted.nodes, wanted.signals)
        self._rows: dict[int, SignalRow] = {}
        self._labelled: list[int] = []
        self._label_count = -1

    async def run(self, socket: WebSocket) -> None:
        """Feeds it until the task is cancelled or the client is gone."""
        loop = asyncio.get_running_loop()
        await self._tell_table(socket)
        await self._send(socket, self._chosen.indexes, Flags.SNAPSHOT)
        sent = looked = loop.time()
        while True:
            # What comes during the pause makes one frame; what comes after it goes out at once.
            await asyncio.sleep(looked + 1.0 / self._wanted.max_hz - loop.time())
            alive = await self._more(sent + ALIVE_S - loop.time())
            looked = loop.time()
            changed = self._changes.taken()
            if self._twin.graph is not self._chosen.graph:
                changed = np.union1d(changed, self._chosen.follow(self._twin.graph).came).astype(np.int32)
                await self._tell_table(socket)
            changed = self._chosen.among(changed)
            if len(changed) or not alive:
                await self._tell_labels(socket)
                await self._send(socket, changed)
                sent = looked

    async def _more(self, patience: float) -> bool:
        """Waits until something was written; False if nothing was for so long [s]."""
        try:
            async with asyncio.timeout(max(0.0, patience)):
                await self._changes.more()
        except TimeoutError:
            return False
        return True

    async def _send(self, socket: WebSocket, indexes: NDArray[np.int32], flags: Flags = CHANGES) -> None:
        plant = self._twin.as_of()
        mark = self._mark()
        indexes, state = with_readings(indexes, plant.snapshot(indexes))
        frame = self._encode(mark, indexes, state, flags | self._wanted.flags)
        if isinstance(frame, bytes):
            await socket.send_bytes(frame)
        else:
            await socket.send_text(frame)

    def _mark(self) -> Mark:
        """Of the next message, be it a table or readings: whoever may see no more gets neither."""
        self._allowed()
        self._sequence += 1
        return Mark(self._number, self._sequence, now_ns(), self._twin.last_seq)

    # The table

    async def _tell_table(self, socket: WebSocket) -> None:
        graph, whole = self._chosen.graph, self._sequence == 0
        if len(self._chosen.indexes) > _INLINE_ROWS:
            rows = await asyncio.to_thread(self._table, graph)
        else:
            rows = self._table(graph)
        former, self._rows = self._rows, rows
        self._labelled = [index for index in rows if graph.signal(index).data_type is not DataType.NUMBER]
        told = [each for index, each in rows.items() if former.get(index) != each]
        gone = sorted(former.keys() - rows.keys())
        if whole or told or gone:
            await self._tell_rows(socket, told, gone, whole=whole)

    async def _tell_rows(
        self, socket: WebSocket, rows: Sequence[SignalRow], gone: Sequence[int] = (), *, whole: bool = False
    ) -> None:
        document = {"type": "table", **marked(self._mark()), "revision": self._chosen.graph.revision, "whole": whole}
        await socket.send_text(encoded(document | {"signals": rows, "gone": gone}))

    def _table(self, graph: Graph) -> dict[int, SignalRow]:
        self._label_count = self._changes.label_count
        plant = self._twin.as_of()
        return {i: row(graph, graph.signal(i), plant.labels(i)) for i in self._chosen.indexes.tolist()}

    async def _tell_labels(self, socket: WebSocket) -> None:
        """Texts that came since the table was told, before the readings that mean them."""
        if self._changes.label_count == self._label_count:
            return
        self._label_count = self._changes.label_count
        plant, graph = self._twin.as_of(), self._chosen.graph
        told = []
        for index in self._labelled:
            if len(labels := plant.labels(index)) != len(self._rows[index].labels):
                self._rows[index] = row(graph, graph.signal(index), labels)
                told.append(self._rows[index])
        if told:
            await self._tell_rows(socket, told)
