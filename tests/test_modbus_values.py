"""Registers and values: every type in every order, against struct; and what no register can hold."""

import itertools
import math
import random
import struct

import numpy as np
import pytest

from iotsense.ingest.modbus_plan import Block, Item
from iotsense.ingest.modbus_values import Decoder, Spec, encode
from iotsense.twin.define_modbus import ModbusDevice, ModbusRegister
from iotsense.twin.errors import InvalidValueError

FORMATS = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f",
    "float64": "d",
}  # fmt: skip
ORDERS = list(itertools.product(("big", "little"), repeat=2))


def spec(type: str = "int16", byte_order: str = "big", word_order: str = "big", **settings) -> Spec:
    settings = {"address": 0, "type": type, "name": "x", "byte_order": byte_order, "word_order": word_order} | settings
    return Spec.of(ModbusRegister.model_validate(settings), ModbusDevice.model_validate({"host": "h"}))


def wire(type: str, value: float, byte_order: str, word_order: str) -> bytes:
    """As a device of these orders sends it."""
    packed = struct.pack(">" + FORMATS[type], value)
    words = [packed[n : n + 2] for n in range(0, len(packed), 2)]
    if word_order == "little":
        words.reverse()
    return b"".join(word if byte_order == "big" else word[::-1] for word in words)


def decoded(specs: list[Spec], data: bytes, table: str = "holding") -> dict[int, tuple[float, int]]:
    items, first = [], 0
    for row, each in enumerate(specs):
        count = each.register.registers
        items.append(Item(row, 1, table, first, count))
        first += count
    decoder = Decoder(Block(1, table, 0, first, tuple(items)), specs)
    values, quality = decoder.numbers(data)
    found = dict(zip(decoder.rows.tolist(), zip(values.tolist(), quality.tolist(), strict=True), strict=True))
    return found | {row: (text, 192) for row, text in decoder.texts(data)}


def test_every_type_in_every_order_as_struct_has_it() -> None:
    specs, data, wanted = [], b"", []
    for type, (byte_order, word_order) in itertools.product(FORMATS, ORDERS):
        value = random.uniform(-1e6, 1e6) if type.startswith("float") else random.randrange(0, 2**15)
        specs.append(spec(type, byte_order, word_order))
        data += wire(type, value, byte_order, word_order)
        wanted.append(struct.unpack("f", struct.pack("f", value))[0] if type == "float32" else value)
    found = decoded(specs, data)
    assert [found[row] for row in range(len(specs))] == [(value, 192) for value in wanted]


@pytest.mark.parametrize(("byte_order", "word_order"), ORDERS)
def test_the_four_usual_orders_of_a_float(byte_order: str, word_order: str) -> None:
    # 123456.0 is 47 F1 20 00: ABCD, CDAB, BADC, DCBA.
    data = {
        ("big", "big"): "47f12000", ("big", "little"): "200047f1", ("little", "big"): "f1470020",
        ("little", "little"): "0020f147",
    }[byte_order, word_order]  # fmt: skip
    one = spec("float32", byte_order, word_order)
    assert decoded([one], bytes.fromhex(data)) == {0: (123456.0, 192)}
    assert encode(one, 123456.0) == bytes.fromhex(data)


def test_signs_scales_bits_and_decimals() -> None:
    specs = [
        spec("int16", scale=0.1, offset=-40.0), spec("bool", bit=0), spec("bool", bit=15), spec("bool"),
        spec("bcd16"), spec("bcd32", word_order="little"), spec("int16", no_value=-32768, scale=0.1), spec("bcd16"),
        spec("float32"), spec("uint64"), spec("bool", byte_order="little", bit=0),
    ]  # fmt: skip
    data = bytes.fromhex("fffe 0001 7fff 0000 1234 5678 0012 8000 0a00 7fc00000 0020000000000001 0100")
    found = decoded(specs, data)
    assert found[0] == (pytest.approx(-40.2), 192)
    assert [found[row][0] for row in (1, 2, 3, 10)] == [1, 0, 0, 1]
    assert (found[4][0], found[5][0]) == (1234, 125678)
    assert math.isnan(found[6][0]) and found[6][1] == 16  # the device says that it has none
    assert math.isnan(found[7][0]) and math.isnan(found[8][0])  # no decimal, no number
    assert found[9] == (2.0**53, 64)  # it was 2^53 + 1


def test_a_number_that_a_float_does_not_hold_exactly_is_uncertain() -> None:
    assert decoded([spec("uint64")], (2**60 + 1).to_bytes(8, "big")) == {0: (2.0**60, 64)}
    assert decoded([spec("int64")], (2**53 - 1).to_bytes(8, "big")) == {0: (2.0**53 - 1, 192)}


def test_texts() -> None:
    specs = [spec("string", count=4), spec("string", count=2, byte_order="little"), spec("uint16")]
    found = decoded(specs, b"Pump 7\0\0" + b"\xbcM r"[:2] + b" r" + b"\x00\x05")
    assert found[0][0] == "Pump 7" and found[2] == (5, 192)
    assert decoded([spec("string", count=2)], "Mü".encode() + b" ")[0][0] == "Mü"
    assert decoded([spec("string", count=1)], b"M\xfc")[0][0] == "Mü"  # no UTF-8, so Latin-1
    assert decoded([spec("string", count=2, byte_order="little")], b"bADC"[:2] + b"CD"[::-1])[0][0] == "AbCD"


def test_coils() -> None:
    specs = [spec("bool") for _ in range(11)]
    found = decoded(specs, bytes([0b10000101, 0b00000110]), "coil")
    assert [found[row][0] for row in range(11)] == [1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 1]


@pytest.mark.parametrize(("byte_order", "word_order"), ORDERS)
@pytest.mark.parametrize("type", [*FORMATS, "bcd16", "bcd32"])
def test_what_is_written_is_what_is_read(type: str, byte_order: str, word_order: str) -> None:
    one = spec(type, byte_order, word_order, scale=0.5, offset=10)
    value = 10 + 0.5 * random.randrange(0, 9999)
    assert decoded([one], encode(one, value))[0][0] == value


def test_what_a_register_cannot_hold_is_refused_with_its_limits() -> None:
    for type, value, words in (
        ("int16", 4000.0, r"found 4000 kelvin, expected -3276\.8 to 3276\.7 kelvin: register x is int16"),
        ("uint16", -1, r"expected 0 to 6553\.5"),
        ("bcd16", 1000, r"expected 0 to 999\.9"),
        ("int16", math.nan, "expected a finite number"),
        ("float32", 1e39, "which is too large: register x is float32"),
        ("int16", "warm", "found the text 'warm', expected a number: register x is int16"),
    ):
        with pytest.raises(InvalidValueError, match=words):
            encode(spec(type, scale=0.1, unit="kelvin"), value)
    with pytest.raises(InvalidValueError, match="found a text of 5 bytes; register x holds 4"):
        encode(spec("string", count=2), "Motor")
    assert encode(spec("string", count=3), "Pump") == b"Pump\0\0"
    assert encode(spec("float32"), 1.5) == np.array(1.5, ">f4").tobytes()
