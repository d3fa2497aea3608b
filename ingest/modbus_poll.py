"""The registers that are read at one interval: in blocks, and if a block is refused in ever smaller ones.

What cannot be read is found by halving, set aside, and tried again once in a while; the rest is planned around it.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Sequence

from .modbus_pdu import DEVICE_FAILURE, ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, ModbusRefusal
from .modbus_plan import Block, Item, Limits, plan
from .modbus_values import Decoder, Spec

AGAIN_S = 60.0
"""When a register that could not be read is tried again [s]."""
_AGAIN_AT_ONCE = 8
_MEANT_FOR_SOME = (ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE)

Read = Callable[[Block], Awaitable[bytes]]
Part = tuple[Block, "bytes | ModbusRefusal"]


class Poll:
    """`blocks` is what is asked for in a round; `interval` [s]."""

    def __init__(self, interval: float, items: Sequence[Item], specs: Sequence[Spec], limits: Limits) -> None:
        self.interval = interval
        self.items = tuple(items)
        self.bad: dict[Item, ModbusRefusal] = {}
        self._specs = specs
        self._limits = limits
        self._again: list[tuple[float, int, Item]] = []
        self._decoders: dict[Block, Decoder] = {}
        self._plan()

    def decoder(self, block: Block) -> Decoder:
        """What reads the bytes of a block."""
        decoder = self._decoders.get(block)
        if decoder is None:
            decoder = self._decoders[block] = Decoder(block, self._specs)
        return decoder

    async def divide(self, read: Read, block: Block, refusal: ModbusRefusal) -> list[Part]:
        """What can be read of a block that was refused, and what not; plans the next rounds around the latter."""
        if refusal.code not in _MEANT_FOR_SOME:
            return [(block, refusal)]
        parts = await self._divided(read, block, refusal)
        for part, outcome in parts:
            if isinstance(outcome, ModbusRefusal):
                self._set_aside(part.items, outcome)
        self._plan()
        return parts

    async def _divided(self, read: Read, block: Block, refusal: ModbusRefusal) -> list[Part]:
        halves = block.halves()
        if halves is None or refusal.code == ILLEGAL_FUNCTION:
            return [(block, refusal)]
        parts: list[Part] = []
        for half in halves:
            try:
                parts.append((half, await read(half)))
            except ModbusRefusal as error:
                parts += await self._divided(read, half, error)
        if len(parts) == 2 and not any(isinstance(outcome, ModbusRefusal) for _, outcome in parts):
            # Each of them can be read, both together not: the gap is forbidden, or the device takes less at once.
            self._limits.walls[block.unit, block.table].add(halves[1].first)
        return parts

    async def retry(self, read: Read) -> list[tuple[Block, bytes]]:
        """Tries what was set aside long enough ago, a little at a time; what can be read again is planned in."""
        now, good = asyncio.get_running_loop().time(), []
        for _ in range(_AGAIN_AT_ONCE):
            if not self._again or self._again[0][0] > now:
                break
            _, _, item = heapq.heappop(self._again)
            block = Block.of([item])
            try:
                good.append((block, await read(block)))
            except ModbusRefusal as refusal:
                self._set_aside([item], refusal)
            except BaseException:
                heapq.heappush(self._again, (now, item.row, item))
                raise
            else:
                self._take_back(item)
        if good:
            self._plan()
        return good

    def _set_aside(self, items: Sequence[Item], refusal: ModbusRefusal) -> None:
        due = asyncio.get_running_loop().time() + AGAIN_S
        for item in items:
            self.bad[item] = refusal
            self._limits.holes[item.place].add((item.first, item.last))
            heapq.heappush(self._again, (due, item.row, item))

    def _take_back(self, item: Item) -> None:
        del self.bad[item]
        if not any(other.place == item.place and other.first == item.first for other in self.bad):
            self._limits.holes[item.place].discard((item.first, item.last))

    def _plan(self) -> None:
        self.blocks = plan((item for item in self.items if item not in self.bad), self._limits)
        wanted = set(self.blocks)
        self._decoders = {block: decoder for block, decoder in self._decoders.items() if block in wanted}
