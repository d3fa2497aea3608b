"""The OPC UA server as others' clients see it: node-opcua, and asyncua for what needs many questions."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
import servers
import yaml
from asyncua import Client, ua
from node_fixtures import NodePeer
from service_fixtures import API, Process, document, process, write_plant

from iotsense.config import AddressInUseError
from iotsense.ingest.trust_store import TrustStore
from iotsense.opcua_history import HistoryReads
from iotsense.opcua_server import OpcUaServer
from iotsense.opcua_values import datetime_of
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.define_opcua_server import OpcUaServerConfig
from iotsense.twin.define_project import Project
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import DataType, Level, Signal
from iotsense.twin.times import NS
from iotsense.twin.twin import Twin

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:asyncua")

PLANT = """
area: {{ id: hall }}
digital_twins:
  - name: line_1
    area: hall
    components:
      - id: conveyor
        name: Conveyor 1
        type: conveyor
        parameters: {{ length: 4.5, speed: fast }}
        sensors:
          - {{ id: speed, name: belt_speed, description: of the belt, unit: m/s, low: 0, high: 3 }}
          - {{ id: temperature, unit: celsius }}
          - {{ id: state, labels: [stopped, running] }}
          - {{ id: open, data_type: boolean, labels: [closed, open] }}
          - {{ id: drive, unit: "1/min", low: 0, high: 1500, writable: true, source: drive_speed }}
      - id: robot
        type: robot
        sensors:
          - {{ id: joints, unit: degree, joints: 2 }}
{more}
    relationships:
      - {{ from: conveyor, to: robot, type: feeds_into }}
sensor_ingestion:
  protocols:
    - name: modbus
      host: 127.0.0.1
      port: {modbus}
      writable: true
      polling_interval_ms: 100
      registers: [{{ name: drive_speed, address: 0, type: uint16, unit: "1/min" }}]
anomaly_detection:
  rules:
    - name: hot
      type: threshold
      sensor: temperature
      conditions:
        - {{ metric: value, operator: ">", threshold: 80, severity: critical }}
iotsense:
  opcua_server:
    listen: "127.0.0.1:{port}"
    users: [{{ username: eve, password: "${{OPCUA_TEST_PASSWORD}}" }}]
    anonymous: true
    writable: true
"""
SPEED = "line_1.conveyor.speed"
ROBOT_TOO = "      - {{ id: robot_2, type: robot, sensors: [{{ id: force, unit: N }}] }}"


class Plant:
    """A running service with an OPC UA server."""

    def __init__(self, running: Process, port: int, modbus: int) -> None:
        self.running = running
        self.port = port
        self.modbus = modbus
        self.endpoint = f"opc.tcp://127.0.0.1:{port}"

    @asynccontextmanager
    async def client(self, user: str | None = None) -> AsyncIterator[tuple[Client, int]]:
        given = Client(self.endpoint)
        if user is not None:
            given.set_user(user)
            given.set_password("s3cret")
        async with given as client:
            yield client, await client.get_namespace_index("urn:iotsense:twin")

    def tell(self, device: str, name: str, value: Any, time: str | None = None) -> None:
        self.send(document(device, name, value, time))

    def send(self, documents: Any) -> None:
        answer = httpx.post(f"{self.running.url}{API}/telemetry", json=documents)
        assert answer.json()["accepted"] >= 1, answer.text

    def commands(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(f"{self.running.url}{API}/commands").json()["commands"]
        return sorted(found, key=lambda each: each["requested"])

    def audit(self, by: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(f"{self.running.url}{API}/audit", params={"by": by}).json()["records"]
        return found

    def apply(self, more: str = "") -> None:
        text = PLANT.format(port=self.port, modbus=self.modbus, more=more.format())
        answer = httpx.post(
            f"{self.running.url}{API}/definitions/apply",
            json={"documents": {"plant.yaml": text}, "base": "/", "allow_remove": True},
        )
        assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    directory, port, modbus = tmp_path_factory.mktemp("northbound"), servers.free_port(), servers.free_port()
    file = write_plant(directory, PLANT.format(port=port, modbus=modbus, more=""))
    with process(directory / "data", "-c", str(file), environment={"OPCUA_TEST_PASSWORD": "s3cret"}) as running:
        assert running.url
        until(lambda: opcua_task(running)["url"] is not None)
        yield Plant(running, port, modbus)


def opcua_task(running: Process) -> dict[str, Any]:
    task: dict[str, Any] = httpx.get(f"{running.url}/health").json()["tasks"]["opcua_server"]
    return task


def until(so: Any) -> None:
    """Waits for what comes soon."""
    import time

    deadline = time.monotonic() + 60
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Seen:
    """What a subscription brought."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.events: list[Any] = []

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        self.values.append(data.monitored_item.Value)

    def event_notification(self, event: Any) -> None:
        self.events.append(event)

    async def until(self, so: Any) -> None:
        async with asyncio.timeout(60):
            while not so():  # noqa: ASYNC110
                await asyncio.sleep(0.02)


