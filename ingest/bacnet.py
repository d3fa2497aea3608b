"""BACnet/IP: devices that are found, described, asked, listened to and written."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..twin.backoff import Backoff
from ..twin.errors import InvalidValueError, MissingExtraError, SourceError
from .adapter import Deliver
from .bad_quality import BadQuality
from .configured import Configured
from .harvest import Harvest
from .points import Point
from .reconnecting import ReconnectingAdapter, Surroundings
from .sample import Sample
from .source_state import SourceState

if TYPE_CHECKING:
    from .bacnet_device import Device
    from .bacnet_following import Following
    from .bacnet_stack import Change, Stack


class BacnetAdapter(ReconnectingAdapter):
    """All devices of one configured source."""

    protocol = "bacnet"

    def __init__(self, source: Configured, surroundings: Surroundings, backoff: Backoff | None = None) -> None:
        self._settings = source.settings
        where = ", ".join(each.address or f"device {each.device_id}" for each in self._settings.devices)
        super().__init__(source, surroundings, where, backoff)
        self._devices: list[Device] = []
        self._followings: list[Following | None] = []
        self._stack: Stack | None = None
        self._door = asyncio.Lock()

    async def attempt(self, deliver: Deliver) -> None:
        """Follows all devices until none of them answers."""
        try:
            from .bacnet_stack import opened
        except ModuleNotFoundError:
            raise MissingExtraError("BACnet", "bacnet") from None
        self._make_devices()
        try:
            async with opened(self._settings) as self._stack:
                self._stack.listen(self._told)
                await self._follow_all(self._stack, deliver)
        finally:
            self._stack = None

    def _make_devices(self) -> None:
        """Once: they remember what they have learned of the real ones."""
        from .bacnet_device import Device

        if not self._devices:
            self._devices = [Device(each, self._settings, self.name) for each in self._settings.devices]
            self._followings = [None] * len(self._devices)

    async def _follow_all(self, stack: "Stack", deliver: Deliver) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for number in range(len(self._devices)):
                    tasks.create_task(self._keep(number, stack, deliver))
        except BaseExceptionGroup as errors:
            error: BaseException = errors
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error from None

    async def _keep(self, number: int, stack: "Stack", deliver: Deliver) -> None:
        """Follows one device, again and again; raises what is the matter when none of them can be followed any more."""
        from .bacnet_following import Following

        device, backoff = self._devices[number], Backoff(self._backoff.first, self._backoff.longest)
        first = 1 + sum(len(each.things) for each in self._devices[:number])
        device.trouble = None
        while True:
            following = Following(device, stack, self._settings, first, partial(self._hand, deliver), self.status)
            self._followings[number] = following
            try:
                await following.run(partial(self._answered, device, backoff))
            except SourceError as error:
                device.trouble = SourceError(f"{device}: {error}")
            except InvalidValueError as error:
                device.trouble = error
            device.harvest.lost(np.arange(len(device.things), dtype=np.int32), BadQuality.COMMUNICATION)
            await self._hand(deliver, device.harvest, None)
            troubles = [other.trouble for other in self._devices if other.trouble is not None]
            if len(troubles) == len(self._devices):
                # It makes sense to try again as long as one of them might only be switched off.
                raise next((each for each in troubles if isinstance(each, SourceError)), troubles[0])
            self.log.warning("source %s: %s; the other devices are read on", self.name, device.trouble)
            await asyncio.sleep(backoff.next())

    def _answered(self, device: "Device", backoff: Backoff) -> None:
        device.trouble = None
        backoff.reset()
        if self.status.state is not SourceState.RUNNING:
            self.connected()

    async def _hand(self, deliver: Deliver, harvest: Harvest, ack: Callable[[], None] | None) -> None:
        async with self._door:
            await harvest.deliver(deliver, ack)

    def _told(self, change: "Change") -> None:
        """A notification, to whom it concerns; of one that nobody asked for no notice is taken."""
        first = 1
        for device, following in zip(self._devices, self._followings, strict=True):
            row = change.process - first
            if 0 <= row < len(device.things):
                if following is not None and device.things[row].id == change.id and change.address == device.address:
                    following.told(change)
                return
            first += len(device.things)

    # Writing

    def writable(self) -> Sequence[Point]:
        """The objects that the definition lets be written."""
        try:
            from .bacnet_writing import is_writable
        except ModuleNotFoundError:
            return []  # `attempt` says what is missing
        self._make_devices()
        return [
            device.points.points[row]
            for device in self._devices
            for row, thing in enumerate(device.things)
            if is_writable(thing, self._settings)
        ]

    async def write(self, point: Point, value: float | bool | str | None) -> None:
        """Sets an object's value at its priority; None gives up what was written there before.

        Raises SourceError if the device cannot be reached or refuses, InvalidValueError if it cannot hold the value.
        """
        from .bacnet_encoding import BacnetRefusal
        from .bacnet_writing import is_writable, value_to_write

        device, row = self._find(point)
        thing = device.things[row]
        if not is_writable(thing, self._settings):
            raise InvalidValueError(
                f"{point.address} ({thing.definition.object}) may not be written: that takes `writable: true` at the "
                "source, and an output or a value (an input needs it of its own)"
            )
        priority = thing.definition.priority or self._settings.priority
        raw = value_to_write(thing, value)
        try:
            await self._open_stack().write(device.where, thing.id, thing.definition.property, raw, priority)
        except BacnetRefusal as refusal:
            what = f"{point.address} ({thing.definition.object})"
            raise SourceError(f"{what} cannot be written at priority {priority}: {refusal}") from None

    async def read(self, point: Point) -> Sample:
        """What the object holds now; raises SourceError."""
        device, row = self._find(point)
        harvest = await device.gather(self._open_stack(), [row])
        for message in harvest.messages():
            if message.samples:
                return message.samples[0]
            if (columns := message.readings) is not None and columns.time is not None and columns.quality is not None:
                return device.points.sample(row, float(columns.value[0]), int(columns.time[0]), int(columns.quality[0]))
        raise SourceError(f"{point.address} ({device.things[row].definition.object}) cannot be read")

    def _find(self, point: Point) -> tuple["Device", int]:
        for device in self._devices:
            for row, other in enumerate(device.points.points):
                if (other.address, other.device) == (point.address, point.device):
                    return device, row
        raise InvalidValueError(f"source {self.name} has no point {point.address}")

    def _open_stack(self) -> "Stack":
        if self._stack is None or self.status.state is not SourceState.RUNNING:
            raise SourceError(f"source {self.name} is not connected: {self.status.error or 'it has not begun'}")
        return self._stack
