"""The demo's machines as others' software sees them."""

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import servers
from service_fixtures import service

from iotsense.ingest.found import Look
from iotsense.ingest.look import look_at
from iotsense.ingest.proposal import propose
from iotsense.ingest.proposal_yaml import proposal_yaml
from iotsense.sim.bacnet_controller import bacnet_controller
from iotsense.sim.bottling_line import BottlingLine
from iotsense.sim.modbus_drives import ModbusDrives, modbus_drives
from iotsense.sim.opcua_machines import opcua_machines
from iotsense.sim.performance import Performance
from iotsense.sim.plant import bottling_plant
from iotsense.sim.wiring import BACNET, MODBUS, MQTT, OPCUA, PROTOCOLS, Moment
from iotsense.twin.define_project import Project
from iotsense.twin.model import Origin, Role, Signal
from iotsense.twin.project import load_texts
from iotsense.twin.twin import Twin
from iotsense.twin.units import parse_unit

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:asyncua")


def moment(seconds: float = 20.0) -> Moment:
    line = BottlingLine(3)
    line.advance(seconds)
    return Performance(line).moment(0)


def test_every_sensor_speaks_one_protocol() -> None:
    now = moment()
    spoken = [now.spoken(protocol) for protocol in PROTOCOLS]
    told = [(machine, name) for part in spoken for machine, values in part.items() for name in values]
    assert sorted(told) == sorted((machine, name) for machine, values in now.values.items() for name in values)
    assert set(now.spoken(MODBUS)) == {"conveyor_1", "conveyor_2", "conveyor_3"}
    assert set(now.spoken(BACNET)) == {"filler"}


async def _said(*command: str, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | environment
    )
    out, _ = await process.communicate()
    return out.decode()


@pytest.mark.needs("mbpoll")
async def test_mbpoll_reads_a_drive() -> None:
    now = moment()
    async with modbus_drives(now) as (_, port):
        poll = (servers.program("mbpoll"), "-m", "tcp", "-p", str(port), "-t", "3", "-r", "1", "-c", "4", "-1")
        said = await _said(*poll, "-a", "2", "127.0.0.1")
        values = now.values["conveyor_2"]
        assert f"[3]: \t{round(float(values['motor_temperature']) * 10)}" in said, said  # type: ignore[arg-type]
        assert "Target device failed to respond" in await _said(*poll, "-a", "9", "127.0.0.1")
        beyond = await _said(*poll[:-2], "4", "-1", "-a", "1", "-r", "5", "127.0.0.1")
        assert "Illegal data address" in beyond, beyond


def test_a_drive_refuses_what_it_does_not_do() -> None:
    drives = ModbusDrives(moment())
    assert drives.answer(1, bytes.fromhex("0600010001")) == b"\x86\x01"
    assert drives.answer(1, bytes.fromhex("0400000000")) == b"\x84\x02"
    assert drives.answer(4, bytes.fromhex("0400000001")) == b"\x84\x0b"
    assert b"belt-drive" in drives.answer(1, bytes.fromhex("2b0e0100"))


@pytest.mark.needs("node")
async def test_node_opcua_reads_the_filler(tmp_path: Path) -> None:
    now = moment()
    async with opcua_machines(now) as (_, endpoint):
        said = await _said(
            servers.program("node"),
            str(Path(__file__).parent / "peers" / "opcua_client.js"),
            endpoint,
            str(tmp_path),
            "ns=2;s=filler.power",
            json.dumps([{"policy": "None"}]),
            NODE_PATH=str(servers.node_modules()),
        )
        (told,) = json.loads(said.splitlines()[-1])
        assert told["value"] == now.spoken(OPCUA)["filler"]["power"]
        assert told["unit"]["displayName"]["text"] == "kW"
        assert told["range"] == {"low": 0, "high": 12}
        kinds = {each["name"]: each["type"] for each in told["component"]}
        assert kinds["state"] == "ns=0;i=2376"  # MultiStateDiscreteType


async def proposed(protocol: str, url: str, **settings: Any) -> Project:
    """What discovery makes of a machine: a definition that validates."""
    look = Look(listen=0.5)
    text = proposal_yaml(propose(await look_at(protocol, url, look, settings), look), "Proposed")
    project, findings = load_texts({"proposed.yaml": text}, {})
    assert project is not None, f"{findings}\n{text}"
    assert findings == []
    return project


