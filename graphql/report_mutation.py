"""Events that people report: written, amended and taken back."""

import asyncio
from typing import Annotated, Any

import strawberry
from strawberry.scalars import JSON
from strawberry.types import Info

from ..twin.errors import InvalidValueError
from ..twin.report_words import Amendment, Report
from ..twin.reports import reports_of
from ..twin.times import format_time
from .context import Request
from .event_type import Event
from .field import field
from .scalars import Time
from .view import View

Ask = Info[Request, None]
Begin = Annotated[Time | None, strawberry.argument(name="from", description="When it began; now unless told.")]
End = Annotated[Time | None, strawberry.argument(name="to", description="When it ended, if that is known.")]
Capture = Annotated[
    list[str] | None,
    strawberry.argument(description="Signals whose values are kept with it; the node's state unless told."),
]
Key = Annotated[str | None, strawberry.argument(description="The same key is the same event.")]


@strawberry.type
class ReportMutation:
    @field
    async def report_event(
        self,
        info: Ask,
        kind: str,
        node: strawberry.ID,
        from_: Begin = None,
        to: End = None,
        reason: str | None = None,
        data: JSON | None = None,
        capture: Capture = None,
        by: str | None = None,
        idempotency_key: Key = None,
    ) -> Event:
        """Reports a failure, repair, inspection, downtime, batch, product_run, installation, or another kind."""
        report = Report(kind, str(node), _text(from_), _text(to), reason, _object(data), capture, by)
        twin = info.context.service.twin
        made = await asyncio.to_thread(reports_of(twin).report, report, idempotency_key)
        return Event.of(View(info.context), made)

    @field
    async def amend_event(
        self,
        info: Ask,
        id: strawberry.ID,
        from_: Begin = None,
        to: End = None,
        reason: str | None = None,
        data: JSON | None = None,
        by: str | None = None,
    ) -> Event:
        """Amends an event that was reported; what is left out stays."""
        amendment = Amendment(_text(from_), _text(to), reason, _object(data), by)
        made = await asyncio.to_thread(reports_of(info.context.service.twin).amend, str(id), amendment)
        return Event.of(View(info.context), made)

    @field
    async def retract_event(
        self, info: Ask, id: strawberry.ID, reason: str | None = None, by: str | None = None
    ) -> Event:
        """Takes back an event that was reported."""
        made = await asyncio.to_thread(reports_of(info.context.service.twin).retract, str(id), reason, by)
        return Event.of(View(info.context), made)


def _text(time: int | None) -> str | None:
    return None if time is None else format_time(int(time))


def _object(data: Any) -> dict[str, Any]:
    if data is not None and not isinstance(data, dict):
        raise InvalidValueError("data must be an object", "data")
    return data or {}