def peer(plant: Plant, pki: Path, *attempts: dict[str, Any]) -> Any:
    """What node-opcua tells of each attempt."""
    program = Path(__file__).parent / "peers" / "opcua_client.js"
    arguments = [plant.endpoint, str(pki), f"ns=2;s={SPEED}", json.dumps(attempts)]
    environment = os.environ | {"NODE_PATH": str(servers.node_modules())}
    done = subprocess.run(
        [servers.program("node"), str(program), *arguments], capture_output=True, text=True, env=environment
    )
    return json.loads(done.stdout.splitlines()[-1])


# node-opcua


@pytest.mark.needs("node")
def test_node_opcua_reads_the_twin(plant: Plant, tmp_path: Path) -> None:
    at = datetime.now(UTC).replace(microsecond=250_000)
    plant.tell("conveyor", "speed", 1.25, at.isoformat())
    (told,) = peer(plant, tmp_path, {"policy": "None", "seconds": 1})
    assert (told["value"], told["status"]) == (1.25, "Good")
    assert told["sourceTimestamp"] == at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert told["unit"]["unitId"] == 0x4D5453  # MTS, metres per second
    assert told["unit"]["displayName"]["text"] == "m/s"
    assert told["range"] == {"low": 0, "high": 3}
    component = {each["name"]: each for each in told["component"]}
    assert component["speed"]["reference"] == "ns=0;i=47"  # HasComponent
    assert component["speed"]["type"] == "ns=0;i=2368"  # AnalogItemType
    assert component["robot"]["reference"].endswith("s=relationship:feeds_into")
    assert told["changes"][-1] == 1.25
    assert told["history"][-1] == 1.25
    assert told["written"] == "BadNotWritable"


@pytest.mark.needs("node")
def test_a_secured_client_needs_a_certificate_that_is_trusted_and_a_user(plant: Plant, tmp_path: Path) -> None:
    store = plant.running.data / "trust"
    eve = {"user": "eve", "password": "s3cret"}
    policies = ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")
    (told,) = peer(plant, tmp_path, {"policy": policies[0], **eve})
    assert "BadCertificateUntrusted" in told["error"]
    (rejected,) = (store / "rejected").iterdir()
    TrustStore(store).add(rejected.stem[:16])
    *told, guessed, unknown = peer(
        plant,
        tmp_path,
        *({"policy": policy, **eve} for policy in policies),
        {"policy": policies[0], "user": "eve", "password": "guessed"},
        {"policy": policies[0], "user": "mallory", "password": "s3cret"},
    )
    assert [each["written"] for each in told] == ["BadNotWritable"] * 3
    assert "BadUserAccessDenied" in guessed["error"]
    assert "BadUserAccessDenied" in unknown["error"]


# Reading


