"""The InfluxDB line protocol: `measurement,tag=text field=1.5,other=2i 1700000000000000000`, a line each point.

The syntax is that of InfluxDB's reference: escapes, quoted strings with line breaks in them, comments, integers (`i`),
unsigned integers (`u`), booleans, strings.
"""

import re
from collections.abc import Iterator

import msgspec

from ..twin.errors import InvalidValueError

FieldValue = float | int | bool | str

# A backslash is one unless it stands before what it escapes.
_WORD = re.compile(rb"(?:\\[, =]|[^, =\n])*")
_MEASUREMENT = re.compile(rb"(?:\\[, ]|[^, \n])*")
_BARE = re.compile(rb"[^, \n]*")
_STRING = re.compile(rb'"((?:\\.|[^"\\])*)"', re.DOTALL)
_REST = re.compile(rb"[ \t]*(?P<stamp>[^ \t\r\n]*)[ \t]*\r?(?P<more>[^\n]*)")
_FLOAT = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")
_INTEGER = re.compile(rb"(-?\d+)i\Z")
_UNSIGNED = re.compile(rb"(\d+)u\Z")
_STAMP = re.compile(rb"-?\d+\Z")
_ESCAPED = {_WORD: re.compile(rb"\\([, =])"), _MEASUREMENT: re.compile(rb"\\([, ])")}
_ESCAPED_IN_STRING = re.compile(rb'\\(["\\])')
_TRUTH = {
    **dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), True),
    **dict.fromkeys((b"f", b"F", b"false", b"False", b"FALSE"), False),
}
_INT64, _UINT64 = 2**63, 2**64
_SHOWN = 120


class Line(msgspec.Struct):
    """One point. `stamp` is in the request's precision; None: the time of arrival counts. `text`: as it was sent."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, FieldValue]
    stamp: int | None
    text: bytes = b""


class BadLine(msgspec.Struct):
    """A line that is none: why, and as it was sent."""

    reason: str
    text: bytes


def parse_lines(payload: bytes) -> Iterator[Line | BadLine]:
    """The lines of a payload, whatever is in them; empty lines and comments are left out."""
    at, end = 0, len(payload)
    while at < end:
        if payload[at] in b" \t\r\n\0":
            at += 1
            continue
        if payload[at] == 35:  # a comment
            at = _line_end(payload, at)
            continue
        try:
            line, after = _parse(payload, at)
            line.text = payload[at:after].rstrip(b"\r\n")
            yield line
        except InvalidValueError as error:
            after = _line_end(payload, at)
            text = payload[at:after].rstrip(b"\r")
            shown = text[:_SHOWN].decode("utf-8", "replace") + ("..." if len(text) > _SHOWN else "")
            yield BadLine(f"unable to parse '{shown}': {error}", text)
        at = after + 1


def _line_end(payload: bytes, at: int) -> int:
    end = payload.find(b"\n", at)
    return len(payload) if end < 0 else end


def _parse(payload: bytes, at: int) -> tuple[Line, int]:
    name, at = _word(_MEASUREMENT, payload, at)
    if not name:
        raise InvalidValueError("missing measurement")
    tags: dict[str, str] = {}
    while payload[at : at + 1] == b",":
        key, text, at = _tag(payload, at + 1)
        if key in tags:
            raise InvalidValueError(f"duplicate tag {key}")
        tags[key] = text
    while payload[at : at + 1] == b" ":
        at += 1
    fields: dict[str, FieldValue] = {}
    while True:
        key, field, at = _field(payload, at)
        fields[key] = field
        if payload[at : at + 1] != b",":
            break
        at += 1
    stamp, at = _stamp(payload, at)
    return Line(name, tags, fields, stamp), at


def _word(pattern: re.Pattern[bytes], payload: bytes, at: int) -> tuple[str, int]:
    match = pattern.match(payload, at)
    assert match is not None  # they match the empty text, too
    return _text(_ESCAPED[pattern].sub(rb"\1", match[0])), match.end()


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InvalidValueError("it is not UTF-8") from None


def _tag(payload: bytes, at: int) -> tuple[str, str, int]:
    key, at = _word(_WORD, payload, at)
    if not key:
        raise InvalidValueError("missing tag key")
    if payload[at : at + 1] != b"=":
        raise InvalidValueError(f"missing value of tag {key}")
    text, at = _word(_WORD, payload, at + 1)
    if not text:
        raise InvalidValueError(f"missing value of tag {key}")
    if payload[at : at + 1] == b"=":
        raise InvalidValueError(f"the value of tag {key} holds a =, which is written \\=")
    return key, text, at


def _field(payload: bytes, at: int) -> tuple[str, FieldValue, int]:
    key, at = _word(_WORD, payload, at)
    if not key:
        raise InvalidValueError("missing fields")
    if payload[at : at + 1] != b"=":
        raise InvalidValueError(f"missing value of field {key}")
    at += 1
    if payload[at : at + 1] == b'"':
        string = _STRING.match(payload, at)
        if string is None:
            raise InvalidValueError(f"unbalanced quotes in field {key}")
        return key, _text(_ESCAPED_IN_STRING.sub(rb"\1", string[1])), string.end()
    bare = _BARE.match(payload, at)
    assert bare is not None
    return key, field_value(bare[0].rstrip(b"\r"), key), bare.end()


def field_value(text: bytes, key: str) -> FieldValue:
    """A field's value that is no string; raises InvalidValueError."""
    if _FLOAT.match(text):
        value = float(text)
        if value - value != 0.0:
            raise InvalidValueError(f"field {key} is beyond what a float holds")
        return value
    if text in _TRUTH:
        return _TRUTH[text]
    if whole := _INTEGER.match(text):
        number = int(whole[1])
        if not -_INT64 <= number < _INT64:
            raise InvalidValueError(f"field {key} is beyond 64 bits")
        return number
    if whole := _UNSIGNED.match(text):
        number = int(whole[1])
        if number >= _UINT64:
            raise InvalidValueError(f"field {key} is beyond 64 bits")
        return number
    if not text:
        raise InvalidValueError(f"missing value of field {key}")
    shown = text[:40].decode("utf-8", "replace")
    raise InvalidValueError(f'invalid value {shown} of field {key}: 1.5, 2i, 3u, true, or "text" is expected')


def _stamp(payload: bytes, at: int) -> tuple[int | None, int]:
    rest = _REST.match(payload, at)
    assert rest is not None
    stamp = rest["stamp"]
    if rest["more"].strip():
        raise InvalidValueError("something follows the timestamp; spaces and commas in names are written with \\")
    if not stamp:
        return None, rest.end()
    if payload[at : at + 1] not in (b" ", b"\t") or not _STAMP.match(stamp):
        raise InvalidValueError(f"bad timestamp {stamp[:40].decode('utf-8', 'replace')}")
    return int(stamp), rest.end()
