"""The building blocks of definitions: the base of every model, and the values that fields hold.

A field's type says what it accepts, what it becomes (a window of `"1h"` is 3600.0 seconds) and how it is written back.
"""

import functools
import re
from collections.abc import Callable
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from .byte_sizes import format_bytes, parse_bytes
from .durations import format_duration, parse_duration
from .errors import InvalidValueError
from .expressions import compile_expression
from .schedules import parse_clock, parse_schedule
from .times import parse_time
from .units import parse_unit

MAX_ID_LENGTH = 200


class Model(BaseModel):
    """Base of all definitions: names as in the YAML, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        defer_build=True,
        hide_input_in_errors=True,
    )


def refuse(message: str, suggestion: str | None = None, field: str | None = None) -> PydanticCustomError:
    """A mistake of the author's, in the words of the person who reads it; `field` is where to look."""
    return PydanticCustomError(
        "definition", "{message}", {"message": message, "suggestion": suggestion, "field": field}
    )


def check(parse: Callable[[str], Any]) -> Callable[[str], str]:
    """A validator that keeps a text as written if `parse` accepts it."""

    # A mistake is often made more than once, and the search for what was meant takes long.
    @functools.lru_cache(maxsize=4096)
    def mistake(value: str) -> InvalidValueError | None:
        try:
            parse(value)
        except InvalidValueError as error:
            return error.with_traceback(None)
        return None

    def checked(value: str) -> str:
        if (error := mistake(value)) is not None:
            raise _refusal(error)
        return value

    return checked


_HINT = re.compile(r"; did you mean '([^']+)'.*", re.DOTALL)


def _refusal(error: InvalidValueError) -> PydanticCustomError:
    """A mistake with the hint that its words hold, if any, apart from them."""
    text = str(error)
    hint = _HINT.search(text)
    return refuse(text[: hint.start()] if hint else text, hint[1] if hint else None)


def _duration(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise refuse(f"found the number {value}, expected a duration with its unit, such as '{value}s' or '1h'")
    return _seconds(value)


def _seconds(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise refuse(f"found {kind_of(value)}, expected a duration")
    if isinstance(value, str) and value.lstrip().startswith("-"):
        raise refuse(f"a duration must be positive, not {value!r}")
    try:
        return parse_duration(value)
    except InvalidValueError as error:
        raise _refusal(error) from None


def _days(value: Any) -> Any:
    return _seconds(value) / 86_400 if isinstance(value, str) else value


def kind_of(value: Any) -> str:
    """What a value is, in the words of YAML."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"{str(value).lower()} (a boolean)"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {shorten(value)!r}"
    return "a list" if isinstance(value, list) else "a mapping"


def shorten(text: str, length: int = 80) -> str:
    """The beginning of a long text."""
    return text if len(text) <= length else text[: length - 1] + "…"


DURATION_PATTERN = r"^\s*[0-9].*[A-Za-zµμ]\s*$"
_DURATION_SCHEMA: dict[str, Any] = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["100ms", "1h", "90d"]}

Duration = Annotated[
    float,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""Seconds, written with a unit: `"1h"`, `"90d"`, `"100ms"`."""

Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, _DURATION_SCHEMA]}),
]
"""Seconds, written as a number of seconds or with a unit."""

Days = Annotated[
    float,
    BeforeValidator(_days),
    Field(gt=0),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, _DURATION_SCHEMA]}),
]
"""Days, written as a number of days or with a unit."""


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        raise refuse(f"found {kind_of(value)}, expected an amount of bytes with its unit, such as '10GB'")
    try:
        return parse_bytes(value)
    except InvalidValueError as error:
        raise _refusal(error) from None


Bytes = Annotated[
    int,
    BeforeValidator(_bytes),
    Field(gt=0),
    PlainSerializer(format_bytes, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\s*[0-9].*[Bb]\s*$", "examples": ["512MB", "10GB"]}),
]
"""An amount of bytes, written with a unit: `"512MB"`, `"10GB"`."""

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*\Z")
_ID_SCHEMA: dict[str, Any] = {"type": "string", "pattern": r"^[A-Za-z0-9_][A-Za-z0-9_-]*$"}


def _id(text: str) -> str:
    if not _ID.match(text) or len(text) > MAX_ID_LENGTH:
        proposal = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")
        raise refuse(
            f"found {shorten(text)!r}, expected an id of letters, digits, '_' and '-' (dots join the parts of a path)",
            proposal if proposal and _ID.match(proposal) else None,
        )
    return text


Id = Annotated[str, AfterValidator(_id), WithJsonSchema(_ID_SCHEMA)]
"""One part of a node's dotted id."""


def _reference(text: str) -> str:
    if not text or not all(_ID.match(part) for part in text.split(".")):
        raise refuse(f"found {shorten(text)!r}, expected the id of a node, such as line_1.conveyor_1")
    return text


Reference = Annotated[str, AfterValidator(_reference), WithJsonSchema({"type": "string"})]
"""A node's dotted id, or the end of it where that is unambiguous."""


def _name(text: str) -> str:
    if not text.strip():
        raise refuse("found an empty text, expected a name")
    return text


Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "minLength": 1})]
UnitText = Annotated[str, AfterValidator(check(parse_unit)), WithJsonSchema({"type": "string"})]
InstantText = Annotated[
    str, AfterValidator(check(parse_time)), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""A unit by name (`celsius`), symbol (`°C`), UCUM (`Cel`) or UNECE code (`CEL`)."""

Expression = Annotated[str, AfterValidator(check(compile_expression)), WithJsonSchema({"type": "string"})]
ScheduleText = Annotated[str, AfterValidator(check(parse_schedule)), WithJsonSchema({"type": "string"})]
Clock = Annotated[
    str,
    AfterValidator(check(parse_clock)),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d{1,2}:\d{2}(:\d{2})?\s*$"}),
]


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        from .suggestion import nearest_timezone

        raise refuse(
            f"found {shorten(text)!r}, expected a time zone of the IANA database, such as Europe/Berlin",
            nearest_timezone(text),
        ) from None
    return text


Timezone = Annotated[str, AfterValidator(_timezone), WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"]})]


class FileMark:
    """Marks a field that names a file: `validate` looks whether it is there."""


FileName = Annotated[str, AfterValidator(_name), FileMark(), WithJsonSchema({"type": "string"})]
"""A file, absolute or relative to the project's folder."""


class SecretMark:
    """Marks a field that holds a secret: a reference to the environment or a file, never the secret itself."""


_SECRET = re.compile(r"\$\{(env\.)?[A-Za-z_][A-Za-z0-9_]*\}\Z|\$\{file:[^}]+\}\Z")


def _secret(text: str) -> str:
    if not _SECRET.match(text):
        # The found text is not repeated: a finding may end up in a log.
        raise refuse(
            "found a secret in the clear, expected a reference to it: ${VARIABLE}, or ${file:/run/secrets/NAME}"
        )
    return text


Secret = Annotated[
    str,
    AfterValidator(_secret),
    SecretMark(),
    WithJsonSchema({"type": "string", "pattern": r"^\$\{.+\}$", "examples": ["${MQTT_PASSWORD}"]}),
]
"""`${VARIABLE}` or `${file:PATH}`; `substitution.reveal` fetches what it stands for."""

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Properties = dict[str, JsonValue]
