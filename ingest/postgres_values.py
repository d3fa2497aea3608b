"""PostgreSQL's values as it writes them in text, by the OIDs of its built-in types."""

from collections.abc import Callable
from typing import Any

import msgspec

_NUMBERS = {20, 21, 23, 26}  # int8, int2, int4, oid
_FLOATS = {700, 701, 1700}  # float4, float8, numeric
# Arrays, and what they hold.
_ARRAYS = {
    1000: 16, 1005: 21, 1007: 23, 1016: 20, 1021: 700, 1022: 701, 1231: 1700,
    1009: 25, 1015: 1043, 1014: 1042, 1115: 1114, 1185: 1184, 1182: 1082, 2951: 2950,
}  # fmt: skip
_JSON = {114, 3802}


def of_text(text: str, oid: int) -> Any:
    """A value of a type: numbers, truth values, lists and JSON become Python's, all else (time stamps, too) is text.

    numeric becomes a float, of which the first 15 digits count.
    """
    if oid in _NUMBERS:
        return int(text)
    if oid in _FLOATS:
        return float(text)
    if oid == 16:
        return text == "t"
    if oid in _ARRAYS:
        return _array(text, _ARRAYS[oid])
    if oid in _JSON:
        return msgspec.json.decode(text)
    return text


def _array(text: str, oid: int) -> list[Any]:
    """`{1,2,NULL}`, `{{1,2},{3,4}}`, `{"a,b","c\\"d"}`; a lower bound in front (`[0:1]=`) is left out."""
    start = text.index("{")
    found, _ = _elements(text, start + 1, lambda element: of_text(element, oid))
    return found


def _elements(text: str, at: int, convert: Callable[[str], Any]) -> tuple[list[Any], int]:
    found: list[Any] = []
    while text[at] != "}":
        if text[at] == ",":
            at += 1
        elif text[at] == "{":
            inner, at = _elements(text, at + 1, convert)
            found.append(inner)
        elif text[at] == '"':
            element, at = _quoted(text, at + 1)
            found.append(convert(element))
        else:
            end = at
            while text[end] not in ",}":
                end += 1
            element = text[at:end]
            found.append(None if element == "NULL" else convert(element))
            at = end
    return found, at + 1


def _quoted(text: str, at: int) -> tuple[str, int]:
    letters = []
    while text[at] != '"':
        at += text[at] == "\\"
        letters.append(text[at])
        at += 1
    return "".join(letters), at + 1
