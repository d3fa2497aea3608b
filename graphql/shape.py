"""Limits on the shape of a question, looked at before it is validated.

Each fragment is measured once, however often it is spread: fragments of fragments would otherwise take for ever, as
they do in rules that follow each spread.
"""

from collections.abc import Iterator

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Visitor,
    visit,
)

DEEPEST = 14
MOST_ALIASES = 60
MOST_DIGITS = 400


def misshapen(document: DocumentNode) -> list[GraphQLError]:
    """What is too deep or too long, and aliases beyond those that are allowed; empty if nothing is."""
    measure = _Measure(document)
    errors = []
    aliases = 0
    for operation in document.definitions:
        if isinstance(operation, OperationDefinitionNode):
            deep, more = measure.of(operation.selection_set)
            aliases += more
            # The level of the root fields is none.
            if deep - 1 > DEEPEST:
                name = operation.name.value if operation.name else "anonymous"
                errors.append(GraphQLError(f"'{name}' exceeds maximum operation depth of {DEEPEST}", operation))
    numbers = _Numbers()
    visit(document, numbers)
    errors += numbers.errors
    if aliases > MOST_ALIASES:
        errors.append(GraphQLError(f"{aliases} aliases found. Allowed: {MOST_ALIASES}"))
    return errors


class _Numbers(Visitor):
    """Finds numbers with more digits than Python reads."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[GraphQLError] = []

    def enter_int_value(self, node: IntValueNode, *_: object) -> None:
        """A number."""
        if len(node.value) > MOST_DIGITS:
            self.errors.append(GraphQLError(f"a number has {len(node.value)} digits. Allowed: {MOST_DIGITS}", node))


class _Measure:
    """Levels and aliases of selections, with those of the fragments in them."""

    def __init__(self, document: DocumentNode) -> None:
        definitions = (each for each in document.definitions if isinstance(each, FragmentDefinitionNode))
        self._fragments = {each.name.value: each for each in definitions}
        self._measured: dict[str, tuple[int, int]] = {}

    def of(self, selections: SelectionSetNode | None) -> tuple[int, int]:
        """How many levels of fields there are, and how many aliases."""
        levels = aliases = 0
        for deep, more in self._parts(selections):
            levels, aliases = max(levels, deep), aliases + more
        return levels, aliases

    def _parts(self, selections: SelectionSetNode | None) -> Iterator[tuple[int, int]]:
        for each in () if selections is None else selections.selections:
            if isinstance(each, FragmentSpreadNode):
                yield self._fragment(each.name.value)
                continue
            deep, aliases = self.of(getattr(each, "selection_set", None))
            if isinstance(each, FieldNode):
                shown = not each.name.value.startswith("__")
                yield (deep + 1 if shown else 0, aliases + (each.alias is not None))
            else:
                yield deep, aliases

    def _fragment(self, name: str) -> tuple[int, int]:
        if name not in self._measured:
            # In a cycle it counts for nothing; validation refuses cycles, and fragments that are not there.
            self._measured[name] = (0, 0)
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._measured[name] = self.of(fragment.selection_set)
        return self._measured[name]
