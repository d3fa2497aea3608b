"""What people report about a plant: kinds of events, and what each of them must say."""

import re
from typing import Any

import msgspec

from .errors import InvalidValueError

INSTALLATION = "installation"
REQUIRED: dict[str, tuple[str, ...]] = {
    "failure": (),
    "repair": (),
    "inspection": (),
    "downtime": ("reason",),
    "batch": ("batch",),
    "product_run": ("product",),
    INSTALLATION: ("serial_number",),
}
"""Known kinds and what their data must tell; any other kind is free."""

RESERVED = ("anomaly", "stale", "structure")
_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")
CAPTURED = ("at_begin", "at_end")


class Report(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What somebody reports: from `time` on (ISO 8601; default: now), until `until` if the end is known.

    node: its id, or a short one. reason: in words or as a code. data: whatever else is to be kept. capture: ids of
    signals whose values at the beginning and end are kept with it; without them the state of the node, and with an
    empty list none. by: who reports it.
    """

    kind: str
    node: str
    time: str | None = None
    until: str | None = None
    reason: str | None = None
    data: dict[str, Any] = {}
    capture: list[str] | None = None
    by: str | None = None


class Amendment(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be different in an event that was reported; what is left out stays. `data` is added to what it has."""

    time: str | None = None
    until: str | None = None
    reason: str | None = None
    data: dict[str, Any] = {}
    by: str | None = None


def check_kind(kind: str) -> None:
    """Raises InvalidValueError for a kind that is no name, or one that the service itself tells of."""
    if not _KIND.fullmatch(kind):
        raise InvalidValueError(f"{kind!r} is no kind of event, such as failure or product_run", "kind")
    if kind in RESERVED:
        raise InvalidValueError(f"events of the kind {kind} are the service's own", "kind")


def check_data(kind: str, data: dict[str, Any]) -> None:
    """Raises InvalidValueError if something is missing that a kind must tell."""
    for name in REQUIRED.get(kind, ()):
        if not isinstance(data.get(name), str) or not data[name].strip():
            raise InvalidValueError(f"a {kind} needs {name!r}, a text", name)
    if taken := [name for name in CAPTURED if name in data]:
        raise InvalidValueError(f"{taken[0]!r} is where captured values stand", taken[0])
