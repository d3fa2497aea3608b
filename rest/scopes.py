"""What each operation needs of whoever asks for it: one table, so that it can be reviewed at a glance."""

from ..twin.access import Principal, Scope
from .endpoint import PREFIX, Endpoint

BY_TAG: dict[str, tuple[Scope, Scope]] = {
    "telemetry": (Scope.TELEMETRY_WRITE, Scope.TELEMETRY_WRITE),
    "twins": (Scope.PLANT_READ, Scope.DEFINITIONS_WRITE),
    "nodes": (Scope.PLANT_READ, Scope.DEFINITIONS_WRITE),
    "signals": (Scope.PLANT_READ, Scope.TELEMETRY_WRITE),
    "commands": (Scope.PLANT_READ, Scope.COMMANDS_WRITE),
    "events": (Scope.PLANT_READ, Scope.EVENTS_WRITE),
    "anomalies": (Scope.PLANT_READ, Scope.EVENTS_WRITE),
    "reports": (Scope.PLANT_READ, Scope.EVENTS_WRITE),
    "assets": (Scope.PLANT_READ, Scope.EVENTS_WRITE),
    "graph": (Scope.PLANT_READ, Scope.DEFINITIONS_WRITE),
    "definitions": (Scope.PLANT_READ, Scope.DEFINITIONS_WRITE),
    "scenarios": (Scope.PLANT_READ, Scope.SCENARIOS_WRITE),
    "revisions": (Scope.PLANT_READ, Scope.DEFINITIONS_WRITE),
    "replay": (Scope.PLANT_READ, Scope.PLANT_READ),
    "load": (Scope.DEFINITIONS_WRITE, Scope.DEFINITIONS_WRITE),
    "dead letters": (Scope.SERVICE_READ, Scope.SERVICE_WRITE),
    "bulk": (Scope.SERVICE_WRITE, Scope.SERVICE_WRITE),
    "keys": (Scope.ACCESS_WRITE, Scope.ACCESS_WRITE),
    "audit": (Scope.ACCESS_WRITE, Scope.ACCESS_WRITE),
    "stores": (Scope.SERVICE_READ, Scope.SERVICE_WRITE),
    "sources": (Scope.SERVICE_READ, Scope.SERVICE_WRITE),
    "service": (Scope.SERVICE_READ, Scope.SERVICE_WRITE),
}
"""By tag: what a GET needs, and what everything else does."""

OPEN = frozenset({"/livez", "/readyz", "/ping", "/problems/{name}", "/openapi.json", f"{PREFIX}/session"})
"""Paths that anybody may ask for: whether the service is there, and how it is spoken to; nothing of the plant."""

EXCEPTIONS = {("POST", "/api/v1/iotsense/explain"): Scope.SERVICE_READ}


def scope_of(endpoint: Endpoint) -> Scope | None:
    """What a principal must be allowed; None where anybody may ask."""
    if endpoint.path in OPEN:
        return None
    read, write = BY_TAG[endpoint.tag]
    return EXCEPTIONS.get((endpoint.method, endpoint.path), read if endpoint.method == "GET" else write)


def check(endpoint: Endpoint, principal: Principal) -> None:
    """Raises ForbiddenError unless the principal may ask for it.

    Who is tied to a part of the plant may ask for what reads the plant, and for what is marked as `narrows`.
    """
    if (scope := scope_of(endpoint)) is not None:
        principal.require(scope, whole_plant=not (endpoint.reads or endpoint.narrows))
