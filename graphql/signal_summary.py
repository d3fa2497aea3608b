"""A signal of a whole subtree at a glance."""

from collections.abc import Sequence

import strawberry

from ..twin.model import Node
from ..twin.question_summary import Summary
from .field import field
from .health_summary import equipment, worst_of
from .scalars import Time, finite
from .timed import timed
from .view import View
from .words import HealthStatus


@strawberry.type(description="The signals of one name at and below a node, if their latest reading is good and finite.")
@timed
class SignalSummary:
    view: strawberry.Private[View]
    nodes: strawberry.Private[Sequence[Node]]
    count: int = strawberry.field(description="How many count.")
    left_out: int = strawberry.field(description="How many do not: text, no reading, not good, or without a unit.")
    unit: str | None
    min: float | None = strawberry.field(description="Null where none counts, as are the others.")
    max: float | None
    mean: float | None
    sum: float | None = strawberry.field(description="Null of temperatures, too, which cannot be added up.")
    min_at: strawberry.ID | None = strawberry.field(description="The signal of the least.")
    max_at: strawberry.ID | None = strawberry.field(description="The signal of the greatest.")
    oldest: Time | None = strawberry.field(description="When the oldest of the readings was so.")
    newest: Time | None

    @classmethod
    def of(cls, view: View, nodes: Sequence[Node], found: Summary) -> "SignalSummary":
        """What GraphQL shows of it."""
        return cls(
            view=view,
            nodes=nodes,
            count=found.count,
            left_out=found.left_out,
            unit=found.unit,
            min=found.low,
            max=found.high,
            mean=found.mean,
            sum=None if found.total is None else finite(found.total),
            min_at=None if found.low_at is None else strawberry.ID(found.low_at),
            max_at=None if found.high_at is None else strawberry.ID(found.high_at),
            oldest=None if found.oldest is None else Time(found.oldest),
            newest=None if found.newest is None else Time(found.newest),
        )

    @field
    def worst_health(self) -> HealthStatus:
        """The worst health of the node and of what is below it; UNKNOWN where none is known."""
        return worst_of(self.view.health(node)[1] for node in equipment(self.nodes))
