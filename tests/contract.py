"""What clients of v1 rely on, in short: of REST each operation and schema, of GraphQL the schema.

`python tests/contract.py` writes it anew from the code, at each release; what is added since is not yet promised.
"""

import json
from pathlib import Path
from typing import Any

from graphql import print_schema

REST = Path(__file__).with_name("contract-v1.json")
GRAPHQL = Path(__file__).with_name("contract.graphql")
Json = dict[str, Any]


def promised(document: Json) -> Json:
    """The short form of an OpenAPI document."""
    operations = {
        f"{method.upper()} {path}": _operation(operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    schemas = {
        name: {
            "properties": {key: _kind(value) for key, value in schema.get("properties", {}).items()},
            "required": sorted(schema.get("required", [])),
        }
        for name, schema in document["components"]["schemas"].items()
    }
    return {"operations": operations, "schemas": schemas}


def _operation(operation: Json) -> Json:
    parameters = operation.get("parameters", [])
    return {
        "parameters": sorted(each["name"] for each in parameters),
        "required": sorted(each["name"] for each in parameters if each["required"]),
        "body": {media: _kind(each["schema"]) for media, each in _content(operation.get("requestBody"))},
        "answers": {
            status: {media: _kind(each["schema"]) for media, each in _content(answer)}
            for status, answer in operation["responses"].items()
            if status < "400"
        },
    }


def _content(holder: Json | None) -> list[tuple[str, Json]]:
    return list((holder or {}).get("content", {}).items())


def _kind(schema: Json) -> str:
    """The type in a word: what it is, of what, and whether it may be null."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return "|".join(sorted(_kind(each) for each in schema["anyOf"]))
    kind = schema.get("type", "any")
    kind = "|".join(sorted(kind)) if isinstance(kind, list) else str(kind)
    return f"{kind} of {_kind(schema['items'])}" if "items" in schema else kind


def breaks(former: Json, now: Json) -> list[str]:
    """What clients that were written for the former will miss, or be asked for."""
    found = []
    for name, was in former["operations"].items():
        found += _operation_breaks(name, was, now["operations"].get(name))
    bodies = {kind for each in former["operations"].values() for kind in each["body"].values()}
    for name, was in former["schemas"].items():
        new = now["schemas"].get(name)
        if new is None:
            found.append(f"the schema {name} is gone")
            continue
        found += [
            f"{name}.{key} was {kind} and is {new['properties'].get(key, 'gone')}"
            for key, kind in was["properties"].items()
            if new["properties"].get(key) != kind
        ]
        wanted, left = set(new["required"]) - set(was["required"]), set(was["required"]) - set(new["required"])
        found += [f"{name}.{key} is asked for now" for key in wanted if name in bodies]
        found += [f"{name}.{key} may be absent now" for key in left if name not in bodies]
    return found


def _operation_breaks(name: str, was: Json, now: Json | None) -> list[str]:
    if now is None:
        return [f"{name} is gone"]
    found = [f"{name} lost the parameter {each}" for each in set(was["parameters"]) - set(now["parameters"])]
    found += [f"{name} asks for {each} now" for each in set(now["required"]) - set(was["required"])]
    if was["body"] and now["body"] | was["body"] != now["body"]:
        found.append(f"{name} takes another body")
    if now["body"] and not was["body"]:
        found.append(f"{name} asks for a body now")
    for status, media in was["answers"].items():
        if now["answers"].get(status, {}) | media != now["answers"].get(status, {}):
            found.append(f"{name} answers {status} otherwise")
    return found


def rest_now() -> Json:
    """What the code promises."""
    from iotsense.rest.app import ENDPOINTS
    from iotsense.rest.openapi import openapi

    return promised(json.loads(json.dumps(openapi(ENDPOINTS, ""))))


def graphql_now() -> str:
    """The schema of GraphQL as text."""
    from iotsense.graphql.schema import schema

    return print_schema(schema._schema) + "\n"


if __name__ == "__main__":
    found = rest_now()
    lines = [
        f"  {json.dumps(part)}: {{\n"
        + ",\n".join(f"    {json.dumps(name)}: {json.dumps(each)}" for name, each in found[part].items())
        + "\n  }"
        for part in found
    ]
    REST.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    GRAPHQL.write_text(graphql_now())
