"""Assets with serial numbers, and their stays."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import strawberry

from ..twin import assets as twin_assets
from ..twin.errors import InvalidValueError
from .event_type import Event
from .field import field
from .scalars import Time
from .signal_type import HOUR_NS, MOST_POINTS, History, Signal
from .timed import timed
from .view import View

if TYPE_CHECKING:
    from .node_type import Node

NodeRef = Annotated["Node", strawberry.lazy(".node_type")]


@strawberry.type(description="What a signal showed while an asset was at a place.")
class Stretch:
    signal: Signal
    history: History


@strawberry.type(description="An asset at a node, from its installation on.")
@timed
class Stay:
    view: strawberry.Private[View]
    stay: strawberry.Private[twin_assets.Stay]
    serial_number: str
    maker: str | None
    model: str | None
    start: Time
    end: Time | None = strawberry.field(description="Null while it is there.")

    @classmethod
    def of(cls, view: View, stay: twin_assets.Stay) -> "Stay":
        """What GraphQL shows of a stay."""
        end = None if stay.end is None else Time(stay.end)
        told = stay.asset
        return cls(
            view=view, stay=stay, serial_number=told.serial_number, maker=told.maker, model=told.model,
            start=Time(stay.start), end=end,
        )  # fmt: skip

    @field
    def node(self) -> NodeRef | None:
        """The place; null where it is gone."""
        from .node_type import Node

        return None if self.stay.place is None else Node.of(self.view, self.stay.place)

    @field
    def installation(self) -> Event:
        """The event that tells of it."""
        return Event.of(self.view, self.stay.event)


@strawberry.type(description="A machine or part with a serial number, which is unique for its maker.")
class Asset:
    view: strawberry.Private[View]
    life: strawberry.Private[twin_assets.AssetLife]
    serial_number: str
    maker: str | None
    model: str | None
    installed_s: float | None = strawberry.field(description="Age since its installation where it is [s].")
    in_service_s: float = strawberry.field(description="How long it was anywhere, in all [s].")

    @classmethod
    def of(cls, view: View, life: twin_assets.AssetLife) -> "Asset":
        """What GraphQL shows of an asset."""
        return cls(
            view=view, life=life, serial_number=life.asset.serial_number, maker=life.asset.maker,
            model=life.asset.model, installed_s=life.installed_s, in_service_s=life.in_service_s,
        )  # fmt: skip

    @field
    def stays(self) -> list[Stay]:
        """Where it was when, in the order of time."""
        return [Stay.of(self.view, stay) for stay in self.life.stays]

    @field
    def current(self) -> Stay | None:
        """Where it is; null if it is nowhere."""
        return None if self.life.current is None else Stay.of(self.view, self.life.current)

    @field
    async def history(
        self,
        signal: str,
        from_: Annotated[Time | None, strawberry.argument(name="from")] = None,
        to: Time | None = None,
        points: int = 500,
    ) -> list[Stretch]:
        """A signal, by the name that it has at each node, wherever the asset was; at most `points` rows in all."""
        if not 1 <= points <= MOST_POINTS:
            raise InvalidValueError(f"points must be between 1 and {MOST_POINTS}, not {points}", "points")
        end = self.view.now if to is None else int(to)
        start = end - HOUR_NS if from_ is None else int(from_)
        if start >= end:
            raise InvalidValueError("from must be earlier than to", "from")
        self.view.budget.take_points(points)
        async with self.view.request.readers:
            found = await asyncio.to_thread(
                twin_assets.asset_history, self.view.plant, self.life, signal, start, end, points
            )
        return [self._stretch(stretch) for stretch in found]

    def _stretch(self, stretch: twin_assets.Stretch) -> Stretch:
        signal = Signal.of(self.view, stretch.signal)
        return Stretch(signal=signal, history=signal.shown_history(stretch.history, stretch.start, stretch.end))