async def test_the_address_space_is_the_graph(plant: Plant) -> None:
    async with plant.client() as (client, ns):
        path = ["0:Objects", f"{ns}:Plant", f"{ns}:hall", f"{ns}:line_1", f"{ns}:conveyor", f"{ns}:speed"]
        speed = await client.nodes.root.get_child(path)
        assert speed.nodeid == ua.NodeId(SPEED, ns)
        assert (await speed.read_display_name()).Text == "belt_speed"
        assert (await speed.read_description()).Text == "of the belt"
        assert await speed.read_data_type() == ua.NodeId(ua.ObjectIds.Double)
        conveyor = client.get_node(ua.NodeId("line_1.conveyor", ns))
        assert (await conveyor.read_display_name()).Text == "Conveyor 1"
        kind = client.get_node(await conveyor.read_type_definition())
        assert (await kind.read_browse_name()).Name == "conveyor"
        length = await conveyor.get_child([f"{ns}:Parameters", f"{ns}:length"])
        assert await length.read_value() == 4.5
        fed = await client.get_node(ua.NodeId("line_1.robot", ns)).get_referenced_nodes(
            refs=ua.NodeId("relationship:feeds_into", ns), direction=ua.BrowseDirection.Inverse
        )
        assert [node.nodeid for node in fed] == [conveyor.nodeid]
        joints = await client.get_node(ua.NodeId("line_1.robot.joints", ns)).get_children()
        assert [(await joint.read_browse_name()).Name for joint in joints] == ["value[0]", "value[1]"]


async def test_values_have_their_types_and_their_quality(plant: Plant) -> None:
    plant.tell("conveyor", "state", "running")
    plant.tell("conveyor", "open", True)
    plant.tell("robot", "joints", [10, -20])
    async with plant.client() as (client, ns):

        async def value(id: str) -> Any:
            return await client.get_node(ua.NodeId(id, ns)).read_data_value(raise_on_bad_status=False)

        assert (await value("line_1.conveyor.state")).Value.Value == "running"
        assert (await value("line_1.conveyor.open")).Value.Value is True
        assert (await value("line_1.robot.joints.value[1]")).Value.Value == -20.0
        bad = {"device_id": "conveyor", "measurements": [{"name": "temperature", "value": None, "quality": "bad"}]}
        plant.send(bad)
        shown = await value("line_1.conveyor.temperature")
        assert shown.StatusCode.is_bad()
        assert shown.Value is None or shown.Value.Value is None
        unknown = await value("line_1.nothing")
        assert unknown.StatusCode.name == "BadNodeIdUnknown"


async def test_nothing_can_be_written_and_nobody_changes_the_space(plant: Plant) -> None:
    async with plant.client() as (client, ns):
        with pytest.raises(ua.uaerrors.BadNotWritable):
            await client.get_node(ua.NodeId(SPEED, ns)).write_value(2.0)
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            await client.nodes.objects.add_folder(ns, "mine")


@pytest.mark.needs("node")
async def test_a_user_sets_by_command_what_the_definition_lets_be_set(plant: Plant) -> None:
    device = NodePeer("modbus_server.js", MODBUS_UNITS=1, MODBUS_PORT=plant.modbus)
    await asyncio.to_thread(device.start)
    try:
        async with plant.client("eve") as (client, ns), plant.client() as (nobody, _):
            drive = client.get_node(ua.NodeId("line_1.conveyor.drive", ns))
            assert ua.AccessLevel.CurrentWrite in await drive.get_user_access_level()
            seen = Seen()
            subscription = await client.create_subscription(20, seen)
            await subscription.subscribe_data_change(drive)
            await seen.until(lambda: seen.values and seen.values[-1].StatusCode.is_good())
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await nobody.get_node(drive.nodeid).write_value(1200.0)
            with pytest.raises(ua.uaerrors.BadOutOfRange):
                await drive.write_value(2000.0)
            await drive.write_value(1200.0)
            await seen.until(lambda: seen.values[-1].Value.Value == 1200.0)
            registers = {"unit": 1, "table": "holding", "first": 0, "count": 1}
            assert device.tell("get", registers) == [1200]
            desired = client.get_node(ua.NodeId("line_1.conveyor.drive.desired", ns))
            assert await desired.read_value() == 1200.0
        until(lambda: plant.commands()[-1]["state"] == "confirmed")
        assert (plant.commands()[-1]["actor"], plant.commands()[-1]["origin"]) == ("eve", "opcua")
        done, refused = plant.audit("OPC UA user eve")
        assert (done["what"], done["target"], done["outcome"]) == ("opcua write", "line_1.conveyor.drive", "ok")
        assert (done["after"], refused["asked"], refused["outcome"]) == (
            {"value": 1200.0}, {"value": 2000.0}, "invalid-value",
        )  # fmt: skip
    finally:
        device.kill()


