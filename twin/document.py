"""YAML 1.2 as a tree that knows the line and column of each key and value.

libyaml reads the syntax; what a plain scalar means follows the core schema of YAML 1.2, in which `on` and `22:00`
are texts, `0o14` is twelve and `014` fourteen. Keys are always texts. `<<` merges, as editors take it.
"""

import math
import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

import yaml

from .finding import Finding, path_text

MAX_DEPTH = 100
MAX_VALUES = 5_000_000
MAX_REPEATED = 500_000


class Place(NamedTuple):
    """Where something stands: file, line and column (from 1)."""

    file: str
    line: int
    column: int


class Mapping(dict[str, Any]):
    """A mapping with the places of its keys and values. `instance` names what a `for_each` made of it."""

    def __init__(self, place: Place, instance: str | None = None) -> None:
        super().__init__()
        self.place = place
        self.instance = instance
        self.key_places: dict[str, Place] = {}
        self.value_places: dict[str, Place] = {}

    def put(self, key: str, value: Any, key_place: Place, value_place: Place) -> None:
        """Adds an entry."""
        self[key] = value
        self.key_places[key] = key_place
        self.value_places[key] = value_place


class Items(list[Any]):
    """A list with the places of its items, and their numbers in the file (which remain when lists are joined)."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.item_places: list[Place] = []
        self.numbers: list[int] = []

    def put(self, item: Any, place: Place, number: int | None = None) -> None:
        """Adds an item."""
        self.numbers.append(len(self) if number is None else number)
        self.append(item)
        self.item_places.append(place)

    def take_out(self, index: int) -> None:
        """Removes an item; the others keep their places and numbers."""
        del self[index], self.item_places[index], self.numbers[index]


class _Loader(yaml.CSafeLoader):
    """libyaml's parser; what a plain scalar means is not decided here."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        return _UNDECIDED


