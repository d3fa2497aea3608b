"""`for_each`: one entry of a list that stands for many, written out before anything else is checked.

The copies keep the places of the entry that they come from, and share what is the same in all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .define_types import kind_of
from .document import Items, Mapping, Place, scalar
from .errors import IoTSenseError
from .finding import Finding, Path, path_text
from .placeholders import fill, plain_name
from .substitution import Substitution

FOR_EACH = "for_each"
LISTS = frozenset({"digital_twins", "components", "sensors", "relationships"})
"""Lists whose entries may have a `for_each`."""
SECTIONS = ("digital_twins", "component_types")
MAX_ENTRIES = 200_000
MAX_VALUES = 5_000_000


@dataclass(frozen=True, slots=True)
class Scope:
    """What `${each}` and `${index}` (from 0) are for one copy; `outer` is the scope of the entry that it stands in."""

    each: Any
    index: int
    place: Place
    outer: "Scope | None" = None

    def names(self) -> dict[str, Any]:
        """The names that a template may use."""
        names = {"each": self.each, "index": self.index}
        return names if self.outer is None else names | {"outer": self.outer.names()}


class Expansion:
    """Writes out every `for_each` of a tree of sections, in place; `findings` are its mistakes."""

    def __init__(self, tree: Mapping, substitution: Substitution) -> None:
        self.findings: list[Finding] = []
        self._substitution = substitution
        self._entries = 0
        self._values = 0
        for section in SECTIONS:
            if isinstance(tree.get(section), Items):
                tree[section] = self._items(tree[section], None, (section,), section in LISTS)

    def _rendered(self, value: Any, scope: Scope | None, path: Path, key: str = "") -> Any:
        """The value with all of its templates filled in; the same object if there are none."""
        self._values += 1
        if isinstance(value, Mapping):
            return self._mapping(value, scope, path)
        if isinstance(value, Items):
            return self._items(value, scope, path, key in LISTS)
        return value

    def _mapping(self, mapping: Mapping, scope: Scope | None, path: Path) -> Mapping:
        changed: dict[str, tuple[Any, Place]] = {}
        for key, value in mapping.items():
            place = mapping.value_places[key]
            if isinstance(value, str):
                new, place = self._text(value, scope, place, (*path, key))
            else:
                new = self._rendered(value, scope, (*path, key), key)
            if new is not value:
                changed[key] = new, place
        return mapping if not changed else _with(mapping, changed)

    def _items(self, items: Items, scope: Scope | None, path: Path, expandable: bool) -> Items:
        filled = Items(items.place)
        changed = False
        for value, place, number in zip(items, items.item_places, items.numbers, strict=True):
            here = (*path, number)
            if expandable and isinstance(value, Mapping) and FOR_EACH in value:
                changed = True
                for copy in self._copies(value, scope, here):
                    filled.put(copy, place, number)
                continue
            if isinstance(value, str):
                new, place = self._text(value, scope, place, here)
            else:
                new = self._rendered(value, scope, here)
            filled.put(new, place, number)
            changed |= new is not value
        return filled if changed else items

    def _text(self, text: str, scope: Scope | None, place: Place, path: Path) -> tuple[Any, Place]:
        """A text filled in, and where its value stands: in the list of a `for_each`, if it is an entry of that."""
        if scope is None or "${" not in text:
            return text, place
        try:
            value = fill(text, scope.names())
        except IoTSenseError as error:
            self._find(place, path, f"found {text!r} in an entry with for_each: {error}", _label(scope))
            return text, place
        return value, place if value is text else _origin(text, scope) or place

    # Copies

    def _copies(self, entry: Mapping, scope: Scope | None, path: Path) -> Iterator[Mapping]:
        here = (*path, FOR_EACH)
        given = self._rendered_value(entry, scope, here)
        for index, (value, place) in enumerate(self._each(given, entry.value_places[FOR_EACH], here)):
            self._entries += 1
            if self._entries > MAX_ENTRIES or self._values > MAX_VALUES:
                message = f"found more than {MAX_ENTRIES} entries or {MAX_VALUES} values made by for_each"
                self._find(entry.key_places[FOR_EACH], here, message)
                return
            inner = Scope(value, index, place, scope)
            mistakes = len(self.findings)
            copy = self._mapping(_with(entry, {}, without=FOR_EACH), inner, path)
            copy.instance = _name(copy) or _label(inner)
            # What could not be filled in would only bring further mistakes along.
            if len(self.findings) == mistakes:
                yield copy

    def _rendered_value(self, entry: Mapping, scope: Scope | None, path: Path) -> Any:
        """What stands after `for_each`: it may come from the entry around it (`${each.pumps}`) or the environment."""
        given = entry[FOR_EACH]
        if isinstance(given, str):
            return self._text(given, scope, entry.value_places[FOR_EACH], path)[0]
        given = self._rendered(given, scope, path)
        if isinstance(given, Mapping):
            self._substitution.fill(given, path)
        return given

    def _each(self, given: Any, place: Place, path: Path) -> Iterator[tuple[Any, Place]]:
        if isinstance(given, Items):
            yield from zip(given, given.item_places, strict=True)
        elif isinstance(given, Mapping):
            yield from ((number, place) for number in self._range(given, path))
        else:
            self._find(place, path, f"found {kind_of(given)}, expected a list, or a range such as {{range: [1, 40]}}")

    def _range(self, given: Mapping, path: Path) -> range:
        for key in given:
            if key not in ("range", "step"):
                message = f"found the unknown key {key!r}, expected range, step"
                self._find(given.key_places[key], (*path, key), message)
        numbers = given.get("range")
        ends: list[Any] = [_whole(end) for end in numbers] if isinstance(numbers, Items) else []
        step = _whole(given.get("step", 1))
        if len(ends) != 2 or None in ends:
            place = given.value_places.get("range", given.place)
            self._find(place, (*path, "range"), "expected two whole numbers here, the first and the last: [1, 40]")
        elif step is None or step < 1:
            self._find(given.value_places["step"], (*path, "step"), "expected a whole number of 1 or more as step")
        elif ends[1] < ends[0] - 1:
            # One less is none at all, as it comes from the environment: [1, ${PUMPS}] with no pumps.
            message = f"found the range from {ends[0]} down to {ends[1]}, expected the smaller number first"
            self._find(given.value_places["range"], (*path, "range"), message)
        else:
            return range(ends[0], ends[1] + 1, step)
        return range(0)

    def _find(self, place: Place, path: Path, message: str, instance: str | None = None) -> None:
        self.findings.append(Finding(*place, "error", path_text(path), message, None, instance))


def _with(mapping: Mapping, changed: dict[str, tuple[Any, Place]], without: str | None = None) -> Mapping:
    """A copy with other values at some keys."""
    copy = Mapping(mapping.place, mapping.instance)
    for key, value in mapping.items():
        if key != without:
            new, place = changed.get(key, (value, mapping.value_places[key]))
            copy.put(key, new, mapping.key_places[key], place)
    return copy


def _whole(value: Any) -> int | None:
    """A whole number; one from the environment came as a text."""
    plain = scalar(value) if isinstance(value, str) else value
    return plain if isinstance(plain, int) and not isinstance(plain, bool) else None


def _origin(text: str, scope: Scope) -> Place | None:
    name = plain_name(text)
    if name == "each":
        return scope.place
    owner, _, key = (name or "").partition(".")
    return scope.each.value_places.get(key) if owner == "each" and isinstance(scope.each, Mapping) else None


def _name(copy: Mapping) -> str | None:
    """What people call a copy: its id, or the ends of an arrow."""
    named = copy.get("id", copy.get("name"))
    if isinstance(named, str):
        return named
    ends = (copy.get("from"), copy.get("to"))
    return f"{ends[0]} to {ends[1]}" if all(isinstance(end, str) for end in ends) else None


def _label(scope: Scope) -> str:
    value = scope.each if isinstance(scope.each, (str, int, float)) else None
    return f"each = {value}" if value is not None else f"index = {scope.index}"
