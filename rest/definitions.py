"""The project that governs the graph: what documents would change, applying them, and writing out what is applied."""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..twin.definition_tag import definition_tag
from ..twin.errors import InvalidValueError
from ..twin.export_definition import export
from ..twin.submitted import Expected, Submission, applied, planned
from . import query
from .answer import expected_tags, json_answer
from .body import json_body
from .context import Context
from .endpoint import JSON, PREFIX, Answer, Body, Endpoint, Parameter
from .moment import moment

YAML = "application/yaml"


class Documents(msgspec.Struct, forbid_unknown_fields=True):
    """A project: texts in YAML by file name.

    `base` is the folder (on the service's machine) in which relative file names are looked up. `allow_remove` lets
    nodes go that have history.
    """

    documents: dict[str, str]
    base: str | None = None
    allow_remove: bool = False


class PlanView(msgspec.Struct):
    """What applying would change: as values, and as a diff to read. `findings` are warnings."""

    empty: bool
    text: str
    changes: dict[str, Any]
    findings: list[dict[str, Any]]


class Applied(msgspec.Struct):
    """What was changed, and the revision of the graph since."""

    revision: int
    empty: bool
    text: str
    changes: dict[str, Any]


class Definition(msgspec.Struct):
    """The applied sections that are no nodes, and what of them has no engine yet."""

    revision: int
    sections: dict[str, Any]
    notices: list[str]


_decode = msgspec.json.Decoder(Documents).decode


async def definitions(context: Context, request: Request) -> Response:
    """The applied sections."""
    graph = (await moment(context, request)).graph
    notices = context.health().get("notices", [])
    tag = await asyncio.to_thread(definition_tag, graph)
    answer = Definition(graph.revision, graph.definition, notices)
    return json_answer(answer, headers={"ETag": f'"{tag}"', "Cache-Control": "no-cache"})


async def plan_definitions(context: Context, request: Request) -> Response:
    """What applying documents would change."""
    given = await _documents(context, request)
    made, findings = await asyncio.to_thread(planned, context.twin, given)
    told = [finding.to_json() for finding in findings]
    return json_answer(PlanView(made.empty, made.text(), made.to_dict(), told))


async def apply_definitions(context: Context, request: Request) -> Response:
    """Applies documents, all or nothing."""
    given = await _documents(context, request)
    done = await asyncio.to_thread(applied, context.twin, given, Expected(expected_tags(request)))
    await context.applied()
    return json_answer(Applied(context.twin.graph.revision, done.changes.empty, done.text, done.changes.to_dict()))


async def export_definitions(context: Context, request: Request) -> Response:
    """All that is applied as one document."""
    plant = await moment(context, request)
    return Response(await asyncio.to_thread(export, plant.graph), media_type=YAML)


async def _documents(context: Context, request: Request) -> Submission:
    query.only(request)
    try:
        given = _decode(await json_body(request, context.max_body))
    except msgspec.DecodeError as error:
        raise InvalidValueError(f'expected {{"documents": {{"plant.yaml": "..."}}}}: {error}', "$") from None
    if not given.documents:
        raise InvalidValueError("there are no documents", "$.documents")
    return Submission(given.documents, given.base, given.allow_remove)


IF_MATCH = Parameter(
    "If-Match", "Only if nothing else was applied meanwhile: the ETag of `GET .../definitions`", place="header"
)
_BODY = Body({JSON: Documents}, "The whole project: what it does not name is removed")
_PROBLEMS = (400, 409, 413, 415, 422)

ENDPOINTS = [
    Endpoint(
        "GET",
        f"{PREFIX}/definitions",
        definitions,
        "The applied sections",
        (Answer("The sections; the ETag is that of all definitions, twins included", Definition),),
        "definitions",
        reads=True,
    ),
    Endpoint(
        "POST",
        f"{PREFIX}/definitions/plan",
        plan_definitions,
        "What applying documents would change",
        (Answer("The plan; nothing was changed", PlanView),),
        "definitions",
        body=_BODY,
        problems=_PROBLEMS,
    ),
    Endpoint(
        "POST",
        f"{PREFIX}/definitions/apply",
        apply_definitions,
        "Apply documents, all or nothing",
        (Answer("What was changed", Applied),),
        "definitions",
        (IF_MATCH,),
        body=_BODY,
        problems=(*_PROBLEMS, 412, 503, 507),
        description="Warnings count as errors here. Nodes that have history go only with `allow_remove`.",
    ),
    Endpoint(
        "GET",
        f"{PREFIX}/definitions/export",
        export_definitions,
        "All that is applied, as one document",
        (Answer("What `validate` accepts and `plan` finds equal", None, YAML),),
        "definitions",
        reads=True,
    ),
]
