"""The OpenAPI 3.1 document, made of the same table that makes the routes."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from . import problem
from .endpoint import Answer, Body, Endpoint, Parameter
from .moment import MOMENT

_PLACEHOLDER = re.compile(r"\{(\w+)(?::\w+)?\}")
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457; `type` is the path of a page on the service that explains the problem",
    "properties": {
        "type": {"type": "string", "enum": [kind.type for kind in problem.ALL]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "field": {
            "type": "string",
            "description": "The place of the wrong value, such as `$[3].measurements[0].value`",
        },
        "candidates": {"type": "array", "items": {"type": "string"}},
        "findings": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["type", "title", "status", "detail"],
}
_PATH_PARAMETERS = {"id": "The full id, or a short one where it is unambiguous", "name": "The problem's name"}


def openapi(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """The document; schemas come from the msgspec structs that the endpoints answer with."""
    types = list(_types(endpoints))
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = {id(type): schema for type, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        path = _PLACEHOLDER.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "IoTSense",
            "version": version,
            "summary": "The live twin of a plant: state, history, events and definitions",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": {**components, "Problem": _PROBLEM}},
    }


def _types(endpoints: Iterable[Endpoint]) -> Iterable[Any]:
    seen: dict[int, Any] = {}
    for endpoint in endpoints:
        found = [answer.type for answer in endpoint.answers]
        found += endpoint.body.types.values() if endpoint.body else []
        seen |= {id(type): type for type in found if type is not None}
    return seen.values()


def _operation(endpoint: Endpoint, schemas: dict[int, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.operation,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    parameters = [_in_path(name) for name in _PLACEHOLDER.findall(endpoint.path)]
    parameters += [_parameter(parameter) for parameter in endpoint.parameters + (MOMENT if endpoint.reads else ())]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body:
        operation["requestBody"] = _body(endpoint.body, schemas)
    return operation


def _responses(endpoint: Endpoint, schemas: dict[int, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for answer in endpoint.answers:
        entry = responses.setdefault(str(answer.status), {"description": answer.meaning})
        if answer.media is not None:
            entry.setdefault("content", {})[answer.media] = {"schema": _schema(answer, schemas)}
    of_moment = (400, 404, 503) if endpoint.reads else ()
    for status in sorted({*endpoint.problems, *of_moment, 500}):
        titles = "; ".join(dict.fromkeys(kind.title for kind in problem.ALL if kind.status == status))
        content = {problem.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        responses.setdefault(str(status), {"description": titles, "content": content})
    return responses


def _schema(answer: Answer, schemas: dict[int, Any]) -> Any:
    return {} if answer.type is None else schemas[id(answer.type)]


def _body(body: Body, schemas: dict[int, Any]) -> dict[str, Any]:
    content = {media: {"schema": {} if type is None else schemas[id(type)]} for media, type in body.types.items()}
    return {"required": True, "content": content} | ({"description": body.meaning} if body.meaning else {})


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.meaning,
        "required": parameter.required,
        "schema": parameter.schema,
    }


def _in_path(name: str) -> dict[str, Any]:
    meaning = _PATH_PARAMETERS.get(name, name)
    return {"name": name, "in": "path", "required": True, "description": meaning, "schema": {"type": "string"}}