_UNDECIDED = "?"
_CORE_TAGS = {
    f"tag:yaml.org,2002:{name}": name for name in ("str", "int", "float", "bool", "null", "seq", "map", "merge")
}
_INT = re.compile(r"[-+]?[0-9]+\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_INFINITE = re.compile(r"([-+])?(\.inf|\.Inf|\.INF)\Z")
_NAN = (".nan", ".NaN", ".NAN")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_MAX_DIGITS = 400


def scalar(text: str) -> Any:
    """What a plain scalar means in the core schema: null, boolean, integer, float or text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789" or len(text) > _MAX_DIGITS:
        return text
    if _INT.match(text):
        return int(text)
    if _OCTAL.match(text):
        return int(text[2:], 8)
    if _HEX.match(text):
        return int(text, 16)
    if _FLOAT.match(text):
        return float(text)
    if infinite := _INFINITE.match(text):
        return -math.inf if infinite[1] == "-" else math.inf
    return math.nan if text in _NAN else text


class Tree:
    """Reads one text; `documents` are its roots (None for an empty one), `findings` its mistakes."""

    def __init__(self, text: str | bytes, file: str) -> None:
        self.file = file
        self.documents: list[Any] = []
        self.findings: list[Finding] = []
        self._values = 0
        self._repeated = 0
        self._known: set[int] = set()
        self._ended = False
        self._open: set[int] = set()
        self._read(text)

    def _read(self, text: str | bytes) -> None:
        # With a BOM or as bytes libyaml may take another encoding; definitions are UTF-8.
        if isinstance(text, bytes):
            try:
                text = text.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                before = error.object[: error.start]
                line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
                self._find(Place(self.file, line, column), (), "found bytes that are no UTF-8, expected text in UTF-8")
                return
        if self._unprintable(text) or self._deep(text):
            return
        loader = _Loader(text)
        try:
            while loader.check_node():
                self._known.clear()
                self.documents.append(self._value(loader.get_node(), ()))
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
        finally:
            loader.dispose()

    def _unprintable(self, text: str) -> bool:
        match = yaml.reader.Reader.NON_PRINTABLE.search(text)
        if match is None:
            return False
        before = text[: match.start()]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        self._find(
            Place(self.file, line, column), (), f"found the character U+{ord(match[0]):04X}, which YAML does not allow"
        )
        return True

    def _deep(self, text: str) -> bool:
        """Whether values are nested too deep for libyaml's composer, which would overflow the stack."""
        if not _INDENTED.search(text) and _open_brackets(text) <= MAX_DEPTH:
            return False
        depth = 0
        try:
            for event in yaml.parse(text, _Loader):
                depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
                if depth > MAX_DEPTH:
                    self._too_deep(self._place(event))
                    return True
        except yaml.MarkedYAMLError as error:
            # Newer versions of libyaml read ahead, and have a limit of their own.
            if "nesting depth" in (error.problem or "") and (mark := error.problem_mark):
                self._too_deep(Place(self.file, mark.line + 1, mark.column + 1))
                return True
        return False  # Composing meets any other mistake again and reports it.

    def _too_deep(self, place: Place) -> None:
        self._find(place, (), f"found values nested deeper than {MAX_DEPTH} levels")

    def _syntax(self, error: yaml.MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        place = Place(self.file, mark.line + 1, mark.column + 1) if mark else Place(self.file, 1, 1)
        problem = _IN_OTHER_WORDS.get(error.problem or "", error.problem or "no YAML")
        context = f" ({error.context})" if error.context else ""
        self._find(place, (), f"this is no YAML: {problem}{context}")

    def _find(self, place: Place, path: tuple[str | int, ...], message: str) -> None:
        self.findings.append(Finding(*place, "error", path_text(path), message))

    def _place(self, node: Any) -> Place:
        return Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def _value(self, node: Any, path: tuple[str | int, ...]) -> Any:
        if self._too_many(node, path):
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open or len(path) >= MAX_DEPTH:
            what = "an alias of what it is in" if id(node) in self._open else f"more than {MAX_DEPTH} levels"
            self._find(self._place(node), path, f"found {what}")
            return None
        if node.tag not in _CORE_TAGS and node.tag not in (_UNDECIDED, "!"):
            self._find(self._place(node), path, f"found the tag {node.tag}, expected none")
        self._open.add(id(node))
        try:
            return self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._items(node, path)
        finally:
            self._open.discard(id(node))

    def _too_many(self, node: Any, path: tuple[str | int, ...]) -> bool:
        """Whether there are more values than anybody means; few lines can name billions by aliases of aliases."""
        known = id(node) in self._known
        self._known.add(id(node))
        self._values += 1
        self._repeated += known
        if self._values <= MAX_VALUES and self._repeated <= MAX_REPEATED:
            return False
        if not self._ended:
            self._ended = True
            repeated = f"{MAX_REPEATED} values that aliases repeat"
            what = repeated if self._repeated > MAX_REPEATED else f"{MAX_VALUES} values"
            self._find(self._place(node), path, f"found more than {what}")
        return True

    def _scalar(self, node: yaml.ScalarNode, path: tuple[str | int, ...]) -> Any:
        text: str = node.value
        if not node.style and node.tag == _UNDECIDED:
            return scalar(text)
        kind = _CORE_TAGS.get(node.tag)
        if kind is None and node.tag not in (_UNDECIDED, "!"):
            self._find(self._place(node), path, f"found the tag {node.tag}, expected none")
        # An explicit tag such as !!float asks for the meaning of the plain scalar.
        return scalar(text) if kind in ("int", "float", "bool", "null") else text

    def _items(self, node: Any, path: tuple[str | int, ...]) -> Items:
        items = Items(self._place(node))
        for number, each in enumerate(node.value):
            items.put(self._value(each, (*path, number)), self._place(each))
        return items

    def _mapping(self, node: Any, path: tuple[str | int, ...]) -> Mapping:
        mapping = Mapping(self._place(node))
        merged: list[tuple[Any, Place]] = []
        for key_node, value_node in node.value:
            place = self._place(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self._find(place, path, "found a list or mapping as a key, expected a text")
                continue
            key: str = key_node.value
            if key == "<<" and not key_node.style:
                merged.append((self._value(value_node, path), place))
                continue
            here = (*path, key)
            if key in mapping:
                first = mapping.key_places[key].line
                self._find(place, here, f"found the key {key!r} twice; the first is in line {first}")
                continue
            mapping.put(key, self._value(value_node, here), place, self._place(value_node))
        for value, place in merged:
            self._merge(mapping, value, place, path)
        return mapping

    def _merge(self, mapping: Mapping, value: Any, place: Place, path: tuple[str | int, ...]) -> None:
        for source in value if isinstance(value, Items) else [value]:
            if not isinstance(source, Mapping):
                self._find(place, path, "found '<<' without a mapping to merge, expected an alias such as *motor")
                return
            for key in source:
                if key not in mapping:
                    mapping.put(key, source[key], source.key_places[key], source.value_places[key])


_IN_OTHER_WORDS = {
    "found character that cannot start any token": "found a tab or another character that cannot begin a value here",
    "mapping values are not allowed in this context": "found ':' where no key can stand; look at the indentation, or "
    "quote the text",
    "did not find expected key": "expected a key here; look at the indentation",
    "did not find expected '-' indicator": "expected '-' here; look at the indentation",
}


# A level of a block takes a character of a line's beginning at least.
_INDENTED = re.compile(rf"^[ ?:\t-]{{{MAX_DEPTH},}}", re.MULTILINE)


def _open_brackets(text: str) -> int:
    """The most brackets that are open at once, those in texts counted too."""
    steps = (1 if bracket in "[{" else -1 for bracket in re.findall(r"[\[\]{}]", text))
    return max(accumulate(steps), default=0)


Step: TypeAlias = tuple[Mapping | Items, Any]


def trail(root: Mapping | Items, path: Iterable[str | int]) -> list[Step]:
    """The containers and keys that a path leads through.

    Parts that lead nowhere are passed over, so that a path through a pydantic union finds its way.
    """
    steps: list[Step] = []
    current: Any = root
    for part in path:
        known = isinstance(current, Mapping) and part in current
        if known or (isinstance(current, Items) and isinstance(part, int) and part < len(current)):
            steps.append((current, part))
            current = current[part]
    return steps


def place_of(step: Step, key: bool = False) -> Place:
    """Where the value (or the key) of a step stands."""
    container, part = step
    if isinstance(container, Items):
        return container.item_places[part]
    return (container.key_places if key else container.value_places)[part]


def path_of(steps: Iterable[Step]) -> tuple[str | int, ...]:
    """The path of a trail, with items numbered as in their file."""
    return tuple(container.numbers[part] if isinstance(container, Items) else part for container, part in steps)


def instance_of(steps: Iterable[Step]) -> str | None:
    """Which of the entries that a `for_each` made a trail leads through, outer ones first."""
    values = (container[part] for container, part in steps if isinstance(container, Items) and part < len(container))
    return ".".join(each.instance for each in values if isinstance(each, Mapping) and each.instance) or None
