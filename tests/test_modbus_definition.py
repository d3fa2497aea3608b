"""Definitions of Modbus devices: addresses in every notation, and mistakes with words that help."""

import re

import pytest
from pydantic import ValidationError

from iotsense.twin.define_modbus import ModbusProtocol, ModbusRegister


def device(**settings) -> ModbusProtocol:
    return ModbusProtocol.model_validate({"name": "modbus", "host": "h"} | settings)


def register(**settings) -> ModbusRegister:
    return ModbusRegister.model_validate({"address": 0, "type": "int16", "name": "x"} | settings)


def place(addressing: str, **settings) -> tuple[str, int]:
    return register(**settings).place(addressing)


@pytest.mark.parametrize(
    ("addressing", "settings", "expected"),
    [
        ("zero_based", {"address": 0}, ("holding", 0)),
        ("zero_based", {"address": 40001}, ("holding", 40001)),
        ("zero_based", {"address": 65535, "table": "input"}, ("input", 65535)),
        ("zero_based", {"address": 7, "type": "bool"}, ("coil", 7)),
        ("zero_based", {"address": 7, "type": "bool", "table": "discrete"}, ("discrete", 7)),
        ("zero_based", {"address": 7, "type": "bool", "bit": 3}, ("holding", 7)),
        ("zero_based", {"address": 7, "type": "bool", "table": "input"}, ("input", 7)),
        ("one_based", {"address": 1}, ("holding", 0)),
        ("one_based", {"address": 65536}, None),
        ("zero_based", {"address": "40001"}, ("holding", 0)),
        ("one_based", {"address": "400001"}, ("holding", 0)),
        ("zero_based", {"address": "30012"}, ("input", 11)),
        ("zero_based", {"address": "465536"}, ("holding", 65535)),
        ("zero_based", {"address": "10001", "type": "bool"}, ("discrete", 0)),
        ("zero_based", {"address": "00017", "type": "bool"}, ("coil", 16)),
        ("zero_based", {"address": 400001}, ("holding", 0)),
        ("modicon", {"address": 40108}, ("holding", 107)),
        ("modicon", {"address": 17, "type": "bool"}, ("coil", 16)),
    ],
)
def test_an_address_is_understood_in_every_notation(addressing: str, settings: dict, expected: tuple | None) -> None:
    if expected is None:  # 65536 has five digits that are no notation
        with pytest.raises(ValidationError, match="expected an address counted from 0, or in quotes"):
            register(**settings)
    else:
        assert place(addressing, **settings) == expected


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"registers": [{"address": "4001", "type": "int16", "name": "x"}]}, "found the text '4001', expected an addr"),
        ({"registers": [{"address": "20001", "type": "int16", "name": "x"}]}, "5 or 6 digits, the first one 0 (coil)"),
        ({"registers": [{"address": -1, "type": "int16", "name": "x"}]}, "found -1, expected an address counted from"),
        ({"registers": [{"address": 65535, "type": "float32", "name": "x"}]}, "whose registers are within 0 to 65535"),
        (
            {"addressing": "one_based", "registers": [{"address": 0, "type": "int16", "name": "x"}]},
            "found address 0, expected one whose registers are within 1 to 65536",
        ),
        (
            {"registers": [{"address": "30001", "type": "int16", "name": "x", "table": "holding"}]},
            "found table holding with the address 30001, which is in the table input",
        ),
        ({"registers": [{"address": "00001", "type": "int16", "name": "x"}]}, "the table coil, which holds bits"),
        ({"registers": [{"address": 0, "type": "bool", "name": "x", "table": "coil", "bit": 1}]}, "found bit 1 in the"),
        ({"registers": [{"address": 1, "bit": 3, "type": "int16", "name": "x"}]}, "found bit 3 with the type int16"),
        ({"registers": [{"address": 1, "type": "string", "name": "x"}]}, "a string needs its `count` of registers"),
        ({"registers": [{"address": 1, "type": "float32", "count": 1, "name": "x"}]}, "float32 takes 2 registers"),
        (
            {"forbidden": [{"first": 0, "last": 9}], "registers": [{"address": 9, "type": "int16", "name": "x"}]},
            "register x (holding 9 to 9) is within the forbidden range 0 to 9",
        ),
        ({"forbidden": [{"first": 9, "last": 0}]}, "found last 0 before first 9"),
        ({"transport": "rtu_over_tcp", "unit_id": 0}, "found unit_id 0, expected 1 to 247 on a serial line"),
        ({"transport": "rtu_over_tcp", "tls": {}}, "found tls with the transport rtu_over_tcp, which has none"),
        ({"transport": "rtu"}, "the transport rtu needs a `serial_port`"),
    ],
)
def test_a_mistake_is_refused_with_what_was_expected(settings: dict, words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        device(**settings)


def test_a_forbidden_range_of_another_unit_or_table_is_none_of_this_one() -> None:
    found = device(
        forbidden=[{"first": 0, "last": 9, "unit_id": 2}, {"first": 0, "last": 9, "table": "input"}],
        registers=[{"address": 9, "type": "int16", "name": "x"}],
    )
    assert found.registers[0].place("zero_based") == ("holding", 9)