# Subscriptions


async def test_a_subscriber_sees_the_last_value_with_its_time(plant: Plant) -> None:
    seen = Seen()
    async with plant.client() as (client, ns):
        subscription = await client.create_subscription(20, seen)
        await subscription.subscribe_data_change(client.get_node(ua.NodeId(SPEED, ns)))
        start = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
        for step in range(20):
            plant.tell("conveyor", "speed", step / 10, (start + timedelta(milliseconds=step)).isoformat())
        await seen.until(lambda: seen.values and seen.values[-1].Value.Value == 1.9)
        assert seen.values[-1].SourceTimestamp == start + timedelta(milliseconds=19)
        numbers = [value.Value.Value for value in seen.values[1:]]
        assert numbers == sorted(numbers)


async def test_a_deadband_hides_small_changes_and_no_trouble(plant: Plant) -> None:
    seen = Seen()
    async with plant.client() as (client, ns):
        subscription = await client.create_subscription(20, seen)
        plant.tell("conveyor", "temperature", 20)
        await subscription.deadband_monitor(client.get_node(ua.NodeId("line_1.conveyor.temperature", ns)), 5.0)
        await seen.until(lambda: seen.values and seen.values[-1].Value.Value == 20.0)
        for value in (21, 30):
            plant.tell("conveyor", "temperature", value)
            await asyncio.sleep(0.3)
        plant.send(
            {"device_id": "conveyor", "measurements": [{"name": "temperature", "value": None, "quality": "bad"}]}
        )
        await seen.until(lambda: seen.values[-1].StatusCode.is_bad())
        plant.tell("conveyor", "temperature", 31)
        await seen.until(lambda: seen.values[-1].StatusCode.is_good())
        shown = [value.Value.Value if value.Value else None for value in seen.values]
        assert [value for value in shown if value is not None] == [20.0, 30.0, 31.0]


async def test_the_structure_is_followed_and_told(plant: Plant) -> None:
    seen = Seen()
    async with plant.client() as (client, ns):
        subscription = await client.create_subscription(20, seen)
        await subscription.subscribe_events(evtypes=ua.ObjectIds.GeneralModelChangeEventType)
        plant.apply(ROBOT_TOO)
        await seen.until(lambda: seen.events)
        affected = [change.Affected.Identifier for change in seen.events[0].Changes]
        assert affected == ["line_1.robot_2", "line_1.robot_2.force"]
        force = client.get_node(ua.NodeId("line_1.robot_2.force", ns))
        await subscription.subscribe_data_change(force)
        plant.tell("robot_2", "force", 5)
        await seen.until(lambda: seen.values and seen.values[-1].Value.Value == 5.0)
        told = len(seen.events)
        plant.apply()
        await seen.until(lambda: len(seen.events) > told)
        assert seen.events[-1].Changes[0].Verb == 2  # NodeDeleted
        await seen.until(lambda: seen.values[-1].StatusCode.is_bad())
        assert seen.values[-1].StatusCode.name == "BadNodeIdUnknown"
        with pytest.raises(ua.uaerrors.BadNodeIdUnknown):
            await force.read_value()
        # What did not change was not made anew.
        assert await client.get_node(ua.NodeId("line_1.conveyor", ns)).get_children()


