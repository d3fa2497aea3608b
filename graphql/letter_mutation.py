"""Dead letters: input that could not be used, read, taken in again, or forgotten."""

import asyncio

import strawberry
from strawberry.scalars import JSON

from ..twin.access import Scope
from ..twin.entry import DeadLetter as Record
from ..twin.letters import chosen, purged, shown_payload
from .field import mutation, root_field
from .moment import Ask
from .node_type import check_first
from .once import OnceKey, outcome
from .payload import Problem
from .scalars import Long, Time
from .timed import timed


@strawberry.type(description="Input that could not be used.")
@timed
class DeadLetter:
    id: Long
    time: Time = strawberry.field(description="When it came.")
    source: str
    stage: str = strawberry.field(description="Where it failed.")
    reason: str
    topic: str | None
    payload: str = strawberry.field(description="Text, or base64 if `encoding` says so.")
    encoding: str
    size: Long = strawberry.field(description="Of the payload [bytes].")
    metadata: JSON
    resolved: str | None = strawberry.field(description="`replayed` or `purged`; null while it waits.")

    @classmethod
    def of(cls, letter: Record) -> "DeadLetter":
        """What GraphQL shows of a dead letter."""
        payload, encoding = shown_payload(letter)
        return cls(
            id=Long(letter.id),
            time=Time(letter.time),
            source=letter.source,
            stage=letter.stage,
            reason=letter.reason,
            topic=letter.topic,
            payload=payload,
            encoding=encoding,
            size=Long(len(letter.payload)),
            metadata=JSON(letter.metadata),
            resolved=letter.resolved,
        )


@strawberry.type(description="What became of dead letters, or the errors because of which nothing did.")
class DeadLetterPayload:
    replayed: Long = strawberry.field(description="How many went in.")
    failed: Long = strawberry.field(description="How many failed again; they wait still.")
    purged: Long = strawberry.field(description="How many were forgotten.")
    repeated: bool = strawberry.field(description="Whether this was done before, under the same key.")
    errors: list[Problem]


@strawberry.type
class LetterQuery:
    @root_field(Scope.SERVICE_READ)
    async def dead_letters(
        self,
        info: Ask,
        after: Long = Long(0),  # noqa: B008
        first: int = 100,
        all: bool = False,
    ) -> list[DeadLetter]:
        """Input that could not be used and waits (or `all`), behind the id `after`, the oldest first."""
        check_first(first)
        twin = info.context.service.twin
        found = await asyncio.to_thread(twin.dead_letters, after=int(after), limit=first, pending_only=not all)
        return [DeadLetter.of(letter) for letter in found]


@strawberry.type
class LetterMutation:
    @mutation(Scope.SERVICE_WRITE)
    async def replay_dead_letters(
        self, info: Ask, ids: list[Long] | None = None, all: bool = False, key: OnceKey = None
    ) -> DeadLetterPayload:
        """Takes dead letters in again: those with these ids, or all that wait."""
        service = info.context.service

        async def replayed() -> tuple[int, int]:
            done = failed = 0
            for some in await asyncio.to_thread(chosen, service.twin, ids, all):
                went_in, again = await service.pipeline.replay(some)
                done, failed = done + went_in, failed + again
            return done, failed

        came = await outcome(info, key, (ids, all), replayed)
        done, failed = came.made or (0, 0)
        return _told(replayed=done, failed=failed, again=came.again, errors=came.errors)

    @mutation(Scope.SERVICE_WRITE)
    async def purge_dead_letters(
        self, info: Ask, ids: list[Long] | None = None, all: bool = False, key: OnceKey = None
    ) -> DeadLetterPayload:
        """Forgets dead letters: those with these ids, or all that wait."""
        twin = info.context.service.twin

        async def forgotten() -> int:
            return await asyncio.to_thread(lambda: purged(twin, chosen(twin, ids, all)))

        came = await outcome(info, key, (ids, all), forgotten)
        return _told(purged=came.made or 0, again=came.again, errors=came.errors)


def _told(
    *, again: bool, errors: list[Problem], replayed: int = 0, failed: int = 0, purged: int = 0
) -> DeadLetterPayload:
    return DeadLetterPayload(
        replayed=Long(replayed), failed=Long(failed), purged=Long(purged), repeated=again, errors=errors
    )
