"""What is said on Modbus, whatever carries it: requests and answers (Modbus Application Protocol V1.1b3)."""

import struct
from typing import Final

from ..twin.define_modbus import Table
from ..twin.errors import SourceError

READ: Final[dict[Table, int]] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS, MASK_REGISTER = 5, 6, 15, 16, 22
INTERFACE = 43
IDENTIFY: Final = bytes((INTERFACE, 14, 1, 0))
"""Asks for the basic identification: vendor, product and revision."""

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE = 1, 2, 3, 4
ACKNOWLEDGE, BUSY, PARITY, NO_PATH, NO_ANSWER = 5, 6, 8, 10, 11
_MEANING = {
    ILLEGAL_FUNCTION: "illegal function",
    ILLEGAL_ADDRESS: "illegal data address",
    ILLEGAL_VALUE: "illegal data value",
    DEVICE_FAILURE: "server device failure",
    ACKNOWLEDGE: "acknowledge: it needs longer",
    BUSY: "server device busy",
    7: "negative acknowledge",
    PARITY: "memory parity error",
    NO_PATH: "gateway path unavailable",
    NO_ANSWER: "gateway target device failed to respond",
}


class ModbusRefusal(SourceError):
    """An exception answer: the device was reached and says no. `code` says why."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exception {code} ({_MEANING.get(code, 'unknown')})")


class MalformedError(SourceError):
    """What came is no answer to what was asked."""


def read_request(table: Table, first: int, count: int) -> bytes:
    """Asks for `count` registers or bits from address `first`, counted from 0."""
    return struct.pack(">BHH", READ[table], first, count)


def write_coil(address: int, on: bool) -> bytes:
    """Sets one coil."""
    return struct.pack(">BHH", WRITE_COIL, address, 0xFF00 if on else 0)


def write_coils(address: int, bits: list[bool]) -> bytes:
    """Sets coils that lie side by side."""
    packed = sum(bit << place for place, bit in enumerate(bits)).to_bytes((len(bits) + 7) // 8, "little")
    return struct.pack(">BHHB", WRITE_COILS, address, len(bits), len(packed)) + packed


def write_register(address: int, raw: bytes) -> bytes:
    """Sets one register to two bytes."""
    return struct.pack(">BH", WRITE_REGISTER, address) + raw


def write_registers(address: int, raw: bytes) -> bytes:
    """Sets registers that lie side by side, two bytes each."""
    return struct.pack(">BHHB", WRITE_REGISTERS, address, len(raw) // 2, len(raw)) + raw


def mask_register(address: int, keep: int, put: int) -> bytes:
    """Sets bits of a register: those of `keep` stay as they are, those of `put` are set."""
    return struct.pack(">BHHH", MASK_REGISTER, address, keep, put)


def data_of(request: bytes, answer: bytes) -> bytes:
    """The bytes of the registers or bits that were asked for.

    Raises ModbusRefusal for an exception answer, MalformedError for one that does not fit the request.
    """
    check(request, answer)
    count = int.from_bytes(request[3:5], "big")
    size = (count + 7) // 8 if request[0] <= READ["discrete"] else 2 * count
    if len(answer) != size + 2 or answer[1] != size:
        raise MalformedError(f"{len(answer) - 2} bytes came instead of {size}")
    return answer[2:]


def check(request: bytes, answer: bytes) -> None:
    """Raises ModbusRefusal for an exception answer, MalformedError for an answer to something else."""
    if len(answer) == 2 and answer[0] == request[0] | 0x80:
        raise ModbusRefusal(answer[1])
    if not answer or answer[0] != request[0]:
        raise MalformedError(f"function {answer[0] if answer else 'nothing'} was answered to function {request[0]}")
    if READ["input"] < request[0] < INTERFACE and answer != request[: len(answer)]:
        raise MalformedError("another write was confirmed than the one that was asked for")


def identification(answer: bytes) -> str | None:
    """Make, model and revision in an answer to IDENTIFY; raises MalformedError."""
    texts, at = [], 7
    try:
        for _ in range(answer[6]):
            length = answer[at + 1]
            texts.append(answer[at + 2 : at + 2 + length].decode("latin-1").strip())
            at += 2 + length
    except IndexError:
        raise MalformedError("the identification is cut short") from None
    return " ".join(text for text in texts if text) or None


def answer_size(head: bytes) -> int | None:
    """How long an answer is, by its first bytes; None while they do not tell, 0 if it is none of ours."""
    if not head:
        return None
    function = head[0]
    if function & 0x80:
        return 2
    if function in (1, 2, 3, 4):
        return None if len(head) < 2 else 2 + head[1]
    if function in (WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS):
        return 5
    return 7 if function == MASK_REGISTER else 0
