"""Reporting events, and installing assets."""

from functools import partial
from typing import Annotated, Any

import strawberry
from msgspec import UNSET
from strawberry.scalars import JSON

from ..twin.access import Scope
from ..twin.errors import InvalidValueError
from ..twin.report import INSTALLATION, Amendment, Asset, Report
from .field import mutation
from .moment import Ask
from .payload import EventPayload, Problem, given, written
from .scalars import Long, Time

Key = Annotated[
    strawberry.ID | None, strawberry.argument(description="Yours; the same key is the same request, for ever.")
]


@strawberry.input(
    description="An event at a node: failure, repair, inspection, downtime, batch, product_run, or other."
)
class ReportInput:
    kind: str
    node: strawberry.ID
    time: Time | None = strawberry.field(default=None, description="When it began; now unless told.")
    until: Time | None = strawberry.field(default=None, description="When it ended; may be given later.")
    reason: str | None = None
    values: JSON | None = strawberry.field(default=None, description="Yours: an object of names and values.")
    capture: list[str] | None = strawberry.field(
        default=None, description="Signals whose readings at begin and end are kept; the node's state unless told."
    )
    id: strawberry.ID | None = strawberry.field(default=None, description="Your name for it.")


@strawberry.input(description="What is different; what is left out stays.")
class AmendmentInput:
    node: strawberry.ID | None = strawberry.UNSET
    time: Time | None = strawberry.UNSET
    until: Time | None = strawberry.field(default=strawberry.UNSET, description="Null opens the event again.")
    reason: str | None = strawberry.UNSET
    values: JSON | None = strawberry.field(default=strawberry.UNSET, description="A value of null is taken out.")


@strawberry.input(description="An asset comes to a node; what was there, and where the asset was, ends then.")
class InstallationInput:
    node: strawberry.ID
    serial_number: str
    maker: str | None = None
    model: str | None = None
    time: Time | None = None
    until: Time | None = None
    reason: str | None = None
    values: JSON | None = None
    id: strawberry.ID | None = None


@strawberry.input(description="What is installed at a node, or an asset by its serial number, is taken out.")
class RemovalInput:
    node: strawberry.ID | None = None
    serial_number: str | None = None
    maker: str | None = None
    time: Time | None = strawberry.field(default=None, description="Now unless told.")
    reason: str | None = None


@strawberry.type
class ReportMutation:
    @mutation(Scope.EVENTS_WRITE)
    async def report_event(self, info: Ask, report: ReportInput, key: Key = None) -> EventPayload:
        """Tells of an event. What its node showed when it began, and when it ended, becomes part of it."""
        reports = info.context.service.twin.reports
        return await written(info.context, lambda: reports.report(_report(report), key))

    @mutation(Scope.EVENTS_WRITE)
    async def amend_event(self, info: Ask, id: strawberry.ID, change: AmendmentInput, key: Key = None) -> EventPayload:
        """Corrects a report, or gives its end; `id` is its identity or the number of any of its events."""
        reports = info.context.service.twin.reports
        return await written(info.context, lambda: reports.amend(id, _amendment(change), key))

    @mutation(Scope.EVENTS_WRITE)
    async def retract_event(
        self, info: Ask, id: strawberry.ID, reason: str | None = None, key: Key = None
    ) -> EventPayload:
        """Takes a report back; the log keeps it."""
        return await written(info.context, partial(info.context.service.twin.reports.retract, id, reason, key))

    @mutation(Scope.EVENTS_WRITE)
    async def install_asset(self, info: Ask, installation: InstallationInput, key: Key = None) -> EventPayload:
        """An asset comes to a node."""
        reports = info.context.service.twin.reports
        return await written(info.context, lambda: reports.report(_installation(installation), key))

    @mutation(Scope.EVENTS_WRITE)
    async def remove_asset(self, info: Ask, removal: RemovalInput, key: Key = None) -> EventPayload:
        """An asset is taken out."""
        if removal.node is None and removal.serial_number is None:
            error = InvalidValueError("say what is removed: node, or serialNumber", "node")
            revision = Long(info.context.service.twin.graph.revision)
            return EventPayload(event=None, revision=revision, errors=[Problem.of(error)])
        remove = partial(info.context.service.twin.reports.remove, **given(removal), key=key)
        return await written(info.context, remove)


def _report(told: ReportInput) -> Report:
    capture = None if told.capture is None else tuple(told.capture)
    return Report(
        told.kind, told.node, told.time, told.until, told.reason, _values(told.values), capture, told.id
    )  # fmt: skip


def _installation(told: InstallationInput) -> Report:
    asset = Asset(told.serial_number, told.maker, told.model)
    values = _values(told.values)
    return Report(INSTALLATION, told.node, told.time, told.until, told.reason, values, None, told.id, asset)


def _amendment(change: AmendmentInput) -> Amendment:
    told = given(change)
    for name in ("node", "time"):
        if told.get(name, UNSET) is None:
            raise InvalidValueError(f"an event always has a {name}; leave it out if it stays", name)
    return Amendment(**told | {"values": _values(told.get("values"))})


def _values(told: Any) -> dict[str, Any]:
    if told is None:
        return {}
    if not isinstance(told, dict):
        raise InvalidValueError("values is an object of names and values", "values")
    return told
