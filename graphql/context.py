"""What GraphQL needs of a running service, and what one operation carries along."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ..ingest.commands import Commands
from ..ingest.pipeline import Pipeline
from ..ingest.publish_sender import PublisherStatus
from ..ingest.source_state import SourceStatus
from ..twin.access import LOCAL, Principal
from ..twin.audit_trail import AuditTrail
from ..twin.errors import InvalidValueError
from ..twin.kept_answers import KeptAnswers
from ..twin.replay import Players
from ..twin.twin import Twin
from .options import DEFAULTS, Options

if TYPE_CHECKING:
    from ..twin.store_projection import GraphProjection
    from .view import View

# What one operation may make us build: beyond it the answer is a page that nobody reads and the plant waits for it.
MAX_NODES = 20_000
MAX_POINTS = 200_000
HISTORY_READERS = 4


Instant = tuple[int | None, int | None, str | None]
"""asOf, knownAt, scenario."""


class Context(Protocol):
    """The part of a running service that this facade sees; `started` [ns]."""

    @property
    def twin(self) -> Twin: ...
    @property
    def sources(self) -> Callable[[], Mapping[str, SourceStatus]]: ...
    @property
    def publishing(self) -> Callable[[], Sequence[PublisherStatus]]: ...
    @property
    def started(self) -> int: ...
    @property
    def version(self) -> str: ...
    @property
    def players(self) -> Players: ...
    @property
    def pipeline(self) -> Pipeline: ...
    @property
    def commands(self) -> Commands | None: ...
    @property
    def stopping(self) -> asyncio.Event: ...
    @property
    def audit(self) -> AuditTrail | None: ...
    @property
    def answers(self) -> KeptAnswers: ...
    @property
    def applied(self) -> Callable[[], Awaitable[None]]: ...
    @property
    def graph_stores(self) -> Callable[[], Mapping[str, "GraphProjection"]]: ...
    def seen_by(self, principal: Principal) -> "Context": ...
    async def proven_by(self, authorization: str, address: str) -> Principal: ...


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
    """What the resolvers of one request share: the service, its budget, and the seats of those who read history.

    origin: where the request came from. principal: whom it acts for; `service` is what that one may see of it.
    connection_params: what a WebSocket's client said when it began. options: what the service allows. streams: whether
    the answer may come in pieces. views: the plant as of each instant that the operation asks for.
    """

    service: Context
    readers: asyncio.Semaphore
    budget: Budget = field(default_factory=Budget)
    origin: str = ""
    principal: Principal = LOCAL
    connection_params: Mapping[str, object] | None = None
    options: Options = DEFAULTS
    streams: bool = True
    views: dict[Instant, "asyncio.Future[View]"] = field(default_factory=dict)

    def begin(self) -> None:
        """Another operation begins: with a budget of its own, and with the plant as it is from now on."""
        self.budget, self.views = Budget(), {}
