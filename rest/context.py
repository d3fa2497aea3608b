"""What the REST and GraphQL facades may see of a running service."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..twin.replay import Players
from ..twin.store_status import StoreStatus
from ..twin.times import now_ns
from ..twin.twin import Twin
from .layout import Layouts

if TYPE_CHECKING:
    from ..ingest.pipeline import Pipeline
    from ..ingest.source_state import SourceStatus
    from ..twin.store_follower import StoreFollower
    from ..twin.store_projection import GraphProjection
    from .bulk_jobs import BulkJobs

MAX_BODY = 16 << 20


async def _nothing() -> None:
    """Nobody has to be told."""


@dataclass
class Context:
    """The parts of a service, running or opened for one command, that its facades work on.

    `stores` are the external ones, `graph_stores` those that show the graph, `history_stores` the others; `health`
    tells how its tasks are; `applied` is told of new definitions; within `alone` only an import writes; `stopping` ends
    streams; `instance` differs from process to process.
    """

    twin: Twin
    pipeline: "Pipeline"
    sources: Callable[[], Mapping[str, "SourceStatus"]] = dict
    stores: Callable[[], Sequence[StoreStatus]] = tuple
    graph_stores: Callable[[], Mapping[str, "GraphProjection"]] = dict
    history_stores: Callable[[], Mapping[str, "StoreFollower"]] = dict
    health: Callable[[], dict[str, Any]] = dict
    applied: Callable[[], Awaitable[None]] = _nothing
    alone: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    bulk: "BulkJobs | None" = None
    version: str = ""
    max_body: int = MAX_BODY
    started: int = field(default_factory=now_ns)
    instance: str = field(default_factory=lambda: secrets.token_hex(4))
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    layouts: Layouts = field(default_factory=Layouts)
    players: Players = field(default_factory=Players)
