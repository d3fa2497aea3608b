"""Who may do what, and on which part of the plant: scopes, roles, and the principal that a request acts for.

A scope is a noun and a verb (`telemetry:write`); a role is a set of them. Whoever is tied to a part of the plant
(`under`) sees it as if there were nothing else (`narrow_twin.py`).
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .errors import ForbiddenError, UnauthenticatedError


class Scope(StrEnum):
    """One kind of thing that may be allowed."""

    PLANT_READ = "plant:read"
    """Graph, state, history, events, streams of them."""
    TELEMETRY_WRITE = "telemetry:write"
    """Sending readings."""
    COMMANDS_WRITE = "commands:write"
    """Setting values."""
    EVENTS_WRITE = "events:write"
    """Reporting events, acknowledging and commenting anomalies, moving assets."""
    SCENARIOS_WRITE = "scenarios:write"
    """Forking the plant, and what is simulated on a fork."""
    DEFINITIONS_WRITE = "definitions:write"
    """Planning and applying definitions, loading structure and files."""
    SERVICE_READ = "service:read"
    """Sources, stores, storage, dead letters, health in detail, metrics."""
    SERVICE_WRITE = "service:write"
    """Replaying and purging dead letters, repairing stores, exports and imports, migration."""
    ACCESS_WRITE = "access:write"
    """Keys and the audit log."""


class Role(StrEnum):
    """A usual set of scopes."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ENGINEER = "engineer"
    ADMIN = "admin"

    @property
    def scopes(self) -> frozenset[Scope]:
        """What the role allows; each role allows all that the one before it does."""
        return _SCOPES[self]


_VIEWER = frozenset({Scope.PLANT_READ})
_OPERATOR = _VIEWER | {Scope.SERVICE_READ, Scope.COMMANDS_WRITE, Scope.EVENTS_WRITE}
_ENGINEER = frozenset(Scope) - {Scope.ACCESS_WRITE}
_SCOPES = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ENGINEER: _ENGINEER,
    Role.ADMIN: frozenset(Scope),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a request acts for.

    name: as the audit log shows it (`key gateway-7`, `anna@plant.example`). under: keys of the nodes at and below
    which it may look and act; None means all of the plant. still: raises UnauthenticatedError once what proved it is
    good no more, for what goes on after it was proven.
    """

    name: str
    scopes: frozenset[Scope]
    under: frozenset[int] | None = None
    still: Callable[[], object] | None = field(default=None, compare=False, repr=False)

    @property
    def narrow(self) -> bool:
        """Whether it is tied to a part of the plant."""
        return self.under is not None

    def may(self, scope: Scope) -> bool:
        """Whether the scope is allowed."""
        return scope in self.scopes

    def require(self, scope: Scope, *, whole_plant: bool = False) -> None:
        """Raises ForbiddenError unless the scope is allowed, and for all of the plant where that is needed.

        UnauthenticatedError if it is nobody, or what proved it is good no more.
        """
        if self is NOBODY:
            raise UnauthenticatedError("a key or token is needed: Authorization: Bearer KEY")
        if self.still is not None:
            self.still()
        if scope not in self.scopes:
            raise ForbiddenError(f"{self.name} lacks the scope {scope}; it has {_words(self.scopes)}")
        if whole_plant and self.narrow:
            raise ForbiddenError(f"{self.name} is tied to a part of the plant, and this concerns all of it")


def _words(scopes: Iterable[Scope]) -> str:
    return ", ".join(sorted(scopes)) or "none"


LOCAL = Principal("this machine", frozenset(Scope))
"""Whoever reaches the service from its own machine while no key is configured, or by its Unix socket."""

NOBODY = Principal("nobody", frozenset())
"""Whoever shows no proof of who it is, where one is asked for."""

_IN_SCOPE = "iotsense.principal"


def act_for(scope: MutableMapping[str, Any], principal: Principal) -> None:
    """Has a request, known by its ASGI scope, act for a principal."""
    scope[_IN_SCOPE] = principal


def acting_for(scope: Mapping[str, Any]) -> Principal:
    """Whom a request acts for; this machine, where nothing stands before the application that asks for more."""
    found: Principal = scope.get(_IN_SCOPE, LOCAL)
    return found


def proven_name(scope: Mapping[str, Any]) -> str:
    """The name of whom a request was found to act for; nobody's, if it was refused before that."""
    found: Principal = scope.get(_IN_SCOPE, NOBODY)
    return found.name
