"""A line: one TCP connection or serial port, on which one question at a time is asked by all who share it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import strerror
from typing import Any, cast

from ..twin.define_modbus import ModbusDevice
from ..twin.define_payload import Tls
from ..twin.errors import InvalidValueError, MissingExtraError, SourceError
from .modbus_frames import Frames, RtuFrames, TcpFrames
from .modbus_pdu import MalformedError
from .tls import client_context, tls_reason

# What a device may still say after we have given up waiting must not be taken for the next answer [s].
_LEFTOVERS_S = 0.3
_BITS_OF_A_CHARACTER = 11
_FAST_SILENCE_S = 0.00175


class SilentError(SourceError):
    """No answer came in time."""


@dataclass(frozen=True, slots=True)
class LineSettings:
    """How a line is opened; equal ones are one line."""

    transport: str
    host: str | None
    port: int
    tls: Tls | None
    serial_port: str | None
    baudrate: int
    parity: str
    stop_bits: int

    @classmethod
    def of(cls, device: ModbusDevice) -> "LineSettings":
        """The line on which a device is."""
        if device.transport == "rtu":
            serial = (device.serial_port, device.baudrate, device.parity, device.stop_bits)
            return cls("rtu", None, 0, None, *serial)
        return cls(device.transport, device.host, device.port, device.tls, None, 0, "none", 1)

    @property
    def address(self) -> str:
        """Where it leads, for people."""
        if self.transport == "rtu":
            return str(self.serial_port)
        host = f"[{self.host}]" if ":" in str(self.host) else self.host
        return f"{host}:{self.port}"

    @property
    def silence(self) -> float:
        """How long a line must be silent before a request [s] (Modbus over Serial Line V1.02, 2.5.1.1)."""
        if self.transport != "rtu":
            return 0.0
        return max(_FAST_SILENCE_S, 3.5 * _BITS_OF_A_CHARACTER / self.baudrate)


class Wire(asyncio.Protocol):
    """An open connection with at most one open question."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.heard = 0.0
        self.lost: str | None = None
        self.made, self.closed = asyncio.Event(), asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.made.set()

    def data_received(self, data: bytes) -> None:
        self.heard = self._loop.time()
        waiting = self._answer is not None and not self._answer.done()
        try:
            answer = self.frames.take(data)
        except MalformedError as error:
            if waiting:
                cast("asyncio.Future[bytes]", self._answer).set_exception(error)
            return
        if answer is not None and waiting:
            cast("asyncio.Future[bytes]", self._answer).set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was lost{f': {exc}' if exc else ''}")

    def _fail(self, reason: str) -> None:
        self.lost = self.lost or reason
        self.closed.set()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(SourceError(reason))

    async def ask(self, unit: int, request: bytes, patience: float) -> bytes:
        """The answer. Raises SilentError, MalformedError, or SourceError if the connection is lost."""
        if self.lost is not None or self._transport is None:
            raise SourceError(self.lost or "the connection is not open")
        loop = self._loop
        answer: asyncio.Future[bytes] = loop.create_future()
        self._answer = answer
        clock = loop.call_later(patience, self._late, answer, unit, patience)
        try:
            self._transport.write(self.frames.ask(unit, request))
            return await answer
        finally:
            clock.cancel()
            self._answer = None

    @staticmethod
    def _late(answer: "asyncio.Future[bytes]", unit: int, patience: float) -> None:
        if not answer.done():
            answer.set_exception(SilentError(f"unit {unit} does not answer within {patience:g} s"))

    def close(self) -> None:
        """Ends it at once."""
        self._fail("the connection was closed")
        if self._transport is not None:
            self._transport.abort()


