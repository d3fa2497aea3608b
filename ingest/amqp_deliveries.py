"""What an AMQP broker has sent on a channel and was not told yet what became of it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ..twin.errors import IoTSenseError
from .message import Message, Order

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel


class Deliveries:
    """Acknowledges by runs: one `basic.ack` with `multiple` for all that became durable since the last.

    The pipeline tells of messages in the order of their receipt, so that everything up to the highest tag is settled.
    """

    def __init__(self, channel: "AbstractChannel", failed: Callable[[IoTSenseError], None]) -> None:
        self.order = Order()
        self.waiting = 0
        self._channel = channel
        self._failed = failed
        self._durable = 0
        self._rejected: list[int] = []
        self._sending: asyncio.Task[None] | None = None

    def follow(self, message: Message, tag: int, reject: bool) -> None:
        """Tells the broker what becomes of a message; `reject`: that of one that cannot be used, too."""

        def ack() -> None:
            self.waiting -= 1
            self._durable = tag
            self._soon()

        def turn_away() -> None:
            self.waiting -= 1
            self._rejected.append(tag)
            self._soon()

        def refuse(error: IoTSenseError) -> None:
            self.waiting -= 1
            self._failed(error)

        self.waiting += 1
        message.order = self.order
        message.ack = ack
        message.refuse = refuse
        message.reject = turn_away if reject else None

    async def settle(self, patience: float) -> None:
        """Waits up to `patience` [s] for what is being stored, and until the broker was told."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self.waiting:  # noqa: ASYNC110 - acknowledging costs no event for this rare case
                    await asyncio.sleep(0.01)
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=patience)

    def _soon(self) -> None:
        # The whole group is told within one turn of the event loop; then it is one acknowledgement.
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send())
            self._sending.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _send(self) -> None:
        try:
            while self._durable or self._rejected:
                rejected, durable = self._rejected, self._durable
                self._rejected, self._durable = [], 0
                for tag in rejected:
                    await self._channel.basic_nack(tag, requeue=False, wait=False)
                if durable:
                    await self._channel.basic_ack(durable, multiple=True, wait=False)
        finally:
            self._sending = None