async def test_anomalies_are_alarms(plant: Plant) -> None:
    seen, late = Seen(), Seen()
    async with plant.client() as (client, ns):
        subscription = await client.create_subscription(20, seen)
        await subscription.subscribe_alarms_and_conditions(evtypes=[ua.ObjectIds.AlarmConditionType])
        plant.tell("conveyor", "temperature", 99)
        await seen.until(lambda: seen.events)
        alarm = seen.events[0]
        assert (alarm.ConditionName, alarm.Severity, alarm.Retain) == ("hot", 900, True)
        assert getattr(alarm, "ActiveState/Id") is True
        assert alarm.SourceNode == ua.NodeId("line_1.conveyor.temperature", ns)
        assert alarm.Message.Text == "hot (critical) on line_1.conveyor.temperature: value 99 > 80 celsius"
        # Who comes later asks for what is open.
        again = await client.create_subscription(20, late)
        await again.subscribe_alarms_and_conditions(evtypes=[ua.ObjectIds.AlarmConditionType])
        condition = client.get_node(ua.ObjectIds.ConditionType)
        refresh = client.get_node(ua.ObjectIds.ConditionType_ConditionRefresh)
        await condition.call_method(refresh, ua.Variant(again.subscription_id, ua.VariantType.UInt32))
        await late.until(lambda: any(getattr(event, "ConditionName", None) == "hot" for event in late.events))
        plant.tell("conveyor", "temperature", 20)
        await seen.until(lambda: len(seen.events) > 1)
        assert getattr(seen.events[-1], "ActiveState/Id") is False
        assert seen.events[-1].Retain is False
        assert seen.events[-1].NodeId == alarm.NodeId


# History


@pytest.fixture(scope="module")
def recorded(plant: Plant) -> list[datetime]:
    """100 readings, a second apart, long ago."""
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    times = [start + timedelta(seconds=second) for second in range(100)]
    documents = [document("robot", "joints", [second, 0], time.isoformat()) for second, time in enumerate(times)]
    assert httpx.post(f"{plant.running.url}{API}/telemetry", json=documents).json()["accepted"] == 200
    return times


async def test_raw_history_forwards_backwards_and_counted(plant: Plant, recorded: list[datetime]) -> None:
    first, last = recorded[0], recorded[-1]
    async with plant.client() as (client, ns):
        joint = client.get_node(ua.NodeId("line_1.robot.joints.value[0]", ns))

        async def read(start: datetime | None, end: datetime | None, count: int = 0) -> list[float]:
            return [value.Value.Value for value in await joint.read_raw_history(start, end, count)]

        assert await read(first, last) == [float(n) for n in range(99)]  # the end is not in it
        assert await read(last, first) == [float(n) for n in range(99, 0, -1)]
        assert await read(first, None, 3) == [0.0, 1.0, 2.0]
        assert await read(None, last, 3) == [99.0, 98.0, 97.0]
        assert await read(last, first, 2) == [99.0, 98.0]
        values = await joint.read_raw_history(first, first + timedelta(seconds=2))
        assert [value.SourceTimestamp for value in values] == recorded[:2]
        assert await read(first - timedelta(days=2), first - timedelta(days=1)) == []
        with pytest.raises(ua.uaerrors.BadInvalidArgument):
            await read(None, None)


