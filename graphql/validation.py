"""Each text of a question is validated once, limits on its shape included; then what it may cost is estimated.

Strawberry's cache of validations would have to hash the whole document each time, and never finds one whose limits come
as rules of their own.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from strawberry.extensions import ParserCache, SchemaExtension
from strawberry.schema.schema import validate_document
from strawberry.types.graphql import OperationType

from graphql import DocumentNode, GraphQLError, NoSchemaIntrospectionCustomRule, get_operation_ast

from .context import Request
from .cost import estimate
from .options import DEFAULTS, Options
from .safelist import NOT_LISTED
from .shape import misshapen

MOST_TOKENS = 4_000
TOO_COSTLY = "TOO_COSTLY"
BAD_REQUEST = "BAD_REQUEST"

_MOST_KNOWN = 128  # as many as the cache of parsed texts holds, by which a document comes again as the same object
_SUGGESTION = re.compile(r" Did you mean .*\?$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Known:
    """A document with what is wrong with it, and what its operations cost that have no variables."""

    schema: Any  # kept with it, as the document is, or another could come to bear its id
    document: DocumentNode
    errors: list[GraphQLError]
    costs: dict[int, int] = field(default_factory=dict)


_known: "OrderedDict[tuple[int, int, bool], _Known]" = OrderedDict()


class Parsing(ParserCache):
    """Texts that are asked again are parsed once."""

    def on_parse(self) -> Iterator[None]:
        """Before parsing. What is no GraphQL is parsed again by Strawberry, which tells its mistakes."""
        with suppress(GraphQLError):
            context = self.execution_context
            context.graphql_document = self.cached_parse_document(context.query, **context.parse_options)
        yield


class Validation(SchemaExtension):
    """Validates with limits on depth, aliases, tokens and cost; answers only what is on the list, if there is one."""

    def on_operation(self) -> Iterator[None]:
        """Before parsing."""
        self.execution_context.parse_options["max_tokens"] = MOST_TOKENS
        yield

    def on_validate(self) -> Iterator[None]:
        """Instead of the schema's own validation."""
        context = self.execution_context
        options = context.context.options if isinstance(context.context, Request) else DEFAULTS
        if context.operation_type is OperationType.SUBSCRIPTION and not _streams(context.context):
            words = (
                "a subscription is asked for over a WebSocket (graphql-transport-ws) or with Accept: text/event-stream"
            )
            context.pre_execution_errors = [GraphQLError(words, extensions={"code": BAD_REQUEST})]
        elif options.safelist is not None and context.query not in options.safelist:
            words = "only questions of the safelist are answered, and this is none of them"
            context.pre_execution_errors = [GraphQLError(words, extensions={"code": NOT_LISTED})]
        else:
            known = self._validated(options)
            context.pre_execution_errors = [*known.errors] or self._costly(known, options.max_cost)
        yield

    def _validated(self, options: Options) -> _Known:
        context = self.execution_context
        schema, document = context.schema._schema, context.graphql_document
        assert document is not None  # it has been parsed
        key = (id(schema), id(document), options.introspection)
        known = _known.get(key)
        if known is None:
            rules: list[Any] = [*context.validation_rules]
            if not options.introspection:
                rules.append(NoSchemaIntrospectionCustomRule)
            errors = misshapen(document) or validate_document(schema, document, tuple(rules))
            if not options.introspection:
                errors = [_without_suggestion(error) for error in errors]
            known = _known[key] = _Known(schema, document, errors)
            if len(_known) > _MOST_KNOWN:
                _known.popitem(last=False)
        else:
            _known.move_to_end(key)
        return known

    def _costly(self, known: _Known, limit: int) -> list[GraphQLError]:
        context = self.execution_context
        operation = get_operation_ast(known.document, context.operation_name)
        if operation is None:
            return []
        cost = known.costs.get(id(operation))
        if cost is None:
            cost = estimate(known.schema, known.document, operation, context.variables or {})
            if not operation.variable_definitions:
                known.costs[id(operation)] = cost
        if cost <= limit:
            return []
        words = f"this question would cost {cost:,} and the limit is {limit:,}; ask for smaller pages, or less of each"
        return [GraphQLError(words, operation, extensions={"code": TOO_COSTLY, "cost": cost, "limit": limit})]


def _streams(request: object) -> bool:
    return not isinstance(request, Request) or request.streams


def _without_suggestion(error: GraphQLError) -> GraphQLError:
    """A schema that is not shown is not told by guesses either."""
    return GraphQLError(_SUGGESTION.sub("", error.message), error.nodes, extensions=error.extensions)
