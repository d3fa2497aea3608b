"""Looking at a Modbus device: what is proposed is what is there, and what cannot be known is said."""

import pytest
import yaml
from modbus_fixtures import ModbusServer

from iotsense.ingest.discover_modbus import discover
from iotsense.ingest.found import Found, FoundPoint, Look
from iotsense.ingest.proposal import propose, without_comments
from iotsense.twin.errors import InvalidValueError, SourceError
from iotsense.twin.project import load_texts

TABLES = ("holding", "input", "coil", "discrete")
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


async def look_at(server: ModbusServer, **settings) -> Found:
    return await discover(f"tcp://127.0.0.1:{server.port}", Look(), timeout="300ms", **settings)


def found_points(found: Found) -> dict[str, FoundPoint]:
    return {point.name: point for _, point in found.all_points()}


async def test_what_holds_something_is_proposed_with_what_it_looks_like(server: ModbusServer) -> None:
    server.tell("refuse", [])
    server.put(4, 0x41AC, 0xCCCD, 0xCCCD, 0x41AC, 17)
    server.put(8, 1, table="coil")
    server.put(9, 5, unit=3, table="input")
    found = await look_at(server, units="1,3", registers="0-19")
    points = found_points(found)
    assert {name: point.item["registers"][0] for name, point in points.items()} == {
        "u1_holding_4": {"address": 4, "type": "float32", "name": "u1_holding_4"},
        "u1_holding_6": {"address": 6, "type": "float32", "name": "u1_holding_6", "word_order": "little"},
        "u1_holding_8": {"address": 8, "type": "uint16", "name": "u1_holding_8"},
        "u1_coil_8": {"address": 8, "type": "bool", "name": "u1_coil_8"},
        "u3_input_9": {"address": 9, "type": "uint16", "name": "u3_input_9", "table": "input", "unit_id": 3},
    }
    assert points["u1_holding_4"].note == "as a float32 it holds 21.6 now, as integers 16812 and 52429"
    assert "unit 1, holding 0 to 19: 15 hold 0, left out" in found.notes
    assert "Modbus tells neither names nor units nor types" in found.notes[-1]
    assert [(node.name, node.model) for node in found.nodes] == [
        ("unit_1", "Acme MX-7 v2.1"),
        ("unit_3", "Acme MX-7 v2.1"),
    ]


async def test_of_a_device_that_refuses_the_rest_all_registers_are_proposed(server: ModbusServer) -> None:
    places = [(table, *span) for table in TABLES for span in ((0, 9), (14, 65535))]
    server.tell("refuse", [{"table": t, "first": first, "last": last, "code": 2} for t, first, last in places])
    server.put(11, 700)
    points = found_points(await look_at(server, registers="0-29"))
    assert [name for name in points if "holding" in name] == [f"u1_holding_{n}" for n in (10, 11, 12, 13)]
    assert points["u1_discrete_13"].data_type == "boolean"


async def test_a_table_that_is_refused_is_not_asked_for_ever(server: ModbusServer) -> None:
    server.tell("refuse", [{"table": "input", "first": 0, "last": 65535, "code": 2}])
    server.put(0, 9)
    found = await look_at(server, registers="0-2000")
    assert any("unit 1, input: left at" in note for note in found.notes)
    asked = [request for request in server.requests() if request[1] == "input"]
    assert len(asked) < 250


async def test_the_proposal_is_a_definition_that_loads(server: ModbusServer) -> None:
    server.put(4, 700)
    proposal = propose(await look_at(server), Look())
    document = without_comments(proposal.document)
    project, findings = load_texts({"plant.yaml": yaml.safe_dump(document).encode()}, {})
    assert project is not None and not findings
    (protocol,) = project.sensor_ingestion.protocols
    assert protocol.name == "modbus" and [register.address for register in protocol.registers] == [4]


async def test_what_makes_no_sense_is_said(server: ModbusServer) -> None:
    server.tell("deaf", [7])
    with pytest.raises(SourceError, match=r"unit 7 does not answer within 0\.3 s.*Units 7 were asked; name oth"):
        await look_at(server, units="7")
    for settings in ({"units": "0-256"}, {"units": "a"}, {"registers": "9-1"}, {"registers": "0-65536"}):
        with pytest.raises(InvalidValueError, match="expected numbers up to"):
            await look_at(server, **settings)
    with pytest.raises(InvalidValueError, match="expected tcp://host:502, rtu_over_tcp"):
        await discover("http://127.0.0.1", Look())
    server.kill()
    with pytest.raises(SourceError, match="refuses the connection"):
        await look_at(server)
