"""What a question may cost, estimated before anything of it is done.

Each field costs 1, which is some 3 µs; a list multiplies what is asked of its items by the size of its page, and so on
down the selection. A list whose size nothing says is taken to have a few items, for most have; how large the answer
really gets is limited besides, while it is made. Fields that look something up cost as many fields as that takes.
"""

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Undefined,
    VariableNode,
    get_named_type,
)

USUAL_ITEMS = 5
POINTS_A_FIELD = 10
"""So many points of history cost as much as a field."""

# Reading the disk, or walking through the graph.
WEIGHTS = {
    "Signal.history": 100,
    "Signal.command": 50,
    "Node.events": 50,
    "Node.anomalies": 10,
    "Node.rollup": 100,
    "Node.summary": 100,
    "Node.healthSummary": 100,
    "Node.impact": 100,
    "Node.neighbours": 50,
    "Node.downstream": 100,
    "Node.upstream": 100,
    "Definition.text": 1_000,
    "Definition.tag": 1_000,
    "Query.events": 50,
    "Query.anomaly": 10,
    "Query.deadLetters": 50,
    "Query.rollup": 100,
    "Query.impact": 100,
    "Query.paths": 100,
    "Query.downstream": 100,
    "Query.upstream": 100,
    "Query.singlePointsOfFailure": 1_000,
}
_PAGE_SIZES = ("first", "limit")
_CHOSEN = "ids"


def estimate(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> int:
    """The cost of a valid operation with variables as they came."""
    return _Estimate(schema, document, operation, variables).total()


class _Estimate:
    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> None:
        self._root = schema.get_root_type(operation.operation)
        self._types = schema.type_map
        self._operation = operation
        self._variables = variables
        self._defaults = {each.variable.name.value: each.default_value for each in operation.variable_definitions or ()}
        definitions = document.definitions
        self._fragments = {each.name.value: each for each in definitions if isinstance(each, FragmentDefinitionNode)}
        # A fragment that is used in many places is looked at once, or fragments of fragments would take for ever.
        self._known: dict[tuple[int, str, int | None], int] = {}

    def total(self) -> int:
        return 0 if self._root is None else self._selection(self._operation.selection_set, self._root, None)

    def _selection(self, selected: SelectionSetNode, type_: GraphQLObjectType, items: int | None) -> int:
        """items: how many a list right below has, if the field above says so."""
        key = (id(selected), type_.name, items)
        cost = self._known.get(key)
        if cost is None:
            cost = self._known[key] = sum(self._each(node, type_, items) for node in selected.selections)
        return cost

    def _each(self, node: Any, type_: GraphQLObjectType, items: int | None) -> int:
        if isinstance(node, FieldNode):
            field = type_.fields.get(node.name.value)
            return 0 if field is None else self._field(node, field, type_, items)
        fragment = self._fragments[node.name.value] if hasattr(node, "name") else node
        on = fragment.type_condition
        inner = type_ if on is None else self._types[on.name.value]
        return self._selection(fragment.selection_set, inner, items) if isinstance(inner, GraphQLObjectType) else 0

    def _field(self, node: FieldNode, field: GraphQLField, type_: GraphQLObjectType, items: int | None) -> int:
        name = f"{type_.name}.{node.name.value}"
        own = WEIGHTS.get(name, 1)
        if name == "Signal.history":
            own += self._number(node, field, "points") // POINTS_A_FIELD
        inner = get_named_type(field.type)
        if node.selection_set is None or not isinstance(inner, GraphQLObjectType):
            return own
        size = self._page(node, field)
        if not _is_list(field.type):
            return own + self._selection(node.selection_set, inner, size)
        count = USUAL_ITEMS if size is None and items is None else items if size is None else size
        return own + (count or 0) * self._selection(node.selection_set, inner, None)

    def _page(self, node: FieldNode, field: GraphQLField) -> int | None:
        """How many items the field asks for; None if it does not say."""
        sizes = [self._number(node, field, name) for name in _PAGE_SIZES if name in field.args]
        chosen = self._given(node, _CHOSEN)
        if isinstance(chosen, list):
            sizes.append(len(chosen))
        return min((size for size in sizes if size), default=None)

    def _number(self, node: FieldNode, field: GraphQLField, name: str) -> int:
        given = self._given(node, name)
        if type(given) is not int:
            default = field.args[name].default_value
            given = default if type(default) is int else 0
        return max(given, 0)

    def _given(self, node: FieldNode, name: str) -> Any:
        """What an argument is: a number, or a list with as many elements; None if that cannot be told."""
        value = next((each.value for each in node.arguments or () if each.name.value == name), None)
        if isinstance(value, VariableNode):
            variable = value.name.value
            given = self._variables.get(variable, Undefined)
            if given is not Undefined:
                return given
            value = self._defaults.get(variable)
        if isinstance(value, IntValueNode):
            return int(value.value)
        if isinstance(value, ListValueNode):
            return list(value.values)
        return None if value is None or isinstance(value, NullValueNode) else Undefined


def _is_list(type_: Any) -> bool:
    return isinstance(type_.of_type if isinstance(type_, GraphQLNonNull) else type_, GraphQLList)
