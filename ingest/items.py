"""A source of several items (addresses that are asked, resources that are observed), each of which fails by itself."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NoReturn

from ..twin.errors import SourceError
from .source_state import SourceStatus

_SHOWN = 3


class Items:
    """How each item is. One in trouble is named and does not disturb the others; with all in trouble the source is.

    connected: called when the first of them is well.
    """

    def __init__(self, status: SourceStatus, names: Iterable[str], connected: Callable[[], None]) -> None:
        self._status = status
        self._connected = connected
        self._running = False
        self._well: dict[str, bool | None] = dict.fromkeys(names)
        self._reasons: dict[str, str] = {}

    def well(self, name: str) -> None:
        """It answered."""
        self._well[name] = True
        changed = self._reasons.pop(name, None) is not None
        if not self._running:
            self._running = True
            self._connected()
            changed = True
        if changed:
            self._tell()

    def trouble(self, name: str, reason: str) -> None:
        """It did not. Raises SourceError if none of the others does either."""
        self._well[name] = False
        self._reasons[name] = reason
        if all(well is False for well in self._well.values()):
            raise SourceError(self._text())
        self._tell()

    def note(self, name: str, reason: str) -> None:
        """It answered, and yet something is to be said about it until it answers again."""
        self._reasons[name] = reason
        self._tell()

    def _tell(self) -> None:
        if self._running:
            self._status.error = self._text() or None

    def _text(self) -> str:
        if len(self._well) == 1:
            return next(iter(self._reasons.values()), "")
        shown = [f"{name}: {reason}" for name, reason in list(self._reasons.items())[:_SHOWN]]
        more = len(self._reasons) - _SHOWN
        return "; ".join([*shown, f"and {more} more"] if more > 0 else shown)


async def together(works: Iterable[Coroutine[Any, Any, NoReturn]]) -> None:
    """Runs until one of them fails, and raises its error; none of them outlives this."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
