"""What GraphQL needs of a running service, and what one operation carries along."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ..ingest.source_state import SourceStatus
from ..twin.errors import InvalidValueError
from ..twin.replay import Players
from ..twin.twin import Twin

# What one operation may make us build: beyond it the answer is a page that nobody reads and the plant waits for it.
MAX_NODES = 20_000
MAX_POINTS = 200_000
HISTORY_READERS = 4


class Context(Protocol):
    """The part of a running service that this facade sees; `started` [ns]."""

    @property
    def twin(self) -> Twin: ...
    @property
    def sources(self) -> Callable[[], Mapping[str, SourceStatus]]: ...
    @property
    def started(self) -> int: ...
    @property
    def version(self) -> str: ...
    @property
    def players(self) -> Players: ...


@dataclass(slots=True)
class Budget:
    """How many nodes and points of history an operation may still ask for."""

    nodes: int = MAX_NODES
    points: int = MAX_POINTS

    def take_nodes(self, count: int) -> None:
        """Raises InvalidValueError when the answer gets too large."""
        self.nodes -= count
        if self.nodes < 0:
            raise InvalidValueError(
                f"the answer would hold more than {MAX_NODES} nodes; page through nodes(first, after)"
            )

    def take_points(self, count: int) -> None:
        """Raises InvalidValueError when the answer gets too large."""
        self.points -= count
        if self.points < 0:
            raise InvalidValueError(f"the answer would hold more than {MAX_POINTS} points of history; ask for less")


@dataclass
class Request:
    """What the resolvers of one request share: the service, its budget, and the seats of those who read history."""

    service: Context
    readers: asyncio.Semaphore
    budget: Budget = field(default_factory=Budget)
