"""The graph databases that show the plant: what somebody changed in them by hand is undone."""

import strawberry

from ..twin.access import Scope
from ..twin.store_projection import attached
from .definition_mutation import DefinitionChanges
from .field import mutation
from .moment import Ask
from .once import OnceKey, outcome
from .payload import Problem


@strawberry.type(description="What is different in a graph database after it was repaired: nothing; or the errors.")
class StorePayload:
    store: strawberry.ID
    drift: DefinitionChanges | None
    repeated: bool = strawberry.field(description="Whether this was done before, under the same key.")
    errors: list[Problem]


@strawberry.type
class StoreMutation:
    @mutation(Scope.SERVICE_WRITE)
    async def repair_store(self, info: Ask, store: strawberry.ID, key: OnceKey = None) -> StorePayload:
        """Makes a graph database as the plant is again."""

        async def repaired() -> DefinitionChanges:
            projection = attached(info.context.service.graph_stores(), store)
            return DefinitionChanges.of(await projection.look(repair=True))

        came = await outcome(info, key, store, repaired)
        return StorePayload(store=store, drift=came.made, repeated=came.again, errors=came.errors)
