"""Definitions of Modbus devices: where their values are, and how their registers are read."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from .define_payload import Protocol, Tls
from .define_types import Count, Duration, Model, Name, Port, Positive, UnitText, kind_of, refuse

Table = Literal["holding", "input", "coil", "discrete"]
Addressing = Literal["zero_based", "one_based", "modicon"]
Order = Literal["big", "little"]

REGISTERS = {
    "int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "float32": 2, "int64": 4, "uint64": 4, "float64": 4,
    "bcd16": 1, "bcd32": 2,
}  # fmt: skip
BITS = ("coil", "discrete")
LAST = 65_535
SECURE_PORT = 802
_TABLES: dict[str, Table] = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
_NOTATION = re.compile(r"(?P<table>[0134])(?P<number>\d{4,5})\Z")
_EXPECTED = (
    "expected an address counted from 0, or in quotes what the manual calls it: 5 or 6 digits, the first one 0 (coil), "
    "1 (discrete input), 3 (input register) or 4 (holding register), counted from 1, such as '40001'"
)


def _address(value: int | str) -> int | str:
    if isinstance(value, str) or value > LAST:
        notation(value)
    elif value < 0:
        raise refuse(f"found {value}, {_EXPECTED}")
    return value


Address = Annotated[
    int | str,
    AfterValidator(_address),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^[0134][0-9]{4,5}$"}]}
    ),
]


def notation(value: int | str) -> tuple[Table, int]:
    """The table, and the address counted from 0, of one in the notation of manuals: '40001' is holding register 0."""
    text = value.strip() if isinstance(value, str) else f"{value:05d}"
    match = _NOTATION.match(text)
    number = int(match["number"]) if match else 0
    if match is None or not 1 <= number <= LAST + 1:
        raise refuse(f"found {kind_of(value)}, {_EXPECTED}", field="address")
    return _TABLES[match["table"]], number - 1


class ModbusRegister(Model):
    """One value in a device's registers or coils."""

    address: Address
    """Address of its first register, counted from 0; in quotes as in manuals, such as "40001" or "300012"."""
    count: Annotated[int, Field(ge=1, le=125)] | None = None
    """Number of registers; left out, what the type needs."""
    elements: Annotated[int, Field(ge=1, le=LAST + 1)] | None = None
    """Number of values side by side that are called name[0], name[1], ...; left out, one value of that name."""
    type: Literal[
        "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bcd16", "bcd32", "bool",
        "string",
    ]  # fmt: skip
    """How the registers are read."""
    name: Name
    """What its readings are called."""
    device: Name | None = None
    """Whose value it is (the id of a component or sensor); left out, the connection's `device`."""
    table: Table | None = None
    """Where it is; left out, a coil for a bool without `bit` and holding registers for all else."""
    byte_order: Order | None = None
    """Order of the bytes in a register; left out, the connection's."""
    word_order: Order | None = None
    """Order of the registers of a value; left out, the connection's."""
    bit: Annotated[int, Field(ge=0, le=15)] | None = None
    """The bit of a register that a bool is, 0 being the lowest."""
    scale: float = 1.0
    """What the raw number is multiplied by."""
    offset: float = 0.0
    """What is added then."""
    no_value: float | None = None
    """Raw number by which the device says that it has no value, such as -32768; such readings are bad."""
    unit: UnitText | None = None
    """Unit of the result."""
    unit_id: Annotated[int, Field(ge=0, le=255)] | None = None
    """Unit (slave) that holds it; left out, the connection's."""
    polling_interval_ms: Positive | None = None
    """How often it is read [ms]; left out, the connection's."""
    writable: bool | None = None
    """Whether it may be written; left out, as the connection. Input registers and discrete inputs never."""

    @model_validator(mode="after")
    def _type_fits(self) -> "ModbusRegister":
        needed = REGISTERS.get(self.type)
        if needed is not None and self.count not in (None, needed):
            raise refuse(
                f"found count {self.count}, expected {needed}: {self.type} takes {needed} registers", field="count"
            )
        if self.type == "string" and self.count is None:
            raise refuse("a string needs its `count` of registers", field="type")
        if self.type == "bool" and self.count not in (None, 1):
            raise refuse(f"found count {self.count}, expected 1: a bool is one coil or one register", field="count")
        if self.bit is not None and self.type != "bool":
            raise refuse(f"found bit {self.bit} with the type {self.type}, expected the type bool", field="bit")
        if self.scale == 0:
            raise refuse("found scale 0, which makes every value the same", field="scale")
        return self

    @property
    def registers(self) -> int:
        """How many registers or coils each of its values takes."""
        return self.count or REGISTERS.get(self.type, 1)

    @property
    def extent(self) -> int:
        """How many registers or coils all of its values take."""
        return self.registers * (self.elements or 1)

    def place(self, addressing: Addressing) -> tuple[Table, int]:
        """Its table, and its address counted from 0."""
        address = self.address
        if isinstance(address, str) or address > LAST or addressing == "modicon":
            table, first = notation(address)
            if self.table not in (None, table):
                raise refuse(
                    f"register {self.name}: found table {self.table} with the address {address}, which is in the table "
                    f"{table}"
                )
        else:
            table = self.table or ("coil" if self.type == "bool" and self.bit is None else "holding")
            first = address - (addressing == "one_based")
        if not 0 <= first <= LAST + 1 - self.extent:
            raise refuse(
                f"register {self.name}: found address {address}, expected one whose registers are within "
                f"{_range(addressing)}"
            )
        if table in BITS and (self.type != "bool" or self.bit is not None):
            what = f"the type {self.type}" if self.type != "bool" else f"bit {self.bit}"
            raise refuse(
                f"register {self.name}: found {what} in the table {table}, which holds bits: expected the type bool"
            )
        return table, first


