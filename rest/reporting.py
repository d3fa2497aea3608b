"""What reporting leaves out of history, and how far history misses it."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..ingest.reporting import SignalReport
from . import query
from .answer import json_answer
from .context import Context
from .endpoint import PREFIX, Answer, Endpoint, Parameter


class ReportedSignal(msgspec.Struct):
    """A signal that a reporting policy governs, since the service's start or the last change of the definitions.

    `ratio` is readings received for each one stored. `worst_error` and `mean_error` [the signal's unit]: how far
    history misses the readings that were left out; null if none were.
    """

    signal: str
    source: str
    policy: str
    received: int
    stored: int
    ratio: float | None
    worst_error: float | None
    mean_error: float | None


class ReportingReport(msgspec.Struct):
    """All of them, by source and signal."""

    signals: list[ReportedSignal]


async def reporting(context: Context, request: Request) -> Response:
    """The signals that reporting governs."""
    query.only(request, "source")
    wanted = request.query_params.get("source")
    found = [report for report in context.pipeline.reporter.reports() if wanted in (None, report.source)]
    return json_answer(ReportingReport([_shown(report) for report in found]))


def _shown(report: SignalReport) -> ReportedSignal:
    fields: dict[str, Any] = msgspec.structs.asdict(report)
    return ReportedSignal(**fields, ratio=report.ratio)


ENDPOINTS = [
    Endpoint(
        "GET",
        f"{PREFIX}/reporting",
        reporting,
        "What reporting leaves out, and how far history misses it",
        (Answer("The signals that a policy governs", ReportingReport),),
        "sources",
        (Parameter("source", "Only those of this source", {"type": "string"}),),
        problems=(400,),
    ),
]
