"""Following one BACnet device: told of changes where it can, asked at an interval where it cannot."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from ..twin.define_bacnet import BacnetProtocol
from ..twin.times import now_ns
from .bacnet_device import VALUE, Device
from .bacnet_encoding import BacnetRefusal
from .bacnet_stack import Change, Stack
from .harvest import Harvest
from .polling import Pace
from .source_state import SourceStatus

log = logging.getLogger("iotsense.bacnet")
INBOX = 1000
"""Changes that may wait to be handed over; of more the device is not told that we have them, so it tells them again."""
# Objects that are asked in a heartbeat, by turns.
_BY_TURNS = 20
Hand = Callable[[Harvest, Callable[[], None] | None], Awaitable[None]]


class Following:
    """`hand` hands over readings. first: the number of the device's first subscription; those of its objects follow."""

    def __init__(
        self,
        device: Device,
        stack: Stack,
        settings: BacnetProtocol,
        first: int,
        hand: Hand,
        status: SourceStatus | None = None,
    ) -> None:
        self._device = device
        self._stack = stack
        self._settings = settings
        self._first = first
        self._hand = hand
        self._status = status
        self._subscribed: set[int] = set()
        self._inbox: deque[tuple[Change, int]] = deque()
        self._arrived = asyncio.Event()
        self._turn = asyncio.Lock()
        self.dropped = 0

    async def run(self, answered: Callable[[], None]) -> None:
        """Until the device is silent: raises BacnetSilence. Calls `answered` when it was reached."""
        device, stack = self._device, self._stack
        await device.locate(stack)
        await device.describe(stack)
        answered()
        await self._hand(await device.gather(stack, range(len(device.things))), None)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take())
                tasks.create_task(self._subscribe())
                tasks.create_task(self._heartbeat())
                for interval, rows in self._intervals().items():
                    tasks.create_task(self._poll(interval, rows))
        except BaseExceptionGroup as errors:
            raise _first_of(errors) from None
        except asyncio.CancelledError:
            rows = sorted(self._subscribed)
            await stack.unsubscribe([(device.where, device.things[row].id, self._first + row) for row in rows])
            raise

    def _intervals(self) -> dict[float, list[int]]:
        intervals: defaultdict[float, list[int]] = defaultdict(list)
        for row, thing in enumerate(self._device.things):
            intervals[thing.definition.interval or self._device.interval].append(row)
        return intervals

    # Asking

    async def _poll(self, interval: float, rows: list[int]) -> None:
        pace = Pace(interval, self._status)
        await pace.tick()  # they were read a moment ago
        while True:
            await pace.tick()
            if asked := [row for row in rows if row not in self._subscribed]:
                await self._ask(asked)

    async def _ask(self, rows: Sequence[int]) -> None:
        """Reads objects, and hands over before that what the device has told meanwhile, so that all comes in order."""
        async with self._turn:
            harvest = await self._device.gather(self._stack, rows)
            await self._hand_told()
            await self._hand(harvest, None)

    async def _heartbeat(self) -> None:
        """Asks some of those that are followed otherwise, so that a silent device is noticed, and a lost change."""
        turn = 0
        while True:
            await asyncio.sleep(self._settings.heartbeat)
            rows = sorted(self._subscribed)
            if rows:
                some = [rows[(turn + n) % len(rows)] for n in range(min(_BY_TURNS, len(rows)))]
                turn = (turn + len(some)) % len(rows)
                await self._ask(some)

    # Being told

    async def _subscribe(self) -> None:
        """Subscribes, and again after half of the time that it lasts."""
        refused: set[int] = set()
        while True:
            for row, thing in enumerate(self._device.things):
                if not thing.definition.change_of_value or not thing.is_value:
                    continue
                try:
                    await self._subscribe_to(row)
                except BacnetRefusal as refusal:
                    self._subscribed.discard(row)
                    if row not in refused:
                        name = thing.definition.name
                        log.info("%s does not tell of changes of %s (%s); it is asked", self._device, name, refusal)
                    refused.add(row)
            await asyncio.sleep(self._settings.cov_lifetime / 2)

    async def _subscribe_to(self, row: int) -> None:
        id, settings = self._device.things[row].id, self._settings
        process, lifetime = self._first + row, round(settings.cov_lifetime)
        await self._stack.subscribe(self._device.where, id, process, settings.cov_confirmed, lifetime)
        self._subscribed.add(row)

    def told(self, change: Change) -> None:
        """The device tells of a change."""
        if len(self._inbox) >= INBOX:
            if change.confirm is not None:
                return  # without an answer the device tells it again
            self._inbox.popleft()
            self.dropped += 1
        self._inbox.append((change, now_ns()))
        self._arrived.set()

    async def _take(self) -> None:
        while True:
            await self._arrived.wait()
            async with self._turn:
                await self._hand_told()

    async def _hand_told(self) -> None:
        self._arrived.clear()
        harvest, confirmations = self._device.harvest.beside(), []
        while self._inbox:
            change, time = self._inbox.popleft()
            if VALUE in change.values:
                self._device.put(harvest, change.process - self._first, change.values, time)
            if change.confirm is not None:
                confirmations.append(change.confirm)
        await self._hand(harvest, partial(_call_all, confirmations))


def _call_all(confirmations: Sequence[Callable[[], None]]) -> None:
    for confirm in confirmations:
        confirm()


def _first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
