"""The revisions of the structure in the SDK: `iot.structure.log("filler")`, `iot.structure.diff(3, 7)`."""

from collections.abc import Awaitable, Callable
from typing import Any

from .client_history import Moment, moment

Json = dict[str, Any]


class Structure:
    """What changed when, and what differs between two revisions."""

    def __init__(self, get: Callable[..., Any]) -> None:
        self._get = get

    def log(self, node: str | None = None, *, before: int | None = None, limit: int = 100) -> list[Json]:
        """Who changed the structure (or a node) when, the newest first; at most `limit`, older than `before`."""
        return list(self._get("/revisions", **_page(node, before, limit))["revisions"])

    def diff(self, before: int | Moment, after: int | Moment | None = None) -> Json:
        """What leads from one revision to another, each a number or a time; the second is the newest unless told."""
        return dict(self._get("/revisions/diff", **_ends(before, after)))


class AsyncStructure:
    """The same for coroutines."""

    def __init__(self, get: Callable[..., Awaitable[Any]]) -> None:
        self._get = get

    async def log(self, node: str | None = None, *, before: int | None = None, limit: int = 100) -> list[Json]:
        """As `Structure.log`."""
        return list((await self._get("/revisions", **_page(node, before, limit)))["revisions"])

    async def diff(self, before: int | Moment, after: int | Moment | None = None) -> Json:
        """As `Structure.diff`."""
        return dict(await self._get("/revisions/diff", **_ends(before, after)))


def _page(node: str | None, before: int | None, limit: int) -> Json:
    given = {"node": node, "before": before, "limit": limit}
    return {name: value for name, value in given.items() if value is not None}


def _ends(before: int | Moment, after: int | Moment | None) -> Json:
    first, second = (each if isinstance(each, int) else moment(each) for each in (before, after))
    return {"from": first} | ({} if second is None else {"to": second})
