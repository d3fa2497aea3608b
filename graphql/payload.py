"""What mutations answer: what was made, or errors that a program can tell apart."""

import asyncio
from collections.abc import Callable
from typing import Any

import strawberry

from ..twin.errors import IoTSenseError
from ..twin.model import Event as Record
from .context import Request
from .errors import extensions
from .event_type import Event
from .scalars import Long
from .view import View


@strawberry.type(description="Why a mutation changed nothing.")
class Problem:
    code: str = strawberry.field(description="NOT_FOUND, AMBIGUOUS, INVALID_VALUE, CONFLICT, STORAGE_FULL, ...")
    message: str
    field: str | None = strawberry.field(description="The argument that is wrong, if one is.")
    candidates: list[str] = strawberry.field(description="The full ids that an ambiguous one may mean.")
    retry_after: float | None = strawberry.field(description="When it is worth while to try again [s].")

    @classmethod
    def of(cls, error: IoTSenseError) -> "Problem":
        """What GraphQL shows of an error."""
        told = extensions(error)
        return cls(
            code=told["code"],
            message=str(error),
            field=told.get("field"),
            candidates=told.get("candidates", []),
            retry_after=told.get("retryAfter"),
        )


@strawberry.type(description="An event that is durable, or the errors because of which there is none.")
class EventPayload:
    event: Event | None
    revision: Long = strawberry.field(description="The structure's revision; give it as `minRevision` elsewhere.")
    errors: list[Problem]


async def written(request: Request, write: Callable[[], Record]) -> EventPayload:
    """What `write`, which blocks, brought about."""
    event, errors = None, []
    try:
        record = await asyncio.to_thread(write)
        event = Event.of(View(request), record)
    except IoTSenseError as error:
        errors = [Problem.of(error)]
    return EventPayload(event=event, revision=Long(request.service.twin.graph.revision), errors=errors)


def given(fields: Any) -> dict[str, Any]:
    """The fields of an input that were given."""
    return {name: value for name, value in vars(fields).items() if value is not strawberry.UNSET}
