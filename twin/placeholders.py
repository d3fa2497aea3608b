"""`${...}` that the definition itself fills in: `${each.id}` of a `for_each`, for example.

Only references whose names the place offers are filled in; all others (`${PLANT_ID}`, `${topic}`) stay as they are, for
the environment or for the engine that they are meant for.
"""

import functools
import re
from typing import Any

from .errors import InvalidValueError, NotFoundError
from .expression_values import Namespace, lookup, written
from .expressions import Expression, compile_expression
from .suggestion import nearest

REFERENCE = re.compile(r"(?<!\$)\$\{([^{}]*)\}")
_WORD = re.compile(r"[A-Za-z_]\w*")


def fill(text: str, namespace: Namespace) -> Any:
    """The text with the values in place; a text that is one reference and nothing else becomes the value itself.

    Raises InvalidValueError or NotFoundError if a reference names something of the place and cannot be filled in.
    """
    whole = REFERENCE.fullmatch(text)
    if whole is not None:
        expression = _concerning(whole[1], namespace)
        return text if expression is None else _value(expression, namespace)
    return REFERENCE.sub(lambda match: _written(match, namespace), text)


def _written(match: re.Match[str], namespace: Namespace) -> str:
    expression = _concerning(match[1], namespace)
    return match[0] if expression is None else written(_value(expression, namespace))


def plain_name(text: str) -> str | None:
    """The dotted name that a text refers to if it is nothing but that: `each.source` of `${each.source}`."""
    whole = REFERENCE.fullmatch(text)
    expression = _compiled(whole[1]) if whole else None
    names = expression.names() if isinstance(expression, Expression) else ()
    return names[0] if whole and names == (whole[1].strip(),) else None


def _concerning(reference: str, namespace: Namespace) -> Expression | None:
    """The expression of a reference that speaks of what the place offers, else None."""
    compiled = _compiled(reference)
    if isinstance(compiled, InvalidValueError):
        if any(word in namespace for word in _WORD.findall(reference)):
            raise compiled.with_traceback(None)
        return None
    roots = [name.partition(".")[0] for name in compiled.names()]
    if not any(root in namespace for root in roots):
        return None
    for name, root in zip(compiled.names(), roots, strict=True):
        if root not in namespace:
            raise NotFoundError(f"{name!r} is not known here; there are {', '.join(namespace)}")
        _look_up(name, namespace)
    return compiled


def _look_up(name: str, namespace: Namespace) -> None:
    try:
        lookup(namespace, name)
    except NotFoundError:
        owner, _, last = name.rpartition(".")
        holder = lookup(namespace, owner) if owner else namespace
        known = tuple(holder) if isinstance(holder, dict) else ()
        near = nearest(last, known)
        hint = f"; did you mean {f'{owner}.{near}'!r}?" if near else f"; it has {', '.join(known)}" if known else ""
        raise NotFoundError(f"{name!r} is not known here{hint}") from None


@functools.lru_cache(maxsize=4096)
def _compiled(reference: str) -> Expression | InvalidValueError:
    try:
        return compile_expression(reference)
    except InvalidValueError as error:
        return error


def _value(expression: Expression, namespace: Namespace) -> Any:
    value = expression.evaluate(namespace)
    if value is None:
        raise InvalidValueError(f"${{{expression.text}}} has no value")
    return value


def names_in(text: str) -> tuple[str, ...]:
    """The names that the references of a text speak of. Raises InvalidValueError if one is no expression."""
    names: dict[str, None] = {}
    for reference in REFERENCE.findall(text):
        compiled = _compiled(reference)
        if isinstance(compiled, InvalidValueError):
            raise compiled.with_traceback(None)
        names |= dict.fromkeys(compiled.names())
    return tuple(names)
