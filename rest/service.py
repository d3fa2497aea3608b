"""The service itself: how it is, its numbers, its sources, and the pages that explain its answers."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ..ingest.accounts import all_counters, other_counters, unbalanced
from ..ingest.source_state import COUNTERS
from ..twin.errors import NotFoundError
from ..twin.store_status import store_reasons
from ..twin.times import NS, format_time, now_ns
from . import problem, query
from .answer import json_answer, problem_answer
from .context import Context
from .endpoint import PREFIX, Answer, Endpoint
from .metrics import MEDIA_TYPE, Metric, Sample, exposition
from .store_metrics import budget_metrics, store_metrics

TEXT = "text/plain"


class HealthReport(msgspec.Struct):
    """`status` is `ok`, `degraded` (something fails, `reasons` says what) or `failing` (writes are refused)."""

    status: str
    version: str
    started: str
    uptime_s: float
    reasons: list[str]
    storage: dict[str, Any]
    tasks: dict[str, Any]
    sources: list[dict[str, Any]]
    stores: list[dict[str, Any]]
    notices: list[str]


class SourceList(msgspec.Struct):
    """The configured sources with the state of their connections and their counters.

    `others`: the counters of what is no configured source: `derived` (what analytics concludes), `files`, `direct`
    (readings that a program applied without a source), and sources that were configured once.
    """

    sources: list[dict[str, Any]]
    others: list[dict[str, Any]]


async def health(context: Context, request: Request) -> Response:
    """How the service and its parts are; always 200, the words are in the body."""
    query.only(request)
    return json_answer(health_report(context))


async def livez(context: Context, request: Request) -> Response:
    """Whether the process is alive."""
    return PlainTextResponse("ok\n")


async def readyz(context: Context, request: Request) -> Response:
    """Whether it can take readings now."""
    trouble = "the service is stopping" if context.stopping.is_set() else context.twin.trouble
    if trouble is None:
        return PlainTextResponse("ok\n")
    return problem_answer(problem.document(problem.NOT_READY, trouble), {"Retry-After": "5"})


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


async def metrics(context: Context, request: Request) -> Response:
    """Numbers for Prometheus."""
    return Response(exposition(_metrics(context)), media_type=MEDIA_TYPE)


async def problem_page(context: Context, request: Request) -> Response:
    """What a problem means, at its `type`."""
    name = request.path_params["name"]
    for kind in problem.ALL:
        if kind.name == name:
            return PlainTextResponse(f"{kind.title} (status {kind.status})\n\n{kind.meaning}\n")
    raise NotFoundError(f"no problem is called {name!r}")


def health_report(context: Context) -> HealthReport:
    """How everything is, with reasons in words."""
    twin = context.twin
    supervised = context.health()
    tasks = supervised.get("tasks", {})
    statuses = [status.as_dict() for status in context.sources().values()]
    reasons = [f"task {name}: {task['error']}" for name, task in tasks.items() if task.get("error")]
    reasons += [f"source {s['name']} is in {s['state']}: {s['error']}" for s in statuses if s["error"]]
    reasons += store_reasons(context.stores())
    reasons += supervised.get("reasons", [])
    reasons += [f"history: {twin.history_trouble}"] if twin.history_trouble else []
    reasons += [f"damage: {text}" for text in twin.damage]
    accounts = all_counters(twin, context.sources())
    reasons += [f"the counters of {name} do not add up: {accounts[name].numbers()}" for name in unbalanced(accounts)]
    if twin.trouble:
        reasons.insert(0, f"writes are refused: {twin.trouble}")
    return HealthReport(
        status="failing" if twin.trouble else "degraded" if reasons else "ok",
        version=context.version,
        started=format_time(context.started),
        uptime_s=round((now_ns() - context.started) / NS, 1),
        reasons=reasons,
        storage={
            "writable": twin.writable,
            "bytes": twin.sizes(),
            **twin.counts(),
            "journal_budget": twin.budget.report(),
        },
        tasks=tasks,
        sources=statuses,
        stores=[store.as_dict() for store in context.stores()],
        notices=supervised.get("notices", []),
    )


def _metrics(context: Context) -> Iterator[Metric]:
    twin = context.twin
    counts = twin.counts()
    yield Metric("iotsense_info", "The version that runs", [Sample(1, {"version": context.version})])
    yield Metric("iotsense_uptime_seconds", "Since the start", [Sample((now_ns() - context.started) / NS)])
    yield Metric("iotsense_process_cpu_seconds_total", "Processor time used", [Sample(time.process_time())])
    yield Metric("iotsense_journal_entries_total", "Entries of the journal", [Sample(counts["entries"])])
    yield Metric("iotsense_readings_total", "Readings stored", [Sample(counts["readings"])])
    yield Metric("iotsense_events_total", "Events logged", [Sample(counts["events"])])
    yield Metric("iotsense_nodes", "Nodes of the graph", [Sample(counts["nodes"])])
    yield Metric("iotsense_signals", "Signals of the graph", [Sample(counts["signals"])])
    lag = Sample(counts["history_lag_entries"])
    yield Metric("iotsense_history_lag_entries", "Journal entries that history does not hold yet", [lag])
    yield Metric("iotsense_writable", "1 if the last write succeeded", [Sample(twin.writable)])
    anomalies = Sample(len(twin.open_events("anomaly")))
    yield Metric("iotsense_open_anomalies", "Anomalies that have begun and not ended", [anomalies])
    letters = context.pipeline.dead_letter_counts()
    yield Metric("iotsense_dead_letters_pending", "Dead letters that wait", [Sample(letters["pending"])])
    waiting = Sample(context.pipeline.pending_bytes)
    yield Metric("iotsense_ingest_waiting_bytes", "What waits to be stored", [waiting])
    tasks = context.health().get("tasks", {})
    for name, who in (("monitor", "the monitor"), ("computed", "the computation of signals")):
        if name in tasks:
            behind = Sample(tasks[name]["lag_entries"])
            yield Metric(f"iotsense_{name}_lag_entries", f"Journal entries that {who} has not seen yet", [behind])
    sizes = [Sample(size, {"part": part}) for part, size in twin.sizes().items()]
    yield Metric("iotsense_storage_bytes", "Bytes on the disk", sizes)
    yield from _source_metrics(context)
    yield from store_metrics(context.stores())
    yield from budget_metrics(twin.budget.report())


def _source_metrics(context: Context) -> Iterator[Metric]:
    statuses = context.sources()
    running = [
        Sample(status.healthy, {"source": name, "state": str(status.state)}) for name, status in statuses.items()
    ]
    yield Metric("iotsense_source_up", "1 if the source does what it is there for", running)
    connects = [Sample(status.connects, {"source": name}) for name, status in statuses.items()]
    yield Metric("iotsense_source_connects_total", "Connections made", connects)
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
        "GET", "/health", health, "How the service and its parts are", (Answer("The report", HealthReport),), "service"
    ),
    Endpoint("GET", "/livez", livez, "Whether the process is alive", (Answer("It is", str, TEXT),), "service"),
    Endpoint(
        "GET",
        "/readyz",
        readyz,
        "Whether readings can be taken now",
        (Answer("They can", str, TEXT),),
        "service",
        problems=(503,),
    ),
    Endpoint("GET", "/metrics", metrics, "Numbers for Prometheus", (Answer("The numbers", str, TEXT),), "service"),
    Endpoint(
        "GET", f"{PREFIX}/sources", sources, "The configured sources", (Answer("The sources", SourceList),), "sources"
    ),
    Endpoint(
        "GET",
        "/problems/{name}",
        problem_page,
        "What a problem means",
        (Answer("An explanation", str, TEXT),),
        "service",
        problems=(404,),
    ),
]
