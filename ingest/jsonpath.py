"""JSONPath, compiled: the everyday subset to plain closures, all else (filters, slices, `..`) to a library.

The subset: `$.a.b`, `$['a b']`, `$[0]`, `$[-1]`, wildcards `[*]` and `.*` over arrays and objects, and a last `~` for
the name under which an element was found (`$.sensors.*~`).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..twin.errors import InvalidValueError, MissingExtraError

Getter = Callable[[Any], Any]
"""A value of a document; None if it is not there."""

_STEP = re.compile(
    r"""\.(?P<name>[^\W\d][\w-]*)          # .name
      | \[\s*(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*\]   # ['any name']
      | \[\s*(?P<index>-?\d+)\s*\]         # [0], [-1]
      | (?P<wild>\.\*|\[\s*\*\s*\])        # .*, [*]
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(.)")


class Wildcard:
    """The step that goes through all elements."""

    def __repr__(self) -> str:
        return "[*]"


WILDCARD = Wildcard()
Step = str | int | Wildcard
Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A compiled path. `steps` is None if a library evaluates it; `names` asks for an element's name instead."""

    text: str
    steps: Steps | None
    names: bool = False
    _find: Callable[[Any], list[Any]] | None = None

    @property
    def many(self) -> bool:
        """Whether it may find more than one value."""
        return self.steps is None or WILDCARD in self.steps

    @property
    def prefix(self) -> Steps:
        """The steps up to and with the last wildcard; empty for a path to one value."""
        steps = self.steps or ()
        last = max((i for i, step in enumerate(steps) if step is WILDCARD), default=-1)
        return steps[: last + 1]

    @property
    def rest(self) -> Steps:
        """The steps behind the last wildcard."""
        return (self.steps or ())[len(self.prefix) :]

    def find(self, document: Any) -> list[Any]:
        """All values, in the order of the document; None for an element that lacks the rest of the path."""
        if self._find is not None:
            return self._find(document)
        get = getter(self.rest)
        if not self.prefix:
            return [get(document)]
        elements = each(self.prefix, document)
        return [name for name, _ in elements] if self.names else [get(element) for _, element in elements]


def compile_path(text: str) -> JsonPath:
    """Compiles a path. Raises InvalidValueError if it is none, MissingExtraError if it needs the library."""
    path = text.strip()
    if not path.startswith("$"):
        raise InvalidValueError(f"{text!r} is not a JSONPath; it begins with $")
    names = path.endswith("~")
    steps = _steps(path[1:-1] if names else path[1:])
    if steps is None:
        return JsonPath(text, None, False, _library_find(path))
    if names and (not steps or steps[-1] is not WILDCARD):
        raise InvalidValueError(f"{text!r}: ~ stands behind a wildcard, as in $.sensors.*~")
    return JsonPath(text, steps, names)


def _steps(text: str) -> Steps | None:
    steps: list[Step] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            return None
        position = match.end()
        if match["name"] is not None:
            steps.append(match["name"])
        elif match["quoted"] is not None:
            steps.append(_ESCAPE.sub(r"\1", match["quoted"][1:-1]))
        elif match["index"] is not None:
            steps.append(int(match["index"]))
        else:
            steps.append(WILDCARD)
    return tuple(steps)


def _library_find(text: str) -> Callable[[Any], list[Any]]:
    try:
        import jsonpath
    except ImportError:
        raise MissingExtraError(f"the JSONPath {text}", "jsonpath") from None
    try:
        return jsonpath.compile(text).findall
    except jsonpath.JSONPathError as error:
        raise InvalidValueError(f"{text!r} is not a JSONPath: {error}") from None


def getter(steps: Steps) -> Getter:
    """The value behind steps without wildcards."""
    if not steps:
        return lambda document: document
    if len(steps) == 1:
        return _one(steps[0])
    if len(steps) == 2 and isinstance(steps[0], str) and isinstance(steps[1], str):
        return _two_names(steps[0], steps[1])
    gets = [_one(step) for step in steps]

    def get(document: Any) -> Any:
        for step in gets:
            document = step(document)
        return document

    return get


def _one(step: Step) -> Getter:
    if isinstance(step, str):
        return lambda document: document.get(step) if document.__class__ is dict else None
    assert isinstance(step, int), "a wildcard has no one value"

    def at(document: Any) -> Any:
        if document.__class__ is not list:
            if not isinstance(document, np.ndarray):
                return None
            document = document.tolist()
        try:
            return document[step]
        except IndexError:
            return None

    return at


def _two_names(first: str, second: str) -> Getter:
    def get(document: Any) -> Any:
        try:
            return document[first][second]
        except (KeyError, TypeError, IndexError):
            return None

    return get


def each(steps: Steps, document: Any) -> Iterator[tuple[str | int, Any]]:
    """The elements that steps ending in a wildcard lead to, each with its name or index."""
    first = steps.index(WILDCARD)
    found = getter(steps[:first])(document)
    rest = steps[first + 1 :]
    elements: Iterator[tuple[str | int, Any]]
    if found.__class__ is dict:
        elements = iter(found.items())
    elif found.__class__ is list:
        elements = enumerate(found)
    elif isinstance(found, np.ndarray):
        elements = enumerate(found.tolist())
    else:
        return
    if not rest:
        yield from elements
        return
    for _, element in elements:
        yield from each(rest, element)
