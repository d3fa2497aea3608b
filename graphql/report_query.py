"""Reports as they stand, and assets with serial numbers."""

import asyncio
from typing import Annotated

import strawberry

from ..twin import assets, model
from ..twin.report import KINDS
from ..twin.reported import reported, standing
from .asset_types import Asset, Stay
from .event_type import Event
from .field import field
from .moment import plant_field
from .scalars import Time
from .view import View

MOST = 1_000


@strawberry.type
class ReportQuery:
    @plant_field
    async def event(self, view: View, id: strawberry.ID) -> Event | None:
        """An event as it stands: by its identity, or by the number of any event that tells of it."""
        return Event.of(view, await asyncio.to_thread(standing, view.plant, id))

    @plant_field
    async def reports(
        self,
        view: View,
        kinds: list[str] | None = None,
        node: strawberry.ID | None = None,
        from_: Annotated[Time | None, strawberry.argument(name="from")] = None,
        to: Time | None = None,
        open: bool = False,
    ) -> list[Event]:
        """What people reported, as it stands: each once, corrected, without what was taken back; the last 1000."""
        key = None if node is None else view.find(node).key
        found = await asyncio.to_thread(reported, view.plant, kinds or KINDS, key, from_, to)
        return [Event.of(view, event) for event in found if event.until is None or not open][-MOST:]

    @plant_field
    async def assets(self, view: View, maker: str | None = None, model: str | None = None) -> list[Asset]:
        """All assets that were ever installed, in the order of their first installation."""
        found = await asyncio.to_thread(assets.assets, view.plant, maker, model)
        return [Asset.of(view, life) for life in found]

    @plant_field
    async def asset(self, view: View, serial_number: str, maker: str | None = None) -> Asset | None:
        """The asset of this serial number; the maker is needed where several have it."""
        return Asset.of(view, await asyncio.to_thread(assets.asset, view.plant, serial_number, maker))


@strawberry.type
class NodeAssets:
    view: strawberry.Private[View]
    record: strawberry.Private[model.Node]

    @field
    async def stays(self) -> list[Stay]:
        """Which assets with serial numbers were here when, in the order of time."""
        found = await self.view.loaders.stays.load(self.record.key)
        return [Stay.of(self.view, stay) for stay in found]

    @field
    async def installed(self) -> Stay | None:
        """Which asset is here."""
        found = await self.view.loaders.stays.load(self.record.key)
        return next((Stay.of(self.view, stay) for stay in found if stay.end is None), None)
