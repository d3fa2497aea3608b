"""Fields with resolvers, described in the schema by their docstrings."""

import inspect
from collections.abc import Callable

import strawberry
from strawberry.types.field import StrawberryField


def field(resolver: Callable[..., object]) -> StrawberryField:
    """A field that the resolver answers."""
    return strawberry.field(resolver, description=inspect.getdoc(resolver))


def subscription(resolver: Callable[..., object]) -> StrawberryField:
    """A subscription that the resolver, an asynchronous generator, feeds."""
    return strawberry.subscription(resolver, description=inspect.getdoc(resolver))


def mutation(resolver: Callable[..., object]) -> StrawberryField:
    """A mutation that the resolver carries out."""
    return strawberry.mutation(resolver, description=inspect.getdoc(resolver))
