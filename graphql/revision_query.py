"""The revisions of the structure."""

import asyncio
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from ..twin.access import Scope
from ..twin.errors import InvalidValueError
from ..twin.revision_log import LoggedRevision, diff, logged
from .field import root_field
from .moment import Ask, MinRevision, seen
from .scalars import Long, Time
from .timed import timed

MOST = 1_000
From = Annotated[
    str, strawberry.argument(name="from", description="A revision's number, or a time; 0 is the empty plant.")
]


@strawberry.type(description="A change of the structure.")
@timed
class Revision:
    revision: Long
    recorded: Time
    author: str
    counts: JSON = strawberry.field(description="How many nodes, signals and relationships came, changed and went.")
    nodes: list[str] = strawberry.field(description="The ids of the first nodes that it touched.")

    @classmethod
    def of(cls, each: LoggedRevision) -> "Revision":
        """What GraphQL shows of a revision."""
        return cls(
            revision=Long(each.revision),
            recorded=Time(each.recorded),
            author=each.author,
            counts=JSON(each.counts),
            nodes=each.nodes,
        )


@strawberry.type(description="What leads from one revision to another.")
class StructureDiff:
    before: Long
    after: Long
    empty: bool
    text: str = strawberry.field(description="As a diff to read.")
    changes: JSON


@strawberry.type
class RevisionQuery:
    @root_field(Scope.PLANT_READ)
    async def revisions(
        self,
        info: Ask,
        node: strawberry.ID | None = None,
        before: Long | None = None,
        first: int = 100,
        min_revision: MinRevision = None,
    ) -> list[Revision]:
        """The revisions of the structure (or those that touched a node), the newest first."""
        if not 1 <= first <= MOST:
            raise InvalidValueError(f"first must be between 1 and {MOST}, not {first}", "first")
        await seen(info.context, min_revision)
        limit = 2**53 if before is None else int(before)
        found, _ = await asyncio.to_thread(logged, info.context.service.twin, node, limit, first)
        return [Revision.of(each) for each in found]

    @root_field(Scope.PLANT_READ)
    async def structure_diff(
        self, info: Ask, from_: From, to: str | None = None, min_revision: MinRevision = None
    ) -> StructureDiff:
        """What differs between two revisions, each a number or a time; `to` is the newest unless told."""
        await seen(info.context, min_revision)
        found = await asyncio.to_thread(diff, info.context.service.twin, from_, to)
        changes = found.changes
        return StructureDiff(
            before=Long(found.before),
            after=Long(found.after),
            empty=changes.empty,
            text=found.text,
            changes=JSON(changes.to_dict()),
        )
