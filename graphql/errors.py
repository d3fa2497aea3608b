"""Errors as GraphQL tells them: ours with a code and what helps, everything else masked and logged."""

import logging
import uuid
from collections.abc import Iterator
from typing import Any

from strawberry.exceptions import MissingQueryError
from strawberry.extensions import MaskErrors
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError

from graphql import GraphQLError

from ..twin import errors
from .context import Request

log = logging.getLogger("iotsense.graphql")

CODES: tuple[tuple[type[errors.IoTSenseError], str], ...] = (
    (errors.AmbiguousIdError, "AMBIGUOUS"),
    (errors.NotFoundError, "NOT_FOUND"),
    (errors.InvalidValueError, "INVALID_VALUE"),
    (errors.NotYetError, "NOT_YET"),
    (errors.DefinitionError, "DEFINITION"),
    (errors.ReusedKeyError, "REUSED_KEY"),
    (errors.OutdatedError, "OUTDATED"),
    (errors.ConflictError, "CONFLICT"),
    (errors.UnauthenticatedError, "UNAUTHENTICATED"),
    (errors.ForbiddenError, "FORBIDDEN"),
    (errors.OverloadedError, "OVERLOADED"),
    (errors.StorageFullError, "STORAGE_FULL"),
    (errors.StorageError, "STORAGE"),
    (errors.StoreError, "STORE"),
    (errors.IoTSenseError, "FAILED"),
)


class PlainErrors(MaskErrors):
    """Puts a code on every error and hides the text of those that are not meant for the reader.

    Each operation begins with a budget and views of its own.
    """

    def on_operation(self) -> Iterator[None]:
        """Before and after an operation."""
        request = self.execution_context.context
        if isinstance(request, Request):
            request.begin()
        yield from super().on_operation()

    def _process_errors(self, errors: list[GraphQLError]) -> list[GraphQLError]:
        return [plain(error) for error in errors]


def plain(error: GraphQLError) -> GraphQLError:
    """The error as its reader should see it."""
    cause = _cause(error)
    if cause is None:
        return _with(error, error.message, {"code": "BAD_REQUEST"} | dict(error.extensions or {}))
    if isinstance(cause, errors.IoTSenseError):
        return _with(error, str(cause), extensions(cause))
    if isinstance(cause, MissingQueryError | CannotGetOperationTypeError | InvalidOperationTypeError):
        return _with(error, _unasked(cause), {"code": "BAD_REQUEST"})
    number = uuid.uuid4().hex[:12]
    log.error("a resolver failed (%s) at %s", number, error.path, exc_info=cause)
    return _with(error, f"internal error {number}; the service's log tells more", {"code": "INTERNAL"})


def _unasked(cause: Exception) -> str:
    """What is wrong with a request, in words, before anything of it is looked at."""
    match cause:
        case InvalidOperationTypeError():
            return cause.as_http_error_reason("this method")
        case CannotGetOperationTypeError():
            return cause.as_http_error_reason()
    return "there is no query"


def _cause(error: GraphQLError) -> BaseException | None:
    cause: BaseException | None = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def extensions(error: errors.IoTSenseError) -> dict[str, Any]:
    """What a program needs to know of an error of ours: its code, and what helps."""
    told: dict[str, Any] = {"code": next(code for kind, code in CODES if isinstance(error, kind))}
    if isinstance(error, errors.AmbiguousIdError):
        told["candidates"] = error.candidates
    if isinstance(error, errors.InvalidValueError) and error.field is not None:
        told["field"] = error.field
    if isinstance(error, errors.OverloadedError):
        told["retryAfter"] = error.retry_after
    return told


def _with(error: GraphQLError, message: str, extensions: dict[str, Any]) -> GraphQLError:
    return GraphQLError(message, error.nodes, error.source, error.positions, error.path, extensions=extensions)
