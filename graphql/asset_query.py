"""Serialised assets, and the places of the plant in which they stand."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry.scalars import JSON

from ..twin import assets
from ..twin.errors import InvalidValueError
from ..twin.times import NS
from .event_type import Event, NodeRef, SignalRef
from .field import field
from .moment import plant_field
from .scalars import Long, Time
from .view import View

if TYPE_CHECKING:
    from .node_type import Node

MOST_POINTS = 10_000
HOUR = 3600 * NS
Start = Annotated[Time | None, strawberry.argument(name="from", description="An hour before its end unless told.")]


@strawberry.type(description="An asset in a place; it is still there where `until` is null.")
class Stay:
    view: strawberry.Private[View]
    stay: strawberry.Private[assets.Stay]
    serial_number: str
    maker: str | None
    model: str | None
    since: Time
    until: Time | None
    age: float = strawberry.field(description="How long it has been, or was, in its place [s].")

    @classmethod
    def of(cls, view: View, stay: assets.Stay) -> "Stay":
        """What GraphQL shows of a stay."""
        return cls(
            view=view,
            stay=stay,
            serial_number=stay.serial_number,
            maker=stay.maker,
            model=stay.model,
            since=Time(stay.since),
            until=None if stay.until is None else Time(stay.until),
            age=stay.age(view.now) / NS,
        )

    @field
    def node(self) -> NodeRef | None:
        """The place; null where it is gone."""
        return _node(self.view, self.stay.node)

    @field
    def event(self) -> Event:
        """The event that tells it."""
        return Event.of(self.view, self.stay.event)


@strawberry.type(description="A serialised asset with all its places, the earliest first.")
class Asset:
    serial_number: str
    maker: str | None
    model: str | None
    age: float = strawberry.field(description="How long it has been in use [s]: the sum of its stays.")
    places: list[Stay]


@strawberry.type(description="The history of a place's signal for as long as the asset stood there.")
class AssetPiece:
    view: strawberry.Private[View]
    piece: strawberry.Private[assets.Piece]
    time: list[Time]
    value: list[JSON | None]
    quality: list[int]
    bucket: Long | None = strawberry.field(description="If set: a row is a bucket of so many ns, its value the mean.")

    @classmethod
    def of(cls, view: View, piece: assets.Piece) -> "AssetPiece":
        """What GraphQL shows of a piece."""
        history = piece.history
        view.budget.take_points(len(history))
        shown = [view.shown(piece.signal, value) for value in history.value.tolist()]
        return cls(
            view=view,
            piece=piece,
            time=[Time(time) for time in history.time.tolist()],
            value=[None if value is None else JSON(value) for value in shown],
            quality=history.quality.tolist(),
            bucket=None if history.bucket is None else Long(history.bucket),
        )

    @field
    def node(self) -> NodeRef | None:
        """The place."""
        return _node(self.view, self.piece.stay.node)

    @field
    def signal(self) -> SignalRef:
        """The place's signal."""
        from .signal_type import Signal

        return Signal.of(self.view, self.piece.signal)


@strawberry.type
class AssetQuery:
    @plant_field
    async def asset(self, view: View, serial_number: str) -> Asset:
        """An asset and its places."""
        found = await asyncio.to_thread(assets.asset, view.plant, serial_number)
        last = found[-1]
        return Asset(
            serial_number=last.serial_number,
            maker=last.maker,
            model=last.model,
            age=assets.age(found, view.now) / NS,
            places=[Stay.of(view, stay) for stay in found],
        )

    @plant_field
    async def asset_history(
        self,
        view: View,
        serial_number: str,
        signal: str,
        from_: Start = None,
        to: Time | None = None,
        points: int = 500,
    ) -> list[AssetPiece]:
        """A signal's history across the places of an asset; `signal` is the name that each place gives it."""
        end = view.now if to is None else int(to)
        start = end - HOUR if from_ is None else int(from_)
        if not 1 <= points <= MOST_POINTS or end <= start:
            raise InvalidValueError(f"points are between 1 and {MOST_POINTS}, and `to` is after `from`", "points")
        found = await asyncio.to_thread(assets.asset_history, view.plant, serial_number, signal, start, end, points)
        return [AssetPiece.of(view, piece) for piece in found]

    @plant_field
    async def assets_at(self, view: View, node: strawberry.ID) -> list[Stay]:
        """What is and was in a place, the earliest first."""
        found = await asyncio.to_thread(assets.stays, view.plant, None, view.find(node).key)
        return [Stay.of(view, stay) for stay in found]

    @plant_field
    async def installed_asset(self, view: View, node: strawberry.ID) -> Stay | None:
        """The asset that is in a place."""
        there = await asyncio.to_thread(assets.installed_at, view.plant, view.find(node).key)
        return None if there is None else Stay.of(view, there)


def _node(view: View, key: int) -> "Node | None":
    from .node_type import Node

    node = view.graph.node_map.get(key)
    return None if node is None else Node.of(view, node)
