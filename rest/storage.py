"""What storage takes, and what it will need."""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..twin.history_report import Kept
from ..twin.times import format_time
from . import query
from .answer import json_answer
from .context import Context
from .endpoint import PREFIX, Answer, Endpoint


class KeptShown(msgspec.Struct):
    """One kind of what is kept: `raw` readings, `thinned` ones (for replay), or a tier such as `1m`.

    `rows_per_day` and `bytes_per_row` are those of the present rate, `guessed` where nothing is there to measure.
    `retention_s` is null, and so is `needed_bytes`, for what is kept for ever.
    """

    name: str
    parts: int
    rows: int
    bytes: int
    bytes_per_row: float
    guessed: bool
    oldest: str | None
    newest: str | None
    rows_per_day: float
    retention_s: float | None
    needed_bytes: int | None


class StorageShown(msgspec.Struct):
    """`history` by kind, the bytes of the `others`, and how many readings are `waiting` in memory to be written.

    `needed_bytes`: what everything will take once all retention is full, at the present `readings_per_day`; null if
    something is kept for ever, which then adds `per_day` bytes each day.
    """

    history: list[KeptShown]
    others: dict[str, int]
    waiting: int
    readings_per_day: float
    bytes: int
    needed_bytes: int | None
    per_day: float


async def storage(context: Context, request: Request) -> Response:
    """Sizes by kind, and a calculation of what the configured retention will need."""
    query.only(request)
    found = await asyncio.to_thread(context.twin.storage_report)
    fields: dict[str, Any] = {name: getattr(found, name) for name in StorageShown.__struct_fields__}
    return json_answer(StorageShown(**fields | {"history": [_shown(kept) for kept in found.history]}))


def _shown(kept: Kept) -> KeptShown:
    return KeptShown(
        name=kept.name,
        parts=kept.parts,
        rows=kept.rows,
        bytes=kept.bytes,
        bytes_per_row=round(kept.bytes_per_row, 2),
        guessed=kept.guessed,
        oldest=None if kept.oldest is None else format_time(kept.oldest),
        newest=None if kept.newest is None else format_time(kept.newest),
        rows_per_day=round(kept.rows_per_day, 1),
        retention_s=kept.retention,
        needed_bytes=kept.needed_bytes,
    )


ENDPOINTS = [
    Endpoint(
        "GET",
        f"{PREFIX}/storage",
        storage,
        "What storage takes, and what it will need",
        (Answer("Sizes by kind, and a calculation", StorageShown),),
        "service",
    )
]
