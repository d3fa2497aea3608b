"""Mutations that are done once by the client's key, by the engine that REST's `Idempotency-Key` has, too.

For what has no place in the journal for its key. One key is another request for each mutation and principal; what
differs in its arguments is refused.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import strawberry

from ..twin.errors import IoTSenseError
from ..twin.kept_answers import Kept, check_key
from .course import COURSE
from .moment import Ask
from .payload import Problem

T = TypeVar("T")

OnceKey = Annotated[
    strawberry.ID | None,
    strawberry.argument(description="Yours; the same key is the same request for 24 hours, or until a restart."),
]


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of a mutation: `made`, which an earlier one with the same key may have (`again`), or errors."""

    made: T | None
    again: bool
    errors: list[Problem]


async def once(info: Ask, key: str | None, asked: Any, run: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
    """What `run` makes, or has made for the same key; whether it had.

    asked: the arguments, which tell requests with the same key apart. What is made is kept for the next one, so it
    holds on to nothing large. Raises ReusedKeyError, InvalidValueError (a key that is none), and what `run` raises.
    """
    if key is None:
        return await run(), False
    check_key(key, "a key", "key")
    mark = hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).digest()
    request = info.context
    given = await request.service.answers.once((request.principal, info.field_name, key), mark, run, _kept)
    if given.again and (course := COURSE.get(None)) is not None:
        course.again = True
    return given.answer, given.again


async def outcome(info: Ask, key: str | None, asked: Any, run: Callable[[], Awaitable[T]]) -> Outcome[T]:
    """The same, with our errors as what a payload tells of them."""
    try:
        made, again = await once(info, key, asked, run)
    except IoTSenseError as error:
        return Outcome(None, False, [Problem.of(error)])
    return Outcome(made, again, [])


def _kept(made: Any) -> Kept:
    return Kept(made, len(repr(made)))
