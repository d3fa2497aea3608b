"""The audit log: who changed what, by pages and as a whole."""

import asyncio
from collections.abc import Iterator
from itertools import islice

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..twin.audit_files import newest_first, whole_lines
from ..twin.audit_record import AuditRecord
from ..twin.audit_trail import AuditTrail
from ..twin.errors import NotYetError
from ..twin.times import parse_time
from . import query
from .answer import json_answer
from .context import Context
from .endpoint import PREFIX, Answer, Endpoint, Parameter
from .metrics import Metric, Sample

PAGE = 100
LINES = "application/x-ndjson"


class AuditPage(msgspec.Struct):
    """Records, the newest first; `next` is the `before` of the next page.

    `head` is the hash of the last record of all, number `last`: keep it elsewhere, and `iotsense audit verify --anchor`
    tells whether the log still holds it.
    """

    records: list[AuditRecord]
    last: int
    head: str
    next: int | None


async def audit(context: Context, request: Request) -> Response:
    """Records of the audit log, the newest first."""
    query.only(request, "before", "limit", "since", "by")
    limit = query.whole(request, "limit", PAGE, low=1, high=1000)
    before = query.whole(request, "before", 2**53, low=1)
    since, by = query.instant(request, "since"), request.query_params.get("by")
    log = _trail(context).log
    last, head = log.seq, log.head

    def page() -> list[AuditRecord]:
        return list(islice(_chosen(newest_first(log.data, min(before, last + 1)), since, by), limit + 1))

    found = await asyncio.to_thread(page)
    more = found[limit - 1].seq if len(found) > limit else None
    return json_answer(AuditPage(found[:limit], last, head, more))


async def audit_export(context: Context, request: Request) -> Response:
    """The whole audit log as it is kept."""
    query.only(request)
    return StreamingResponse(whole_lines(_trail(context).log.data), media_type=LINES)


def audit_reasons(context: Context) -> list[str]:
    """Why the service is not well, as far as the audit log goes."""
    if context.audit is None:
        return []
    log = context.audit.log
    reasons = [f"changes are refused, the audit log cannot be written: {log.trouble}"] if log.trouble else []
    reasons += [f"{log.lost} records of the audit log were lost"] if log.lost else []
    return reasons + ([f"audit log: {log.damage}; see iotsense audit verify"] if log.damage else [])


def audit_metrics(context: Context) -> Iterator[Metric]:
    """Numbers of the audit log."""
    if context.audit is not None:
        log = context.audit.log
        yield Metric("iotsense_audit_records_total", "Records of the audit log", [Sample(log.seq)])
        yield Metric("iotsense_audit_writable", "1 unless records cannot be written", [Sample(log.trouble is None)])


def _trail(context: Context) -> AuditTrail:
    if context.audit is None:
        raise NotYetError("the audit log is not open yet")
    return context.audit


def _chosen(records: Iterator[AuditRecord], since: int | None, by: str | None) -> Iterator[AuditRecord]:
    for record in records:
        if since is not None and parse_time(record.time) < since:
            return
        if by is None or by in (record.by, record.by.removeprefix("key ")):
            yield record


ENDPOINTS = [
    Endpoint(
        "GET", f"{PREFIX}/audit", audit, "The audit log: who changed what, the newest first",
        (Answer("The records", AuditPage),), "audit",
        (
            Parameter("before", "Only records before this number: `next`", {"type": "integer", "minimum": 1}),
            Parameter("limit", "How many", {"type": "integer", "minimum": 1, "maximum": 1000, "default": PAGE}),
            Parameter("since", "Only from this time on, ISO 8601", {"type": "string", "format": "date-time"}),
            Parameter("by", "Only of this one: `key gateway`, `gateway`, `this machine`, `nobody`"),
        ),
        problems=(400,),
    ),
    Endpoint(
        "GET", f"{PREFIX}/audit/export", audit_export, "The whole audit log, as it is kept",
        (Answer("Records, one a line, the oldest first", str, LINES),), "audit",
    ),
]  # fmt: skip
