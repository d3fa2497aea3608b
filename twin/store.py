"""The history port: what a database that holds a copy of the plant's history can do, in the words of the domain.

A backend is a projection of the journal. One task writes it (`store_follower`), chunk by chunk, in order; a chunk may
come twice, after a crash, and then changes nothing. It never forgets a value that was superseded, so `known_at` works
as it does in the plant itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from .graph import Graph
from .model import Event


@dataclass(frozen=True, slots=True)
class Recorded:
    """Readings with the moment at which we learned them: columns of equal length `(n,)`.

    signal: int32. time, recorded: int64 [ns since the epoch, UTC]. value: float64. quality: uint8, OPC quality byte.
    """

    signal: NDArray[np.int32]
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]
    recorded: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.signal)

    def take(self, rows: "NDArray[np.bool_] | NDArray[np.intp] | slice") -> "Recorded":
        """The rows that a mask, an index array or a slice chooses."""
        return Recorded(self.signal[rows], self.time[rows], self.value[rows], self.quality[rows], self.recorded[rows])

    @classmethod
    def empty(cls) -> Self:
        """No row."""
        return cls(
            np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.uint8), np.zeros(0, np.int64)
        )

    @classmethod
    def concat(cls, parts: "Sequence[Recorded]") -> "Recorded":
        """All rows, in order."""
        if not parts:
            return cls.empty()
        return cls(
            np.concatenate([part.signal for part in parts]),
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.value for part in parts]),
            np.concatenate([part.quality for part in parts]),
            np.concatenate([part.recorded for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Chunk:
    """What the entries behind `after` up to `seq` hold.

    `current` are the readings, each (signal, time) once, the last recorded of it; `first_recorded` is when the chunk
    first spoke of that (signal, time). `superseded` are the values that were valid from their `recorded` until
    `superseded_at`, all within the chunk. `graph` names the signals;
    `texts` gives the texts behind the codes of a text or boolean signal, none for a number.
    """

    after: int
    seq: int
    recorded: int
    current: Recorded
    first_recorded: NDArray[np.int64]
    superseded: Recorded
    superseded_at: NDArray[np.int64]
    events: Sequence[Event]
    graph: Graph
    texts: Callable[[int], Sequence[str]]

    def __len__(self) -> int:
        return len(self.current) + len(self.superseded) + len(self.events)

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it that a store would keep."""
        return not len(self)


class HistoryReader(Protocol):
    """Reads the past. Rows come in the order of time, one for each time."""

    async def rows(self, signal: int, start: int, end: int, known_at: int | None = None) -> Recorded:
        """Readings of a signal in [start, end) [ns], as known at `known_at` [ns]. Raises StoreError."""
        ...

    async def latest(
        self, time: int, known_at: int | None = None, signals: NDArray[np.int32] | None = None
    ) -> Recorded:
        """Of each signal (or of these) the newest reading at or before `time` [ns]; by index. Raises StoreError."""
        ...


class HistoryStore(HistoryReader, Protocol):
    """A database that is filled. One task at a time writes; reading goes beside it."""

    name: str
    address: str
    raw_retention: float | None
    """How long readings are kept [s]; None for ever."""

    async def open(self, plant: str) -> tuple[int, int] | None:
        """Connects, and brings the tables up to date; the entry that it has come to, and when that was recorded [ns].

        None if the plant keeps that for the store; no time (0) if it is not known.

        `plant` is this plant's identity: a database of another one is refused. Raises StoreError.
        """
        ...

    async def write(self, chunk: Chunk) -> None:
        """Durable when it returns, whole or not at all where the database can do that. Raises StoreError."""
        ...

    async def skip(self, first: int, last: int) -> None:
        """The entries from `first` to `last` are lost to this store: it writes that down and goes on behind them."""
        ...

    async def merge(self, rows: Recorded, graph: Graph, texts: Callable[[int], Sequence[str]]) -> None:
        """Takes in readings of whatever age, in the order of (signal, time, recorded); what is there already stays."""
        ...

    async def merge_events(self, events: Sequence[Event], graph: Graph) -> None:
        """Takes in events of whatever age; those that are there already stay."""
        ...

    async def versions(self, start: int, end: int, known_at: int) -> Recorded:
        """All readings in [start, end) [ns] that were recorded until `known_at`, superseded ones too, in no order."""
        ...

    async def keep_house(self, now: int, seconds: float) -> None:
        """Roll-ups and retention as of `now` [ns], for some `seconds` at most. Raises StoreError."""
        ...

    async def downgrade(self) -> int:
        """Takes the tables back by one version, for an older program; the version that they have now.

        Raises StoreRefusedError where there is none, StoreError.
        """
        ...

    async def close(self) -> None:
        """Disconnects; it may be opened again."""
        ...
