"""From a tree to a project: pydantic's errors in the words of the person who reads them, all of them at once."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from .define_project import Project
from .define_types import kind_of
from .document import Items, Mapping, Step, instance_of, path_of, place_of, scalar
from .expected import follow, keys_of
from .finding import Finding, path_text
from .substitution import Substitution
from .suggestion import nearest

ROUNDS = 20

_EXPECTED = {
    "string_type": "a text (quote it)",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "finite_number": "a finite number",
    "invalid-json-value": "a text, number, boolean, list or mapping",
}
_LIMITS = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of {ge} or more",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of {le} or less",
    "too_short": "{min_length} or more items",
    "too_long": "{max_length} items or fewer",
    "string_too_short": "a longer text",
    "string_pattern_mismatch": "a text of the form {pattern}",
}
_NAMED = re.compile(r"`(\w+)`")
_MISSING = ("missing", "union_tag_not_found")
_TYPE_ERRORS = frozenset({"int_type", "float_type", "bool_type", "int_from_float"})


class Validation:
    """Validates a tree of sections.

    `project` is what remains of it without its mistakes.

    After each round the mistakes are mended (a misspelt key gets its right name) or taken out of the tree, so that
    what they hid comes to light and references can be checked in what remains; the tree is used up by this.
    """

    def __init__(self, tree: Mapping, substitution: Substitution) -> None:
        self.findings: list[Finding] = []
        self.project: Project | None = None
        self._tree = tree
        self._substitution = substitution
        self._mended: set[tuple[int, str]] = set()
        for _ in range(ROUNDS):
            if self._round():
                break

    def _round(self) -> bool:
        try:
            self.project = Project.model_validate(self._tree)
        except ValidationError as error:
            mistakes = [Mistake(self._tree, each) for each in error.errors(include_url=False)]
        else:
            return True
        converted = [self._convert(mistake) for mistake in mistakes]
        if any(converted):
            return False
        self._report(mistakes)
        for mistake in mistakes:
            mistake.mend(self._mended)
        for mistake in _deepest_first(mistakes):
            mistake.cut(self._mended)
        return False

    def _convert(self, mistake: "Mistake") -> bool:
        """Whether the text that came from a variable was taken for the number or boolean that is expected."""
        if mistake.kind not in _TYPE_ERRORS or not mistake.steps:
            return False
        container, key = mistake.steps[-1]
        if (id(container), key) not in self._substitution.filled:
            return False
        value = scalar(container[key]) if isinstance(container[key], str) else container[key]
        changed = not isinstance(value, str) and value is not container[key]
        container[key] = value
        return changed

    def _report(self, mistakes: Iterable["Mistake"]) -> None:
        wanted: dict[tuple[int, Any], list[Mistake]] = {}
        misspelt = {(id(m.container), m.suggestion) for m in mistakes if m.kind == "extra_forbidden"}
        for mistake in mistakes:
            entry = (id(mistake.container), mistake.key)
            if entry in self._substitution.unset:
                continue
            if mistake.kind in _MISSING and (entry in self._mended or entry in misspelt):
                continue
            if mistake.follows(self._mended):
                continue
            wanted.setdefault(entry, []).append(mistake)
        self.findings += [_finding(group) for group in wanted.values()]


class Mistake:
    """One error of pydantic's: `steps` lead to the value, `container` and `key` are its last step."""

    def __init__(self, tree: Mapping, error: Any) -> None:
        self.kind: str = error["type"]
        self.context: dict[str, Any] = error.get("ctx") or {}
        self.input: Any = error["input"]
        self.steps: list[Step]
        self.steps, holder = follow(tree, error["loc"])
        self.known = keys_of(holder) if self.kind == "extra_forbidden" else ()
        self.name = str(error["loc"][-1]) if error["loc"] else ""
        field = self._misspelt_tag(tree) or self._field()
        self.container: Any
        self.key: Any
        self.container, self.key = self.steps[-1] if self.steps else (tree, None)
        if field is not None:
            inner: Any = self.container[self.key] if self.steps else tree
            present = isinstance(inner, Mapping) and field in inner
            if present or self.kind in _MISSING:
                self.container, self.key = inner, field
                self.steps = [*self.steps, (inner, field)] if present else self.steps
        self.tree = tree
        self.suggestion: str | None = self._suggestion()

    def _misspelt_tag(self, tree: Mapping) -> str | None:
        """A key that is nearly the one that tells a union's members apart: then that one is what is wrong."""
        if self.kind != "union_tag_not_found":
            return None
        tag = str(self.context["discriminator"]).strip("'")
        item = self.steps[-1][0][self.steps[-1][1]] if self.steps else tree
        near = nearest(tag, tuple(item)) if isinstance(item, Mapping) else None
        if near is not None:
            self.kind, self.known = "extra_forbidden", (tag,)
        return near

    def _field(self) -> str | None:
        """The field of the located mapping that the error is about, where pydantic tells it in another way."""
        if self.kind == "missing":
            return self.name
        if self.kind in ("union_tag_invalid", "union_tag_not_found"):
            return str(self.context["discriminator"]).strip("'")
        return self.context.get("field") if self.kind == "definition" else None

    def _suggestion(self) -> str | None:
        if self.kind == "extra_forbidden":
            return nearest(str(self.key), tuple(key for key in self.known if key not in self.container))
        if self.kind == "definition":
            suggestion: str | None = self.context["suggestion"]
            return suggestion
        if self.kind == "union_tag_invalid":
            return nearest(str(self.context["tag"]), _quoted(self.context["expected_tags"]))
        if self.kind == "literal_error" and isinstance(self.input, str):
            return nearest(self.input, _quoted(self.context["expected"]))
        return None

    @property
    def missing(self) -> bool:
        """Whether it is about something that is not there."""
        return not self.steps or self.steps[-1][0] is not self.container or self.steps[-1][1] != self.key

    def message(self) -> str:
        """What was found and what is expected."""
        match self.kind:
            case "definition":
                return str(self.context["message"])
            case "missing" | "union_tag_not_found":
                return f"`{self.key}` is missing here"
            case "extra_forbidden":
                known = f", expected one of {', '.join(self.known)}" if self.suggestion is None else ""
                return f"found the unknown key {self.key!r}{known}"
            case "union_tag_invalid":
                return f"found {self.context['tag']!r}, expected {self.expected()}"
        return f"found {kind_of(self.input)}, expected {self.expected()}"

    def expected(self) -> str:
        """What would have been right."""
        if self.kind == "union_tag_invalid":
            return "one of " + ", ".join(_quoted(self.context["expected_tags"]))
        if self.kind == "literal_error":
            words = _quoted(self.context["expected"])
            return words[0] if len(words) == 1 else "one of " + ", ".join(words)
        if self.kind in _LIMITS:
            plain = {name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in self.context.items()}
            return _LIMITS[self.kind].format(**plain)
        return _EXPECTED.get(self.kind, "something else")

    def follows(self, mended: set[tuple[int, str]]) -> bool:
        """Whether it is only there because another mistake was taken out before.

        The words of the definitions put the fields whose absence is a mistake between backticks.
        """
        if self.kind == "too_short":
            return (id(self.container[self.key]), "") in mended
        if self.kind != "definition" or not self.steps:
            return False
        holder, key = self.steps[-1]
        holders = (id(self.container), id(holder[key]))
        return any((each, name) in mended for name in _NAMED.findall(self.message()) for each in holders)

    def mend(self, mended: set[tuple[int, str]]) -> None:
        """Puts the suggestion in the place of what was found."""
        if self.suggestion is None or self.missing or not isinstance(self.container, Mapping):
            return
        tree, key = self.container, self.key
        if self.kind == "extra_forbidden" and key in tree and self.suggestion not in tree:
            tree.put(self.suggestion, tree.pop(key), tree.key_places[key], tree.value_places[key])
        elif self.kind in ("union_tag_invalid", "literal_error", "definition") and key in tree:
            tree[key] = self.suggestion
        else:
            return
        mended.add((id(tree), self.suggestion))
        self.kind = "mended"

    def cut(self, mended: set[tuple[int, str]]) -> None:
        """Takes what is wrong out of the tree; what lacks something is taken out as a whole."""
        container, key = self.steps[-1]
        mended.add((id(container), str(key) if isinstance(container, Mapping) else ""))
        if isinstance(container, Mapping):
            container.pop(key, None)
        else:
            container.take_out(key)


