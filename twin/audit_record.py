"""A record of the audit log: what is said of a change, without secrets, and how records are chained.

A record is one line of JSON: names sorted, no blanks, ASCII. Its `hash` is the SHA-256, in hexadecimal, of the former
record's hash (as text; 64 zeros before the first) followed by the line as it would be without `hash`.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from .times import format_time

START = "0" * 64
"""Stands for the hash of the record before the first."""
OK = "ok"
SERVICE = "the service"
"""Who does what nobody asked for."""
_TEXT = 500
_VALUE_BYTES = 4096
_DEPTH = 6
_SECRET_NAMES = re.compile(r"pass(word|wd|phrase)?|token|secret|authorization|cookie|api_?key|private_?key|psk", re.I)
_SECRET_TEXTS = (
    (re.compile(r"iots_[0-9A-Za-z]{6,}"), "iots_…"),
    (re.compile(r"(://)[^/@\s]+@"), r"\1…@"),
    (re.compile(r"\b(\w*(?:password|secret|token|api_?key))(['\"]?\s*[:=]\s*)\S+", re.I), r"\1\2…"),
    (re.compile(r"\b(bearer|basic|token)\s+[\w.~+/=-]{8,}", re.I), r"\1 …"),
)


@dataclass(frozen=True, slots=True)
class AuditDraft:
    """What is to be recorded. time: ns. revisions: of the graph, before and after. asked: what was given along.

    outcome: `ok`, or the name of the problem, which `detail` tells. left_out: how many like it were not recorded.
    """

    time: int
    by: str
    address: str
    what: str
    target: str | None = None
    outcome: str = OK
    detail: str | None = None
    asked: Any = None
    before: Any = None
    after: Any = None
    revisions: tuple[int, int] | None = None
    left_out: int = 0


class AuditRecord(msgspec.Struct, kw_only=True):
    """What was done by whom, and what came of it.

    `seq`: its number, from 1. `by` did `what` to `target`, coming from `address`. `asked`, `before`, `after`: what was
    given along, and how the target was and is, where that is known. `revisions` of the graph, before and after.
    `outcome`: `ok`, or the name of the problem, which `detail` tells. `left_out`: how many like it came too fast to be
    recorded. `hash`: of this record and, by its predecessor's, of all before it.
    """

    seq: int
    time: str
    by: str
    address: str
    what: str
    outcome: str
    hash: str
    target: str | None = None
    detail: str | None = None
    asked: Any = None
    before: Any = None
    after: Any = None
    revisions: list[int] | None = None
    left_out: int = 0


def chained(draft: AuditDraft, seq: int, former: str) -> tuple[bytes, str]:
    """The line of a record, with its end, and its hash."""
    members: dict[str, Any] = {
        "seq": seq,
        "time": format_time(draft.time),
        "by": text(draft.by),
        "address": text(draft.address),
        "what": text(draft.what),
        "target": None if draft.target is None else text(draft.target),
        "outcome": draft.outcome,
        "detail": None if draft.detail is None else text(draft.detail),
        "asked": _bounded(draft.asked),
        "before": _bounded(draft.before),
        "after": _bounded(draft.after),
        "revisions": None if draft.revisions is None else list(draft.revisions),
        "left_out": draft.left_out or None,
    }
    said = {name: value for name, value in members.items() if value is not None}
    hash = hash_of(said, former)
    return canonical(said | {"hash": hash}) + b"\n", hash


def canonical(members: Mapping[str, Any]) -> bytes:
    """The one way to write a record."""
    return json.dumps(members, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def hash_of(members: Mapping[str, Any], former: str) -> str:
    """The hash of a record without `hash`, behind the former one's."""
    return hashlib.sha256(former.encode() + canonical(members)).hexdigest()


def text(value: object) -> str:
    """Words without secrets, and no more than a record has room for."""
    words = str(value)[: 4 * _TEXT]
    for pattern, instead in _SECRET_TEXTS:
        words = pattern.sub(instead, words)
    return words if len(words) <= _TEXT else words[: _TEXT - 1] + "…"


def plain(value: Any, depth: int = _DEPTH) -> Any:
    """A value as JSON has it: secrets left out, numbers that JSON has no word for as text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth and isinstance(value, Mapping):
        return {
            text(name): "…" if _SECRET_NAMES.search(str(name)) else plain(each, depth - 1)
            for name, each in value.items()
            if each is not None
        }
    if depth and isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        return [plain(each, depth - 1) for each in value]
    return text(value)


def _bounded(value: Any) -> Any:
    # A record must stay a line that people read and that a datagram carries.
    told = plain(value)
    if told is None or told == {}:
        return None
    size = len(json.dumps(told))
    return told if size <= _VALUE_BYTES else {"too_large": size}
