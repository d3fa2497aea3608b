"""A unit: one device on a line, asked again when it does not answer, and left in peace when it is silent."""

import asyncio

from ..twin.backoff import Backoff
from ..twin.define_modbus import ModbusDevice
from ..twin.errors import SourceError
from .modbus_line import Line, SilentError
from .modbus_pdu import (
    ACKNOWLEDGE,
    BUSY,
    NO_ANSWER,
    NO_PATH,
    MalformedError,
    ModbusRefusal,
    check,
    data_of,
    read_request,
)
from .modbus_plan import Block

# A device that is busy is asked again after this [s].
_BUSY_S = 0.1


class Unit:
    """`silent`: why it counts as unreachable; None while it answers."""

    def __init__(self, number: int, line: Line, settings: ModbusDevice) -> None:
        self.number = number
        self.silent: str | None = None
        self._line = line
        self._settings = settings
        self._backoff = Backoff(1.0, 60.0)
        self._until = 0.0

    @property
    def resting(self) -> bool:
        """Whether it was silent a moment ago and is not to be asked now."""
        return self.silent is not None and asyncio.get_running_loop().time() < self._until

    async def read(self, block: Block) -> bytes:
        """The bytes of a block. Raises as `ask` does."""
        request = read_request(block.table, block.first, block.count)
        return data_of(request, await self.ask(request))

    async def write(self, request: bytes) -> None:
        """Has a write confirmed. Raises as `ask` does."""
        await self.ask(request)

    async def ask(self, request: bytes) -> bytes:
        """The answer to a request, which is repeated if need be.

        Raises SilentError if the unit cannot be reached, ModbusRefusal if it says no, SourceError if the line is lost.
        """
        for again in reversed(range(self._settings.retries + 1)):
            try:
                answer = await self._line.ask(
                    self.number, request, self._settings.timeout, self._settings.pause_ms / 1000
                )
                check(request, answer)
            except SilentError as error:
                if not again:
                    raise self._unreachable(f"{error}; is it on, and is its unit_id right?") from None
            except MalformedError as error:
                if not again:
                    raise self._unreachable(str(error)) from None
            except ModbusRefusal as refusal:
                if refusal.code in (NO_PATH, NO_ANSWER):
                    raise self._unreachable(f"unit {self.number} cannot be reached by the gateway: {refusal}") from None
                self._answered()
                if refusal.code not in (ACKNOWLEDGE, BUSY) or not again:
                    raise
                await asyncio.sleep(_BUSY_S)
            else:
                self._answered()
                return answer
        raise SourceError("no request was made")

    def _answered(self) -> None:
        self.silent = None
        self._backoff.reset()

    def _unreachable(self, reason: str) -> SilentError:
        self.silent = reason
        self._until = asyncio.get_running_loop().time() + self._backoff.next()
        return SilentError(reason)
