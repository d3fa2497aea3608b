"""Mutations and refusals, told to the audit log."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import strawberry
from strawberry.types import Info

from ..twin.access import Scope
from ..twin.audit_trail import Asking, outcome_of, wanted_value
from ..twin.errors import ForbiddenError, UnauthenticatedError
from ..twin.revision_log import newest_in_short
from .context import Request
from .course import COURSE, Course

_TARGETS = ("signal", "id", "node", "serialNumber", "serial_number", "store")
_MADE = ("command", "event", "anomaly")


def require(info: Info[Request, None], scope: Scope, *, whole_plant: bool) -> None:
    """Raises ForbiddenError or UnauthenticatedError, and records that it was refused."""
    try:
        info.context.principal.require(scope, whole_plant=whole_plant)
    except (ForbiddenError, UnauthenticatedError) as error:
        if (trail := info.context.service.audit) is not None:
            trail.refused(_asking(info, {}), outcome_of(error), str(error))
        raise


def recorded(resolver: Callable[..., Any]) -> Callable[..., Any]:
    """A mutation that is in the audit log when it is answered."""

    @functools.wraps(resolver)
    async def watched(self: Any, info: Info[Request, None], **arguments: Any) -> Any:
        service = info.context.service
        trail = service.audit
        if trail is None or arguments.get("dry_run"):
            return await _result(resolver, self, info, arguments)
        await trail.require_writable()
        course = Course()
        COURSE.set(course)
        asking = _asking(info, arguments)
        revision = service.twin.graph.revision
        signal = arguments.get("signal")
        before = None if signal is None else wanted_value(service.twin, str(signal))
        try:
            result = await _result(resolver, self, info, arguments)
        except BaseException as error:
            more = {"outcome": outcome_of(error), "detail": str(error)}
            trail.noted(asking, before=before, revisions=(revision, service.twin.graph.revision), **more)
            raise
        if course.again:
            return result  # what an earlier one did is on record
        revisions = (revision, service.twin.graph.revision)
        after = await _after(info.context, result, revision)
        await trail.changed(asking, before=before, after=after, revisions=revisions, **_problem(result))
        return result

    return watched


async def _result(resolver: Callable[..., Any], self: Any, info: Any, arguments: Mapping[str, Any]) -> Any:
    result = resolver(self, info, **arguments)
    return await result if inspect.isawaitable(result) else result


def _asking(info: Info[Request, None], arguments: Mapping[str, Any]) -> Asking:
    given: dict[str, Any] = {name: _plain(value) for name, value in arguments.items()}
    flat = given | next((value for value in given.values() if isinstance(value, dict)), {})
    target = next((str(flat[name]) for name in _TARGETS if flat.get(name) is not None), None)
    request = info.context
    what = f"{info.operation.operation.value} {info.field_name}"
    return Asking(request.principal.name, request.origin, what, target, given or None)


def _plain(value: Any) -> Any:
    if value is strawberry.UNSET:
        return None
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "__strawberry_definition__"):
        return {name: _plain(each) for name, each in vars(value).items()}
    return value


async def _after(request: Request, result: Any, revision: int) -> Any:
    """What was made, as far as its name and state tell; what was changed in the structure."""
    twin = request.service.twin
    if not request.principal.narrow and twin.graph.revision != revision:
        return await asyncio.to_thread(newest_in_short, twin)
    made = next((each for name in _MADE if (each := getattr(result, name, None)) is not None), result)
    told = {name: getattr(made, name, None) for name in ("id", "state", "value")}
    return {name: _plain(value) for name, value in told.items() if value is not None and not callable(value)} or None


def _problem(result: Any) -> dict[str, str]:
    errors = getattr(result, "errors", None)
    if not errors:
        return {}
    return {"outcome": errors[0].code.lower().replace("_", "-"), "detail": errors[0].message}
