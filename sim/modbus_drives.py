"""The conveyors' drives as a Modbus TCP server: one gateway, a unit for each drive, input registers.

| register | what | type |
|---|---|---|
| 0 | belt speed [mm/s] | uint16 |
| 1 | motor current [0.01 A] | uint16 |
| 2 | motor temperature [0.1 celsius] | int16 |
| 3 | vibration [0.01 mm/s RMS] | uint16 |
| 4, 5 | bottles on the belt | uint32 |
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator

from ..twin.errors import SourceError
from .machine import Value
from .wiring import MODBUS, Moment, machines_of

REGISTERS = 6
_HEADER = struct.Struct(">HHHB")
_ASKED = struct.Struct(">BHH")
_VALUES = struct.Struct(">HHhHI")
_READ_HOLDING, _READ_INPUT, _IDENTIFY, _REFUSED = 3, 4, 43, 0x80
_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _NOBODY_THERE = 1, 2, 11
_NAMES = (b"IoTSense", b"belt-drive", b"1.0")


class ModbusDrives:
    """The registers of all drives, by unit; answers requests as the drives' gateway would."""

    def __init__(self, moment: Moment) -> None:
        self.units = dict(enumerate(machines_of(MODBUS), 1))
        self._registers: dict[int, bytes] = {}
        self._show(moment)
        self._talks: set[asyncio.Task[None]] = set()

    async def say(self, moment: Moment) -> None:
        """Whoever asks from now on gets these values."""
        self._show(moment)

    def _show(self, moment: Moment) -> None:
        spoken = moment.spoken(MODBUS)
        for number, machine in self.units.items():
            self._registers[number] = packed(spoken[machine])

    def answer(self, unit: int, request: bytes) -> bytes:
        """The answer to a request: function code and data."""
        function = request[0]
        if unit not in self._registers:
            return _refusal(function, _NOBODY_THERE)
        if function == _IDENTIFY and request[1:2] == b"\x0e":
            return _identification(request)
        if function not in (_READ_HOLDING, _READ_INPUT) or len(request) != _ASKED.size:
            return _refusal(function, _ILLEGAL_FUNCTION)
        _, first, count = _ASKED.unpack(request)
        if not 1 <= count <= REGISTERS or first + count > REGISTERS or function == _READ_HOLDING:
            return _refusal(function, _ILLEGAL_ADDRESS)
        registers = self._registers[unit][2 * first : 2 * (first + count)]
        return bytes((function, len(registers))) + registers

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until its client ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            while True:
                number, protocol, length, unit = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                if protocol != 0 or not 2 <= length <= 254:
                    return
                answer = self.answer(unit, await reader.readexactly(length - 1))
                writer.write(_HEADER.pack(number, 0, len(answer) + 1, unit) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._talks.discard(task)
            writer.close()

    async def end(self) -> None:
        """Ends all connections."""
        for task in tuple(self._talks):
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)


def packed(values: dict[str, Value]) -> bytes:
    """What a conveyor shows, as registers."""
    speed, current, temperature, vibration, bottles = (
        float(values[name])  # type: ignore[arg-type]
        for name in ("speed", "motor_current", "motor_temperature", "vibration_rms", "bottles")
    )
    return _VALUES.pack(
        _within(speed * 1000, 0, 65_535),
        _within(current * 100, 0, 65_535),
        _within(temperature * 10, -32_768, 32_767),
        _within(vibration * 100, 0, 65_535),
        _within(bottles, 0, 2**32 - 1),
    )


def _within(value: float, low: int, high: int) -> int:
    return min(max(round(value), low), high)


def _refusal(function: int, code: int) -> bytes:
    return bytes((function | _REFUSED, code))


def _identification(request: bytes) -> bytes:
    """Read Device Identification, basic: vendor, product, revision."""
    objects = b"".join(bytes((number, len(name))) + name for number, name in enumerate(_NAMES))
    return bytes((_IDENTIFY, 0x0E, request[2] if len(request) > 2 else 1, 1, 0, 0, len(_NAMES))) + objects


@contextlib.asynccontextmanager
async def modbus_drives(
    first: Moment, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[tuple[ModbusDrives, int]]:
    """The drives' gateway, which shows a first moment, and the port that it listens on; 0 chooses a free one.

    Raises SourceError.
    """
    drives = ModbusDrives(first)
    try:
        server = await asyncio.start_server(drives.talk, host, port)
    except OSError as error:
        raise SourceError(f"the demo's drives cannot listen on {host}:{port}: {error}") from error
    try:
        yield drives, int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await drives.end()
        await server.wait_closed()
