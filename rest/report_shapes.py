"""What is answered about assets and about files of reports."""

from msgspec import Struct

from ..twin.as_of import AsOf
from ..twin.assets import Stay, age
from ..twin.times import NS, format_time
from .shapes import SignalHistory


class StayView(Struct):
    """An asset in a place: from `since` until `until` (null: it is still there), `age_s` [s] so far.

    node: the id of the place, null if that is gone. event: the number of the event that tells it.
    """

    serial_number: str
    maker: str | None
    model: str | None
    node: str | None
    since: str
    until: str | None
    age_s: float
    event: int
    id: str | None


class AssetView(Struct):
    """An asset: where it is (null: in no place), its `age_s` in use [s], and all its places, the earliest first."""

    serial_number: str
    maker: str | None
    model: str | None
    node: str | None
    age_s: float
    places: list[StayView]


class PlaceView(Struct):
    """A place: the asset that is there now (null: none), and all that were, the earliest first."""

    node: str
    installed: StayView | None
    stays: list[StayView]


class AssetPiece(Struct):
    """The history of a place's signal for as long as the asset stood there."""

    node: str | None
    history: SignalHistory


class AssetHistory(Struct):
    """A signal's history across the places of an asset, the earliest first."""

    serial_number: str
    signal: str
    pieces: list[AssetPiece]


def stay_view(plant: AsOf, stay: Stay) -> StayView:
    """A stay as clients read it."""
    node = plant.graph.node_map.get(stay.node)
    return StayView(
        serial_number=stay.serial_number,
        maker=stay.maker,
        model=stay.model,
        node=None if node is None else node.id,
        since=format_time(stay.since),
        until=None if stay.until is None else format_time(stay.until),
        age_s=stay.age(plant.now) / NS,
        event=stay.event.seq,
        id=stay.event.identity,
    )


def asset_view(plant: AsOf, stays: list[Stay]) -> AssetView:
    """An asset as clients read it."""
    places = [stay_view(plant, stay) for stay in stays]
    last = places[-1]
    there = last.node if stays[-1].until is None or stays[-1].until > plant.now else None
    return AssetView(last.serial_number, last.maker, last.model, there, age(stays, plant.now) / NS, places)
