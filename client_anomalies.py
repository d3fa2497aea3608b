"""Anomalies in the SDK: `iot.anomalies.all(node="line_1")`, `iot.anomalies.acknowledge(id, "bearing ordered")`.

Each write is durable when it returns, and has a key of its own, so that one whose answer was lost may be sent again.
"""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Unpack
from urllib.parse import quote

from .client_moment import Instant, at

Json = dict[str, Any]


class Narrowed(Instant, total=False):
    """node: of it and of what is below it. open: False for those that ended, too. acknowledged: by somebody, or not."""

    node: str
    open: bool
    acknowledged: bool


class Anomalies:
    """What rules noticed, and what people say about it. They raise NotFoundError, ConflictError, InvalidValueError."""

    def __init__(self, get: Callable[..., Any], send: Callable[..., Any]) -> None:
        self._get = get
        self._send = send

    def all(self, **narrowed: Unpack[Narrowed]) -> list[Json]:
        """Those that are open, the newest first."""
        return list(self._get("/anomalies", **_query({**narrowed}))["anomalies"])

    def get(self, id: str | int, **instant: Unpack[Instant]) -> Json:
        """One of them, by its id or the number of any event that tells of it."""
        return dict(self._get(_path(id), **at({**instant})))

    def acknowledge(self, id: str | int, comment: str | None = None, key: str | None = None) -> Json:
        """Somebody has seen it; the first who says so counts."""
        return dict(self._send("POST", f"{_path(id)}/acknowledge", **_request({"comment": comment}, key)))

    def comment(self, id: str | int, text: str, key: str | None = None) -> Json:
        """Somebody says something about it."""
        return dict(self._send("POST", f"{_path(id)}/comments", **_request({"text": text}, key)))


class AsyncAnomalies:
    """The same for coroutines."""

    def __init__(self, get: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[Any]]) -> None:
        self._get = get
        self._send = send

    async def all(self, **narrowed: Unpack[Narrowed]) -> list[Json]:
        """As `Anomalies.all`."""
        return list((await self._get("/anomalies", **_query({**narrowed})))["anomalies"])

    async def get(self, id: str | int, **instant: Unpack[Instant]) -> Json:
        """As `Anomalies.get`."""
        return dict(await self._get(_path(id), **at({**instant})))

    async def acknowledge(self, id: str | int, comment: str | None = None, key: str | None = None) -> Json:
        """As `Anomalies.acknowledge`."""
        return dict(await self._send("POST", f"{_path(id)}/acknowledge", **_request({"comment": comment}, key)))

    async def comment(self, id: str | int, text: str, key: str | None = None) -> Json:
        """As `Anomalies.comment`."""
        return dict(await self._send("POST", f"{_path(id)}/comments", **_request({"text": text}, key)))


def _path(id: str | int) -> str:
    return f"/anomalies/{quote(str(id), safe='')}"


def _request(body: Json, key: str | None) -> Json:
    return {"json": body, "headers": {"Idempotency-Key": key or str(uuid.uuid4())}}


def _query(given: Json) -> Json:
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in at(given).items()}
