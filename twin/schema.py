"""The JSON Schema of definitions, for completion and checks while they are written.

It is written in draft 7, which editors understand best. What only the whole project shows (references, unique ids) and
what needs arithmetic (units that convert) it cannot say; `validate` does.
"""

import copy
import functools
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from .define_project import Project
from .durations import format_duration
from .joining import ONE_OR_MANY

DRAFT = "http://json-schema.org/draft-07/schema#"
_VARIABLE: dict[str, Any] = {"type": "string", "pattern": r"\$\{.+\}"}


class _Generator(GenerateJsonSchema):
    """Titles repeat the key in capitals, which helps nobody in an editor."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@functools.cache
def _schema() -> dict[str, Any]:
    schema = Project.model_json_schema(by_alias=True, schema_generator=_Generator)
    definitions = {name: _tidy(each) for name, each in schema.pop("$defs").items()}
    sections = {name: _section(name, _tidy(each)) for name, each in schema["properties"].items()}
    return {
        "$schema": DRAFT,
        "title": "IoTSense definitions",
        "description": "A plant and its service: digital twins, sources, rules. Any part of it may be in any file.",
        "type": "object",
        "additionalProperties": False,
        "properties": sections,
        "$defs": definitions,
    }


def json_schema() -> dict[str, Any]:
    """The schema of a file of definitions, as a new value each time."""
    return copy.deepcopy(_schema())


def _section(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A section, which may be empty (null) where it is only begun."""
    described = {key: schema.pop(key) for key in ("description",) if key in schema}
    schema.pop("default", None)
    one = [schema["items"]] if name in ONE_OR_MANY else []
    return described | {"anyOf": [*one, schema, {"type": "null"}]}


def _tidy(schema: Any) -> Any:
    """Without null (a key that has no value is a mistake), empty defaults, and keywords that no editor knows."""
    if isinstance(schema, list):
        return [_tidy(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {key: _tidy(each) for key, each in schema.items() if key not in ("discriminator", "title")}
    if isinstance(schema.get("properties"), dict):
        # A property may be called title; what is required comes first, so that editors offer it first.
        required = schema.get("required", ())
        ordered = sorted(schema["properties"].items(), key=lambda entry: entry[0] not in required)
        tidy["properties"] = {name: _tidy(each) for name, each in ordered}
    if "100ms" in tidy.get("examples", ()) and isinstance(tidy.get("default"), float):
        tidy["default"] = format_duration(tidy["default"])
    if tidy.get("default", 0) in (None, []) or isinstance(tidy.get("default"), dict):
        del tidy["default"]
    tidy = _without_null(tidy)
    if "$ref" in tidy and len(tidy) > 1:
        # Beside a reference, draft 7 ignores everything else.
        tidy["allOf"] = [{"$ref": tidy.pop("$ref")}]
    return _with_variables(tidy)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    choices = schema.get("anyOf", [])
    rest = [choice for choice in choices if choice != {"type": "null"}]
    if len(rest) == len(choices):
        return schema
    outer = {key: each for key, each in schema.items() if key != "anyOf"}
    # What the field says of itself goes before what its type says.
    return rest[0] | outer if len(rest) == 1 else outer | {"anyOf": rest}


def _with_variables(schema: dict[str, Any]) -> dict[str, Any]:
    """A number, a boolean or a part of a text may come from the environment: `port: ${PORT}`."""
    pattern = schema.get("pattern")
    if pattern is not None and r"\$\{" not in pattern:
        return schema | {"pattern": rf"{pattern}|\$\{{.+\}}"}
    if schema.get("type") not in ("integer", "number", "boolean") or "$ref" in schema:
        return schema
    description, default = schema.get("description"), schema.get("default", ...)
    plain = {key: each for key, each in schema.items() if key not in ("description", "default")}
    choices: dict[str, Any] = {"anyOf": [plain, _VARIABLE]}
    if description is not None:
        choices["description"] = description
    if default is not ...:
        choices["default"] = default
    return choices