def _range(addressing: Addressing) -> str:
    return "1 to 65536" if addressing == "one_based" else "0 to 65535"


class ModbusRange(Model):
    """Addresses that must not be read along with others, because the device refuses or something happens."""

    table: Table = "holding"
    """Where they are."""
    first: Annotated[int, Field(ge=0, le=LAST)]
    """The first of them, counted from 0."""
    last: Annotated[int, Field(ge=0, le=LAST)]
    """The last of them."""
    unit_id: Annotated[int, Field(ge=0, le=255)] | None = None
    """Unit (slave) that has them; left out, all of the connection."""

    @model_validator(mode="after")
    def _in_order(self) -> "ModbusRange":
        if self.last < self.first:
            raise refuse(f"found last {self.last} before first {self.first}", field="last")
        return self


class ModbusDevice(Model):
    """A device on Modbus TCP or RTU, in `iotsense.ingestion.modbus` or `sensor_ingestion`."""

    transport: Literal["tcp", "rtu", "rtu_over_tcp"] = "tcp"
    """How it is reached."""
    host: Name | None = None
    """Host of Modbus TCP."""
    port: Port = 502
    """Port of Modbus TCP; with `tls`, 802 is the usual one."""
    tls: Tls | None = None
    """Transport security (Modbus Security)."""
    serial_port: Name | None = None
    """Serial device of Modbus RTU, such as /dev/ttyUSB0."""
    baudrate: Count = 9600
    """Bits a second on the serial line."""
    parity: Literal["none", "even", "odd"] = "none"
    """Parity on the serial line."""
    stop_bits: Annotated[int, Field(ge=1, le=2)] = 1
    """Stop bits on the serial line."""
    unit_id: Annotated[int, Field(ge=0, le=255)] = 1
    """Unit (slave) address."""
    device: Name | None = None
    """Whose values they are (the id of a component or sensor); left out, the names of the registers alone tell."""
    addressing: Addressing = "zero_based"
    """What numbers mean: counted from 0, from 1, or 40001 notation. Addresses in quotes are always the latter."""
    byte_order: Order = "big"
    """Order of the bytes in its registers."""
    word_order: Order = "big"
    """Order of the registers of a value."""
    polling_interval_ms: Positive = 1000.0
    """How often the registers are read [ms]."""
    timeout: Duration = 3.0
    """How long an answer may take."""
    retries: Annotated[int, Field(ge=0, le=10)] = 1
    """How often a request that got no answer is repeated before the unit counts as silent."""
    pause_ms: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """Silence that it needs between an answer and the next request [ms]."""
    max_gap: Annotated[int, Field(ge=0, le=124)] = 16
    """Registers that nobody asked for which are read along, if that saves a request."""
    max_registers: Annotated[int, Field(ge=1, le=125)] = 125
    """The most registers that it gives in one answer."""
    max_coils: Annotated[int, Field(ge=1, le=2000)] = 2000
    """The most coils that it gives in one answer."""
    forbidden: list[ModbusRange] = []
    """Addresses that are never read along."""
    registers: list[ModbusRegister] = []
    """What is read."""

    @model_validator(mode="after")
    def _reachable(self) -> "ModbusDevice":
        serial = self.transport == "rtu"
        if serial and self.serial_port is None:
            raise refuse("the transport rtu needs a `serial_port`", field="transport")
        if not serial and self.host is None:
            raise refuse(f"the transport {self.transport} needs a `host`", field="transport")
        if self.tls is not None and self.transport != "tcp":
            raise refuse(f"found tls with the transport {self.transport}, which has none: expected tcp", field="tls")
        units = {self.unit_of(register) for register in self.registers} or {self.unit_id}
        if self.transport != "tcp" and (wrong := sorted(unit for unit in units if not 1 <= unit <= 247)):
            raise refuse(f"found unit_id {wrong[0]}, expected 1 to 247 on a serial line", field="unit_id")
        return self

    @model_validator(mode="after")
    def _addresses(self) -> "ModbusDevice":
        for register in self.registers:
            table, first = register.place(self.addressing)
            last = first + register.extent - 1
            for span in self.forbidden:
                same = span.table == table and span.unit_id in (None, self.unit_of(register))
                if same and first <= span.last and span.first <= last:
                    raise refuse(
                        f"register {register.name} ({table} {first} to {last}) is within the forbidden range "
                        f"{span.first} to {span.last}",
                        field="forbidden",
                    )
        return self

    def unit_of(self, register: ModbusRegister) -> int:
        """The unit that holds a register."""
        return self.unit_id if register.unit_id is None else register.unit_id


class ModbusConfigDevice(Protocol, ModbusDevice):
    """A device in `iotsense.ingestion.modbus`."""

    id: Name | None = None
    """Name of the source; left out, modbus."""


class ModbusProtocol(Protocol, ModbusDevice):
    """A device on Modbus TCP or RTU."""

    name: Literal["modbus"]
    """Modbus."""
