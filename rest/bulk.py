"""Bulk export and import over HTTP: jobs with files, and the plant's rows as one stream of JSON Lines."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from ..twin.bulk_import import bulk_import
from ..twin.bulk_report import BulkReport
from ..twin.bulk_rows import Row, SectionRow, node_row, relationship_row, signal_row
from ..twin.errors import ConflictError
from ..twin.graph import Graph
from . import query
from .answer import json_answer
from .body import header
from .bulk_jobs import BulkJob, BulkJobs, file_of
from .context import Context
from .endpoint import PREFIX, Answer, Body, Endpoint, Parameter
from .http_errors import MediaTypeError
from .loading import Spool
from .moment import moment

LINES = "application/x-ndjson"
BINARY = "application/octet-stream"
_PIECE = 1_000
_BULK = f"{PREFIX}/bulk"


class BulkJobList(msgspec.Struct):
    """All bulk exports or imports that are there."""

    jobs: list[BulkJob]


def jobs_of(context: Context) -> BulkJobs:
    """The jobs of a service, found when they are first asked for."""
    if context.bulk is None:
        context.bulk = BulkJobs(context)
    return context.bulk


async def start_export(context: Context, request: Request) -> Response:
    """Begins an export or backup, or goes on with one that a restart stopped."""
    query.only(request, "resume")
    jobs, verb = jobs_of(context), _verb(request)
    resumed = request.query_params.get("resume")
    job = jobs.create(verb) if resumed is None else jobs.get(resumed, verb)
    jobs.start(job)
    return json_answer(job, 202)


async def export_job(context: Context, request: Request) -> Response:
    """How far an export or backup is, and what it holds."""
    query.only(request)
    return json_answer(jobs_of(context).get(request.path_params["job"], _verb(request)))


async def export_file(context: Context, request: Request) -> Response:
    """A file of an export or backup."""
    query.only(request)
    jobs = jobs_of(context)
    job = jobs.get(request.path_params["job"], _verb(request))
    name = file_of(job, request.path_params["file"]).name
    return FileResponse(jobs.folder(job) / name, media_type=BINARY)


async def remove_export(context: Context, request: Request) -> Response:
    """Forgets an export or backup."""
    return _removed(context, request, _verb(request))


def _verb(request: Request) -> str:
    return "backup" if request.url.path.startswith(f"{_BULK}/backups") else "export"


async def create_import(context: Context, request: Request) -> Response:
    """A place for the files of an import."""
    query.only(request)
    return json_answer(jobs_of(context).create("import"), 201)


async def import_file(context: Context, request: Request) -> Response:
    """Takes a file of an import."""
    query.only(request)
    jobs = jobs_of(context)
    job = jobs.get(request.path_params["job"], "import")
    if job.state == "running":
        raise ConflictError(f"the import {job.id} is running")
    path = jobs.file(job, request.path_params["file"])
    spooled = await _spooled(context, request)
    path.parent.mkdir(exist_ok=True)
    spooled.rename(path)
    return Response(status_code=204)


async def start_import(context: Context, request: Request) -> Response:
    """Begins an import, or goes on with one that was stopped."""
    query.only(request, "by_id", "strict")
    jobs = jobs_of(context)
    job = jobs.get(request.path_params["job"], "import")
    jobs.start(job, by_id=query.flag(request, "by_id"), strict=query.flag(request, "strict"))
    return json_answer(job, 202)


async def import_job(context: Context, request: Request) -> Response:
    """How far an import is, and what became of it."""
    query.only(request)
    return json_answer(jobs_of(context).get(request.path_params["job"], "import"))


async def import_errors(context: Context, request: Request) -> Response:
    """All rows that could not be used."""
    query.only(request)
    jobs = jobs_of(context)
    path = jobs.folder(jobs.get(request.path_params["job"], "import")) / ".errors.jsonl"
    return FileResponse(path, media_type=LINES) if path.exists() else Response(b"", media_type=LINES)


async def remove_import(context: Context, request: Request) -> Response:
    """Forgets an import's files; what was imported stays."""
    return _removed(context, request, "import")


async def rows(context: Context, request: Request) -> Response:
    """The structure as rows."""
    plant = await moment(context, request)
    return StreamingResponse(_lines(plant.graph), media_type=LINES)


async def take_rows(context: Context, request: Request) -> Response:
    """Merges rows by the ids of nodes."""
    query.only(request, "strict")
    media = header(request.scope, b"content-type").partition(b";")[0].decode("latin-1").strip().lower()
    if media != LINES:
        raise MediaTypeError(media, LINES)
    spooled = await _spooled(context, request)
    path = spooled.with_suffix(".ndjson")
    spooled.rename(path)
    try:
        strict = query.flag(request, "strict")
        report = await asyncio.to_thread(bulk_import, context.twin, [path], by_id=True, strict=strict)
    finally:
        path.unlink()
    await context.applied()
    return json_answer(report)


