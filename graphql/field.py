"""Fields with resolvers, described in the schema by their docstrings.

Root fields name the scope that whoever asks must have; those that do not read a `View` concern all of the plant, but
for those that say `narrows`.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable
from typing import Any

import strawberry
from strawberry.types import Info
from strawberry.types.field import StrawberryField

from ..twin.access import Scope
from .context import Request
from .recorded import recorded, require


def field(resolver: Callable[..., object]) -> StrawberryField:
    """A field of an object, which whoever has the object may see."""
    return strawberry.field(resolver, description=inspect.getdoc(resolver))


def root_field(scope: Scope, *, narrows: bool = False) -> Callable[[Callable[..., object]], StrawberryField]:
    """A root field of the questions; its resolver takes `info`."""
    return lambda resolver: field(_guarded(resolver, scope, narrows))


def mutation(scope: Scope, *, narrows: bool = False) -> Callable[[Callable[..., object]], StrawberryField]:
    """A mutation that the resolver, which takes `info`, carries out."""

    def made(resolver: Callable[..., object]) -> StrawberryField:
        # What needs no more than to look at the plant changes nothing of it.
        run = resolver if scope is Scope.PLANT_READ else recorded(resolver)
        return strawberry.mutation(_guarded(run, scope, narrows), description=inspect.getdoc(resolver))

    return made


def subscription(
    scope: Scope, *, narrows: bool = False
) -> Callable[[Callable[..., AsyncGenerator[Any, None]]], StrawberryField]:
    """A subscription that the resolver, an asynchronous generator that takes `info`, feeds."""

    def made(resolver: Callable[..., AsyncGenerator[Any, None]]) -> StrawberryField:
        @functools.wraps(resolver)
        async def guarded(self: Any, info: Info[Request, None], **arguments: Any) -> AsyncGenerator[Any, None]:
            require(info, scope, whole_plant=not narrows)
            async for each in resolver(self, info, **arguments):
                # The key may have been revoked meanwhile.
                info.context.principal.require(scope, whole_plant=not narrows)
                yield each

        return strawberry.subscription(guarded, description=inspect.getdoc(resolver))

    return made


def _guarded(resolver: Callable[..., Any], scope: Scope, narrows: bool) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(resolver):

        @functools.wraps(resolver)
        async def later(self: Any, info: Info[Request, None], **arguments: Any) -> Any:
            require(info, scope, whole_plant=not narrows)
            return await resolver(self, info, **arguments)

        return later

    @functools.wraps(resolver)
    def at_once(self: Any, info: Info[Request, None], **arguments: Any) -> Any:
        require(info, scope, whole_plant=not narrows)
        return resolver(self, info, **arguments)

    return at_once
