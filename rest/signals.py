"""What signals did: their history."""

import asyncio
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from ..twin.as_of import AsOf
from ..twin.errors import InvalidValueError
from ..twin.history import History
from ..twin.model import DataType, Signal, quality_word
from ..twin.times import NS, format_time
from . import query
from .context import Context
from .endpoint import PREFIX, Answer, Endpoint, Parameter
from .history_formats import ARROW, CSV, PARQUET, history_answer
from .layout import number, shown
from .moment import moment
from .shapes import SignalHistory

HOUR = 3600 * NS
PAGE = 100_000
_WORDS = {quality: quality_word(quality) for quality in range(256)}


async def history(context: Context, request: Request) -> Response:
    """A signal's readings over a span of time."""
    plant = await moment(context, request, "from", "to", "points", "limit")
    graph = plant.graph
    signal = graph.find_signal(request.path_params["id"])
    start, end = span(request, plant.now)
    points = query.whole(request, "points", 0, low=1, high=PAGE) or None
    limit = query.whole(request, "limit", PAGE, low=1, high=PAGE)
    found = await asyncio.to_thread(plant.history, signal.index, start, end, points)
    answer = history_columns(plant, signal, found, limit)
    answer.start, answer.to = format_time(start), format_time(end)
    return await asyncio.to_thread(history_answer, request, answer)


def span(request: Request, now: int) -> tuple[int, int]:
    """The parameters `from` and `to` [ns]; the last hour before `now` if neither is given."""
    end = query.instant(request, "to")
    start = query.instant(request, "from")
    end = now if end is None else end
    start = end - HOUR if start is None else start
    if start >= end:
        raise InvalidValueError(f"from ({format_time(start)}) must be before to ({format_time(end)})", "from")
    return start, end


def iso_times(times: NDArray[np.int64]) -> list[str]:
    """Times [ns] in ISO 8601, with as many digits as all of them need."""
    if not len(times):
        return []
    stamps = times.astype("datetime64[ns]")
    if not np.any(times % 1_000_000):
        text = np.datetime_as_string(stamps, unit="ms")
    else:
        text = np.datetime_as_string(stamps, unit="ns" if np.any(times % 1_000) else "us")
    return [f"{stamp}Z" for stamp in text.tolist()]


def history_columns(plant: AsOf, signal: Signal, found: History, limit: int) -> SignalHistory:
    """A history as clients read it, at most `limit` rows; the span is for the caller to tell."""
    more = len(found) > limit
    rows = slice(0, limit)
    answer = SignalHistory(plant.graph.signal_id(signal), signal.unit)
    answer.time = iso_times(found.time[rows])
    answer.value = _values(plant, signal, found.value[rows], found.bucket)
    answer.quality = [_WORDS[quality] for quality in found.quality[rows].tolist()]
    answer.tier, answer.precision_s = found.tier, found.precision
    if found.bucket is not None:
        answer.bucket_s = found.bucket / NS
        answer.low = [number(value) for value in found.low[rows].tolist()]
        answer.high = [number(value) for value in found.high[rows].tolist()]
        answer.count = found.count[rows].tolist()
    if found.figures is not None:
        answer.first = [number(value) for value in found.figures.first[rows].tolist()]
        answer.last = [number(value) for value in found.figures.last[rows].tolist()]
        answer.mean_over_time = [number(value) for value in found.figures.weighted[rows].tolist()]
        answer.good_percent = found.figures.good[rows].tolist()
    answer.next = format_time(int(found.time[limit])) if more else None
    return answer


def _values(plant: AsOf, signal: Signal, values: NDArray[np.float64], bucket: int | None) -> list[Any]:
    # The mean of codes is no code; a bucket of texts has none.
    if not plant.labels(signal.index) and signal.data_type is not DataType.BOOLEAN:
        return [number(value) for value in values.tolist()]
    if bucket is not None:
        return [None] * len(values)
    return [shown(value, signal, plant) for value in values.tolist()]


SPAN = (
    Parameter(
        "from",
        "Begin of the span, ISO 8601; default: an hour before its end",
        {"type": "string", "format": "date-time"},
    ),
    Parameter(
        "to", "End of the span (not within it), ISO 8601; default: now", {"type": "string", "format": "date-time"}
    ),
)

ENDPOINTS = [
    Endpoint(
        "GET",
        f"{PREFIX}/signals/{{id}}/history",
        history,
        "A signal's readings over a span of time",
        (
            Answer("The readings as columns", SignalHistory),
            Answer("A row a reading", None, CSV),
            Answer("One table; its metadata tell of signal and unit", None, ARROW),
            Answer("The same as a file", None, PARQUET),
        ),
        "signals",
        (
            *SPAN,
            Parameter(
                "points",
                "At most so many rows: more readings than that become as many buckets. Without it, every reading",
                {"type": "integer", "minimum": 1, "maximum": PAGE},
            ),
            Parameter(
                "limit",
                "At most so many readings in one answer; `next` leads to the rest",
                {"type": "integer", "minimum": 1, "maximum": PAGE, "default": PAGE},
            ),
        ),
        problems=(400, 404, 406, 501),
        reads=True,
    )
]
