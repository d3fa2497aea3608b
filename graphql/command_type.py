"""Commands: values that signals shall have, and what came of them."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from ..twin.command import Command as Record
from ..twin.command import CommandState
from .field import field
from .scalars import Time, Value
from .timed import timed
from .view import View

if TYPE_CHECKING:
    from .signal_type import Signal

strawberry.enum(CommandState, description="Where a command is in its life; `held`: in a scenario, nothing is sent.")


@strawberry.type(description="A value that a signal shall have, from the request to its confirmation at the device.")
@timed
class Command:
    view: strawberry.Private[View]
    record: strawberry.Private[Record]
    id: strawberry.ID
    state: CommandState
    value: Value = strawberry.field(description="What the signal shall be, in `unit`.")
    unit: str | None
    given: str | None = strawberry.field(description="How it was asked for, if in another unit.")
    requested: Time
    deadline: Time
    sent: Time | None
    ended: Time | None
    source: str | None = strawberry.field(description="The source that it goes to.")
    address: str | None = strawberry.field(description="The point at the source.")
    read_back: Value | None = strawberry.field(description="What the device showed last.")
    why: str | None = strawberry.field(description="What was in the way.")
    actor: str | None = strawberry.field(description="Who says that they ask.")
    origin: str | None = strawberry.field(description="From where they ask.")
    reason: str | None = strawberry.field(description="What for.")

    @classmethod
    def of(cls, view: View, made: Record) -> "Command":
        """What GraphQL shows of a command."""
        return cls(
            view=view,
            record=made,
            id=strawberry.ID(made.id),
            state=made.state,
            value=Value(made.value),
            unit=made.unit,
            given=made.given,
            requested=Time(made.requested),
            deadline=Time(made.deadline),
            sent=None if made.sent is None else Time(made.sent),
            ended=None if made.ended is None else Time(made.ended),
            source=made.source,
            address=made.address,
            read_back=None if made.read_back is None else Value(made.read_back),
            why=made.why,
            actor=made.actor,
            origin=made.origin,
            reason=made.reason,
        )

    @field
    def signal(self) -> Annotated["Signal", strawberry.lazy(".signal_type")] | None:
        """The signal; null where it is gone."""
        from .signal_type import Signal

        signal = self.view.graph.signal_map.get(self.record.signal)
        return None if signal is None else Signal.of(self.view, signal)
