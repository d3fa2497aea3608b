"""The sources of readings: all of them, and one with its points."""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from ..ingest.accounts import all_counters, other_counters, unbalanced
from ..ingest.source_state import COUNTERS, SourceStatus
from ..twin.errors import NotFoundError
from ..twin.model import quality_word
from ..twin.suggestion import nearest
from ..twin.times import format_time
from . import query
from .answer import json_answer
from .context import Context
from .endpoint import PREFIX, Answer, Endpoint, Parameter
from .metrics import Metric, Sample

PAGE = 1000
_MOST = 100_000


class SourceList(msgspec.Struct):
    """The configured sources with the state of their connections and their counters.

    `others`: the counters of what is no configured source: `derived` (what analytics concludes), `files`, `direct`
    (readings that a program applied without a source), and sources that were configured once.
    """

    sources: list[dict[str, Any]]
    others: list[dict[str, Any]]


class SourcePoint(msgspec.Struct):
    """A signal whose latest reading came from the source since the service started."""

    signal: str
    value: Any
    unit: str | None
    time: str
    quality: str


class SourceReport(msgspec.Struct):
    """One source: how it is, what it feeds (those that were silent for longest first), and of how many points."""

    source: dict[str, Any]
    points: list[SourcePoint]
    total: int


async def sources(context: Context, request: Request) -> Response:
    """The configured sources."""
    query.only(request)
    statuses = context.sources()
    others = other_counters(context.twin, statuses)
    return json_answer(
        SourceList(
            [status.as_dict() for status in statuses.values()],
            [{"name": name, **counters.numbers()} for name, counters in others.items()],
        )
    )


async def source(context: Context, request: Request) -> Response:
    """One source and its points."""
    query.only(request, "limit")
    limit = query.whole(request, "limit", PAGE, low=1, high=_MOST)
    status = find_source(context, request.path_params["name"])
    points, total = source_points(context, status.name, limit)
    return json_answer(SourceReport(status.as_dict(), points, total))


def find_source(context: Context, name: str) -> SourceStatus:
    """The source of this name; raises NotFoundError with the names that there are."""
    statuses = context.sources()
    if name not in statuses:
        hint = nearest(name, tuple(statuses))
        meant = f"; did you mean {hint!r}?" if hint else ""
        raise NotFoundError(f"no source is called {name!r}{meant} There are {', '.join(sorted(statuses))}.")
    return statuses[name]


def source_points(context: Context, name: str, limit: int) -> tuple[list[SourcePoint], int]:
    """At most `limit` points of a source, those that were silent for longest first, and how many it has."""
    twin = context.twin
    graph = twin.graph
    indexes = context.pipeline.feeds.signals(name)
    state = twin.state.snapshot(indexes)
    points: list[SourcePoint] = []
    for row in np.argsort(state.time, kind="stable").tolist():
        signal = graph.signal_map.get(int(indexes[row]))
        if signal is None or len(points) >= limit:
            continue
        labels, value = twin.labels(signal.index), float(state.value[row])
        shown = None if value != value else labels[int(value)] if labels and int(value) < len(labels) else value
        time, quality = format_time(int(state.time[row])), quality_word(int(state.quality[row]))
        points.append(SourcePoint(graph.signal_id(signal), shown, signal.unit, time, quality))
    return points, len(indexes)


def source_metrics(context: Context) -> Iterator[Metric]:
    """For Prometheus."""
    statuses = context.sources()
    running = [
        Sample(status.healthy, {"source": name, "state": str(status.state)}) for name, status in statuses.items()
    ]
    yield Metric("iotsense_source_up", "1 if the source does what it is there for", running)
    connects = [Sample(status.connects, {"source": name}) for name, status in statuses.items()]
    yield Metric("iotsense_source_connects_total", "Connections made", connects)
    stretched = [Sample(status.stretched, {"source": name}) for name, status in statuses.items()]
    yield Metric("iotsense_source_stretched_polls_total", "Polls left out, as those before took too long", stretched)
    lags = [Sample(s.counters.lag, {"source": name}) for name, s in statuses.items() if s.counters.lag is not None]
    yield Metric("iotsense_source_lag_seconds", "How old the newest readings are when they come", lags)
    accounts = all_counters(context.twin, statuses)
    counters = {name: each.numbers() for name, each in accounts.items()}
    for counter, meaning in COUNTERS.items():
        samples = [Sample(numbers[counter], {"source": name}) for name, numbers in counters.items()]
        suffix = "" if counter == "waiting" else "_total"
        yield Metric(f"iotsense_source_{counter}{suffix}", meaning, samples)
    balanced = Sample(not unbalanced(accounts))
    yield Metric("iotsense_counters_add_up", "1 if no message and no reading is unaccounted for", [balanced])


ENDPOINTS = [
    Endpoint(
        "GET", f"{PREFIX}/sources", sources, "The configured sources", (Answer("The sources", SourceList),), "sources"
    ),
    Endpoint(
        "GET",
        f"{PREFIX}/sources/{{name}}",
        source,
        "One source, and the points that it feeds",
        (Answer("The source", SourceReport),),
        "sources",
        (Parameter("limit", "Points at most", {"type": "integer", "minimum": 1, "default": PAGE}),),
        problems=(400, 404),
    ),
]
