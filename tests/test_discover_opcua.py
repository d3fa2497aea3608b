"""Browsing a node-opcua server with a device of the companion specification DI, and the definition that it makes."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from opcua_fixtures import NodeOpcUa

from iotsense.ingest.found import Found, Look
from iotsense.ingest.look import look_at
from iotsense.ingest.proposal import propose
from iotsense.twin.define_project import Project
from iotsense.twin.errors import InvalidValueError, SourceError

pytestmark = [pytest.mark.needs("node")]

VARIABLES = {
    "speed": {"value": 1.5, "unit": "metre_per_second", "range": [0, 3], "readonly": True},
    "on": {"type": "Boolean", "value": True},
    "name": {"type": "String", "value": "ab"},
    "list": {"array": True, "value": [1, 2, 3]},
    "mode": {"labels": ["Off", "On"]},
    "when": {"type": "DateTime", "value": 0},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeOpcUa]:
    place = tmp_path_factory.mktemp("opcua")
    server = NodeOpcUa(place, variables=VARIABLES, device=True, alarms=True, limits={"maxNodesPerBrowse": 3})
    server.start()
    yield server
    server.stop()


def look(server: NodeOpcUa, **options) -> Found:
    return asyncio.run(look_at("opcua", server.url, Look(**options), {}))


def test_objects_become_equipment(server: NodeOpcUa) -> None:
    found = look(server)
    assert found.source == {"name": "opcua", "endpoint": server.url}
    points = dict(found.all_points())
    assert set(points) == {
        "Line/Level", "Line/list", "Line/mode", "Line/name", "Line/on", "Line/speed", "Pump1/Flow", "Pump1/State",
    }  # fmt: skip
    speed = points["Line/speed"]
    assert (speed.unit, speed.low, speed.high, speed.data_type, speed.writable) == ("m/s", 0, 3, "number", False)
    assert speed.source == "nsu=urn:plant;s=speed" and speed.item == {"nodes": [{"id": "nsu=urn:plant;s=speed"}]}
    assert points["Line/on"].data_type == "boolean" and points["Line/on"].writable
    assert points["Line/list"].elements == 3 and points["Line/name"].data_type == "text"
    assert points["Line/mode"].labels == ["Off", "On"]
    assert found.notes == [
        "alarms: 1; with `alarms: true` in the source they become events",
        "variables that are no values (DateTime): 1",
    ]


def test_a_device_of_the_companion_specification(server: NodeOpcUa) -> None:
    (pump,) = (node for node in look(server).nodes if node.name == "Pump1")
    assert pump.type == "PumpType" and pump.model == "Acme P-100" and pump.parameters["SerialNumber"] == "SN-42"
    assert [point.name for point in pump.points] == ["Flow", "State"]
    assert pump.points[0].unit == "m3/h" and pump.points[1].labels == ["Stopped", "Running", "Faulted"]


def test_the_proposal_is_a_valid_definition(server: NodeOpcUa) -> None:
    wanted = Look(include=["Pump1/*", "Line/s*"])
    found = asyncio.run(look_at("opcua", server.url, wanted, {}))
    proposal = propose(found, wanted)
    assert proposal.sensors == 3 and proposal.components == 2
    from iotsense.ingest.proposal import without_comments

    project = Project.model_validate(without_comments(proposal.document))
    (source,) = project.sensor_ingestion.protocols
    assert sorted(node.id for node in source.nodes) == [
        f"nsu=urn:plant;s={each}" for each in ("Flow", "State", "speed")
    ]


def test_where_to_begin_and_where_to_stop(server: NodeOpcUa) -> None:
    assert [path for path, _ in look(server, under="DeviceSet/Pump1").all_points()] == ["Pump1/Flow", "Pump1/State"]
    found = look(server, limit=2)
    assert len(list(found.all_points())) == 2
    assert "stopped at 2 variables; begin lower down, or allow more" in found.notes
    with pytest.raises(InvalidValueError, match=r"there is no Pump9 below DeviceSet; there are .*Pump1"):
        look(server, under="DeviceSet/Pump9")


def test_what_is_not_offered_is_not_spoken(server: NodeOpcUa) -> None:
    secured = {"security_policy": "Basic256Sha256"}
    with pytest.raises(SourceError, match="it offers None with None"):
        asyncio.run(look_at("opcua", server.url, Look(), secured))
    with pytest.raises(InvalidValueError, match="security_policy"):
        asyncio.run(look_at("opcua", server.url, Look(), {"security_policy": "Basic"}))


def test_machines_of_machinery_and_units_of_packml(tmp_path: Path) -> None:
    server = NodeOpcUa(tmp_path, machine=True)
    server.start()
    try:
        found = look(server)
    finally:
        server.stop()
    nodes = {node.name: node for node in found.nodes}
    assert set(nodes) == {"Filler1", "Press1"}
    press, filler = nodes["Press1"], nodes["Filler1"]
    assert press.model == "Acme" and press.parameters["SerialNumber"] == "SN-7" and press.points == []
    (ram,) = press.nodes
    assert ram.name == "Ram" and [(point.name, point.unit, point.high) for point in ram.points] == [("Force", "N", 900)]
    assert filler.type == "PackMLBaseObjectType"
    points = dict(filler.all_points())
    assert points["Filler1/Status/CurMachSpeed"].data_type == "number"
    assert points["Filler1/BaseStateMachine/CurrentState"].data_type == "text"
