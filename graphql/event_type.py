"""Events and anomalies."""

from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry.scalars import JSON

from ..twin import model
from ..twin.remarks import Remarks
from .field import field
from .scalars import Long, Time, finite
from .timed import timed
from .view import View

if TYPE_CHECKING:
    from .node_type import Node
    from .signal_type import Signal

NodeRef = Annotated["Node", strawberry.lazy(".node_type")]
SignalRef = Annotated["Signal", strawberry.lazy(".signal_type")]


@strawberry.type(description="Something that happened; an interval where `until` is set.")
@timed
class Event:
    view: strawberry.Private[View]
    event: strawberry.Private[model.Event]
    seq: Long = strawberry.field(description="Its number; the log has no gaps.")
    time: Time
    until: Time | None
    recorded: Time = strawberry.field(description="When we learned it.")
    kind: str
    data: JSON
    identity: str | None = strawberry.field(description="A later event of the same identity amends this one.")
    retracts: Long | None = strawberry.field(description="The number of the event that this one takes back.")

    @classmethod
    def of(cls, view: View, event: model.Event) -> "Event":
        """What GraphQL shows of an event."""
        return cls(
            view=view,
            event=event,
            seq=Long(event.seq),
            time=Time(event.time),
            until=None if event.until is None else Time(event.until),
            recorded=Time(event.recorded),
            kind=event.kind,
            data=JSON(event.data),
            identity=event.identity,
            retracts=None if event.retracts is None else Long(event.retracts),
        )

    @field
    def node(self) -> NodeRef | None:
        """What it happened to; null where that is gone."""
        return _node(self.view, self.event.node)


@strawberry.type(description="What somebody said about an anomaly.")
@timed
class Comment:
    by: str = strawberry.field(description="The key, or the person, that was proven to ask.")
    time: Time
    text: str


@strawberry.type(description="Something that a rule noticed; open until the reading that clears it.")
@timed
class Anomaly:
    view: strawberry.Private[View]
    event: strawberry.Private[model.Event]
    id: strawberry.ID = strawberry.field(description="Its identity, the same from onset to end.")
    seq: Long = strawberry.field(description="The number of the event that last told of it.")
    rule: str
    severity: str
    metric: str | None
    operator: str | None
    threshold: float | None
    value: float | None = strawberry.field(description="What was compared: the reading, or its rate of change.")
    unit: str | None
    since: Time
    until: Time | None
    open: bool

    @classmethod
    def of(cls, view: View, event: model.Event) -> "Anomaly":
        """What GraphQL shows of an event of the kind `anomaly`."""
        data = event.data
        return cls(
            view=view,
            event=event,
            id=strawberry.ID(event.identity or str(event.seq)),
            seq=Long(event.seq),
            rule=data.get("rule", ""),
            severity=data.get("severity", ""),
            metric=data.get("metric"),
            operator=data.get("operator"),
            threshold=_number(data.get("threshold")),
            value=_number(data.get("value")),
            unit=data.get("unit"),
            since=Time(event.time),
            until=None if event.until is None else Time(event.until),
            open=event.until is None and event.retracts is None,
        )

    @field
    def node(self) -> NodeRef | None:
        """The component; null where it is gone."""
        return _node(self.view, self.event.node)

    @field
    def signal(self) -> SignalRef | None:
        """The signal; null where it is gone."""
        from .signal_type import Signal

        signal = self.view.graph.signal_map.get(self.event.data.get("signal", -1))
        return None if signal is None else Signal.of(self.view, signal)

    @field
    async def acknowledged_by(self) -> str | None:
        """Whoever said first that they have seen it: a key or a person."""
        return (await self._remarks()).acknowledged_by

    @field
    async def acknowledged_at(self) -> Time | None:
        """When that was."""
        at = (await self._remarks()).acknowledged_at
        return None if at is None else Time(at)

    @field
    async def comments(self) -> list[Comment]:
        """What people say about it, in the order of time."""
        said = (await self._remarks()).comments
        return [Comment(by=each.by, time=Time(each.time), text=each.text) for each in said]

    async def _remarks(self) -> Remarks:
        return await self.view.loaders.remarks.load(self.id)


def _node(view: View, key: int | None) -> "Node | None":
    from .node_type import Node

    node = None if key is None else view.graph.node_map.get(key)
    return None if node is None else Node.of(view, node)


def _number(value: object) -> float | None:
    return finite(float(value)) if isinstance(value, (int, float)) else None
