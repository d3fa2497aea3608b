"""Looking at BACnet devices: their objects become sensors with units, ranges and states."""

import pytest
import yaml
from bacnet_fixtures import ENUM, TEXT, UNSIGNED, BacnetServer

from iotsense.ingest.discover_bacnet import discover
from iotsense.ingest.found import Found, FoundPoint, Look
from iotsense.ingest.proposal import propose, without_comments
from iotsense.twin.errors import InvalidValueError, SourceError
from iotsense.twin.project import load_texts

pytestmark = [pytest.mark.needs("node")]
MORE = {
    "0,5": {"name": "Supply air", "value": 21.5, "units": 62, "low": -20.0, "high": 60.0, "description": "duct 3"},
    "1,1": {"name": "Damper", "value": 40.0, "units": 98, "default": 0.0},
    "4,1": {"name": "Fan", "value": 1, "tag": ENUM, "active": "running", "inactive": "stopped"},
    "13,1": {"name": "Mode", "value": 2, "tag": UNSIGNED, "states": ["off", "auto", "hand"]},
    "40,1": {"name": "Recipe", "value": "Lager", "tag": TEXT},
    "17,1": {"name": "Weekly"},
    "0,6": {"name": "Supply air", "value": 1.0, "units": 240},
}


@pytest.fixture(scope="module")
def started():
    server = BacnetServer()
    yield server
    server.kill()


@pytest.fixture
def server(started: BacnetServer) -> BacnetServer:
    started.fresh()
    started.add(MORE)
    return started


async def look_at(server: BacnetServer, look: Look | None = None) -> Found:
    return await discover(f"bacnet://{server.address}", look or Look(), timeout="500ms")


def points_of(found: Found) -> dict[str, FoundPoint]:
    return {point.name: point for _, point in found.all_points()}


@pytest.mark.parametrize("way", ["at once", "few at once", "one by one"])
async def test_objects_are_found_with_what_the_device_says_of_them(server: BacnetServer, way: str) -> None:
    if way == "few at once":
        server.tell("most", 3)
    if way == "one by one":
        server.tell("multiple", False)
    found = await look_at(server)
    (node,) = found.nodes
    assert (node.name, node.model, node.description) == ("Air handling unit 7", "Acme Controls AHU-3000", "on the roof")
    assert node.parameters["bacnet_device_id"] == server.device
    points = points_of(found)
    air = points["Supply air analog-input,5"]
    assert (air.unit, air.low, air.high, air.description, air.data_type) == ("celsius", -20, 60, "duct 3", "number")
    assert (points["Supply air analog-input,6"].note or "").startswith("unit: ")
    assert points["Damper"].writable and points["Damper"].unit == "%"
    assert (points["Fan"].data_type, points["Fan"].description) == ("boolean", "stopped / running")
    assert (points["Mode"].data_type, points["Mode"].labels) == ("text", ["off", "auto", "hand"])
    assert points["Recipe"].data_type == "text" and "Weekly" not in points
    assert found.notes == [
        f"device {server.device}: objects without a value that can be read were left out: 1 schedule"
    ]


async def test_the_proposal_is_a_definition_that_loads(server: BacnetServer) -> None:
    proposal = propose(await look_at(server), Look())
    document = without_comments(proposal.document)
    project, findings = load_texts({"plant.yaml": yaml.safe_dump(document).encode()}, {})
    assert project is not None and not [str(finding) for finding in findings]
    (protocol,) = project.sensor_ingestion.protocols
    assert protocol.name == "bacnet"
    (device,) = protocol.devices
    assert (device.device_id, device.address, len(device.objects)) == (server.device, server.address, 9)


async def test_what_makes_no_sense_is_said(server: BacnetServer) -> None:
    with pytest.raises(InvalidValueError, match="expected bacnet://HOST:47808, or"):
        await discover("tcp://127.0.0.1", Look())
    server.tell("deaf")
    with pytest.raises(SourceError, match=r"no answer within 0\.5 s"):
        await look_at(server)
    limited = Look(limit=2)
    server.tell("deaf", False)
    found = await look_at(server, limited)
    assert len(points_of(found)) == 2 and any("beyond the limit of 2" in note for note in found.notes)