async def test_history_comes_in_pages_however_much_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iotsense.opcua_history.MOST_VALUES", 1000)
    start, count = 1_700_000_000 * NS, 20_000
    with Twin.open(tmp_path) as twin:
        signal = twin.change(_one_signal, "test")
        # Dense in places: a thousand readings in a second, then one a minute.
        steps = np.where(np.arange(count) % 2000 < 1000, NS // 1000, 60 * NS)
        times = start + np.cumsum(steps)
        twin.apply(ReadingBatch.of([signal.index] * count, times, np.arange(count, dtype=float)))
        reads = HistoryReads(twin, SimpleNamespace(signal_at=lambda id: signal))
        for backwards in (False, True):
            ends = (datetime_of(start), datetime_of(int(times[-1]) + NS))
            details = ua.ReadRawModifiedDetails(IsReadModified=False)
            details.StartTime, details.EndTime = ends[::-1] if backwards else ends
            found, pages, node = [], 0, ua.HistoryReadValueId()
            while pages == 0 or node.ContinuationPoint:
                params = ua.HistoryReadParameters(HistoryReadDetails=details, NodesToRead=[node])
                (result,) = await reads.read_history(params)
                found += [value.Value.Value for value in result.HistoryData.DataValues]
                node.ContinuationPoint = result.ContinuationPoint
                pages += 1
                assert len(result.HistoryData.DataValues) <= 1000
            assert found == (list(range(count))[::-1] if backwards else list(range(count)))
            assert pages == 20


def _one_signal(edit: GraphEdit) -> Signal:
    node = edit.add_node(id="line", level=Level.LINE, name="line")
    return edit.add_signal(node.key, "value", data_type=DataType.NUMBER)


async def test_aggregates(plant: Plant, recorded: list[datetime]) -> None:
    async with plant.client() as (client, ns):

        async def read(aggregate: int, interval: float, end: datetime | None = None) -> list[Any]:
            details = ua.ReadProcessedDetails(
                StartTime=recorded[0],
                EndTime=end or recorded[0] + timedelta(seconds=100),
                ProcessingInterval=interval,
                AggregateType=[ua.NodeId(aggregate)],
            )
            node = ua.HistoryReadValueId()
            node.NodeId = ua.NodeId("line_1.robot.joints.value[0]", ns)
            (result,) = await client.uaclient.history_read(ua.HistoryReadParameters(details, NodesToRead=[node]))
            result.StatusCode.check()
            return [value.Value.Value if value.Value else None for value in result.HistoryData.DataValues]

        assert await read(ua.ObjectIds.AggregateFunction_Average, 25_000) == [12.0, 37.0, 62.0, 87.0]
        assert await read(ua.ObjectIds.AggregateFunction_Minimum, 50_000) == [0.0, 50.0]
        assert await read(ua.ObjectIds.AggregateFunction_Maximum, 40_000) == [39.0, 79.0, 99.0]
        assert await read(ua.ObjectIds.AggregateFunction_Count, 0) == [100.0]
        later = recorded[0] + timedelta(seconds=200)
        assert await read(ua.ObjectIds.AggregateFunction_Average, 100_000, later) == [49.5, None]
        with pytest.raises(ua.uaerrors.BadAggregateNotSupported):
            await read(ua.ObjectIds.AggregateFunction_Interpolative, 25_000)


# Configuration


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken, Twin.open(tmp_path / "data") as twin:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AddressInUseError, match=address):
            await OpcUaServer(twin, OpcUaServerConfig(listen=address), tmp_path).run()


async def test_without_the_library_the_command_that_installs_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "asyncua", None)
    with Twin.open(tmp_path / "data") as twin:
        server = OpcUaServer(twin, OpcUaServerConfig(), tmp_path)
        running = asyncio.create_task(server.run())
        async with asyncio.timeout(10):
            while server.problem is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert "iotsense[opcua]" in server.problem
        running.cancel()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"listen": "0.0.0.0:4840"}, "leave None out of `security_policies`"),
        ({"listen": "4840"}, "expected HOST:PORT"),
        ({"anonymous": False}, "nobody could log in"),
        ({"users": [{"username": "eve", "password": "clear"}]}, "found a secret in the clear"),
        ({"security_policies": []}, "at least 1 item"),
        ({"writable": True}, "found writable without `users`"),
    ],
)
def test_what_is_wrong_is_said(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Project.model_validate({"iotsense": {"opcua_server": config}})


def test_beyond_this_machine_only_where_all_is_encrypted() -> None:
    config = {"listen": "0.0.0.0:4840", "security_policies": ["Aes256_Sha256_RsaPss"]}
    given = Project.model_validate({"iotsense": {"opcua_server": config}}).iotsense.opcua_server
    assert given is not None
    assert given.admits_anonymous


def test_the_examples_and_settings_of_the_page() -> None:
    page = (Path(__file__).parents[1] / "docs" / "opcua-server.md").read_text("utf-8")
    for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        Project.model_validate(yaml.safe_load(text))
    assert [name for name in OpcUaServerConfig.model_fields if f"| `{name}` |" not in page] == []
