"""Writing to Modbus devices: modbus-serial holds what was written, and mbpoll reads it there."""

import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import servers
from adapter_contract import running
from modbus_fixtures import ModbusServer, adapter_for
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from value_adapter_contract import ValueStore

from iotsense.ingest.adapter import WritingAdapter
from iotsense.ingest.modbus import ModbusAdapter
from iotsense.ingest.points import Point
from iotsense.twin.errors import InvalidValueError, SourceError

pytestmark = [pytest.mark.needs("node")]
REGISTERS = [
    {"address": 0, "type": "float32", "name": "setpoint", "word_order": "little", "unit": "celsius"},
    {"address": 2, "type": "int16", "name": "speed", "scale": 0.1},
    {"address": 3, "type": "bool", "bit": 9, "name": "enable", "byte_order": "little"},
    {"address": 4, "type": "string", "count": 3, "name": "recipe"},
    {"address": 7, "type": "uint64", "name": "counter"},
    {"address": 11, "type": "bool", "name": "whole", "table": "holding"},
    {"address": 5, "type": "bool", "name": "lamp"},
    {"address": 0, "type": "int16", "name": "measured", "table": "input"},
    {"address": 20, "type": "int16", "name": "missing"},
    {"address": 30, "type": "int16", "name": "locked", "writable": False},
]


@pytest.fixture(scope="module")
def started():
    server = ModbusServer()
    yield server
    server.kill()


@pytest.fixture
def server(started: ModbusServer) -> ModbusServer:
    started.fresh()
    return started


@asynccontextmanager
async def connected(server: ModbusServer, tmp_path: Path, **settings) -> AsyncIterator[ModbusAdapter]:
    settings = {"host": "127.0.0.1", "port": server.port, "registers": REGISTERS, "writable": True} | settings
    adapter = adapter_for(tmp_path, **settings)
    async with running(adapter, ValueStore()):
        yield adapter


def point(adapter: ModbusAdapter, name: str) -> Point:
    return next(point for point in adapter.points.points if point.address == name)


async def test_values_are_written_and_read_back(server: ModbusServer, tmp_path: Path) -> None:
    server.put(3, 0b0000_0110)
    async with connected(server, tmp_path) as adapter:
        assert isinstance(adapter, WritingAdapter)
        for name, value, first, held in (
            ("setpoint", 123456.0, 0, [0x2000, 0x47F1]),
            ("speed", -12.3, 2, [0x10000 - 123]),
            ("enable", True, 3, [0b0000_0110]),  # bit 9 of the value is bit 1 on the wire
            ("enable", False, 3, [0b0000_0100]),
            ("recipe", "Lager", 4, [0x4C61, 0x6765, 0x7200]),
            ("counter", 2**40 + 7, 7, [0, 0x100, 0, 7]),
            ("whole", 1.0, 11, [1]),
        ):
            await adapter.write(point(adapter, name), value)
            assert server.get(first, len(held)) == held
            assert (await adapter.read(point(adapter, name))).value == pytest.approx(value)
        await adapter.write(point(adapter, "lamp"), "on")
        assert server.get(5, table="coil") == [1]
        sample = await adapter.read(point(adapter, "lamp"))
        assert (sample.value, sample.quality, sample.address) == (True, 192, "lamp")
        await adapter.write(point(adapter, "lamp"), 0)
        assert server.get(5, table="coil") == [0]


@pytest.mark.needs("mbpoll")
async def test_another_master_reads_what_was_written(server: ModbusServer, tmp_path: Path) -> None:
    async with connected(server, tmp_path) as adapter:
        await adapter.write(point(adapter, "setpoint"), 21.5)
        await adapter.write(point(adapter, "lamp"), True)
    assert mbpoll(server, "-t", "4:float", "-r", "1") == "21.5"
    assert mbpoll(server, "-t", "0", "-r", "6") == "1"


def mbpoll(server: ModbusServer, *options: str) -> str:
    """The value that it reads; it counts from 1."""
    command = [servers.program("mbpoll"), "-m", "tcp", "-p", str(server.port), "-a", "1", "-1", *options, "127.0.0.1"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return next(line.split()[1] for line in told.splitlines() if line.startswith("["))


async def test_only_what_the_definition_opens_may_be_written(server: ModbusServer, tmp_path: Path) -> None:
    async with connected(server, tmp_path) as adapter:
        names = [point.address for point in adapter.writable()]
        assert names == ["setpoint", "speed", "enable", "recipe", "counter", "whole", "lamp", "missing"]
        for name in ("measured", "locked"):
            with pytest.raises(InvalidValueError, match="may not be written: that takes `writable: true` at the sour"):
                await adapter.write(point(adapter, name), 1)
        with pytest.raises(InvalidValueError, match="source modbus has no point nothing"):
            await adapter.write(Point("nothing"), 1)
    async with connected(server, tmp_path, writable=False) as adapter:
        assert adapter.writable() == []
        with pytest.raises(InvalidValueError, match="may not be written"):
            await adapter.write(point(adapter, "speed"), 1)


async def test_what_cannot_be_written_is_said(server: ModbusServer, tmp_path: Path) -> None:
    async with connected(server, tmp_path) as adapter:
        for name, value, words in (
            ("speed", 5000, "found 5000, expected -3276.8 to 3276.7: register speed is int16"),
            ("lamp", 2, "found 2, expected true or false: register lamp is bool"),
            ("recipe", "Doppelbock", "found a text of 10 bytes; register recipe holds 6"),
        ):
            with pytest.raises(InvalidValueError, match=words):
                await adapter.write(point(adapter, name), value)
        words = r"missing \(unit 1, holding 20\) cannot be written: exception 2 \(illegal data address\)"

        with pytest.raises(SourceError, match=words):
            await adapter.write(point(adapter, "missing"), 1)
    with pytest.raises(SourceError, match="source modbus is not connected"):
        await adapter.write(point(adapter, "speed"), 1)
    with pytest.raises(SourceError, match="source modbus is not connected"):
        await adapter.read(point(adapter, "speed"))


@asynccontextmanager
async def pymodbus_server(*values: int) -> AsyncIterator[tuple[int, Callable[[int], Awaitable[int]]]]:
    """A device by pymodbus that holds these registers: its port, and what tells a register."""
    port = servers.free_port()
    block = SimData(0, values=list(values), datatype=DataType.REGISTERS)
    server = ModbusTcpServer(SimDevice(1, simdata=[block]), address=("127.0.0.1", port))
    await server.serve_forever(background=True)

    async def held(address: int) -> int:
        return (await server.async_getValues(1, 3, address, 1))[0]

    try:
        yield port, held
    finally:
        await server.shutdown()


async def test_a_bit_is_set_without_touching_the_others_where_the_device_can(tmp_path: Path) -> None:
    # modbus-serial does not know function 22; pymodbus's server does.
    async with pymodbus_server(0, 0, 0, 0b0000_0110) as (port, held):
        settings = {"host": "127.0.0.1", "port": port, "writable": True}
        bit = {"address": 3, "type": "bool", "bit": 9, "name": "enable"}
        adapter = adapter_for(tmp_path, **settings, registers=[bit])
        async with running(adapter, ValueStore()):
            await adapter.write(point(adapter, "enable"), True)
            assert await held(3) == 0b10_0000_0110
            assert (await adapter.read(point(adapter, "enable"))).value is True
            await adapter.write(point(adapter, "enable"), False)
            assert await held(3) == 0b0000_0110
