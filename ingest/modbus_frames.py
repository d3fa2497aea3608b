"""How what is said on Modbus is framed: behind a header with a transaction id on TCP, before a checksum on a line."""

import struct
from abc import ABC, abstractmethod
from typing import Final

from .modbus_pdu import MalformedError, answer_size

_HEADER = 7
_MOST = 260
_READS = 4
_CHECK = "check baudrate, parity, stop_bits and the wiring, and whether two devices have the same unit id"


class Frames(ABC):
    """Frames requests, and finds the answer to the last one in what comes."""

    @abstractmethod
    def ask(self, unit: int, request: bytes) -> bytes:
        """The bytes that ask; an answer to an earlier request is none any more."""

    @abstractmethod
    def take(self, data: bytes) -> bytes | None:
        """Takes what came; the answer, if it is complete. Raises MalformedError if it cannot be Modbus."""


class TcpFrames(Frames):
    """Modbus TCP: an answer bears the transaction id of its request, so a late one is known as such."""

    def __init__(self) -> None:
        self._transaction = 0
        self._unit = 0
        self._buffer = b""
        self.stale = 0

    def ask(self, unit: int, request: bytes) -> bytes:
        self._transaction = self._transaction % 0xFFFF + 1
        self._unit = unit
        return struct.pack(">HHHB", self._transaction, 0, len(request) + 1, unit) + request

    def take(self, data: bytes) -> bytes | None:
        buffer = self._buffer + data if self._buffer else data
        while len(buffer) >= _HEADER + 1:
            transaction, protocol, length, unit = struct.unpack_from(">HHHB", buffer)
            if protocol != 0 or not 3 <= length <= _MOST - 6:
                raise MalformedError("the answer is not Modbus TCP; is another service on this port?")
            if len(buffer) < 6 + length:
                break
            answer, buffer = buffer[_HEADER : 6 + length], buffer[6 + length :]
            if transaction == self._transaction and unit == self._unit:
                self._buffer = b""
                self._transaction_done()
                return answer
            self.stale += 1
        self._buffer = buffer
        return None

    def _transaction_done(self) -> None:
        self._unit = -1  # a second answer to the same request is stale


class RtuFrames(Frames):
    """Modbus RTU: no transaction ids, so what comes before a request is thrown away, and units and functions must fit.

    Some converters give back what is sent: that is thrown away too.
    """

    def __init__(self) -> None:
        self._asked = b""
        self._buffer = b""
        self.stale = 0

    def ask(self, unit: int, request: bytes) -> bytes:
        body = bytes((unit,)) + request
        self._buffer = b""
        self._asked = body + checksum(body)
        return self._asked

    def take(self, data: bytes) -> bytes | None:
        self._buffer += data
        # A device confirms a write by the same bytes, so only a read can be told from its echo.
        if self._asked and self._asked[1] <= _READS and self._buffer.startswith(self._asked):
            self._buffer = self._buffer[len(self._asked) :]
        while (frame := self._next()) is not None:
            if self._asked and frame[0] == self._asked[0] and frame[1] & 0x7F == self._asked[1]:
                self._asked = self._buffer = b""
                return frame[1:]
            self.stale += 1
        return None

    def _next(self) -> bytes | None:
        """The first whole frame of the buffer, without its checksum, which is taken out of it."""
        size = answer_size(self._buffer[1:3])
        if size is None:
            return None
        if size == 0 or size + 3 > _MOST:
            raise MalformedError(f"what came is not Modbus RTU; {_CHECK}")
        if len(self._buffer) < size + 3:
            return None
        frame, sum = self._buffer[: size + 1], self._buffer[size + 1 : size + 3]
        if checksum(frame) != sum:
            raise MalformedError(f"the checksum is wrong; {_CHECK}")
        self._buffer = self._buffer[size + 3 :]
        return frame


def _table() -> tuple[int, ...]:
    entries = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        entries.append(value)
    return tuple(entries)


_CRC: Final = _table()


def checksum(data: bytes) -> bytes:
    """The CRC-16 of Modbus over serial line, low byte first."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")
