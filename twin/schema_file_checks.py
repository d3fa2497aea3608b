"""Checks of the schema files of payloads: they compile, hold the message, and the schema's paths lead into it."""

import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from .define_payload import Payload
from .define_project import Project
from .errors import InvalidValueError, MissingExtraError
from .finding import Path
from .plant_index import Problem
from .protobuf_schema import load_message_type, unknown_field
from .source_checks import ITEM_KEYS, connections

_STEP = re.compile(r"\.(?P<name>[A-Za-z_]\w*)|\[\s*['\"](?P<quoted>[^'\"]+)['\"]\s*\]|\[\s*(-?\d+|\*)\s*\]")


def check_schema_files(project: Project) -> Iterator[Problem]:
    """What is wrong with `schema_file`, `message_type` and the paths of protobuf payloads."""
    for path, payload in _payloads(project):
        if payload.schema_file is None or not FilePath(payload.schema_file).exists():
            continue  # a missing file was told already
        try:
            message = load_message_type(payload.schema_file, payload.message_type)
        except MissingExtraError as error:
            yield Problem((*path, "schema_file"), str(error), severity="warning")
        except InvalidValueError as error:
            yield Problem((*path, error.field or "schema_file"), str(error))
        else:
            yield from _paths(payload, message.descriptor, path)


def _payloads(project: Project) -> Iterator[tuple[Path, Payload]]:
    for connection in connections(project):
        for field in ITEM_KEYS:
            for number, item in enumerate(getattr(connection.model, field, ())):
                if isinstance(item, Payload):
                    yield (*connection.path, field, number), item
    for number, topic in enumerate(project.iotsense.ingestion.mqtt.topics):
        yield ("iotsense", "ingestion", "mqtt", "topics", number), topic


def _paths(payload: Payload, descriptor: Any, path: Path) -> Iterator[Problem]:
    schema = payload.schema_
    if schema is None or payload.usual_parser != "protobuf":
        return
    fields = {name: getattr(schema, name) for name in ("device_id", "name", "value", "unit", "timestamp", "quality")}
    places: dict[Path, Any] = {(name,): text for name, text in fields.items()}
    places |= {("metadata", name): text for name, text in schema.metadata.items()}
    if schema.waveform is not None:
        for name in ("samples", "sample_rate", "sample_interval", "start"):
            places["waveform", name] = getattr(schema.waveform, name)
    for keys, text in places.items():
        steps = _steps(text)
        if steps and (reason := unknown_field(descriptor, steps)):
            yield Problem((*path, "schema", *keys), reason)


def _steps(text: Any) -> list[str | None]:
    """The names that a plain path goes through (None: an element); nothing for a path that is not plain."""
    if not isinstance(text, str) or not text.startswith("$") or text.startswith("${"):
        return []
    rest, steps = text[1:].removesuffix("~"), list[str | None]()
    while rest:
        match = _STEP.match(rest)
        if match is None:
            return []
        steps.append(match["name"] or match["quoted"])
        rest = rest[match.end() :]
    return steps
