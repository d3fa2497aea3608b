"""The files of the audit log: reading them either way, finding their end, and telling what was done to them."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from .audit_record import START, AuditRecord, canonical, hash_of
from .directory import storage_error
from .errors import InvalidValueError

FOLDER = "access"
CURRENT = "audit.jsonl"
_EARLIER = "audit-[0-9]*.jsonl"
_decode = msgspec.json.Decoder(AuditRecord).decode


def audit_files(data: Path) -> list[Path]:
    """The files of a data directory, the oldest first; the last of them is the one that is written to."""
    folder = data / FOLDER
    current = folder / CURRENT
    return sorted(folder.glob(_EARLIER)) + ([current] if current.exists() else [])


def earlier_name(first: int) -> str:
    """What a file is called that is full; `first` is the number of its first record."""
    return f"audit-{first:012d}.jsonl"


@dataclass(frozen=True, slots=True)
class End:
    """Where a log goes on: behind record `seq` with `hash`. size: of the last file's whole lines, [bytes].

    first: the number of the last file's first record. torn: what stands behind the whole lines. damage: what is wrong.
    """

    seq: int = 0
    hash: str = START
    size: int = 0
    first: int = 1
    torn: bytes = b""
    damage: str | None = None


def find_end(data: Path) -> End:
    """Where the log of a data directory ends. Raises StorageError."""
    files = audit_files(data)
    current = data / FOLDER / CURRENT
    body = _read(current) if files and files[-1] == current else b""
    whole = body[: body.rfind(b"\n") + 1]
    torn = body[len(whole) :]
    for path in reversed(files):
        lines = (whole if path == current else _read(path)).splitlines()
        found, skipped = _last(lines)
        if found is not None:
            damage = f"{path}: the last {skipped} lines are no records" if skipped else None
            first = _first(lines, found.seq) if path == current else found.seq + 1
            return End(found.seq, found.hash, len(whole), first, torn, damage)
    return End(0, START, len(whole), 1, torn, f"{current} holds no record" if whole else None)


def _last(lines: Sequence[bytes]) -> tuple[AuditRecord | None, int]:
    for skipped, line in enumerate(reversed(lines)):
        if (record := parsed(line)) is not None:
            return record, skipped
    return None, len(lines)


def _first(lines: Sequence[bytes], otherwise: int) -> int:
    return next((record.seq for line in lines if (record := parsed(line)) is not None), otherwise)


def parsed(line: bytes) -> AuditRecord | None:
    """The record in a line; None if it is none."""
    try:
        return _decode(line)
    except msgspec.DecodeError:
        return None


def newest_first(data: Path, before: int) -> Iterator[AuditRecord]:
    """Records whose numbers are below `before`. Lines that are no records are left out: `verify` tells of them."""
    body = _read(data / FOLDER / CURRENT)
    first = parsed(body.partition(b"\n")[0])
    earlier = [path for path in audit_files(data) if path.name != CURRENT]
    if first is not None and any(path.name == earlier_name(first.seq) for path in earlier):
        body = b""  # it became full meanwhile, and is among the others
    yield from _newest_of(body, before)
    for path in reversed(earlier):
        if int(path.stem.rpartition("-")[2]) < before:
            yield from _newest_of(_read(path), before)


def _newest_of(body: bytes, before: int) -> Iterator[AuditRecord]:
    for line in reversed(body.splitlines()):
        record = parsed(line)
        if record is not None and record.seq < before:
            yield record


def bodies(data: Path) -> Iterator[tuple[Path, bytes]]:
    """The files of a data directory and what is in them, the oldest first; also while a service writes to them."""
    current, done = data / FOLDER / CURRENT, set[Path]()
    while True:
        for path in audit_files(data):
            if path != current and path not in done:
                done.add(path)
                yield path, _read(path)
        body = _read(current)
        # It may have become full before it was read; then its name is another's by now.
        if all(path == current or path in done for path in audit_files(data)):
            yield current, body
            return


def whole_lines(data: Path) -> Iterator[bytes]:
    """The log of a data directory, piece by piece, up to the end of its last whole line."""
    for _, body in bodies(data):
        yield body[: body.rfind(b"\n") + 1]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at a whole log found.

    records: how many are whole and where they belong. head: the hash of the last of them. broken: the number of the
    first that is not, or None; where: its file and line; why: what is wrong with it. torn: bytes of a last line
    that was not written to its end. anchored: the number of the record that has the anchor's hash.
    """

    records: int
    head: str
    broken: int | None = None
    where: str | None = None
    why: str | None = None
    torn: int = 0
    anchored: int | None = None


