"""Every error as `application/problem+json` (RFC 9457), and back: what a client makes of an answer that is one.

A problem's `type` is the path of a page on the service that explains it (`/problems/not-found`); it never changes.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from ..twin.errors import (
    AmbiguousIdError,
    ConflictError,
    DamagedFileError,
    DefinitionError,
    DirectoryInUseError,
    ForbiddenError,
    InvalidValueError,
    IoTSenseError,
    MissingExtraError,
    NotFoundError,
    NotYetError,
    OutdatedError,
    OverloadedError,
    ReusedKeyError,
    SourceError,
    StorageError,
    StorageFullError,
    StorageReadOnlyError,
    StoreError,
    StoreRefusedError,
    UnauthenticatedError,
)
from ..twin.finding import Finding
from .http_errors import (
    ClientGoneError,
    MediaTypeError,
    NotAcceptableError,
    StoppingError,
    TooLargeError,
)

MEDIA_TYPE = "application/problem+json"
PATH = "/problems/"
RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of problem: its name in the URI, the HTTP status, and what it means in words."""

    name: str
    status: int
    title: str
    meaning: str

    @property
    def type(self) -> str:
        """The URI reference of the page that explains it."""
        return PATH + self.name


PROBLEMS: dict[type[IoTSenseError], Problem] = {
    IoTSenseError: Problem("error", 500, "The service failed", "Something went wrong that has no name of its own."),
    DefinitionError: Problem(
        "definition",
        422,
        "The definition is wrong",
        "Documents hold mistakes. Nothing was applied; `findings` lists all of them with their places.",
    ),
    InvalidValueError: Problem(
        "invalid-value",
        400,
        "A value is not acceptable",
        "A field, parameter, unit, time or expression is wrong. `field` names the place. Nothing was stored.",
    ),
    NotFoundError: Problem("not-found", 404, "Nothing goes by that name", "There is no such thing here."),
    AmbiguousIdError: Problem(
        "ambiguous-id", 404, "The id is ambiguous", "A short id fits several nodes; `candidates` lists their full ids."
    ),
    NotYetError: Problem(
        "not-yet",
        412,
        "That revision is not here yet",
        "The newest revision is older than `min_revision`. Ask again after `Retry-After` seconds.",
    ),
    ConflictError: Problem(
        "conflict",
        409,
        "The change contradicts what is there",
        "Nothing was changed; the text says what is in the way.",
    ),
    OutdatedError: Problem(
        "outdated",
        412,
        "What you had seen is no longer so",
        "Another request changed it meanwhile (`If-Match`). Nothing was changed; look again, and ask again.",
    ),
    UnauthenticatedError: Problem(
        "unauthenticated",
        401,
        "Who asks?",
        "A key or token is needed: `Authorization: Bearer ...`. There was none, or it is unknown, revoked or expired.",
    ),
    ForbiddenError: Problem(
        "forbidden",
        403,
        "That is not allowed",
        "The key or token is known, and does not allow this; the text names the scope that it lacks.",
    ),
    OverloadedError: Problem(
        "overloaded",
        429,
        "The service is overloaded",
        "A bounded buffer is full and nothing was accepted. Send the same again after `Retry-After` seconds.",
    ),
    MissingExtraError: Problem(
        "missing-extra", 501, "An optional library is missing", "The text holds the command that installs it."
    ),
    SourceError: Problem("source", 502, "A source cannot be used", "A broker, server or device refuses or is away."),
    StoreError: Problem(
        "store", 503, "An external store is away", "The database does not answer; what it misses, it gets when it does."
    ),
    StoreRefusedError: Problem(
        "store-refused",
        503,
        "An external store cannot be used as it is",
        "Somebody has to change something at the database or in its configuration; the text says what.",
    ),
    StorageError: Problem(
        "storage", 503, "The storage cannot be used", "The data directory cannot be used as asked; nothing was stored."
    ),
    StorageFullError: Problem(
        "storage-full",
        507,
        "No room left on the disk",
        "Nothing of the write was kept; reads go on. Send the same again when there is room.",
    ),
    StorageReadOnlyError: Problem(
        "storage-read-only", 503, "Writes are refused", "The data directory can be read but not written; reads go on."
    ),
    DamagedFileError: Problem(
        "damaged-file", 500, "A file is damaged", "A file of the data directory is torn, altered or missing."
    ),
    DirectoryInUseError: Problem(
        "directory-in-use", 503, "The data directory is in use", "Another process owns the data directory."
    ),
    TooLargeError: Problem(
        "too-large", 413, "The body is too large", "Send less at a time; the text names the limit. Nothing was stored."
    ),
    MediaTypeError: Problem(
        "media-type",
        415,
        "The media type is not understood",
        "The text names the `Content-Type` that is expected here.",
    ),
    NotAcceptableError: Problem(
        "not-acceptable",
        406,
        "It cannot be had as that",
        "None of the media types of `Accept` is one of those that the text names.",
    ),
    ReusedKeyError: Problem(
        "reused-key",
        422,
        "The key was used for another request",
        "Another body or query came under the same `Idempotency-Key`. Nothing was done; each request has its own key.",
    ),
    ClientGoneError: Problem("client-gone", 400, "The request is not whole", "The client went away before its end."),
    StoppingError: Problem(
        "stopping", 503, "The service is stopping", "It finishes what it has accepted and takes no more."
    ),
}

