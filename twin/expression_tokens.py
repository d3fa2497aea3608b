"""The words that an expression is made of, each with its position."""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .errors import InvalidValueError
from .units import Unit, parse_unit

MAX_LENGTH = 2_000
_ESCAPES = {"n": "\n", "t": "\t"}
_KEYWORDS = {"and": "and", "or": "or", "not": "not", "in": "in", "&&": "and", "||": "or", "!": "not"}
_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("true", "True"), True),
    **dict.fromkeys(("false", "False"), False),
    **dict.fromkeys(("null", "none", "None"), None),
}
_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_NAME = re.compile(r"[^\W\d]\w*")
_TEXT = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_QUOTED_NAME = re.compile(r"`([^`]+)`")
_OPERATOR = re.compile(r"\*\*|//|<=|>=|==|!=|&&|\|\||[-+*/%<>=!()\[\],.}]")
_UNIT = re.compile(r"\s*([^\W\d]|°)[\w°²³·/^]*")
# `80%` is a share where no operand follows, else a remainder is meant: `7%2`.
_PERCENT = re.compile(r"%(?!\s*(?!(?:and|or|not|in)\b)[\w.('\"`\[])")


class Kind(Enum):
    """What a token is."""

    NUMBER = "a number"
    TEXT = "a text"
    NAME = "a name"
    CONSTANT = "a constant"
    OPERATOR = "an operator"
    END = "the end"


@dataclass(frozen=True, slots=True)
class Token:
    """A word at a position (offset in characters); a number may carry a unit."""

    kind: Kind
    value: Any
    position: int
    unit: Unit | None = None


def syntax_error(text: str, position: int, what: str) -> InvalidValueError:
    """What is wrong where in an expression."""
    shown = text if len(text) <= 120 else f"{text[:117]}..."
    return InvalidValueError(f"expression {shown!r}, column {position + 1}: {what}")


def tokenize(text: str, start: int = 0, closing: str | None = None) -> tuple[list[Token], int]:
    """The tokens from `start` on and the offset after them; they end with END, at `closing` (not consumed) if given."""
    if len(text) > MAX_LENGTH:
        raise syntax_error(text, MAX_LENGTH, f"longer than {MAX_LENGTH} characters")
    tokens: list[Token] = []
    position = _after(_SPACE, text, start)
    while position < len(text) and text[position] != closing:
        token, position = _token(text, position)
        tokens.append(token)
        position = _after(_SPACE, text, position)
    if closing and position >= len(text):
        raise syntax_error(text, position, f"expected {closing!r}")
    tokens.append(Token(Kind.END, None, position))
    return tokens, position


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _token(text: str, position: int) -> tuple[Token, int]:
    if match := _NUMBER.match(text, position):
        return _number(text, match)
    if match := _NAME.match(text, position):
        word = match[0]
        if word in _CONSTANTS:
            return Token(Kind.CONSTANT, _CONSTANTS[word], position), match.end()
        kind = Kind.OPERATOR if word in _KEYWORDS else Kind.NAME
        return Token(kind, word, position), match.end()
    if match := _TEXT.match(text, position):
        body = match[1] if match[1] is not None else match[2]
        plain = re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), body, flags=re.DOTALL)
        return Token(Kind.TEXT, plain, position), match.end()
    if match := _QUOTED_NAME.match(text, position):
        return Token(Kind.NAME, match[1], position), match.end()
    if match := _OPERATOR.match(text, position):
        operator = "==" if match[0] == "=" else _KEYWORDS.get(match[0], match[0])
        return Token(Kind.OPERATOR, operator, position), match.end()
    what = "a text that is not closed" if text[position] in "'\"`" else f"unexpected {text[position]!r}"
    raise syntax_error(text, position, what)


def _number(text: str, match: re.Match[str]) -> tuple[Token, int]:
    digits = match[0].replace("_", "")
    value = int(digits) if digits.isdigit() and len(digits) < 16 else float(digits)
    position, end = match.start(), match.end()
    if percent := _PERCENT.match(text, end):
        return Token(Kind.NUMBER, value, position, parse_unit("percent")), percent.end()
    unit, end = _unit(text, end)
    return Token(Kind.NUMBER, value, position, unit), end


def _unit(text: str, position: int) -> tuple[Unit | None, int]:
    """The longest unit that stands behind a number: `kW`, ` m/s`; in `10m/speed` it is `m`."""
    match = _UNIT.match(text, position)
    if match is None:
        return None, position
    word = match[0].strip()
    attached = not text[position].isspace()
    if not attached and (word in _KEYWORDS or word in _CONSTANTS):
        return None, position
    candidate = word
    while candidate:
        try:
            return parse_unit(candidate), match.end() - len(word) + len(candidate)
        except InvalidValueError as error:
            shorter = candidate.rpartition("/")[0]
            if not shorter:
                raise syntax_error(text, match.end() - len(word), str(error)) from None
            candidate = shorter
    return None, position
