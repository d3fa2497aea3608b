"""The service itself and the sources that it reads from."""

import asyncio

import strawberry

from ..ingest.accounts import all_counters
from ..ingest.source_state import SourceCounters, SourceStatus
from .context import Context
from .field import field
from .scalars import Long, Time
from .timed import timed


@strawberry.type(description="A count of what a source did.")
class Counter:
    name: str
    value: Long


@strawberry.type(description="A configured source and how it is doing.")
@timed
class Source:
    name: str
    protocol: str
    address: str
    state: str = strawberry.field(description="stopped, connecting, running, backoff or failed.")
    healthy: bool = strawberry.field(description="Whether it does what it is there for.")
    since: Time = strawberry.field(description="Since when it is in this state.")
    retry_at: Time | None = strawberry.field(description="When it tries again.")
    error: str | None = strawberry.field(description="What is wrong now.")
    last_error: str | None = strawberry.field(description="What was wrong last, since the start.")
    last_error_at: Time | None
    remarks: list[str] = strawberry.field(description="What somebody should know though it runs.")
    stretched: Long = strawberry.field(description="Polls left out because those before them took too long.")
    lag: float | None = strawberry.field(description="How old its newest readings are when they come [s].")
    messages_per_second: float = strawberry.field(description="Messages that become durable, over the last seconds.")
    readings_per_second: float = strawberry.field(description="Readings that become durable, over the last seconds.")
    connects: int = strawberry.field(description="How often it connected since the start.")
    last_received: Time | None
    counters: list[Counter] = strawberry.field(
        description="Received, stored, dead letters and so on, since the data directory was made; they add up."
    )

    @classmethod
    def of(cls, status: SourceStatus) -> "Source":
        """What GraphQL shows of a source."""
        counters = status.counters
        return cls(
            name=status.name,
            protocol=status.protocol,
            address=status.address,
            state=str(status.state),
            healthy=status.healthy,
            since=Time(status.since),
            retry_at=None if status.retry_at is None else Time(status.retry_at),
            error=status.error,
            last_error=status.last_error,
            last_error_at=None if status.last_error_at is None else Time(status.last_error_at),
            remarks=list(status.remarks),
            stretched=Long(status.stretched),
            lag=counters.lag,
            messages_per_second=counters.messages.rate,
            readings_per_second=counters.readings.rate,
            connects=status.connects,
            last_received=Time(counters.last_received) if counters.last_received else None,
            counters=_counters(counters),
        )


@strawberry.type(description="What became of the messages and readings of something that readings come from.")
class Account:
    name: str = strawberry.field(
        description="A source; `derived`: what analytics concludes; `files`; `direct`: readings without a source."
    )
    counters: list[Counter]


@strawberry.type(description="The running service.")
@timed
class Service:
    context: strawberry.Private[Context]
    version: str
    started_at: Time
    time: Time = strawberry.field(description="The service's clock.")
    revision: Long = strawberry.field(description="The revision of the structure.")
    nodes: Long
    signals: Long
    readings: Long = strawberry.field(description="Readings taken in so far.")
    events: Long = strawberry.field(description="The number of the last event.")
    entries: Long = strawberry.field(description="The number of the journal's last entry.")
    trouble: str | None = strawberry.field(description="Why writes are refused; null if all is well.")
    history_trouble: str | None = strawberry.field(description="Why history lags behind; null if all is well.")

    @field
    def accounts(self) -> list[Account]:
        """The counters of everything that readings come from, sources that are gone included."""
        found = all_counters(self.context.twin, self.context.sources())
        return [Account(name=name, counters=_counters(counters)) for name, counters in found.items()]

    @field
    async def dead_letters(self) -> Long:
        """Inputs that could not be used and wait for somebody."""
        return Long(await asyncio.to_thread(self.context.twin.pending_dead_letters))

    @classmethod
    def of(cls, context: Context, now: int) -> "Service":
        """What GraphQL shows of the service."""
        twin = context.twin
        counts = twin.counts()
        return cls(
            context=context,
            version=context.version,
            started_at=Time(context.started),
            time=Time(now),
            revision=Long(twin.graph.revision),
            nodes=Long(counts["nodes"]),
            signals=Long(counts["signals"]),
            readings=Long(counts["readings"]),
            events=Long(counts["events"]),
            entries=Long(counts["entries"]),
            trouble=twin.trouble,
            history_trouble=twin.history_trouble,
        )


def _counters(counters: SourceCounters) -> list[Counter]:
    return [Counter(name=name, value=Long(value)) for name, value in counters.numbers().items()]
