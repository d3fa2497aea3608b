"""What people report: a failure, a repair, an inspection, downtime, a batch, a product run, or a kind of their own."""

import hashlib
import re
import secrets
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from .durations import parse_duration
from .errors import InvalidValueError
from .graph import Graph
from .model import Event
from .times import NS, format_time

KINDS = ("failure", "repair", "inspection", "downtime", "batch", "product_run")
"""The kinds that have a name here; any other word is a kind, too."""

INSTALLATION = "installation"
RESERVED = frozenset({"anomaly", "stale", "structure", "rule", "store_gap", "gone", "command", "anomaly_remarks"})
"""Kinds that the service itself tells of."""

MAX_AHEAD_S = 600.0
MAX_DATA = 65_536
MAX_KEY = 255
_KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")
# No colon: identities of what the service tells have one. Not digits alone: those are the numbers of events.
_ID = re.compile(r"(?!\d+$)[A-Za-z0-9][A-Za-z0-9_.\-]{0,79}")


class Asset(msgspec.Struct, frozen=True):
    """A machine or part that has a serial number, which is unique for its maker."""

    serial_number: str
    maker: str | None = None
    model: str | None = None

    def __str__(self) -> str:
        return " ".join(word for word in (self.maker, self.model, self.serial_number) if word)


class Report(msgspec.Struct, frozen=True):
    """An event at a node. `time` [ns], now unless told, and `until` [ns], which may be given later.

    `values` are the reporter's. `capture` names the signals whose readings at begin and end become part of the event:
    the node's state unless told. `id` is the reporter's name for it; `asset` is what an `installation` installs.
    """

    kind: str
    node: str
    time: int | None = None
    until: int | None = None
    reason: str | None = None
    values: dict[str, Any] = {}
    capture: tuple[str, ...] | None = None
    id: str | None = None
    asset: Asset | None = None


class Amendment(msgspec.Struct, frozen=True):
    """What is different from what was reported; `until` of None opens it again, a value of None is taken out."""

    node: str | UnsetType = UNSET
    time: int | UnsetType = UNSET
    until: int | UnsetType | None = UNSET
    reason: str | UnsetType | None = UNSET
    values: dict[str, Any] = {}


def check_report(report: Report) -> None:
    """Raises InvalidValueError for a kind or id that cannot be, or an installation of nothing."""
    if not _KIND.fullmatch(report.kind):
        raise InvalidValueError(f"a kind is a word like tool_change, not {report.kind[:80]!r}", "kind")
    if report.kind in RESERVED:
        raise InvalidValueError(f"the service itself tells of {report.kind}; people report other kinds", "kind")
    if report.id is not None and not _ID.fullmatch(report.id):
        raise InvalidValueError(
            "an id has up to 80 letters, digits, dots, hyphens and underscores, and is not a number alone", "id"
        )
    if (report.kind == INSTALLATION) != (report.asset is not None):
        raise InvalidValueError("an installation, and nothing else, has a serial_number", "serial_number")
    if report.asset is not None and not report.asset.serial_number.strip():
        raise InvalidValueError("a serial number is not empty", "serial_number")


def check_span(time: int, until: int | None, latest: int) -> None:
    """Raises InvalidValueError unless `time` <= `until`, and both are at most `latest` [ns]."""
    for name, at in (("time", time), ("until", until)):
        if at is not None and at > latest:
            raise InvalidValueError(f"{name} ({format_time(at)}) is too far in the future", name)
    if until is not None and until < time:
        raise InvalidValueError(f"until ({format_time(until)}) is before time ({format_time(time)})", "until")


def check_data(data: dict[str, Any]) -> None:
    """Raises InvalidValueError for more than an event may carry."""
    try:
        size = len(msgspec.json.encode(data))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValueError(f"values must be JSON: {error}", "values") from None
    if size > MAX_DATA:
        raise InvalidValueError(
            f"values and captured readings have {size} bytes; an event carries {MAX_DATA}", "values"
        )


def max_ahead(graph: Graph) -> int:
    """How far in the future a time may be [ns]: as for readings."""
    ingestion = graph.definition.get("sensor_ingestion")
    given = ingestion.get("max_ahead") if isinstance(ingestion, dict) else None
    return int((MAX_AHEAD_S if given is None else parse_duration(given)) * NS)


# Requests: what makes the same request twice one event, for ever, since it is kept in the event.


def digest(text: str | bytes) -> str:
    """64 bits of a text as hexadecimal digits."""
    return hashlib.blake2b(text.encode() if isinstance(text, str) else text, digest_size=8).hexdigest()


def identity_of(report: Report, key: str | None) -> str:
    """The reporter's id, or one made of the request's key, or a new one."""
    return report.id or "r" + (secrets.token_hex(8) if key is None else digest(key))


def request_mark(key: str | None, content: msgspec.Struct | str | None, by: str | None = None) -> str:
    """What an event keeps of the request that wrote it: which key, and which content.

    `by`: whose key it is, where one's key is not another's.
    """
    if key is not None and not 0 < len(key) <= MAX_KEY:
        raise InvalidValueError(f"an idempotency key has 1 to {MAX_KEY} characters", "Idempotency-Key")
    known = key if key is None or by is None else f"{by}\n{key}"
    return f"{'' if known is None else digest(known)}.{digest(msgspec.json.encode(content))}"


def same_key(event: Event, mark: str) -> bool:
    """Whether the event was written by a request with the same key."""
    key = mark.partition(".")[0]
    return bool(key) and str(event.data.get("request", "")).partition(".")[0] == key


def same_content(event: Event, mark: str) -> bool:
    """Whether the event was written by a request with the same content."""
    return str(event.data.get("request", "")).rpartition(".")[2] == mark.rpartition(".")[2]
