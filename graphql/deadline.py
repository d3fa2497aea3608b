"""How long a question may take: what waits is given up, what works is asked in between, and the answer is an error."""

import asyncio
from collections.abc import Awaitable, Iterable
from contextvars import ContextVar
from typing import Any

from graphql import ExecutionResult, GraphQLError, OperationType

from .compiled import CompilingExecutor
from .context import Request

TIMEOUT = "TIMEOUT"


class Deadline:
    """When a question must have been answered, by the event loop's clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = asyncio.get_running_loop().time() + seconds
        self._timer: asyncio.Timeout | None = None

    @property
    def passed(self) -> bool:
        """Whether it is too late."""
        return asyncio.get_running_loop().time() > self._at

    def extend(self, seconds: float) -> None:
        """Allows more."""
        self._at += seconds
        self.seconds += seconds
        if self._timer is not None:
            self._timer.reschedule(self._at)

    async def keep(self, result: Awaitable[Any]) -> Any:
        """The result; raises TimeoutError."""
        async with asyncio.timeout_at(self._at) as self._timer:
            return await result


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def allow(seconds: float) -> None:
    """The question that is being answered may take so much longer, for it waits for something on purpose."""
    if (deadline := _current.get()) is not None:
        deadline.extend(seconds)


class TimedExecutor(CompilingExecutor):
    """Gives up questions that take too long. What changes something is never given up: it would be half done."""

    _deadline: Deadline | None = None

    def execute_operation(self, serially: bool | None = None) -> Any:
        """The result, or that it took too long."""
        request = self.context_value
        if self.operation.operation is not OperationType.QUERY or not isinstance(request, Request):
            return super().execute_operation(serially)
        deadline = self._deadline = Deadline(request.options.timeout)
        _current.set(deadline)
        result: Any = super().execute_operation(serially)
        if isinstance(result, ExecutionResult):
            return _too_late(deadline) if deadline.passed else result
        return self._in_time(result, deadline)

    async def _in_time(self, result: Awaitable[Any], deadline: Deadline) -> Any:
        try:
            answer = await deadline.keep(result)
        except TimeoutError:
            return _too_late(deadline)
        return _too_late(deadline) if deadline.passed else answer

    def complete_iterable_value(
        self, item_type: Any, field_details_list: Any, info: Any, path: Any, items: Iterable[Any], position_context: Any
    ) -> Any:
        """The list's values, if there is time left for them."""
        if self._deadline is not None and self._deadline.passed:
            raise GraphQLError("too late")  # every list that is left says so, until the answer as a whole does
        return super().complete_iterable_value(item_type, field_details_list, info, path, items, position_context)


def _too_late(deadline: Deadline) -> ExecutionResult:
    words = f"the question took longer than {deadline.seconds:g} s and was given up; ask for less"
    return ExecutionResult(None, [GraphQLError(words, extensions={"code": TIMEOUT, "limit": deadline.seconds})])
