"""The Modbus adapter against modbus-serial, over TCP and over a serial line."""

import asyncio
import math
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import servers
from adapter_contract import running, stop, until
from ingest_fixtures import running as pipeline_running
from ingest_fixtures import twin_of, value
from modbus_fixtures import ModbusServer, SerialLine, adapter_for, socat
from value_adapter_contract import ValueAdapterContract, ValueStore

from iotsense.ingest.bad_quality import BadQuality
from iotsense.ingest.modbus import ModbusAdapter
from iotsense.ingest.source_state import SourceState

pytestmark = [pytest.mark.needs("node")]


@pytest.fixture(scope="module")
def started():
    server = ModbusServer()
    yield server
    server.kill()


@pytest.fixture
def server(started: ModbusServer) -> ModbusServer:
    started.fresh()
    return started


class TestTcp(ValueAdapterContract):
    """Every adapter's promises, on Modbus TCP."""

    @pytest.fixture
    def peer(self, server: ModbusServer) -> ModbusServer:
        return server

    @pytest.fixture
    def adapter(self, peer: ModbusServer, tmp_path: Path) -> ModbusAdapter:
        return adapter_for(tmp_path, host="127.0.0.1", port=peer.port)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory):
    line = SerialLine(tmp_path_factory.mktemp("line"))
    yield line
    line.close()


@pytest.fixture(scope="module")
def on_line(line: SerialLine):
    server = ModbusServer(serial=line.theirs, units="1")
    yield server
    server.kill()


@pytest.mark.needs("socat")
class TestRtu(ValueAdapterContract):
    """Every adapter's promises, on a serial line. It has no port on which somebody could talk rubbish."""

    test_rubbish_is_no_value = None
    test_it_stops_at_once_while_the_peer_talks_rubbish = None

    @pytest.fixture
    def peer(self, on_line: ModbusServer) -> ModbusServer:
        on_line.fresh()
        return on_line

    @pytest.fixture
    def adapter(self, peer: ModbusServer, line: SerialLine, tmp_path: Path) -> ModbusAdapter:
        settings = {"transport": "rtu", "serial_port": str(line.ours), "baudrate": 19200, "timeout": "1s", "retries": 0}
        return adapter_for(tmp_path, **settings)


def rows(first: int, count: int, **settings) -> list[dict]:
    return [{"address": first + n, "type": "uint16", "name": f"r{first + n}"} | settings for n in range(count)]


def tcp(server: ModbusServer, tmp_path: Path, **settings) -> ModbusAdapter:
    return adapter_for(tmp_path, host="127.0.0.1", port=server.port, **settings)


async def test_all_tables_types_and_notations_of_one_device(server: ModbusServer, tmp_path: Path) -> None:
    server.put(0, 0x47F1, 0x2000, 0x5075, 0x6D70, 0x0004)
    server.put(11, 0xFFFE, table="input")
    server.put(10, 0, 7, 0, 8, 0xFFFF, 0xFFFF)
    server.put(3, 1, table="coil")
    server.put(4, 1, table="discrete", unit=3)
    adapter = tcp(
        server,
        tmp_path,
        device="pump_1",
        registers=[
            {"address": 0, "count": 2, "type": "float32", "name": "tank_level", "unit": "m"},
            {"address": "40003", "count": 2, "type": "string", "name": "model"},
            {"address": 4, "bit": 2, "type": "bool", "name": "alarm"},
            {"address": "30012", "type": "int16", "name": "temperature", "scale": 0.5, "device": "motor_1"},
            {"address": 3, "type": "bool", "name": "running"},
            {"address": "10005", "type": "bool", "name": "door", "unit_id": 3},
            {"address": "400011", "elements": 3, "type": "int32", "name": "joint", "device": "robot_1"},
        ],
    )
    store = ValueStore()
    async with running(adapter, store):
        await until(lambda: len({reading.address for reading in store.readings()}) == 9)
    latest = {name: store.latest(name) for name in ("tank_level", "alarm", "temperature", "running", "door")}
    assert {name: (reading.value, reading.quality) for name, reading in latest.items() if reading} == {
        "tank_level": (123456.0, 192), "alarm": (1, 192), "temperature": (-1, 192), "running": (1, 192),
        "door": (1, 192),
    }  # fmt: skip
    assert store.latest("model").value == "Pump"
    assert [store.values(f"joint[{n}]") for n in range(3)] == [[7], [8], [-1]]
    points = {point.address: (point.device, point.unit, point.tag) for point in adapter.points.points}
    assert points["tank_level"] == ("pump_1", "m", "modbus/1/holding/0")
    assert points["alarm"] == ("pump_1", None, "modbus/1/holding/4/2")
    assert points["temperature"] == ("motor_1", None, "modbus/1/input/11")