def _deepest_first(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """In an order in which taking out one does not move another; of those in the same place only one."""
    places: dict[tuple[int, Any], Mistake] = {}
    for mistake in mistakes:
        supplied = (
            mistake.kind in _MISSING and isinstance(mistake.container, Mapping) and mistake.key in mistake.container
        )
        if mistake.kind != "mended" and mistake.steps and not supplied:
            container, key = mistake.steps[-1]
            places.setdefault((id(container), key), mistake)

    def order(mistake: Mistake) -> tuple[int, int]:
        container, key = mistake.steps[-1]
        return -len(mistake.steps), -key if isinstance(container, Items) else 0

    return sorted(places.values(), key=order)


def _finding(group: list[Mistake]) -> Finding:
    first = group[0]
    message = first.message()
    if len(group) > 1 and all(each.kind in _EXPECTED for each in group):
        expected = " or ".join(dict.fromkeys(each.expected() for each in group))
        message = f"found {kind_of(first.input)}, expected {expected}"
    place = place_of(first.steps[-1], first.kind == "extra_forbidden") if first.steps else first.tree.place
    path = path_of(first.steps)
    if first.missing and first.key is not None:
        path = (*path, first.key)
    return Finding(*place, "error", path_text(path), message, first.suggestion, instance_of(first.steps))


def _quoted(text: str) -> tuple[str, ...]:
    """The words of pydantic's `'a', 'b' or 'c'`."""
    return tuple(text[1:-1].replace("' or '", "', '").split("', '"))
