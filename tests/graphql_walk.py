"""Questions to every root field of the schema, made from the schema itself."""

from collections.abc import Iterator
from typing import Any

import graphql as core
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInputType, GraphQLOutputType
from iotsense.graphql.schema import schema

SCHEMA: core.GraphQLSchema = schema._schema
TIME = "2026-01-01T00:00:00Z"
_SCALARS = {"Int": "1", "Float": "1.0", "Boolean": "true", "Long": "1", "Time": f'"{TIME}"', "JSON": "{}", "Value": "1"}


def root_fields(operation: str) -> list[str]:
    """The names of the fields of `query`, `mutation` or `subscription`."""
    root = SCHEMA.get_root_type(core.OperationType(operation))
    assert root is not None
    return sorted(root.fields)


def questions(operation: str, name: str, id: str) -> Iterator[str]:
    """A question to a root field with what it requires, and one with every argument that takes an id; `id` in all."""
    root = SCHEMA.get_root_type(core.OperationType(operation))
    assert root is not None
    field = root.fields[name]
    for with_ids in (False, True):
        arguments = _arguments(field.args, id, with_ids)
        yield f"{operation} {{ {name}{arguments} {_selection(field.type, id, 3, ())} }}"


def _arguments(declared: dict[str, core.GraphQLArgument], id: str, with_ids: bool) -> str:
    given = []
    for name, argument in declared.items():
        required = core.is_required_argument(argument)
        if required or (with_ids and _takes_id(argument.type)):
            given.append(f"{name}: {_value(argument.type, id)}")
    return f"({', '.join(given)})" if given else ""


def _takes_id(type: GraphQLInputType) -> bool:
    """An id itself, or something that has a field for one, such as a filter."""
    named = core.get_named_type(type)
    if isinstance(named, GraphQLInputObjectType):
        return any(core.get_named_type(each.type).name == "ID" for each in named.fields.values())
    return named.name == "ID"


def _value(type: GraphQLInputType, id: str) -> str:
    type = core.get_nullable_type(type)
    if core.is_list_type(type):
        return f"[{_value(type.of_type, id)}]"
    if isinstance(type, GraphQLEnumType):
        return next(iter(type.values))
    if isinstance(type, GraphQLInputObjectType):
        wanted: dict[str, Any] = {k: each for k, each in type.fields.items() if core.is_required_input_field(each)}
        wanted |= {k: each for k, each in type.fields.items() if core.get_named_type(each.type).name == "ID"}
        return "{" + ", ".join(f"{k}: {_value(each.type, id)}" for k, each in wanted.items()) + "}"
    name = core.get_named_type(type).name
    return _SCALARS.get(name, f'"{id}"')


def _selection(type: GraphQLOutputType, id: str, depth: int, above: tuple[str, ...]) -> str:
    named = core.get_named_type(type)
    if core.is_leaf_type(named):
        return ""
    if core.is_union_type(named) or core.is_interface_type(named):
        parts = [
            f"... on {each.name} {_selection(each, id, depth, above)}" for each in SCHEMA.get_possible_types(named)
        ]
        return "{ __typename " + " ".join(parts) + " }"
    assert core.is_object_type(named)
    fields = []
    for name, field in named.fields.items():
        if any(core.is_required_argument(argument) for argument in field.args.values()):
            continue
        inner = core.get_named_type(field.type)
        if core.is_leaf_type(inner):
            fields.append(name)
        elif depth and inner.name not in above:
            below = _selection(field.type, id, depth - 1, (*above, named.name))
            if below != "{ }":
                fields.append(f"{name} {below}")
    return "{ " + " ".join(fields or ["__typename"]) + " }"