async def test_registers_are_read_in_blocks_and_each_at_its_own_pace(server: ModbusServer, tmp_path: Path) -> None:
    slow = rows(300, 2, polling_interval_ms=60_000)
    adapter = tcp(server, tmp_path, registers=[*rows(100, 130), *slow], polling_interval_ms=25, unit_id=7)
    async with running(adapter, store := ValueStore()):
        await until(lambda: len(store.readings("r100")) >= 5)
    # By a unit of its own: the device may still answer what an earlier test asked.
    requests = [tuple(request) for request in server.requests() if request[0] == 7]
    assert set(requests) == {(7, "holding", 100, 125), (7, "holding", 225, 5), (7, "holding", 300, 2)}
    assert requests.count((7, "holding", 300, 2)) == 1
    assert len(store.readings("r300")) == 1


async def test_a_refused_register_is_named_told_as_bad_and_good_again(
    server: ModbusServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotsense.ingest.modbus_poll.AGAIN_S", 0.1)
    server.tell("refuse", [{"table": "holding", "first": 137, "last": 137, "code": 2}])
    async with running(tcp(server, tmp_path, registers=rows(100, 100)), store := ValueStore()):
        await until(lambda: len(store.readings("r199")) > 3 and store.latest("r137"))
        told = store.readings("r137")
        assert [(math.isnan(reading.value), reading.quality) for reading in told] == [(True, BadQuality.CONFIGURATION)]
        server.requests()
        before = len(store.readings("r199"))
        await until(lambda: len(store.readings("r199")) > before + 3)
        # One look at the bad one now and then, and all else in two requests.
        assert {tuple(r[2:]) for r in server.requests()} <= {(100, 37), (138, 62), (137, 1)}
        assert "r137 (unit 1, holding 137) cannot be read: exception 2 (illegal data address); check" in caplog.text
        server.tell("refuse", [])
        await until(lambda: store.latest("r137").good)
    assert len([reading for reading in store.readings("r137") if not reading.good]) == 1


@pytest.mark.parametrize(
    ("code", "quality"), [(1, BadQuality.CONFIGURATION), (4, BadQuality.DEVICE), (6, BadQuality.DEVICE)]
)
async def test_exceptions_become_qualities(
    server: ModbusServer, tmp_path: Path, code: int, quality: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotsense.ingest.modbus_poll.AGAIN_S", 0.1)
    server.tell("refuse", [{"table": "input", "first": 0, "last": 10, "code": code}])
    registers = [*rows(0, 2, table="input"), *rows(100, 1)]
    async with running(tcp(server, tmp_path, registers=registers), store := ValueStore()):
        await until(lambda: len(store.readings("r100")) > 5 and store.latest("r1"))
        assert [reading.quality for reading in store.readings("r1")] == [quality]
        server.tell("refuse", [])
        await until(lambda: store.latest("r1").good)


async def test_an_address_that_looks_like_notation_is_told_so(
    server: ModbusServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.tell("refuse", [{"table": "holding", "first": 40_000, "last": 65_535, "code": 2}])
    async with running(tcp(server, tmp_path, registers=[*rows(40_108, 1), *rows(1, 1)]), store := ValueStore()):
        await until(lambda: len(store.readings("r1")) > 2)
    assert "an `address` in 40001 notation must stand in quotes" in caplog.text


async def test_a_silent_unit_does_not_keep_the_others_from_being_read(server: ModbusServer, tmp_path: Path) -> None:
    server.tell("deaf", [2])
    registers = [*rows(0, 2, unit_id=1), *rows(10, 2, unit_id=2), *rows(30, 1, unit_id=3)]
    adapter = tcp(server, tmp_path, registers=registers, timeout="100ms", retries=0)
    async with running(adapter, store := ValueStore()):
        await until(lambda: len(store.readings("r30")) > 15)
        assert [reading.quality for reading in store.readings("r10")] == [BadQuality.COMMUNICATION]
        asked = sum(request[0] == 2 for request in server.requests())
        assert asked < 4  # it is left in peace for a while
        server.tell("deaf", [])
        await until(lambda: store.latest("r10").good)
    assert adapter.status.connects == 1


async def test_what_was_refused_is_not_tried_at_a_silent_unit(
    server: ModbusServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotsense.ingest.modbus_poll.AGAIN_S", 0.0)
    server.tell("refuse", [{"unit": 2, "table": "holding", "first": 12, "last": 12, "code": 2}])
    registers = [*rows(10, 3, unit_id=2), *rows(30, 1)]
    adapter = tcp(server, tmp_path, registers=registers, timeout="50ms", retries=0)
    async with running(adapter, store := ValueStore()):
        await until(lambda: store.latest("r12"))
        server.tell("deaf", [2])
        await until(lambda: not store.latest("r10").good)
        server.requests()
        before = len(store.readings("r30"))
        await until(lambda: len(store.readings("r30")) > before + 15)
        assert sum(request[0] == 2 for request in server.requests()) < 4


async def test_a_unit_that_nobody_has_is_told_with_advice(server: ModbusServer, tmp_path: Path) -> None:
    server.tell("deaf", [9])
    adapter = tcp(server, tmp_path, unit_id=9, timeout="100ms", retries=1)
    async with running(adapter, ValueStore(), wait=False):
        await until(lambda: adapter.status.state is SourceState.BACKOFF)
        assert adapter.status.error == "unit 9 does not answer within 0.1 s; is it on, and is its unit_id right?"
    assert sum(request[0] == 9 for request in server.requests()) >= 2  # it was asked again before it was given up


async def test_sources_on_one_gateway_share_its_connection_and_never_talk_at_once(
    server: ModbusServer, tmp_path: Path
) -> None:
    server.tell("delay", 5)
    stores = [ValueStore() for _ in range(4)]
    adapters = [tcp(server, tmp_path, name=f"m{unit}", unit_id=unit, registers=rows(unit, 2)) for unit in (1, 2, 3, 4)]
    async with AsyncExitStack() as stack:
        tasks = [await stack.enter_async_context(running(*each)) for each in zip(adapters, stores, strict=True)]
        await until(lambda: all(len(store.readings()) > 40 for store in stores))
        counts = server.tell("counts")
        assert counts["overlaps"] == 0
        served = [sum(request[0] == unit for request in counts["requests"][-80:]) for unit in (1, 2, 3, 4)]
        assert max(served) - min(served) <= 8, served
        # One that leaves takes nothing from the others.
        await stop(tasks[0])
        before = len(stores[1].readings())
        await until(lambda: len(stores[1].readings()) > before + 10)
        assert adapters[1].status.connects == 1


async def test_one_line_cannot_be_opened_in_two_ways(server: ModbusServer, tmp_path: Path) -> None:
    other = tcp(server, tmp_path, name="other", transport="rtu_over_tcp")
    async with running(tcp(server, tmp_path), ValueStore()), running(other, ValueStore(), wait=False):
        await until(lambda: other.status.state is SourceState.FAILED)
        assert "sources that share a line must agree in transport" in other.status.error


async def test_a_connection_that_only_is_held_has_no_readings(server: ModbusServer, tmp_path: Path) -> None:
    adapter = tcp(server, tmp_path, registers=[])
    async with running(adapter, ValueStore()):
        server.kill()
        await until(lambda: adapter.status.state is SourceState.BACKOFF)


@pytest.fixture
def converter(tmp_path: Path):
    """A port behind which a serial line is, with unit 5 on it."""
    line = SerialLine(tmp_path)
    server = ModbusServer(serial=line.theirs, units="5")
    server.start()
    server.put(7, 1234, unit=5)
    with socat(f"file:{line.ours},raw,echo=0") as port:
        yield port
    server.kill()
    line.close()


@pytest.mark.needs("socat")
async def test_rtu_over_tcp_reaches_a_line_behind_a_converter(converter: int, tmp_path: Path) -> None:
    settings = {"transport": "rtu_over_tcp", "host": "127.0.0.1", "port": converter, "unit_id": 5}
    async with running(adapter_for(tmp_path, **settings, registers=rows(7, 1)), store := ValueStore()):
        await until(lambda: store.values("r7") == [1234])


@pytest.fixture
def secured(server: ModbusServer, tmp_path: Path):
    """A port on which the device is reached by TLS, with `tmp_path/cert.pem`."""
    command = [
        servers.program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=plc",
        "-addext", "subjectAltName=DNS:plc", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    listen = f"openssl-listen:PORT,cert={tmp_path}/cert.pem,key={tmp_path}/key.pem,verify=0"
    with socat(f"tcp:127.0.0.1:{server.port}", listen) as port:
        yield port


@pytest.mark.needs("socat", "openssl")
async def test_modbus_security(server: ModbusServer, secured: int, tmp_path: Path) -> None:
    server.put(7, 1234)
    where = {"host": "127.0.0.1", "port": secured, "registers": rows(7, 1)}
    trusted = {"ca": str(tmp_path / "cert.pem"), "server_name": "plc"}
    async with running(adapter_for(tmp_path, **where, tls=trusted), store := ValueStore()):
        await until(lambda: store.values("r7") == [1234])
    for tls, words in (
        ({"server_name": "plc"}, "certificate is not trusted (self-signed certificate): check `tls.ca`"),
        ({"ca": trusted["ca"]}, "IP address mismatch"),
    ):
        adapter = adapter_for(tmp_path, **where, tls=tls)
        async with running(adapter, ValueStore(), wait=False):
            await until(lambda adapter=adapter: adapter.status.state is SourceState.BACKOFF)
            assert words in adapter.status.error


async def test_registers_become_signals_of_the_twin(server: ModbusServer, tmp_path: Path) -> None:
    server.put(0, 1500, 0x4C61, 0x6765, 0x7220)
    server.put(3, 1, table="coil")
    adapter = tcp(
        server,
        tmp_path,
        device="conveyor_1",
        registers=[
            {"address": 0, "type": "uint16", "name": "speed", "unit": "mm/s"},
            {"address": 1, "type": "string", "count": 3, "name": "recipe"},
            {"address": 3, "type": "bool", "name": "door"},
            {"address": 20, "type": "uint16", "name": "never_there"},
        ],
    )
    async with pipeline_running(tmp_path / "twin") as pipeline:
        task = asyncio.create_task(adapter.run(pipeline.deliver))
        here = "production_line_1.conveyor_1"
        await until(lambda: pipeline.counters.get("modbus") and pipeline.counters["modbus"].stored > 6)
        assert value(pipeline, f"{here}.conv1_speed") == 1.5
        assert value(pipeline, f"{here}.recipe") == "Lager"
        assert value(pipeline, f"{here}.door") == "true"
        server.kill()
        state, graph = twin_of(pipeline).state, twin_of(pipeline).graph
        index = graph.find_signal(f"{here}.conv1_speed").index
        await until(lambda: state.read(index).quality == BadQuality.COMMUNICATION)
        assert pipeline.counters["modbus"].dead_lettered == 0
        assert not [node for node in graph.node_map.values() if node.short_id == "never_there"]
        await stop(task)
