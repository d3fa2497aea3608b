"""The service itself: how it is, its numbers, its sources, and the pages that explain its answers."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ..ingest.accounts import all_counters, unbalanced
from ..twin.command import COMMAND
from ..twin.errors import NotFoundError
from ..twin.store_status import store_reasons
from ..twin.times import NS, format_time, now_ns
from . import problem, query
from .answer import json_answer, problem_answer
from .audit import audit_metrics, audit_reasons
from .context import Context
from .endpoint import Answer, Endpoint
from .metrics import MEDIA_TYPE, Metric, Sample, exposition
from .publishing import publishing_metrics, publishing_reasons
from .sources import source_metrics
from .store_metrics import budget_metrics, store_metrics

TEXT = "text/plain"


class HealthReport(msgspec.Struct):
    """`status` is `ok`, `degraded` (something fails, `reasons` says what) or `failing` (writes are refused)."""

    name: str
    status: str
    version: str
    started: str
    uptime_s: float
    reasons: list[str]
    storage: dict[str, Any]
    tasks: dict[str, Any]
    sources: list[dict[str, Any]]
    stores: list[dict[str, Any]]
    publishing: list[dict[str, Any]]
    notices: list[str]


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
    reasons += publishing_reasons(context.publishing())
    reasons += audit_reasons(context)
    reasons += supervised.get("reasons", [])
    reasons += [f"history: {twin.history_trouble}"] if twin.history_trouble else []
    reasons += [f"damage: {text}" for text in twin.damage]
    accounts = all_counters(twin, context.sources())
    reasons += [f"the counters of {name} do not add up: {accounts[name].numbers()}" for name in unbalanced(accounts)]
    if twin.trouble:
        reasons.insert(0, f"writes are refused: {twin.trouble}")
    return HealthReport(
        name="iotsense",
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
        publishing=[status.as_dict() for status in context.publishing()],
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
    commands = Sample(len(twin.open_events(COMMAND)))
    yield Metric("iotsense_open_commands", "Commands that have not ended", [commands])
    letters = context.pipeline.dead_letter_counts()
    yield Metric("iotsense_dead_letters_pending", "Dead letters that wait", [Sample(letters["pending"])])
    waiting = Sample(context.pipeline.pending_bytes)
    yield Metric("iotsense_ingest_waiting_bytes", "What waits to be stored", [waiting])
    tasks = context.health().get("tasks", {})
    for name, who in (("monitor", "the monitor"), ("computed", "the computation of signals")):
        if name in tasks:
            behind = Sample(tasks[name]["lag_entries"])
            yield Metric(f"iotsense_{name}_lag_entries", f"Journal entries that {who} has not seen yet", [behind])
    if (left := tasks.get("tls", {}).get("expires_in_s")) is not None:
        meaning = "How long the TLS certificate is good still; below 0 once it has expired"
        yield Metric("iotsense_certificate_expiry_seconds", meaning, [Sample(left)])
    sizes = [Sample(size, {"part": part}) for part, size in twin.sizes().items()]
    yield Metric("iotsense_storage_bytes", "Bytes on the disk", sizes)
    yield from source_metrics(context)
    yield from store_metrics(context.stores())
    yield from publishing_metrics(context.publishing())
    yield from audit_metrics(context)
    yield from budget_metrics(twin.budget.report())


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
        "GET",
        "/problems/{name}",
        problem_page,
        "What a problem means",
        (Answer("An explanation", str, TEXT),),
        "service",
        problems=(404,),
    ),
]
