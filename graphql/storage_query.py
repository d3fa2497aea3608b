"""What storage takes, and what it will need."""

import asyncio

import strawberry

from ..twin.access import Scope
from ..twin.history_report import Kept as KeptNow
from .field import root_field
from .moment import Ask, plant_field
from .scalars import Long, Time
from .timed import timed
from .view import View


@strawberry.type(description="One kind of what is kept: raw readings, thinned ones (for replay), or a tier.")
@timed
class Kept:
    name: str
    parts: int
    rows: Long
    bytes: Long
    bytes_per_row: float
    guessed: bool = strawberry.field(description="Whether bytesPerRow is a guess, as nothing is there to measure.")
    oldest: Time | None
    newest: Time | None
    rows_per_day: float = strawberry.field(description="At the present rate.")
    retention: float | None = strawberry.field(description="How long it is kept [s]; null for ever.")
    needed_bytes: Long | None = strawberry.field(description="What it will take; null if it is kept for ever.")

    @classmethod
    def of(cls, kept: KeptNow) -> "Kept":
        """What GraphQL shows of it."""
        return cls(
            name=kept.name,
            parts=kept.parts,
            rows=Long(kept.rows),
            bytes=Long(kept.bytes),
            bytes_per_row=kept.bytes_per_row,
            guessed=kept.guessed,
            oldest=None if kept.oldest is None else Time(kept.oldest),
            newest=None if kept.newest is None else Time(kept.newest),
            rows_per_day=kept.rows_per_day,
            retention=kept.retention,
            needed_bytes=None if kept.needed_bytes is None else Long(kept.needed_bytes),
        )


@strawberry.type(description="Sizes of what is stored, and what the configured retention will need.")
class Storage:
    history: list[Kept]
    bytes: Long = strawberry.field(description="Everything, journal and catalog included.")
    readings_per_day: float = strawberry.field(description="Over the last days.")
    needed_bytes: Long | None = strawberry.field(
        description="Once all retention is full; null if something is for ever."
    )
    per_day: float = strawberry.field(description="What is kept for ever adds so many bytes a day.")


@strawberry.type
class StorageQuery:
    @plant_field
    def precision(self, view: View) -> float | None:
        """How exact the times of that instant are [s], where not all of its readings are there any more; else null."""
        return view.plant.precision

    @root_field(Scope.SERVICE_READ)
    async def storage(self, info: Ask) -> Storage:
        """What storage takes now, and what it will need at the present rate."""
        found = await asyncio.to_thread(info.context.service.twin.storage_report)
        return Storage(
            history=[Kept.of(kept) for kept in found.history],
            bytes=Long(found.bytes),
            readings_per_day=found.readings_per_day,
            needed_bytes=None if found.needed_bytes is None else Long(found.needed_bytes),
            per_day=found.per_day,
        )
