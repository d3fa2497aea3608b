"""The schema: questions, mutations and subscriptions, with limits on what one operation may ask for."""

from collections.abc import Sequence
from typing import Any

import strawberry
from graphql.execution import Executor
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from graphql import GraphQLError

from .deadline import TimedExecutor
from .errors import PlainErrors
from .mutation import Mutation
from .query import Query
from .scalars import SCALARS
from .subscription import Subscription
from .validation import Parsing, Validation


class Schema(strawberry.Schema):
    """Strawberry's schema, whose errors `PlainErrors` logs: those of the asker are no business of the log."""

    def process_errors(self, errors: Sequence[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Nothing: see `PlainErrors`."""


def make_schema(executor: type[Executor[Any]] = TimedExecutor) -> Schema:
    """The schema, as an executor carries out its operations."""
    return Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        config=StrawberryConfig(scalar_map=SCALARS),
        execution_context_class=executor,
        extensions=[
            lambda: PlainErrors(),
            lambda: Parsing(),
            lambda: Validation(),
        ],
    )


schema = make_schema()