def _removed(context: Context, request: Request, verb: str) -> Response:
    query.only(request)
    jobs = jobs_of(context)
    jobs.remove(jobs.get(request.path_params["job"], verb))
    return Response(status_code=204)


async def _spooled(context: Context, request: Request) -> Path:
    spool = await asyncio.to_thread(Spool, context.twin.directory)
    try:
        async for chunk in request.stream():
            if spool.add(chunk):
                await asyncio.to_thread(spool.flush)
        await asyncio.to_thread(spool.close)
    except BaseException:
        spool.discard()
        raise
    return spool.path


async def _lines(graph: Graph) -> AsyncIterator[bytes]:
    encoder = msgspec.json.Encoder()
    found = _rows(graph)
    while piece := list(islice(found, _PIECE)):
        yield encoder.encode_lines(piece)


def _rows(graph: Graph) -> Iterator[Row]:
    for node in graph.nodes():
        yield node_row(node, None if node.parent is None else graph.node(node.parent).id)
    for signal in graph.signals():
        yield signal_row(signal, graph.node(signal.node).id)
    for arrow in graph.relationships():
        yield relationship_row(arrow, graph.node(arrow.source).id, graph.node(arrow.target).id)
    for name, value in graph.definition.items():
        yield SectionRow(name, value)


_STRICT = Parameter("strict", "Stop at the first bad row", {"type": "boolean", "default": False})
_JOB = (Answer("The job", BulkJob),)
_STARTED = (Answer("The job, which runs in the background", BulkJob, status=202),)
_GONE = (Answer("It is forgotten", None, None, 204),)


def _made(plural: str, verb: str, what: str, when: str) -> list[Endpoint]:
    """The operations on exports and on backups, which are alike."""
    one = f"{_BULK}/{plural}/{{job}}"
    file = (Answer("The file; ranges can be asked for", str, BINARY),)
    return [
        Endpoint(
            "POST", f"{_BULK}/{plural}", start_export, f"{what} in the background", _STARTED, "bulk",
            (Parameter("resume", f"The {verb} that a restart stopped"),), problems=(404, 409),
            description=f"As of {when}; nobody is slowed by it.", name=f"start_{verb}",
        ),
        Endpoint(
            "GET", one, export_job, f"How far the {verb} is", _JOB, "bulk", problems=(404,), name=f"{verb}_job"
        ),
        Endpoint(
            "GET", f"{one}/files/{{file:path}}", export_file, f"A file of the {verb}", file, "bulk",
            problems=(404, 409), name=f"{verb}_file",
        ),
        Endpoint(
            "DELETE", one, remove_export, f"Forget the {verb}", _GONE, "bulk", problems=(404, 409),
            name=f"remove_{verb}",
        ),
    ]  # fmt: skip


ENDPOINTS = [
    *_made("exports", "export", "Export the whole twin", "the instant at which it begins"),
    *_made("backups", "backup", "Copy the data directory", "one entry of the journal"),
    Endpoint(
        "POST", f"{_BULK}/imports", create_import, "A place for the files of an import",
        (Answer("The job, which waits for files", BulkJob, status=201),), "bulk",
    ),
    Endpoint(
        "PUT", f"{_BULK}/imports/{{job}}/files/{{file:path}}", import_file, "A file of an import",
        (Answer("It is stored", None, None, 204),), "bulk", body=Body({BINARY: str}, "The file"),
        problems=(400, 404, 409, 507),
    ),
    Endpoint(
        "POST", f"{_BULK}/imports/{{job}}", start_import, "Import the files in the background", _STARTED, "bulk",
        (Parameter("by_id", "Merge by ids, even if the twin is empty", {"type": "boolean", "default": False}), _STRICT),
        problems=(400, 404, 409),
    ),
    Endpoint("GET", f"{_BULK}/imports/{{job}}", import_job, "How far an import is", _JOB, "bulk", problems=(404,)),
    Endpoint(
        "GET", f"{_BULK}/imports/{{job}}/errors", import_errors, "All rows that could not be used",
        (Answer("A line of JSON for each", str, LINES),), "bulk", problems=(404,),
    ),
    Endpoint(
        "DELETE", f"{_BULK}/imports/{{job}}", remove_import, "Forget the files of an import", _GONE, "bulk",
        problems=(404, 409),
    ),
    Endpoint(
        "GET", f"{_BULK}/rows", rows, "The structure as rows", (Answer("Lines of JSON", str, LINES),), "bulk",
        problems=(400, 404), reads=True,
    ),
    Endpoint(
        "POST", f"{_BULK}/rows", take_rows, "Merge rows by the ids of nodes",
        (Answer("All of it is durable; what became of it", BulkReport),), "bulk", (_STRICT,),
        Body({LINES: str}, "A row of JSON a line, each with its `row`: node, signal, relationship, event, reading"),
        problems=(400, 415, 503, 507),
    ),
]  # fmt: skip