async def test_discovery_proposes_the_machines_that_speak_opcua() -> None:
    async with opcua_machines(moment()) as (_, endpoint):
        project = await proposed("opcua", endpoint)
    (twin,) = project.digital_twins
    filler, palletiser = twin.components
    assert (filler.id, filler.type, len(filler.sensors)) == ("filler", "FillerType", 11)
    sensors = {sensor.id: sensor for sensor in (*filler.sensors, *palletiser.sensors)}
    assert (sensors["power"].unit, sensors["power"].low, sensors["power"].high) == ("kW", 0, 12)
    assert sensors["state"].labels[6] == "Execute"
    assert sensors["joint_positions"].joints == 4
    assert sensors["gripper_closed"].data_type == "boolean"
    (source,) = project.sensor_ingestion.protocols
    assert len(source.nodes) == 24  # type: ignore[union-attr]


async def test_discovery_finds_the_drives_registers() -> None:
    async with modbus_drives(moment()) as (_, port):
        project = await proposed("modbus", f"tcp://127.0.0.1:{port}", units="1-3")
    (twin,) = project.digital_twins
    assert [len(component.sensors) for component in twin.components] == [6, 6, 6]
    assert twin.components[0].model == "IoTSense belt-drive 1.0"


async def test_discovery_finds_the_controllers_objects() -> None:
    async with bacnet_controller(moment()) as (_, address):
        project = await proposed("bacnet", f"bacnet://{address}", address="127.0.0.1")
    (component,) = project.digital_twins[0].components
    units = {sensor.name or sensor.id: sensor.unit for sensor in component.sensors}
    assert len(units) == 3
    assert {parse_unit(unit).name for unit in units.values() if unit} == {"percent", "bar", "celsius"}


async def test_what_was_discovered_of_the_whole_plant_runs(tmp_path: Path) -> None:
    """From nothing to a twin: each machine is looked at, and the definitions are run as they were proposed."""
    async with bottling_plant(BottlingLine(3), 5.0) as plant:
        end = asyncio.Event()
        speaking = asyncio.create_task(plant.performance.run(end))
        modbus = plant.addresses[MODBUS].replace("modbus", "tcp")
        looks: list[tuple[str, str, dict[str, Any]]] = [
            (OPCUA, plant.addresses[OPCUA], {}),
            (MODBUS, modbus, {"units": "1-3"}),
            (BACNET, plant.addresses[BACNET], {"address": "127.0.0.1"}),
            (MQTT, plant.addresses[MQTT], {"version": "3.1.1"}),
        ]
        files = []
        for protocol, url, settings in looks:
            look = Look(listen=1.0)
            text = proposal_yaml(propose(await look_at(protocol, url, look, settings), look, protocol), "Proposed")
            if protocol == BACNET:  # this host may have another BACnet program
                own = f"      address: 127.0.0.1\n      port: {servers.free_port()}\n"
                text = text.replace('      address: "127.0.0.1"\n', own)
            files.append(tmp_path / f"{protocol}.yaml")
            files[-1].write_text(text)
        async with service(tmp_path / "data", *files) as running:
            twin = running.twin
            async with asyncio.timeout(60):
                while silent := [s for s in measured(twin) if twin.state.read(s.index) is None]:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            assert not silent
            assert twin.dead_letters() == []
            assert {source.status.protocol for source in running.sources.values()} == set(PROTOCOLS)
            assert not list(twin.graph.nodes(origin=Origin.DISCOVERED))
        end.set()
        await speaking


def measured(twin: Twin) -> list[Signal]:
    return [signal for signal in twin.graph.signals() if signal.role is Role.MEASURED]


@contextlib.asynccontextmanager
async def noted(values: list[Any]) -> AsyncIterator[Any]:
    class Speaker:
        async def say(self, moment: Moment) -> None:
            values.append(moment)

    yield Speaker()


async def test_all_speak_of_the_same_moments_and_none_twice() -> None:
    moments: list[Moment] = []
    async with noted(moments) as speaker:
        performance, end = Performance(BottlingLine(1), 5.0, [speaker, speaker]), asyncio.Event()
        asyncio.get_running_loop().call_later(0.6, end.set)
        await performance.run(end)
    times = [one.time for one in moments]
    assert times[::2] == times[1::2]
    assert len(set(times)) == len(times) // 2 >= 2
