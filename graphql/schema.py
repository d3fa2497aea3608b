"""The schema: questions, mutations and subscriptions, with limits on what one operation may ask for."""

from collections.abc import Sequence

import strawberry
from strawberry.extensions import MaxAliasesLimiter, MaxTokensLimiter, ParserCache, QueryDepthLimiter, ValidationCache
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from graphql import GraphQLError

from .errors import PlainErrors
from .mutation import Mutation
from .query import Query
from .scalars import SCALARS
from .subscription import Subscription

DEEPEST = 14
MOST_ALIASES = 60
MOST_TOKENS = 4_000


class Schema(strawberry.Schema):
    """Strawberry's schema, whose errors `PlainErrors` logs: those of the asker are no business of the log."""

    def process_errors(self, errors: Sequence[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Nothing: see `PlainErrors`."""


schema = Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    config=StrawberryConfig(scalar_map=SCALARS),
    extensions=[
        lambda: PlainErrors(),
        lambda: QueryDepthLimiter(max_depth=DEEPEST),
        lambda: MaxAliasesLimiter(max_alias_count=MOST_ALIASES),
        lambda: MaxTokensLimiter(max_token_count=MOST_TOKENS),
        lambda: ParserCache(),
        lambda: ValidationCache(),
    ],
)
