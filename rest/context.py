"""What the REST and GraphQL facades may see of a running service."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..graphql.options import DEFAULTS, Options
from ..twin.access import Principal
from ..twin.kept_answers import KeptAnswers
from ..twin.narrow_twin import narrow_twin
from ..twin.replay import Players
from ..twin.store_status import StoreStatus
from ..twin.times import now_ns
from ..twin.twin import Twin
from .answer import Made
from .authentication import Authenticator, proven
from .layout import Layouts

if TYPE_CHECKING:
    from ..ingest.commands import Commands
    from ..ingest.pipeline import Pipeline
    from ..ingest.publish_sender import PublisherStatus
    from ..ingest.source_state import SourceStatus
    from ..twin.audit_trail import AuditTrail
    from ..twin.key_store import KeyStore
    from ..twin.store_follower import StoreFollower
    from ..twin.store_projection import GraphProjection
    from .bulk_jobs import BulkJobs

MAX_BODY = 16 << 20
_PARTS = 100


async def _nothing() -> None:
    """Nobody has to be told."""


@dataclass
class Context:
    """The parts of a service, running or opened for one command, that its facades work on.

    `stores` are the external ones, `graph_stores` those that show the graph, `history_stores` the others; `publishing`
    tells how the endpoints are that are published to, `health` how its tasks are; `commands` sets values, if a service
    runs; `authenticators` prove who asks, by `keys` among others; `audit` records what is changed; `applied` is told of
    new definitions; within `alone` only an import writes; `stopping` ends streams; `instance` differs from process to
    process; `graphql` is what may be asked there; `answers` are those of requests that have a key, should they come
    again.
    """

    twin: Twin
    pipeline: "Pipeline"
    sources: Callable[[], Mapping[str, "SourceStatus"]] = dict
    stores: Callable[[], Sequence[StoreStatus]] = tuple
    graph_stores: Callable[[], Mapping[str, "GraphProjection"]] = dict
    history_stores: Callable[[], Mapping[str, "StoreFollower"]] = dict
    publishing: Callable[[], Sequence["PublisherStatus"]] = tuple
    health: Callable[[], dict[str, Any]] = dict
    applied: Callable[[], Awaitable[None]] = _nothing
    alone: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    bulk: "BulkJobs | None" = None
    commands: "Commands | None" = None
    authenticators: list[Authenticator] = field(default_factory=list)
    keys: "KeyStore | None" = None
    audit: "AuditTrail | None" = None
    version: str = ""
    max_body: int = MAX_BODY
    started: int = field(default_factory=now_ns)
    instance: str = field(default_factory=lambda: secrets.token_hex(4))
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    layouts: Layouts = field(default_factory=Layouts)
    made: Made = field(default_factory=Made)
    graphql: Options = DEFAULTS
    answers: KeptAnswers = field(default_factory=KeptAnswers)
    players: Players = field(default_factory=Players)
    _parts: dict[frozenset[int], Twin] = field(default_factory=dict)

    async def proven_by(self, authorization: str, address: str) -> Principal:
        """Whom a header `Authorization` from an address proves. Raises UnauthenticatedError, OverloadedError."""
        headers = [(b"authorization", authorization.encode())]
        return await proven({"headers": headers, "client": (address, 0)}, self.authenticators)

    def seen_by(self, principal: Principal) -> "Context":
        """The context as a principal may see it: itself, or one whose twin is a part of the plant."""
        if principal.under is None:
            return self
        part = self._parts.get(principal.under)
        if part is None:
            if len(self._parts) >= _PARTS:
                self._parts.clear()
            part = self._parts[principal.under] = narrow_twin(self.twin, principal.under)
        return replace(self, twin=part)