METHOD = Problem("method-not-allowed", 405, "The method is not allowed here", "`Allow` lists those that are.")
MISDIRECTED = Problem(
    "misdirected",
    421,
    "The request is for another host",
    "The `Host` header names no address of this service; a web page of another host cannot use it through a browser.",
)
ORIGIN = Problem(
    "foreign-origin", 403, "The request comes from a foreign page", "A page of another host asked a browser to send it."
)
NOT_HTTP = Problem("not-http", 400, "That is not HTTP", "The bytes are no request of HTTP/1.1.")
TOO_SLOW = Problem(
    "too-slow", 408, "The request took too long", "It was not whole in time. Nothing was stored; send it again."
)
HEAD = Problem(
    "head-too-large", 431, "The head is too large", "The path and the headers are more than is accepted; send fewer."
)
CONNECTIONS = Problem(
    "too-many-connections",
    503,
    "There are too many connections",
    "As many are open as this process may have. Close some, and ask again after `Retry-After` seconds.",
)
NOT_READY = Problem("not-ready", 503, "The service is not ready", "The text says why; it may be in a moment.")
ERROR = PROBLEMS[IoTSenseError]
NOT_FOUND = PROBLEMS[NotFoundError]
INVALID = PROBLEMS[InvalidValueError]

ALL = [*PROBLEMS.values(), METHOD, MISDIRECTED, ORIGIN, NOT_HTTP, TOO_SLOW, HEAD, CONNECTIONS, NOT_READY]
_BY_NAME = {problem.name: error for error, problem in PROBLEMS.items()}


def problem_of(error: IoTSenseError) -> Problem:
    """The kind of problem that an error is; a subclass without an entry of its own is what its base is."""
    return next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)


def members(error: IoTSenseError) -> dict[str, Any]:
    """The problem document of an error."""
    return document(problem_of(error), str(error), **_extensions(error))


def document(problem: Problem, detail: str, **extensions: Any) -> dict[str, Any]:
    """A problem document; `extensions` are the members beyond those of RFC 9457."""
    return {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        **{name: value for name, value in extensions.items() if value is not None},
    }


def retry_after(error: IoTSenseError) -> int | None:
    """After how many seconds it is worth while to try again; None if it is not."""
    if isinstance(error, OverloadedError):
        return max(1, round(error.retry_after))
    return RETRY_AFTER_S if isinstance(error, NotYetError) or problem_of(error).status in (503, 507) else None


def _extensions(error: IoTSenseError) -> dict[str, Any]:
    if isinstance(error, InvalidValueError):
        return {"field": error.field}
    if isinstance(error, AmbiguousIdError):
        return {"candidates": error.candidates}
    if isinstance(error, MissingExtraError):
        return {"extra": error.extra}
    if isinstance(error, DefinitionError):
        return {"findings": [_json(finding) for finding in error.findings]}
    return {}


def _json(finding: object) -> Any:
    return finding.to_json() if isinstance(finding, Finding) else {"message": str(finding)}


def error_of(status: int, body: Any) -> IoTSenseError:
    """The error that a problem document tells of: of the class that was raised in the service, if it has one.

    What is no problem of ours (a proxy's page, a refusal by status alone) is a SourceError.
    """
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        return SourceError(f"the service answered with status {status}")
    detail = str(body.get("detail") or body.get("title"))
    kind = _BY_NAME.get(body["type"].removeprefix(PATH), SourceError)
    if kind is DefinitionError:
        return DefinitionError([_reported(finding) for finding in body.get("findings", [])])
    if kind is InvalidValueError:
        return InvalidValueError(detail, body.get("field"))
    if kind is AmbiguousIdError:
        return NotFoundError(detail)
    # Those that are built of something else than a text, and the ones that only a service can meet.
    of_services = (MissingExtraError, TooLargeError, MediaTypeError, NotAcceptableError)
    return SourceError(detail) if kind in of_services else kind(detail)


def _reported(finding: Any) -> object:
    try:
        return msgspec.convert(finding, Finding)
    except msgspec.ValidationError:
        return finding.get("message", finding) if isinstance(finding, dict) else finding
