"""Reports and assets in the SDK: `iot.reports.report("failure", "pump_1")`, `iot.assets.install("pump_1", "A-7")`.

Each write is durable when it returns, and has a key of its own, so that one whose answer was lost may be sent again.
"""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypedDict, Unpack

from .client_history import Moment, moment
from .client_moment import Instant, at

Json = dict[str, Any]
_TIMES = ("time", "until")


class Told(TypedDict, total=False):
    """time: when it began, now unless told. until: when it ended. values: yours. id: your name for it.

    capture: signals whose readings at begin and end are kept; the node's state unless told. key: the same key is the
    same request.
    """

    time: Moment
    until: Moment
    reason: str
    values: Json
    capture: Sequence[str]
    id: str
    key: str


class Ended(TypedDict, total=False):
    """What is known at the end; a value of None is taken out."""

    reason: str | None
    values: Json
    key: str


class Changes(Ended, total=False):
    """What is different; an `until` of None opens the event again."""

    node: str
    time: Moment
    until: Moment | None


class Installed(Told, total=False):
    """maker, model: of the asset."""

    maker: str
    model: str


class Removed(TypedDict, total=False):
    """node: where it is; or the asset by serial_number and maker. time: now unless told."""

    node: str
    serial_number: str
    maker: str
    time: Moment
    reason: str
    key: str


class Reported(Instant, total=False):
    """kind: these kinds. node: of this one. start, end: what touches the span. open: only what has not ended."""

    kind: str | Sequence[str]
    node: str
    start: Moment
    end: Moment
    open: bool


class Stays(Instant, total=False):
    """Only at this node, of this asset, maker, model."""

    node: str
    serial_number: str
    maker: str
    model: str


class Span(Instant, total=False):
    """start, end: default the last hour. points: at most so many rows in all. maker: where several have the number."""

    start: Moment
    end: Moment
    points: int
    maker: str


class Reports:
    """Events that people report. They raise NotFoundError, InvalidValueError, ConflictError."""

    def __init__(self, get: Callable[..., Any], send: Callable[..., Any]) -> None:
        self._get = get
        self._send = send

    def report(self, kind: str, node: str, **told: Unpack[Told]) -> Json:
        """Tells of an event: `failure`, `repair`, `inspection`, `downtime`, `batch`, `product_run` or another kind."""
        return dict(self._send("POST", "/events", **_request({"kind": kind, "node": node, **told})))

    def end(self, id: str | int, time: Moment | None = None, **changes: Unpack[Ended]) -> Json:
        """Gives the end of a report, by its id or the number of its event; now unless told."""
        return dict(self._send("PATCH", f"/events/{id}", **_request({**changes, "until": time or _now()})))

    def amend(self, id: str | int, **changes: Unpack[Changes]) -> Json:
        """Corrects a report."""
        return dict(self._send("PATCH", f"/events/{id}", **_request({**changes})))

    def retract(self, id: str | int, reason: str | None = None, key: str | None = None) -> Json:
        """Takes a report back; the log keeps it."""
        return dict(self._send("POST", f"/events/{id}/retract", **_request({"reason": reason, "key": key})))

    def load(self, text: str, timezone: str = "UTC") -> Json:
        """Reports the events of a CSV file, given as its text; what became of the rows."""
        return dict(self._send("POST", "/events/load", **_file(text, timezone)))

    def get(self, id: str | int, **instant: Unpack[Instant]) -> Json:
        """An event as it stands."""
        return dict(self._get(f"/events/{id}", **at({**instant})))

    def all(self, **narrowed: Unpack[Reported]) -> list[Json]:
        """Reports as they stand, in the order of their begin."""
        return list(self._get("/reports", **_query({**narrowed}))["events"])


