"""Documents of a project joined into one tree: sections of the same name add up, contradictions are mistakes."""

from collections.abc import Iterable
from typing import Any

from .define_project import Project
from .document import Items, Mapping, Place
from .expected import keys_of
from .finding import Finding, path_text
from .suggestion import nearest

ONE_OR_MANY = ("enterprise", "site", "area")
"""Sections that hold one object or a list of them."""


class Joining:
    """Adds documents one by one; `tree` is their sum, `findings` what is wrong with it.

    `whole` tells whether all that the documents hold is in the tree.
    """

    def __init__(self) -> None:
        self.tree = Mapping(Place("", 1, 1))
        self.findings: list[Finding] = []
        self.whole = True

    def add(self, document: Any, place: Place) -> None:
        """Adds one document; an empty one adds nothing."""
        if document is None:
            return
        if not isinstance(document, Mapping):
            self.whole = False
            self._find(place, (), f"found {_kind(document)}, expected sections such as digital_twins")
            return
        known = keys_of(Project)
        for section, value in document.items():
            here = document.key_places[section]
            if section not in known:
                hint = nearest(section, known)
                expected = "" if hint else f", expected one of {', '.join(known)}"
                self._find(here, (section,), f"found the unknown section {section!r}{expected}", hint)
                if hint is None or hint in document:
                    self.whole = False
                    continue
                section = hint
            if value is not None:
                self._without_nulls(value, (section,))
                self._join(self.tree, section, _many(section, value), here, document, (section,))

    def _join(self, into: Mapping, key: str, value: Any, place: Place, source: Mapping, path: tuple[Any, ...]) -> None:
        value_place = source.value_places.get(path[-1] if key not in source else key, place)
        if key not in into:
            into.put(key, value, place, value_place)
            return
        present = into[key]
        if isinstance(present, Mapping) and isinstance(value, Mapping):
            for inner in value:
                self._join(present, inner, value[inner], value.key_places[inner], value, (*path, inner))
        elif isinstance(present, Items) and isinstance(value, Items):
            for item, item_place, number in zip(value, value.item_places, value.numbers, strict=True):
                present.put(item, item_place, number)
        elif present != value or isinstance(present, bool) != isinstance(value, bool):
            first = into.value_places[key]
            where = f"line {first.line}" if first.file == value_place.file else f"{first.file}, line {first.line},"
            self._find(value_place, path, f"found {_kind(value)}, which contradicts {_kind(present)} in {where}")

    def _without_nulls(self, tree: Any, path: tuple[Any, ...]) -> None:
        """Reports keys without a value and takes them out: whether nothing or a slip is meant cannot be known."""
        if isinstance(tree, Mapping):
            for key in list(tree):
                if tree[key] is not None:
                    self._without_nulls(tree[key], (*path, key))
                else:
                    place = tree.key_places[key]
                    self._find(place, (*path, key), f"found nothing after {key!r}, expected a value")
                    del tree[key]
        elif isinstance(tree, Items):
            for index in reversed(range(len(tree))):
                if tree[index] is not None:
                    self._without_nulls(tree[index], (*path, tree.numbers[index]))
                else:
                    place = tree.item_places[index]
                    self._find(place, (*path, index), "found nothing after '-', expected a value")
                    tree.take_out(index)

    def _find(self, place: Place, path: Iterable[Any], message: str, hint: str | None = None) -> None:
        self.findings.append(Finding(*place, "error", path_text(tuple(path)), message, hint))


def _many(section: str, value: Any) -> Any:
    if section not in ONE_OR_MANY or not isinstance(value, Mapping):
        return value
    items = Items(value.place)
    items.put(value, value.place)
    return items


def _kind(value: Any) -> str:
    from .define_types import kind_of

    return kind_of(value)
