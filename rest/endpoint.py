"""What an operation of the API is: one entry makes its route and its page in the OpenAPI document."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from .context import Context

Operation: TypeAlias = Callable[[Context, Request], Awaitable[Response]]

PREFIX = "/api/v1/iotsense"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query (or a header): its JSON Schema and what it means."""

    name: str
    meaning: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})
    required: bool = False
    place: str = "query"


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: its type (for the schema; None is free JSON or no JSON at all) and media type."""

    meaning: str
    type: Any = None
    media: str | None = JSON
    status: int = 200


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries, by media type."""

    types: dict[str, Any]
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Retirement:
    """An operation that goes: deprecated since a day, gone on or after another; `instead` says what to use."""

    since: date
    sunset: date
    instead: str

    @property
    def headers(self) -> dict[str, str]:
        """What its answers tell: RFC 9745 and RFC 8594."""
        since, sunset = (datetime.combine(day, time(), UTC) for day in (self.since, self.sunset))
        return {
            "Deprecation": f"@{since.timestamp():.0f}",
            "Sunset": format_datetime(sunset, usegmt=True),
        }


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method on a path, what runs it, and what is to be said about it.

    `run` is None for what is mounted apart. `problems` are the statuses that it may fail with, besides 400;
    `refusal` is how it words them where other people's clients expect another document than a problem. `reads` the
    plant: it takes the parameters of `moment`, too. `narrows`: it keeps to the part of the plant that whoever asks is
    tied to. `retirement`: it is deprecated, and will go.
    """

    method: str
    path: str
    run: Operation | None
    summary: str
    answers: tuple[Answer, ...]
    tag: str
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    problems: tuple[int, ...] = ()
    description: str = ""
    name: str = ""
    refusal: Any = None
    reads: bool = False
    narrows: bool = False
    retirement: Retirement | None = None

    @property
    def operation(self) -> str:
        """The operation's id: the name of what runs it."""
        return self.name or getattr(self.run, "__name__", self.path)
