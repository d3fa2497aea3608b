"""The instant of a question: each root field that reads the plant takes asOf, knownAt, scenario and minRevision."""

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import strawberry
from strawberry.types import Info
from strawberry.types.field import StrawberryField

from ..twin.access import Scope
from .context import Instant, Request
from .field import field
from .scalars import Long, Time
from .view import View

Ask = Info[Request, None]
MinRevision = Annotated[Long | None, strawberry.argument(description="Sees at least this revision of the structure.")]
_NOW: Instant = (None, None, None)
_MOMENT: dict[str, Any] = {
    "as_of": Annotated[
        Time | None, strawberry.argument(description="The plant as it was then: structure, state and events.")
    ],
    "known_at": Annotated[
        Time | None, strawberry.argument(description="By what was recorded until then, without later corrections.")
    ],
    "scenario": Annotated[strawberry.ID | None, strawberry.argument(description="In this scenario instead.")],
    "min_revision": MinRevision,
}


def plant_field(resolver: Callable[..., object]) -> StrawberryField:
    """A root field whose resolver takes a `View` as its first argument: the plant as of what the question says."""
    parameters = list(inspect.signature(resolver).parameters.values())
    own, *others = parameters[0], *parameters[2:]

    @functools.wraps(resolver)
    async def at(self: Any, info: Ask, **arguments: Any) -> Any:
        info.context.principal.require(Scope.PLANT_READ)
        instant = {name: arguments.pop(name, None) for name in _MOMENT}
        view = await _view(info.context, **instant)
        found = resolver(self, view, **arguments)
        return await found if inspect.isawaitable(found) else found

    keyword = inspect.Parameter.KEYWORD_ONLY
    info = inspect.Parameter("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Ask)
    given = [other.replace(kind=keyword) for other in others]
    given += [inspect.Parameter(name, keyword, default=None, annotation=type) for name, type in _MOMENT.items()]
    at.__signature__ = inspect.signature(resolver).replace(parameters=[own, info, *given])  # type: ignore[attr-defined]
    at.__annotations__ = {"info": Ask, **resolver.__annotations__, **_MOMENT}
    at.__annotations__.pop("view", None)
    return field(at)


async def seen(request: Request, min_revision: int | None) -> None:
    """Waits for a revision, if one is named; raises NotYetError if it does not come."""
    if min_revision is not None:
        await request.service.twin.revisions.seen(int(min_revision))


async def _view(
    request: Request, as_of: int | None, known_at: int | None, scenario: str | None, min_revision: int | None
) -> View:
    """One view for all fields of an operation that ask for the same instant: they agree, and it is looked up once."""
    twin, instant, views = request.service.twin, (as_of, known_at, scenario), request.views
    if min_revision is not None:
        await seen(request, min_revision)
        if (made := views.get(instant)) is not None and (await made).graph.revision < min_revision:
            views.pop(instant, None)
    made = views.get(instant)
    if made is None and instant == _NOW:  # nothing to wait for
        made = views[instant] = asyncio.get_running_loop().create_future()
        made.set_result(View(request, plant=twin.as_of()))
    if made is None:
        made = views[instant] = asyncio.ensure_future(_look(request, instant))
    return made.result() if made.done() else await asyncio.shield(made)


async def _look(request: Request, instant: Instant) -> View:
    return View(request, plant=await request.service.twin.as_of_async(*instant))