def verify(log: Path | Sequence[Path], anchor: str | None = None) -> Verdict:
    """Checks the chain of a data directory, or over files (the oldest first). anchor: a hash that a record must have.

    Raises InvalidValueError for an anchor that is no hash, StorageError for files that cannot be read.
    """
    wanted = None if anchor is None else _required(anchor)
    seq, head, torn, at = 0, START, 0, ""
    anchored = 0 if wanted == START else None
    for path, body in bodies(log) if isinstance(log, Path) else ((path, _read(path)) for path in log):
        if torn:
            why = "it is cut off, and others follow"
            return Verdict(seq, head, seq + 1, at, why, anchored=anchored)
        lines = body.split(b"\n")
        torn, at = len(lines.pop()), f"{path}:{len(lines) + 1}"
        for number, line in enumerate(lines, 1):
            found, why = _checked(line, seq + 1, head)
            if found is None:
                return Verdict(seq, head, seq + 1, f"{path}:{number}", why, anchored=anchored)
            seq, head = seq + 1, found
            anchored = seq if head == wanted else anchored
    if wanted is not None and anchored is None:
        why = f"no record has the hash {wanted}: the end of the log is missing, or all of it was written anew"
        return Verdict(seq, head, seq + 1, "the end", why, torn)
    return Verdict(seq, head, torn=torn, anchored=anchored)


def _checked(line: bytes, seq: int, former: str) -> tuple[str | None, str]:
    """The hash of a record that is what it was when it was written; else why it is not."""
    try:
        members: Any = json.loads(line)
        found, number = members.pop("hash"), members["seq"]
        whole = canonical(members | {"hash": found}) == line
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, "it is no record"
    if isinstance(number, int) and number > seq:
        missing = f"record {seq} is" if number == seq + 1 else f"records {seq} to {number - 1} are"
        return None, f"{missing} missing: record {number} stands in its place"
    if number != seq:
        return None, f"record {number} stands in its place"
    if not whole or hash_of(members, former) != found:
        return None, "it is not what was written: its hash is another one"
    return str(found), ""


def _required(anchor: str) -> str:
    wanted = anchor.strip().lower()
    if len(wanted) != 64 or set(wanted) - set("0123456789abcdef"):
        raise InvalidValueError(f"an anchor is the hash of a record, 64 hexadecimal digits, not {anchor!r}", "anchor")
    return wanted


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise storage_error(error, path) from error


def copy_audit(data: Path, directory: Path) -> None:
    """Copies the log of a running service: whole records only, and each once."""
    (directory / FOLDER).mkdir(mode=0o700, exist_ok=True)
    # The one that is written to first: if it becomes full meanwhile, it is among the others, and whole.
    current = _read(data / FOLDER / CURRENT)
    current = current[: current.rfind(b"\n") + 1]
    first = parsed(current.partition(b"\n")[0])
    for path in audit_files(data):
        if path.name != CURRENT:
            _write(directory / FOLDER / path.name, _read(path))
            if first is not None and path.name == earlier_name(first.seq):
                current = b""
    if current:
        _write(directory / FOLDER / CURRENT, current)


def _write(path: Path, body: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def digest(body: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(body).hexdigest()