class Line:
    """Opened by the first question and again after it was lost. Questions wait their turn: first come, first served."""

    def __init__(self, settings: LineSettings) -> None:
        self.settings = settings
        self.users = 0
        self._turn = asyncio.Lock()
        self._wire: Wire | None = None
        self._leftovers = False
        self._silence = settings.silence

    async def open(self, patience: float) -> Wire:
        """The open connection, for whoever has the turn. Raises SourceError, MissingExtraError."""
        if self._wire is None or self._wire.lost is not None:
            try:
                async with asyncio.timeout(patience):
                    self._wire = await _opened(self.settings)
            except TimeoutError:
                raise SourceError(
                    f"{self.settings.address} does not accept a connection within {patience:g} s"
                ) from None
        return self._wire

    async def ask(self, unit: int, request: bytes, patience: float, pause: float = 0.0) -> bytes:
        """The answer of a unit; it is asked after `pause` [s] of silence.

        Raises SilentError if none came in time, MalformedError for rubbish, SourceError if the line is lost.
        """
        async with self._turn:
            wire = await self.open(patience)
            if self._silence or pause or self._leftovers:
                await self._quiet(wire, pause)
            self._leftovers = True
            try:
                answer = await wire.ask(unit, request, patience)
            except MalformedError:
                # On TCP nobody knows where the next answer begins; on a line it begins after a silence.
                if isinstance(wire.frames, TcpFrames):
                    self.close()
                raise
            self._leftovers = False
            return answer

    async def _quiet(self, wire: Wire, pause: float) -> None:
        loop = asyncio.get_running_loop()
        silence = max(self._silence, pause)
        if self._leftovers and isinstance(wire.frames, RtuFrames):
            silence = max(silence, _LEFTOVERS_S)
            wire.heard = max(wire.heard, loop.time())
        while (wait := wire.heard + silence - loop.time()) > 0:  # noqa: ASYNC110 what comes meanwhile prolongs it
            await asyncio.sleep(wait)

    def close(self) -> None:
        """Closes the connection; the next question opens another."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None


_LINES: dict[tuple[int, str], Line] = {}


@contextmanager
def shared_line(settings: LineSettings) -> Iterator[Line]:
    """The line to an address: one for all sources of this event loop, closed when the last one leaves it.

    Raises InvalidValueError if another source opened it with other settings.
    """
    key = (id(asyncio.get_running_loop()), settings.address)
    line = _LINES.get(key)
    if line is None:
        line = _LINES[key] = Line(settings)
    elif line.settings != settings:
        raise InvalidValueError(
            f"another source uses {settings.address} with other settings; sources that share a line must agree in "
            "transport, tls, baudrate, parity and stop_bits"
        )
    line.users += 1
    try:
        yield line
    finally:
        line.users -= 1
        if not line.users:
            line.close()
            del _LINES[key]


async def _opened(settings: LineSettings) -> Wire:
    loop = asyncio.get_running_loop()
    wire = Wire(TcpFrames() if settings.transport == "tcp" else RtuFrames())
    if settings.transport == "rtu":
        await _open_serial(loop, wire, settings)
        return wire
    secure: dict[str, Any] = {}
    if settings.tls is not None and settings.tls.enabled:
        secure = {"ssl": client_context(settings.tls), "server_hostname": settings.host}
    try:
        await loop.create_connection(lambda: wire, str(settings.host), settings.port, **secure)
    except ConnectionRefusedError:
        raise SourceError(f"{settings.address} refuses the connection: does it speak Modbus on this port?") from None
    except OSError as error:
        why = tls_reason(error) or f"it cannot be reached: {error.strerror or error}"
        raise SourceError(f"{settings.address}: {why}") from None
    return wire


async def _open_serial(loop: asyncio.AbstractEventLoop, wire: Wire, settings: LineSettings) -> None:
    try:
        from pymodbus.transport.serialtransport import create_serial_connection
        from serial import SerialException
    except ImportError:
        raise MissingExtraError("Modbus RTU", "modbus") from None
    parity = {"none": "N", "even": "E", "odd": "O"}[settings.parity]
    line = (settings.baudrate, 8, parity, settings.stop_bits, 0)
    try:
        await create_serial_connection(loop, lambda: wire, settings.serial_port, *line)
    except SerialException as error:
        why = strerror(error.errno) if error.errno else error
        raise SourceError(
            f"the serial port {settings.serial_port} cannot be opened: {why}; "
            "is it plugged in, free, and may this user open it (group dialout)?"
        ) from None
    await wire.made.wait()