class AsyncReports:
    """The same for coroutines."""

    def __init__(self, get: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[Any]]) -> None:
        self._get = get
        self._send = send

    async def report(self, kind: str, node: str, **told: Unpack[Told]) -> Json:
        """As `Reports.report`."""
        return dict(await self._send("POST", "/events", **_request({"kind": kind, "node": node, **told})))

    async def end(self, id: str | int, time: Moment | None = None, **changes: Unpack[Ended]) -> Json:
        """As `Reports.end`."""
        return dict(await self._send("PATCH", f"/events/{id}", **_request({**changes, "until": time or _now()})))

    async def amend(self, id: str | int, **changes: Unpack[Changes]) -> Json:
        """As `Reports.amend`."""
        return dict(await self._send("PATCH", f"/events/{id}", **_request({**changes})))

    async def retract(self, id: str | int, reason: str | None = None, key: str | None = None) -> Json:
        """As `Reports.retract`."""
        return dict(await self._send("POST", f"/events/{id}/retract", **_request({"reason": reason, "key": key})))

    async def load(self, text: str, timezone: str = "UTC") -> Json:
        """As `Reports.load`."""
        return dict(await self._send("POST", "/events/load", **_file(text, timezone)))

    async def get(self, id: str | int, **instant: Unpack[Instant]) -> Json:
        """As `Reports.get`."""
        return dict(await self._get(f"/events/{id}", **at({**instant})))

    async def all(self, **narrowed: Unpack[Reported]) -> list[Json]:
        """As `Reports.all`."""
        return list((await self._get("/reports", **_query({**narrowed})))["events"])


class Assets:
    """Machines and parts with serial numbers. They raise NotFoundError, InvalidValueError, ConflictError."""

    def __init__(self, get: Callable[..., Any], send: Callable[..., Any]) -> None:
        self._get = get
        self._send = send

    def install(self, node: str, serial_number: str, **told: Unpack[Installed]) -> Json:
        """An asset comes to a node; what was there, and where it was, ends then."""
        body = {"node": node, "serial_number": serial_number, **told}
        return dict(self._send("POST", "/assets/installations", **_request(body)))

    def remove(self, **which: Unpack[Removed]) -> Json:
        """What is at a node, or an asset, is taken out."""
        return dict(self._send("POST", "/assets/removals", **_request({**which})))

    def all(self, **narrowed: Unpack[Stays]) -> list[Json]:
        """All assets: where each is, since when, how long it was in service."""
        return list(self._get("/assets", **at({**narrowed}))["assets"])

    def stays(self, **narrowed: Unpack[Stays]) -> list[Json]:
        """Where an asset was when, what was at a node when, in the order of time."""
        return list(self._get("/assets/stays", **at({**narrowed}))["stays"])

    def history(self, serial_number: str, signal: str, **span: Unpack[Span]) -> Json:
        """What a signal, by its name at each node, showed wherever the asset was."""
        asked = _query({"serial_number": serial_number, "signal": signal, **span})
        return dict(self._get("/assets/history", **asked))


class AsyncAssets:
    """The same for coroutines."""

    def __init__(self, get: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[Any]]) -> None:
        self._get = get
        self._send = send

    async def install(self, node: str, serial_number: str, **told: Unpack[Installed]) -> Json:
        """As `Assets.install`."""
        body = {"node": node, "serial_number": serial_number, **told}
        return dict(await self._send("POST", "/assets/installations", **_request(body)))

    async def remove(self, **which: Unpack[Removed]) -> Json:
        """As `Assets.remove`."""
        return dict(await self._send("POST", "/assets/removals", **_request({**which})))

    async def all(self, **narrowed: Unpack[Stays]) -> list[Json]:
        """As `Assets.all`."""
        return list((await self._get("/assets", **at({**narrowed})))["assets"])

    async def stays(self, **narrowed: Unpack[Stays]) -> list[Json]:
        """As `Assets.stays`."""
        return list((await self._get("/assets/stays", **at({**narrowed})))["stays"])

    async def history(self, serial_number: str, signal: str, **span: Unpack[Span]) -> Json:
        """As `Assets.history`."""
        asked = _query({"serial_number": serial_number, "signal": signal, **span})
        return dict(await self._get("/assets/history", **asked))


def _request(told: Json) -> Json:
    """Body and key; what an amendment sets to None is sent as null."""
    key = told.pop("key", None) or str(uuid.uuid4())
    body = {name: moment(value) if name in _TIMES else value for name, value in told.items()}
    return {"json": body, "headers": {"Idempotency-Key": key}}


def _file(text: str, timezone: str) -> Json:
    return {"content": text.encode(), "params": {"timezone": timezone}, "headers": {"Content-Type": "text/csv"}}


def _query(given: Json) -> Json:
    renamed = {"start": "from", "end": "to"}
    times = {renamed.get(name, name): moment(v) if name in renamed else v for name, v in at(given).items()}
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in times.items()}


def _now() -> str:
    from .twin.times import format_time, now_ns

    return format_time(now_ns())
