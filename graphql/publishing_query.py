"""The endpoints that are published to."""

import strawberry
from strawberry.types import Info

from ..ingest.publish_sender import PublisherStatus
from ..twin.access import Scope
from .context import Request
from .field import root_field
from .scalars import Long, Time
from .timed import timed


@strawberry.type(description="How much of something waits for an endpoint.")
class Backlog:
    what: str = strawberry.field(description="events, readings (entries of the journal), or states (signals).")
    count: Long


@strawberry.type(description="A broker or web service that is published to.")
@timed
class PublishingEndpoint:
    id: strawberry.ID
    type: str
    address: str
    state: str = strawberry.field(description="stopped, connecting, running, backoff or failed.")
    healthy: bool
    since: Time
    retry_at: Time | None
    error: str | None
    published: Long = strawberry.field(description="Messages that it has acknowledged since the start.")
    refused: Long = strawberry.field(description="Messages that it will not have, which were left out.")
    refusal: str | None = strawberry.field(description="Why it refused the last of them.")
    behind: list[Backlog]

    @classmethod
    def of(cls, status: PublisherStatus) -> "PublishingEndpoint":
        """What GraphQL shows of an endpoint."""
        return cls(
            id=strawberry.ID(status.name),
            type=status.protocol,
            address=status.address,
            state=str(status.state),
            healthy=status.healthy,
            since=Time(status.since),
            retry_at=None if status.retry_at is None else Time(status.retry_at),
            error=status.error,
            published=Long(status.published),
            refused=Long(status.refused),
            refusal=status.refusal,
            behind=[Backlog(what=what, count=Long(count)) for what, count in status.behind.items()],
        )


@strawberry.type
class PublishingQuery:
    @root_field(Scope.SERVICE_READ)
    def publishing(self, info: Info[Request, None]) -> list[PublishingEndpoint]:
        """The brokers and web services that are published to, and how they are doing."""
        return [PublishingEndpoint.of(status) for status in info.context.service.publishing()]
