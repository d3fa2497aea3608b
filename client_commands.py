"""Setting values in the SDK: `iot.commands.set("conveyor_1.speed", 1.5, reason="new product")`."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypedDict, Unpack

from .client_moment import Instant, at
from .twin.command import OPEN
from .twin.errors import SourceError

Json = dict[str, Any]
_LOOK_S = 0.05
_LONGEST_LOOK_S = 0.5


class Wanted(TypedDict, total=False):
    """unit: of the value, the signal's own unless told. reason: what for; actor: who asks; both are kept with it.

    deadline: how long it may take [s], or a text such as "30s"; the definition's unless told. key: the same key is the
    same command. scenario: in this one only, and nothing is sent. seen: the id of the latest command that you know of,
    "" for none; OutdatedError if another came meanwhile.
    """

    unit: str
    reason: str
    actor: str
    deadline: float | str
    key: str
    scenario: str
    seen: str


class Narrowed(Instant, total=False):
    """signal: only to this one. state: only in this state. limit: at most so many, 100 unless told."""

    signal: str
    state: str
    limit: int


class Commands:
    """Values that are set. They raise NotFoundError, InvalidValueError, ConflictError with what is in the way."""

    def __init__(self, get: Callable[..., Any], send: Callable[..., Any]) -> None:
        self._get = get
        self._send = send

    def set(self, signal: str, value: float | bool | str, **wanted: Unpack[Wanted]) -> Json:
        """Asks for a value; the command, which is durable and on its way."""
        return dict(self._send("PUT", f"/signals/{signal}/desired", **_request(value, {**wanted})))

    def wait(self, id: str, seconds: float = 60.0) -> Json:
        """The command once it has ended, `confirmed` or not; raises SourceError after so many seconds."""
        deadline, pause = time.monotonic() + seconds, _LOOK_S
        while not _has_ended(found := self.get(id)):
            _check(found, deadline)
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_LOOK_S)
        return found

    def desired(self, signal: str, **instant: Unpack[Instant]) -> Json:
        """What a signal shall be and is, and the latest command to it."""
        return dict(self._get(f"/signals/{signal}/desired", **at({**instant})))

    def get(self, id: str, **instant: Unpack[Instant]) -> Json:
        """One command."""
        return dict(self._get(f"/commands/{id}", **at({**instant})))

    def all(self, **narrowed: Unpack[Narrowed]) -> list[Json]:
        """Commands, the newest first."""
        return list(self._get("/commands", **at({**narrowed}))["commands"])

    def cancel(self, id: str, reason: str | None = None) -> Json:
        """Takes a command back that was not sent yet."""
        return dict(self._send("DELETE", f"/commands/{id}", params=_reason(reason)))


class AsyncCommands:
    """The same for coroutines."""

    def __init__(self, get: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[Any]]) -> None:
        self._get = get
        self._send = send

    async def set(self, signal: str, value: float | bool | str, **wanted: Unpack[Wanted]) -> Json:
        """As `Commands.set`."""
        return dict(await self._send("PUT", f"/signals/{signal}/desired", **_request(value, {**wanted})))

    async def wait(self, id: str, seconds: float = 60.0) -> Json:
        """As `Commands.wait`."""
        deadline, pause = time.monotonic() + seconds, _LOOK_S
        while not _has_ended(found := await self.get(id)):
            _check(found, deadline)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_LOOK_S)
        return found

    async def desired(self, signal: str, **instant: Unpack[Instant]) -> Json:
        """As `Commands.desired`."""
        return dict(await self._get(f"/signals/{signal}/desired", **at({**instant})))

    async def get(self, id: str, **instant: Unpack[Instant]) -> Json:
        """As `Commands.get`."""
        return dict(await self._get(f"/commands/{id}", **at({**instant})))

    async def all(self, **narrowed: Unpack[Narrowed]) -> list[Json]:
        """As `Commands.all`."""
        return list((await self._get("/commands", **at({**narrowed})))["commands"])

    async def cancel(self, id: str, reason: str | None = None) -> Json:
        """As `Commands.cancel`."""
        return dict(await self._send("DELETE", f"/commands/{id}", params=_reason(reason)))


def _request(value: float | bool | str, wanted: Json) -> Json:
    headers = {"Idempotency-Key": wanted.pop("key", None) or str(uuid.uuid4())}
    if (seen := wanted.pop("seen", None)) is not None:
        headers["If-Match"] = f'"{seen}"'
    scenario = wanted.pop("scenario", None)
    params = {} if scenario is None else {"scenario": scenario}
    return {"json": {"value": value, **wanted}, "headers": headers, "params": params}


def _has_ended(command: Json) -> bool:
    return command["state"] not in OPEN


def _check(command: Json, deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise SourceError(f"command {command['id']} is still {command['state']}")


def _reason(reason: str | None) -> Json:
    return {} if reason is None else {"reason": reason}
