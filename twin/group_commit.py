"""What one transaction of the journal is gathered from: the parts of several callers."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from .batch import ReadingBatch
from .entry import EntryKind
from .errors import StorageError

Part = tuple[EntryKind, Any]
_PART_BYTES = 512  # what a part that is not readings is counted as, for the bounds


@dataclass(slots=True)
class Submission:
    """Parts that one caller wants as one transaction, and who waits for it."""

    parts: Sequence[Part]
    identities: Sequence[bytes]
    size: int
    loop: asyncio.AbstractEventLoop | None
    future: "Future[int] | asyncio.Future[int]"


@dataclass(slots=True)
class Group:
    """Submissions that share a commit; `size` [bytes]."""

    submissions: list[Submission] = field(default_factory=list)
    size: int = 0


def size_of(parts: Sequence[Part]) -> int:
    """Bytes, roughly: what the bounds count."""
    return sum(21 * len(value) if kind is EntryKind.READINGS else _PART_BYTES for kind, value in parts)


def merge(parts: Iterable[Part]) -> list[Part]:
    """Neighbouring batches become one, so that a group of small commits is one row."""
    merged: list[Part] = []
    batches: list[ReadingBatch] = []
    for kind, value in parts:
        if kind is EntryKind.READINGS:
            batches.append(value)
            continue
        _end_run(merged, batches)
        merged.append((kind, value))
    _end_run(merged, batches)
    return merged


def _end_run(merged: list[Part], batches: list[ReadingBatch]) -> None:
    if batches:
        merged.append((EntryKind.READINGS, ReadingBatch.concat(batches)))
        batches.clear()


def resolve(submissions: Sequence[Submission], seq: int, error: StorageError | None) -> None:
    """Tells those who wait: the number of the last entry, or why there is none."""
    for submission in submissions:
        future = submission.future
        if future.cancelled():
            continue
        if error is None:
            future.set_result(seq)
        else:
            future.set_exception(error)


def call(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    """Calls something in the thread of a loop."""
    with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever waited
        loop.call_soon_threadsafe(function, *arguments)
