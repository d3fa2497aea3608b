"""Lists of objects whose selections are plain, completed by functions that are made once for the whole list.

graphql-core completes each field of each object by itself, which costs some 3 µs a field. What a selection of plain
fields has to do is the same for every object of a list, so it is worked out once. Whatever is not plain (resolvers that
wait, take arguments or see `info`, abstract types), and every list in which something went wrong, goes graphql-core's
own way, whose words and nulls are then the answer: a field is read again, and reading changes nothing.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, cast

from graphql.pyutils import Undefined
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.field import StrawberryField

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLString,
    is_leaf_type,
)

Make = Callable[[Any], Any]
_PLAIN_DIRECTIVES = {"skip", "include"}  # heeded when the fields are collected
_LONGEST_INT = 2**31 - 1
_MOST_MADE = 1_000


class _UnusualError(Exception):
    """A value that graphql-core has to say something about."""


class _Made:
    """What was made, by the objects that it was made of: not by their contents, which would have to be hashed."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, ...], tuple[tuple[Any, ...], Make | None]] = OrderedDict()

    def get(self, of: tuple[Any, ...]) -> tuple[tuple[Any, ...], Make | None] | None:
        return self._known.get(tuple(map(id, of)))

    def put(self, of: tuple[Any, ...], make: Make | None) -> tuple[tuple[Any, ...], Make | None]:
        # The objects are kept beside it, or others could come to bear their ids.
        known = self._known[tuple(map(id, of))] = (of, make)
        if len(self._known) > _MOST_MADE:
            self._known.popitem(last=False)
        return known


_MADE = _Made()


def _is_conditional(*nodes: Any) -> bool:
    """Whether anything in them bears a directive."""
    for node in nodes:
        if node.directives:
            return True
        selections = node.selection_set.selections if getattr(node, "selection_set", None) else ()
        if _is_conditional(*selections):
            return True
    return False


class CompilingExecutor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor, but for lists of plain selections."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What was made of a selection that depends on variables is good for this operation, any other for all that
        # have the same text, which is parsed once.
        conditional = _is_conditional(self.operation, *(each.definition for each in self.fragments.values()))
        self._made: _Made = _Made() if conditional else _MADE

    def complete_iterable_value(
        self, item_type: Any, field_details_list: Any, info: Any, path: Any, items: Iterable[Any], position_context: Any
    ) -> Any:
        """The list's values; at once, if its selection is plain."""
        make = self._compiled(item_type, field_details_list)
        if make is None:
            return super().complete_iterable_value(item_type, field_details_list, info, path, items, position_context)
        listed = list(items)
        try:
            return [make(item) for item in listed]
        except Exception:  # a resolver's own error: graphql-core tells it with its place, and nulls what it must
            return super().complete_iterable_value(item_type, field_details_list, info, path, listed, position_context)

    def _compiled(self, item_type: Any, details: Any) -> Make | None:
        of = (item_type, *(each.node for each in details))
        known = self._made.get(of)
        if known is None:
            plain = all(_is_plain(each.node) for each in details) and _has_fields(item_type)
            known = self._made.put(of, self._value(item_type, details) if plain else None)
        return known[1]

    def _value(self, type_: Any, details: Any) -> Make | None:
        """Completes a value of a type; None if that is not plain."""
        if isinstance(type_, GraphQLNonNull):
            inner = self._value(type_.of_type, details)
            return None if inner is None else _required(inner)
        if isinstance(type_, GraphQLList):
            inner = self._value(type_.of_type, details)
            return None if inner is None else _listed(inner)
        if isinstance(type_, GraphQLObjectType):
            return self._object(type_, details)
        return _leaf(type_) if is_leaf_type(type_) else None

    def _object(self, type_: GraphQLObjectType, details: Any) -> Make | None:
        if type_.is_type_of is not None:
            return None
        fields, deferred, forbidden = self.collect_subfields(type_, details)
        if deferred or forbidden:
            return None
        steps: list[tuple[str, Make, Make]] = []
        for name, those in fields.items():
            step = self._field(type_, those)
            if step is None:
                return None
            steps.append((name, *step))

        def made(source: Any) -> Any:
            return None if source is None else {name: complete(read(source)) for name, read, complete in steps}

        return made

    def _field(self, type_: GraphQLObjectType, details: Any) -> tuple[Make, Make] | None:
        node = details[0].node
        if any(each.node.arguments or not _is_plain(each.node) for each in details):
            return None
        name = node.name.value
        if name == "__typename":
            return (lambda source: type_.name), _as_is
        definition = type_.fields.get(name)
        read = None if definition is None else _reader(definition.extensions.get("strawberry-definition"))
        complete = None if definition is None or read is None else self._value(definition.type, details)
        return None if read is None or complete is None else (read, complete)


def _is_plain(node: Any) -> bool:
    return all(directive.name.value in _PLAIN_DIRECTIVES for directive in node.directives or ())


def _has_fields(type_: Any) -> bool:
    return isinstance(type_.of_type if isinstance(type_, GraphQLNonNull) else type_, GraphQLObjectType)


def _reader(field: StrawberryField | None) -> Make | None:
    """Reads a field of its source; None if that takes more than the source."""
    if field is None or field.extensions or field.is_async:
        return None
    resolver = field.base_resolver
    if resolver is None:
        name = field.python_name
        return lambda source: getattr(source, name)
    if set(resolver.reserved_parameters.values()) - {None, resolver.self_parameter} or resolver.self_parameter is None:
        return None
    return cast(Make, resolver.wrapped_func)


def _required(inner: Make) -> Make:
    def made(value: Any) -> Any:
        if (completed := inner(value)) is None:
            raise _UnusualError
        return completed

    return made


def _listed(inner: Make) -> Make:
    def made(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, (list, tuple)):
            raise _UnusualError
        return [inner(each) for each in value]

    return made


def _as_is(value: Any) -> Any:
    return value


class _Members(dict[Any, Any]):
    """The members of an enumeration as they are shown, each worked out when it is first met."""

    def __init__(self, made: Make) -> None:
        super().__init__()
        self._make = made

    def __missing__(self, member: Any) -> Any:
        shown = self[member] = self._make(member)
        return shown


def _leaf(type_: Any) -> Make:
    """Serialises a scalar or a member of an enumeration, the usual ones without a call."""
    serialize = type_.coerce_output_value

    def made(value: Any) -> Any:
        if value is None:
            return None
        completed = serialize(value)
        if completed is None or completed is Undefined:
            raise _UnusualError
        return completed

    if isinstance(type_, GraphQLEnumType):
        return _Members(made).__getitem__
    if type_ in (GraphQLString, GraphQLID):
        return lambda value: value if value.__class__ is str else made(value)
    if type_ is GraphQLBoolean:
        return lambda value: value if value.__class__ is bool else made(value)
    if type_ is GraphQLInt:
        return lambda value: value if value.__class__ is int and -_LONGEST_INT <= value <= _LONGEST_INT else made(value)
    if type_ is GraphQLFloat:
        return lambda value: value if value.__class__ is float and value - value == 0.0 else made(value)
    return made
