"""Scenarios, as the SDK forks and changes them: `iot.scenarios.fork(overrides={"conveyor_1.speed": 2.2})`.

Read one with `scenario=` on every read: `iot.state("line_1", scenario="fast")`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .client_history import Moment, moment

Json = dict[str, Any]
PATH = "/scenarios"


class Scenarios:
    """Forks of the plant. Raises NotFoundError for unknown names, ConflictError for an id that is taken."""

    def __init__(self, send: Callable[..., Any]) -> None:
        self._send = send

    def all(self) -> list[Json]:
        """Every scenario."""
        return list(self._send("GET", PATH)["scenarios"])

    def get(self, id: str) -> Json:
        """One scenario."""
        return dict(self._send("GET", f"{PATH}/{id}"))

    def fork(
        self,
        id: str | None = None,
        *,
        as_of: Moment | None = None,
        known_at: Moment | None = None,
        overrides: Mapping[str, Any] | None = None,
        title: str | None = None,
    ) -> Json:
        """Forks the plant as of a time, by what was known then; now unless told. `overrides` are values by name."""
        return dict(self._send("POST", PATH, _fork(id, as_of, known_at, overrides, title)))

    def override(self, id: str, overrides: Mapping[str, Any]) -> Json:
        """Sets parameters and signals from its clock on."""
        return dict(self._send("PATCH", f"{PATH}/{id}", {"overrides": dict(overrides)}))

    def replay(self, id: str, until: Moment) -> Json:
        """Replays recorded inputs up to a time into it."""
        return dict(self._send("PATCH", f"{PATH}/{id}", {"replay_until": moment(until)}))

    def remove(self, id: str) -> None:
        """It is gone; the plant is not touched."""
        self._send("DELETE", f"{PATH}/{id}")


class AsyncScenarios:
    """The same for coroutines."""

    def __init__(self, send: Callable[..., Awaitable[Any]]) -> None:
        self._send = send

    async def all(self) -> list[Json]:
        """As `Scenarios.all`."""
        return list((await self._send("GET", PATH))["scenarios"])

    async def get(self, id: str) -> Json:
        """As `Scenarios.get`."""
        return dict(await self._send("GET", f"{PATH}/{id}"))

    async def fork(
        self,
        id: str | None = None,
        *,
        as_of: Moment | None = None,
        known_at: Moment | None = None,
        overrides: Mapping[str, Any] | None = None,
        title: str | None = None,
    ) -> Json:
        """As `Scenarios.fork`."""
        return dict(await self._send("POST", PATH, _fork(id, as_of, known_at, overrides, title)))

    async def override(self, id: str, overrides: Mapping[str, Any]) -> Json:
        """As `Scenarios.override`."""
        return dict(await self._send("PATCH", f"{PATH}/{id}", {"overrides": dict(overrides)}))

    async def replay(self, id: str, until: Moment) -> Json:
        """As `Scenarios.replay`."""
        return dict(await self._send("PATCH", f"{PATH}/{id}", {"replay_until": moment(until)}))

    async def remove(self, id: str) -> None:
        """As `Scenarios.remove`."""
        await self._send("DELETE", f"{PATH}/{id}")


def _fork(
    id: str | None,
    as_of: Moment | None,
    known_at: Moment | None,
    overrides: Mapping[str, Any] | None,
    title: str | None,
) -> Json:
    given = {"id": id, "title": title, "as_of": moment(as_of), "known_at": moment(known_at)}
    return {name: value for name, value in given.items() if value is not None} | {"overrides": dict(overrides or {})}
