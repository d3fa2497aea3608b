"""Events that people report, and assets, as the SDK writes and reads them. Answers are those of the REST API."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from .client_history import Moment, moment

Json = dict[str, Any]
R = TypeVar("R")
_TIMES = ("as_of", "known_at", "start", "end")
_NAMES = {"start": "from", "end": "to"}


class ReportCalls(ABC, Generic[R]):
    """R is JSON, or what is awaited for it. Everything raises the errors of `iotsense.twin.errors`."""

    @abstractmethod
    def _request(self, method: str, path: str, **request: Any) -> R:
        """The client's way to the API."""

    def report(
        self,
        kind: str,
        node: str,
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        reason: str | None = None,
        by: str | None = None,
        capture: Sequence[str] | None = None,
        key: str | None = None,
        **data: Any,
    ) -> R:
        """Reports an event (`failure`, `downtime`, `installation`, ...); the same `key` is the same event.

        `capture`: signals whose values are kept with it, instead of all of the node's. Everything else is `data`.
        """
        told = {"kind": kind, "node": node, "time": moment(start), "until": moment(end), "reason": reason, "by": by}
        body = _given({**told, "capture": None if capture is None else list(capture), "data": data})
        return self._request("POST", "/events", json=body, headers={"Idempotency-Key": key} if key else {})

    def amend(
        self,
        event: str | int,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        reason: str | None = None,
        by: str | None = None,
        **data: Any,
    ) -> R:
        """Amends a reported event, by its id or number; what is left out stays."""
        told = {"time": moment(start), "until": moment(end), "reason": reason, "by": by, "data": data}
        return self._request("PATCH", f"/events/{_path(event)}", json=_given(told))

    def retract(self, event: str | int, reason: str | None = None, by: str | None = None) -> R:
        """Takes back a reported event, by its id or number: the event that says so."""
        return self._request("DELETE", f"/events/{_path(event)}", params=_given({"reason": reason, "by": by}))

    def asset(self, serial_number: str, **instant: Any) -> R:
        """An asset and its places; `as_of`, `known_at`, `scenario`, `min_revision` as in every read."""
        return self._request("GET", f"/assets/{_path(serial_number)}", params=_read(instant))

    def asset_history(
        self,
        serial_number: str,
        signal: str,
        start: Moment | None = None,
        end: Moment | None = None,
        points: int | None = None,
        **instant: Any,
    ) -> R:
        """A signal's history across the places of an asset; `signal` is the name that each place gives it."""
        asked = {"signal": signal, "start": start, "end": end, "points": points, **instant}
        return self._request("GET", f"/assets/{_path(serial_number)}/history", params=_read(asked))

    def assets_at(self, node: str, **instant: Any) -> R:
        """What is in a place (`installed`), and all that was (`stays`)."""
        return self._request("GET", f"/nodes/{_path(node)}/assets", params=_read(instant))


def _path(name: str | int) -> str:
    return quote(str(name), safe="")


def _read(asked: Json) -> Json:
    return _given({_NAMES.get(name, name): moment(value) if name in _TIMES else value for name, value in asked.items()})


def _given(told: Json) -> Json:
    return {name: value for name, value in told.items() if value is not None}
