"""The OpenAPI 3.1 document, made of the same table that makes the routes."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from . import once, problem
from .endpoint import JSON, Answer, Body, Endpoint, Parameter
from .moment import MOMENT
from .scopes import scope_of

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
_SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "A key: `Authorization: Bearer KEY` (docs/access.md)"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key"},
}
"""As long as there is no key, nobody has to show one."""
_PATH_PARAMETERS = {"id": "The full id, or a short one where it is unambiguous", "name": "The name of what is meant"}


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
        "components": {"schemas": {**components, "Problem": _PROBLEM}, "securitySchemes": _SECURITY},
        "security": [{name: []} for name in _SECURITY],
    }


def _types(endpoints: Iterable[Endpoint]) -> Iterable[Any]:
    seen: dict[int, Any] = {}
    for endpoint in endpoints:
        found = [answer.type for answer in endpoint.answers]
        found.append(endpoint.refusal)
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
    if (retirement := endpoint.retirement) is not None:
        operation["deprecated"] = True
        gone = f"Deprecated since {retirement.since}, gone from {retirement.sunset} on: {retirement.instead}"
        operation["description"] = f"{operation.get('description', '')} {gone}".strip()
    if scope := scope_of(endpoint):
        operation["x-scope"] = scope
    else:
        operation["security"] = []
    parameters = [_in_path(name) for name in _PLACEHOLDER.findall(endpoint.path)]
    parameters += [_parameter(parameter) for parameter in _parameters_of(endpoint)]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body:
        operation["requestBody"] = _body(endpoint.body, schemas)
    return operation


def _parameters_of(endpoint: Endpoint) -> tuple[Parameter, ...]:
    of_all = (MOMENT if endpoint.reads else ()) + ((once.PARAMETER,) if once.takes_key(endpoint) else ())
    return endpoint.parameters + of_all


def _responses(endpoint: Endpoint, schemas: dict[int, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for answer in endpoint.answers:
        entry = responses.setdefault(str(answer.status), {"description": answer.meaning})
        if answer.media is not None:
            entry.setdefault("content", {})[answer.media] = {"schema": _schema(answer, schemas)}
    of_moment = (404, 412) if endpoint.reads else ()
    of_key = once.PROBLEMS if once.takes_key(endpoint) else ()
    of_access = (401, 403, 429) if scope_of(endpoint) else ()
    for status in sorted({400, *endpoint.problems, *of_moment, *of_key, *of_access, 500}):
        titles = "; ".join(dict.fromkeys(kind.title for kind in problem.ALL if kind.status == status))
        content: dict[str, Any] = {problem.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        if endpoint.refusal is not None:
            content[JSON] = {"schema": schemas[id(endpoint.refusal)]}
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
