"""A proposal as YAML as a person would write it: comments, short mappings on one line, texts quoted where needed."""

import re
from collections.abc import Iterator
from typing import Any

from ..twin.document import scalar
from .proposal import COMMENT, Proposal, counted

WIDTH = 118
_PLAIN = re.compile(r"[A-Za-z0-9_$][A-Za-z0-9_ ./()%°µ²³+-]*\Z")
# Words that some reader of YAML, of version 1.1 or 1.2, takes for something else than text.
_NO_TEXT = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def proposal_yaml(proposal: Proposal, heading: str) -> str:
    """The document below a comment that says where it comes from and what was left out."""
    comments = [
        f"{heading}: {counted(proposal.components, 'component')}, {counted(proposal.sensors, 'sensor')}.",
        "For an engineer to edit: `iotsense validate FILE` checks it, `iotsense plan FILE` says what it would change.",
    ]
    if proposal.notes:
        comments += ["", "Left out, or to be looked at:", *(f"- {note}" for note in proposal.notes)]
    lines = [f"# {comment}".rstrip() for comment in comments]
    for section, value in proposal.document.items():
        lines += ["", f"{_text(section)}:", *_block(value, 2)]
    return "\n".join(lines) + "\n"


def _block(value: Any, indent: int) -> Iterator[str]:
    if isinstance(value, dict):
        yield from _mapping(value, indent)
    else:
        for item in value:
            yield from _list_item(item, indent)


def _mapping(value: dict[str, Any], indent: int) -> Iterator[str]:
    space = " " * indent
    for comment in value.get(COMMENT, ()):
        yield f"{space}# {comment}"
    for key, inner in value.items():
        if key == COMMENT:
            continue
        head = f"{space}{_text(key)}:"
        if _is_scalar(inner) or _fits(inner, len(head) + 1, short=not isinstance(inner, dict)):
            yield f"{head} {_flow(inner)}"
        else:
            yield head
            yield from _block(inner, indent + 2)


def _list_item(item: Any, indent: int) -> Iterator[str]:
    space = " " * indent
    comments = item.get(COMMENT, ()) if isinstance(item, dict) else ()
    for comment in comments:
        yield f"{space}# {comment}"
    plain = {key: inner for key, inner in item.items() if key != COMMENT} if isinstance(item, dict) else item
    if _is_scalar(plain) or _fits(plain, indent + 2):
        yield f"{space}- {_flow(plain)}"
        return
    # The first line of what stands in the item follows its dash.
    lines = _block(plain, indent + 2)
    first = next(lines)
    yield f"{space}- {first[indent + 2 :]}"
    yield from lines


def _fits(value: Any, before: int, short: bool = True) -> bool:
    """Whether it stands on one line: nothing but scalars in it, or lists of them."""
    if not value:
        return True
    inner = list(value.values() if isinstance(value, dict) else value)
    flat = all(_is_scalar(each) or (isinstance(each, list) and all(map(_is_scalar, each))) for each in inner)
    return short and flat and COMMENT not in value and before + len(_flow(value)) <= WIDTH


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_text(key)}: {_flow(inner)}' for key, inner in value.items())} }}" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    return _text(value) if isinstance(value, str) else "null" if value is None else str(value)


def _number(value: float) -> str:
    if value.is_integer() and abs(value) < 1e15:
        return f"{value:.0f}"
    text = repr(value)
    # Without a point `1e+300` is a text to readers of YAML 1.1.
    return text if "." in text else text.replace("e", ".0e")


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, dict | list | tuple)


def _text(text: str) -> str:
    plain = _PLAIN.match(text) and text == text.strip() and text.lower() not in _NO_TEXT
    if plain and scalar(text) == text and not _looks_like_number(text):
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _looks_like_number(text: str) -> bool:
    """Whether some reader of YAML may take it for a number, a time or a date (`1_000`, `0x1f_2`, `2026-11-26`)."""
    return re.match(r"[0-9][0-9A-Za-z_.+-]*\Z", text) is not None


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65_536 else f"\\U{code:08x}"
